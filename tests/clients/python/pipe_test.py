"""Tests pipe.py against a running vedetta: many threads on one pipe, each with the answers to what it asked.

Not here: what single operations answer (tests/behaviour/pipeline.json), the run as a whole (tests/it/python.rs).
"""

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
from vedetta.v1 import cache_pb2, cache_pb2_grpc

from pipe import ROOM, Pipe
from world import OPTIONS

CACHE, THREADS, ROUNDS, PATIENCE = "piped", 8, 2 * ROOM, 60


def work(pipe, thread):
    """Puts numbers and reads them back; every answer is that of its request."""
    keys = [b"%d-%d" % (thread, round) for round in range(ROUNDS)]
    puts = [pipe.send(put=cache_pb2.PutRequest(cache=CACHE, key=key, value=key)) for key in keys]
    for put in puts:
        assert put.result(PATIENCE).put.HasField("stored"), put.result()
    gets = [pipe.send(get=cache_pb2.GetRequest(cache=CACHE, key=key)) for key in keys]
    for key, get in zip(keys, gets):
        assert get.result(PATIENCE).get.hit.value == key, (key, get.result())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--address", required=True, help="unix:/path or host:port")
    channel = grpc.insecure_channel(parser.parse_args().address, options=OPTIONS)
    pipe = Pipe(cache_pb2_grpc.CacheStub(channel))
    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(work, [pipe] * THREADS, range(THREADS)))
    refused = pipe.send(get=cache_pb2.GetRequest(cache=CACHE)).result(PATIENCE)
    assert refused.error.reason == "INVALID_REQUEST", refused
    pipe.close()
    late = pipe.send(get=cache_pb2.GetRequest(cache=CACHE, key=b"k"))
    assert isinstance(late.exception(PATIENCE), ConnectionError), late
    print(f"{2 * THREADS * ROUNDS} answered")
    return 0


if __name__ == "__main__":
    sys.exit(main())
