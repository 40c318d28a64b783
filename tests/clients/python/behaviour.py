"""Runs the behaviour table of tests/behaviour against running servers, from Python.

Prints each case that fails with every step that differs, then `N passed, N failed` for each address; exits 1 if
anything failed. Start it through run.sh, which provides packages and stubs.

Not here: the notation (notation.py), calls (calls.py), starting a server (tests/it/python.rs).
"""

import argparse
import json
import os
import pathlib
import secrets
import sys
import time

import grpc

from calls import Caller, compare_error, load_stubs
from notation import Mismatch, Scope, TableError, build, compare, compare_all, duration, expand_times, total

TABLE = pathlib.Path(__file__).resolve().parents[2] / "behaviour"
RETRY_SECONDS = 0.02


def seconds(written):
    return total(*duration(written)) / 1e9


def attempt(caller, step, scope):
    """What differs when the step is tried once; empty if it matches."""
    try:
        kind, written = caller.request_class(step["call"]), expand_times(step.get("request", {}))
        several = isinstance(written, list)
        request = [build(kind, one, scope) for one in written] if several else build(kind, written, scope)
        answer = caller(step["call"], request)
    except Mismatch as missing:
        return [str(missing)]
    except grpc.RpcError as error:
        if "error" in step:
            return compare_error(error, step["error"])
        return [f"failed with {error.code().name}: {error.details()!r}"]
    if "error" in step:
        return [f"answered OK, expected {step['error']['code']}"]
    try:
        if "answers" in step:
            return compare_all(answer if several else [answer], step["answers"], scope)
        if several and not answer:
            return ["the stream ended without an answer"]
        return compare(answer[-1] if several else answer, step["expect"], scope)
    except Mismatch as missing:
        return [str(missing)]


def run_step(caller, step, scope):
    unknown = set(step) - {"call", "request", "expect", "answers", "error", "eventually", "after", "note"}
    if unknown or len({"expect", "answers", "error"} & set(step)) != 1:
        raise TableError(f"a step needs a call and one of expect, answers and error, and has {sorted(step)}")
    if "after" in step:
        # The passing of time is what such a step is about.
        time.sleep(seconds(step["after"]))
    bound = time.monotonic() + seconds(step.get("eventually", "0s"))
    while True:
        differences = attempt(caller, step, scope)
        if not differences or time.monotonic() >= bound:
            return differences
        time.sleep(RETRY_SECONDS)


def run_case(caller, case, scope):
    """Every difference of every step, numbered from 1."""
    return [
        f"step {number} {step['call']}: {difference}"
        for number, step in enumerate(case["steps"], 1)
        for difference in run_step(caller, step, scope)
    ]


def cases(table, only, store):
    """(file, case, encoding) for all that applies to this store."""
    for path in sorted(table.glob("*.json")):
        for case in json.loads(path.read_text())["cases"]:
            unknown = set(case) - {"name", "caches", "stores", "steps"}
            if unknown:
                raise TableError(f"{path.name}: {case['name']}: unknown members {unknown}")
            if only in f"{path.stem}: {case['name']}" and store in case.get("stores", [store]):
                for encoding in case.get("caches", ["framed"]):
                    yield path.stem, case, encoding


def run(address, arguments):
    """The number of failed cases."""
    passed = failed = 0
    caller = Caller(address)
    token = secrets.token_hex(4)
    for file, case, encoding in cases(arguments.table, arguments.only, arguments.store):
        name = f"{file}: {case['name']} [{encoding}]"
        try:
            differences = run_case(caller, case, Scope(token, case["name"], encoding, arguments.store))
        except TableError as error:
            differences = [f"the table is wrong: {error}"]
        if differences:
            failed += 1
            print(f"FAILED {name}", *(f"    {line}" for line in differences), sep="\n")
        else:
            passed += 1
            if arguments.verbose:
                print(f"passed {name}")
    caller.close()
    print(f"{address}: {passed} passed, {failed} failed", flush=True)
    # A table of which nothing was run has shown nothing.
    return failed + (passed + failed == 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--address", action="append", required=True, help="unix:/path or host:port; may be repeated")
    parser.add_argument("--store", choices=["embedded", "redis", "sentinel"], default="embedded")
    parser.add_argument("--table", type=pathlib.Path, default=TABLE)
    parser.add_argument("--only", default="", help="cases whose `file: name` has this text")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    load_stubs(os.environ["PYTHONPATH"])
    return 1 if sum(run(address, arguments) for address in arguments.address) else 0


if __name__ == "__main__":
    sys.exit(main())
