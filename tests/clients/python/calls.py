"""Calls any rpc by name over a plain grpc channel, and reads the details of errors.

Invariants: no channel option but the two below, so that what works here works for an ordinary client; of a
stream, one message is sent and the first answer counts, or several are sent and all answers are returned.

Not here: what to send and what to expect (notation.py).
"""

import importlib
import pathlib

import grpc
from google.protobuf import symbol_database
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2  # noqa: F401  registers grpc.health.v1
from grpc_reflection.v1alpha import reflection_pb2  # noqa: F401  registers grpc.reflection.v1alpha
from grpc_status import rpc_status

from notation import TableError, class_of

DEADLINE_SECONDS = 10
UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
# For `unix:/path`, grpc core sends the escaped path as :authority, which is none, and h2 under tonic ends such a
# stream with PROTOCOL_ERROR (hyperium/h2 pull request 487, grpc/grpc issue 34305).
LOCALHOST = [("grpc.default_authority", "localhost")]
# grpcio-reflection ships only v1alpha, whose messages are those of v1.
SAME_MESSAGES = {"grpc.reflection.v1.ServerReflection": "grpc.reflection.v1alpha.ServerReflection"}
DETAILS = {
    "google.rpc.ErrorInfo": error_details_pb2.ErrorInfo,
    "google.rpc.BadRequest": error_details_pb2.BadRequest,
    "google.rpc.RetryInfo": error_details_pb2.RetryInfo,
}
# The code that common.proto gives to each reason; every other reason of it is UNAVAILABLE.
CODES = {
    "INVALID_REQUEST": "INVALID_ARGUMENT",
    "CAPABILITY_MISSING": "UNIMPLEMENTED",
    "STORE_FULL": "RESOURCE_EXHAUSTED",
    "REDIS_OUT_OF_MEMORY": "RESOURCE_EXHAUSTED",
    "OVERLOADED": "RESOURCE_EXHAUSTED",
    "QUOTA": "RESOURCE_EXHAUSTED",
    "LINEAGE_CHANGED": "FAILED_PRECONDITION",
    "NOT_A_NUMBER": "FAILED_PRECONDITION",
    "NOT_A_LIST": "FAILED_PRECONDITION",
    "FLOOR_REQUIRED": "FAILED_PRECONDITION",
    "LIST_TOO_LARGE": "RESOURCE_EXHAUSTED",
    "SESSION_TOO_LARGE": "RESOURCE_EXHAUSTED",
    "SESSIONS_INACTIVE": "FAILED_PRECONDITION",
    "TOO_MANY_GROUPS": "FAILED_PRECONDITION",
    "LOAD_LOST": "FAILED_PRECONDITION",
    "TOO_MANY_LOADS": "RESOURCE_EXHAUSTED",
    "LOAD_TOO_LARGE": "RESOURCE_EXHAUSTED",
    "APPLIED_UNREPLICATED": "ABORTED",
    "DEADLINE": "DEADLINE_EXCEEDED",
    "OUTCOME_UNKNOWN": "UNKNOWN",
    "INTERNAL": "INTERNAL",
}


def load_stubs(directory):
    """Imports the generated modules, which registers their messages and services."""
    for module in sorted(pathlib.Path(directory).rglob("*_pb2.py")):
        importlib.import_module(".".join(module.relative_to(directory).with_suffix("").parts))


class Caller:
    """One server, by address."""

    def __init__(self, address):
        options = UNLIMITED + (LOCALHOST if address.startswith("unix:") else [])
        self.channel = grpc.insecure_channel(address, options=options)

    def close(self):
        self.channel.close()

    def request_class(self, call):
        return class_of(method_of(call)[1].input_type)

    def __call__(self, call, request):
        """The (first) answer, or the list of answers to a list of messages; raises grpc.RpcError."""
        path, method = method_of(call)
        several = isinstance(request, list)
        serializer = self.request_class(call).SerializeToString
        parser = class_of(method.output_type).FromString
        many_in, many_out = method.client_streaming, method.server_streaming
        shape = f"{'stream' if many_in else 'unary'}_{'stream' if many_out else 'unary'}"
        rpc = getattr(self.channel, shape)(path, serializer, parser)
        if several and not (many_in and many_out):
            raise TableError(f"{call} takes one message")
        messages = request if several else [request]
        answer = rpc(iter(messages) if many_in else request, timeout=DEADLINE_SECONDS)
        if not many_out:
            return answer
        if several:
            return list(answer)
        first = next(answer, None)
        answer.cancel()
        if first is None:
            raise TableError(f"{call}: the stream ended without an answer")
        return first


def method_of(call):
    service, _, name = call.rpartition("/")
    if "." not in service:
        service = f"vedetta.v1.{service}"
    known = symbol_database.Default().pool.FindServiceByName(SAME_MESSAGES.get(service, service))
    if name not in known.methods_by_name:
        raise TableError(f"{service} has no rpc {name!r}")
    return f"/{service}/{name}", known.methods_by_name[name]


def compare_error(error, wanted):
    """What in a grpc.RpcError is not as the table and common.proto say: one text for each difference."""
    unknown = set(wanted) - {"code", "reason", "field", "fields", "applied", "fault"}
    if unknown:
        raise TableError(f"unknown members of error: {unknown}")
    details = details_of(error)
    info, bad = details.get("google.rpc.ErrorInfo"), details.get("google.rpc.BadRequest")
    code = error.code().name
    differences = []

    def check(label, got, expected):
        if got != expected:
            differences.append(f"{label}: is {got!r}, expected {expected!r} ({code}: {error.details()!r})")

    check("code", code, wanted["code"])
    if not error.details():
        differences.append("message: is empty")
    if info is None:
        return differences + [f"details: no ErrorInfo ({code}: {error.details()!r})"]
    check("domain", info.domain, "vedetta.dev")
    check("code of that reason", CODES.get(info.reason, "UNAVAILABLE"), code)
    if "reason" in wanted:
        check("reason", info.reason, wanted["reason"])
    expected = {name: wanted[name] for name in ("applied", "fault") if name in wanted}
    if code in ("INVALID_ARGUMENT", "UNIMPLEMENTED"):
        expected = {"applied": "NO", "fault": "CALLER", **expected}
    for name, value in expected.items():
        check(name, info.metadata.get(name), value)
    if info.metadata.get("applied") not in ("NO", "UNKNOWN", "YES"):
        differences.append(f"applied: is {info.metadata.get('applied')!r}")
    if info.metadata.get("fault") not in ("CALLER", "VEDETTA", "REDIS", "SENTINEL"):
        differences.append(f"fault: is {info.metadata.get('fault')!r}")
    if code == "UNIMPLEMENTED":
        check("reason", info.reason, "CAPABILITY_MISSING")
    if code == "UNAVAILABLE" and "google.rpc.RetryInfo" not in details:
        differences.append("details: UNAVAILABLE without RetryInfo")
    violations = bad.field_violations if bad else []
    fields = wanted.get("fields", [wanted["field"]] if "field" in wanted else None)
    if fields is not None:
        check("fields", sorted(v.field for v in violations), sorted(fields))
    if code == "INVALID_ARGUMENT" and not violations:
        differences.append("details: INVALID_ARGUMENT without BadRequest")
    differences += [f"{v.field}: has no description" for v in violations if not v.description]
    return differences


def details_of(error):
    """The known details of an error, by type."""
    status = rpc_status.from_call(error)
    found = {}
    for packed in status.details if status else []:
        kind = packed.type_url.rpartition("/")[2]
        if kind in DETAILS:
            found[kind] = DETAILS[kind].FromString(packed.value)
    return found
