"""What near_test.py puts the L0 into: another program on its Redis, vedettas that can be paused and restarted, an L0
that is watched, and broken ones.

Invariants: every time is read from the clock of near.py and compared, never waited for; nothing is asserted about how
fast a machine is, except that what must come at all comes before PATIENCE.

Not here: what must hold (near_test.py).
"""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import threading

import grpc
from vedetta.v1 import cache_pb2, common_pb2, status_pb2, status_pb2_grpc

from near import Near, now

BOUND = 0.5
PATIENCE = 20.0
# Between two rounds of a writer, so that a copy lives for long enough to be served.
PACE = 0.005
RAW, FRAMED = "raw", "framed"
# As in calls.py; and a client whose vedetta restarts does not want to wait a second for the next attempt.
OPTIONS = [
    ("grpc.default_authority", "localhost"),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 100),
]
ASK, SERVES = status_pb2.GetStatusRequest(), status_pb2.GetStatusResponse.PHASE_SERVING


def eventually(what, probe):
    """The first answer of the probe that says something; an error of a call says nothing."""
    until = now() + PATIENCE
    while now() < until:
        with contextlib.suppress(grpc.RpcError):
            if found := probe():
                return found
    raise AssertionError(f"{what}: not within {PATIENCE} s")


def holds(near, cache, key, value):
    """Waits until the L0 answers by itself: many times without a call."""
    def by_itself():
        before = near.calls.count
        values = {near.get(cache, key) for _ in range(100)}
        return values == {value} and near.calls.count == before
    eventually(f"{key} is kept", by_itself)


def replaced(near, cache, key, old, new, acknowledged, bound=BOUND):
    """The old value is never answered to who asks later than the bound after it was replaced, and the new one is
    answered. Returns for how long the old one was."""
    latest = acknowledged
    def answered():
        nonlocal latest
        began, value = now(), near.get(cache, key)
        assert value in (old, new), f"{key}: {value!r}"
        if value == old:
            latest = began
        assert latest - acknowledged <= bound, f"{key}: still {old!r} after {latest - acknowledged:.3f} s"
        return value != old
    eventually(f"{key} is {new!r}", answered)
    return latest - acknowledged


class Redis:
    """Another program that writes to the same Redis."""

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self.stream = socket.create_connection((host, int(port)), timeout=PATIENCE).makefile("rwb")

    def __call__(self, *commands):
        """Sends commands, each a tuple, in one write; the last reply."""
        for command in commands:
            parts = [part if isinstance(part, bytes) else str(part).encode() for part in command]
            self.stream.write(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(p), p) for p in parts))
        self.stream.flush()
        return [self.read() for _ in commands][-1]

    def read(self):
        kind, rest = (line := self.stream.readline())[:1], line[1:-2]
        if kind == b"-" or not line:
            raise OSError(f"Redis says {line!r}")
        if kind == b"*":
            return [self.read() for _ in range(int(rest))]
        return self.stream.read(int(rest) + 2)[:-2] if kind == b"$" and int(rest) >= 0 else rest


class Vedetta:
    """One sidecar, which can be killed and started again at the same address."""

    def __init__(self, binary, redis, *further):
        self.directory = tempfile.TemporaryDirectory()
        self.socket = pathlib.Path(self.directory.name, "vedetta.sock")
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("VEDETTA_", "REDIS_"))}
        self.command = [binary, "serve", "--near-staleness", f"{int(BOUND * 1000)}ms", "--redis-address", redis]
        self.command += ["--socket", self.socket, "--listen", "none", "--admin-listen", "127.0.0.1:0", *further]
        self.environment = {**inherited, "VEDETTA_CACHES": f"{RAW}:raw"}
        self.process = None
        self.start()

    def start(self):
        with open(pathlib.Path(self.directory.name, "output"), "ab") as output:
            self.process = subprocess.Popen(self.command, env=self.environment, stdout=output, stderr=output)
        with grpc.insecure_channel(f"unix:{self.socket}", options=OPTIONS) as channel:
            stub = status_pb2_grpc.StatusStub(channel)
            def serves():
                return stub.GetStatus(ASK, timeout=PATIENCE, wait_for_ready=True).master.phase == SERVES
            eventually("a master", serves)

    def pause(self):
        """Returns when every thread of it has stopped."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        # One that is stopped dies as well.
        self.process.kill()
        self.process.wait()


class Counted(grpc.UnaryUnaryClientInterceptor):
    """Counts calls: what the L0 serves by itself is none. Holds up some answers, as a busy machine would."""

    def __init__(self):
        self.count, self.every, self.never = 0, 0, threading.Event()

    def intercept_unary_unary(self, continuation, details, request):
        self.count += 1
        held_up = self.every and self.count % self.every == 0
        answer = continuation(details, request)
        if held_up:
            self.never.wait(3 * PACE)
        return answer


class Watched(Near):
    """The L0 with a door that its stream waits at, and a record of what it was told."""

    def __init__(self, vedetta, **settings):
        self.calls, self.told, self.door = Counted(), [], threading.Event()
        self.door.set()
        self.channel = grpc.insecure_channel(f"unix:{vedetta.socket}", options=OPTIONS)
        super().__init__(grpc.intercept_channel(self.channel, self.calls), [RAW, FRAMED], **settings)

    def _open(self):
        self.door.wait()
        return super()._open()

    def _apply(self, kind, message):
        super()._apply(kind, message)
        if kind not in ("proven", "invalidated"):
            self.told.append((kind, message))

    def close(self):
        super().close()
        self.door.set()
        self.channel.close()

    def cut(self):
        if self._stream is not None:
            self._stream.cancel()

    def put(self, cache, key, value, expiry=None):
        content = {"null": common_pb2.Null()} if value is None else {"value": value}
        self.write(self.stub.Put, cache_pb2.PutRequest(cache=cache, key=key, expiry=expiry, **content), [key])

    def evict(self, cache, key):
        self.write(self.stub.Evict, cache_pb2.EvictRequest(cache=cache, key=key), [key])

    def clear(self, cache):
        self.write(self.stub.Clear, cache_pb2.ClearRequest(cache=cache))

    def discontinuities(self):
        return [message.discontinuity.reason for kind, message in self.told if kind == "discontinuity"]


class WithoutTokens(Watched):
    """Keeps whatever arrives."""

    def _land(self, cache, key, token, copy):
        self._tokens[cache][key] = token
        super()._land(cache, key, token, copy)


class Credulous(Watched):
    """Takes what is proven for proven for ever."""

    def _apply(self, kind, message):
        super()._apply(kind, message)
        if kind == "proven":
            self._proven_until = float("inf")


class Deaf(Credulous):
    """Takes a Discontinuity for small talk. Credulous as well, because the end of the trust can hide that."""

    def _apply(self, kind, message):
        if kind != "discontinuity":
            super()._apply(kind, message)
