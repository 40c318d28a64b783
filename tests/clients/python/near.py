"""An in-process cache (L0) in front of vedetta, kept coherent by its Watch stream: docs/clients.md as a program.

Invariants, each a step of the proof in docs/clients.md:
- a token is taken before a Get is sent, and what the Get answers is kept only while that token lives;
- whatever drops a copy kills the token of its key in the same step;
- a position is remembered only after its event has been applied;
- a copy is served as fresh only before what Proven said has run out, and before it expires itself;
- what was written is dropped before it is sent and again when it is over, and is never kept.

Not here: batches, one flight for several readers of a key, weights, metrics. They change nothing in the proof.
"""

import math
import threading
import time
from collections import namedtuple

import grpc
from vedetta.v1 import cache_pb2, cache_pb2_grpc, common_pb2, watch_pb2, watch_pb2_grpc

MISS = object()
RECONNECT_SECONDS = 0.05
Copy = namedtuple("Copy", "value sent expires fresh")


def now():
    """On a clock that goes on while the machine is suspended, and does not follow steps of the wall clock."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Near:
    """Copies of entries of some caches of one tenant. Both services must be on one channel to one vedetta."""

    def __init__(self, channel, caches, tenant="", capacity=10_000, timeout=5.0):
        self.stub, self._watch = cache_pb2_grpc.CacheStub(channel), watch_pb2_grpc.WatchStub(channel)
        self._tenant, self._capacity, self._timeout = tenant, capacity, timeout
        self._lock = threading.RLock()
        self._copies = {cache: {} for cache in caches}
        # The token of the latest read of each key that is on its way.
        self._tokens = {cache: {} for cache in caches}
        self._proven_until = -math.inf
        self._position = self._stream = self.error = None
        self._closed = threading.Event()
        threading.Thread(target=self._follow, name="vedetta watch", daemon=True).start()

    def close(self):
        self._closed.set()
        if self._stream is not None:
            self._stream.cancel()

    def get(self, cache, key):
        """The value; None for a cached null, MISS for no entry. Raises grpc.RpcError if vedetta has to be asked."""
        with self._lock:
            copy, at = self._copies[cache].get(key), now()
            if copy is not None and at < self._proven_until and at < copy.expires:
                return copy.value
            token = self._tokens[cache][key] = object()
        copy = None
        try:
            # The clock is read before the Get is sent, so that nothing lives longer here than in Redis.
            sent, request = now(), cache_pb2.GetRequest(cache=cache, tenant=self._tenant, key=key)
            copy = copy_of(self.stub.Get(request, timeout=self._timeout), sent)
            return copy.value
        finally:
            with self._lock:
                self._land(cache, key, token, copy)

    def stale(self, cache, key):
        """(value, for how many seconds it has not been proven to be within the bound), or None. At your own risk."""
        with self._lock:
            copy, at = self._copies[cache].get(key), now()
            if copy is None or at >= copy.expires:
                return None
            return copy.value, max(0.0, at - max(copy.sent, self._proven_until))

    def write(self, rpc, request, keys=None):
        """Calls an rpc of the stub that writes these keys, or the whole cache. They are dropped before, and again after
        the answer or the error, because another thread may read an old value in between."""
        self._drop(request.cache, keys)
        try:
            return rpc(request, timeout=self._timeout)
        finally:
            self._drop(request.cache, keys)

    def _land(self, cache, key, token, copy):
        """The end of a read: the copy is kept if nothing has killed or replaced its token."""
        tokens, copies = self._tokens[cache], self._copies[cache]
        if tokens.get(key) is token:
            del tokens[key]
            if copy is not None and copy.fresh:
                copies[key] = copy
                if len(copies) > self._capacity:
                    del copies[next(iter(copies))]

    def _drop(self, cache, keys=None):
        """Drops copies and tokens of some keys, or of the whole cache."""
        with self._lock:
            for held in (self._copies[cache], self._tokens[cache]):
                for key in list(held) if keys is None else keys:
                    held.pop(key, None)

    def _follow(self):
        """The end of a stream needs no reaction: what is proven runs out, and the next stream tells what was missed."""
        while not self._closed.is_set():
            try:
                for message in self._open():
                    with self._lock:
                        self._apply(message.WhichOneof("event"), message)
                        self._position = message.position
            except grpc.RpcError as error:
                self.error = error
            self._closed.wait(RECONNECT_SECONDS)

    def _open(self):
        request = watch_pb2.WatchRequest(tenant=self._tenant, caches=self._copies, resume_after=self._position)
        self._stream = self._watch.Watch(request)
        return self._stream

    def _apply(self, kind, message):
        if kind == "invalidated":
            self._drop(message.invalidated.cache, message.invalidated.keys)
        elif kind in ("cleared", "groups_flushed"):
            self._drop(getattr(message, kind).cache)
        elif kind == "data_loss":
            for cache in message.data_loss.caches:
                self._drop(cache)
        elif kind == "proven":
            # The wall clock is read last, which can only make the difference smaller.
            proven, at = message.proven, now()
            self._proven_until = at + min(seconds(proven.valid_for), seconds(proven.until) - time.time())
        elif kind not in ("failover_started", "failover_finished"):
            # A Discontinuity, or an event that this program is too old to know.
            self._proven_until = -math.inf
            for cache in self._copies:
                self._drop(cache)


def seconds(duration):
    return duration.seconds + duration.nanos / 1e9


def copy_of(answer, sent):
    """What may be kept of an answer to Get: what says FRESH, a miss like a hit."""
    if answer.WhichOneof("result") == "miss":
        return Copy(MISS, sent, math.inf, answer.miss.freshness == common_pb2.FRESHNESS_FRESH)
    hit = answer.hit
    left = seconds(hit.remaining_ttl) if hit.HasField("remaining_ttl") else math.inf
    value = hit.value if hit.WhichOneof("content") == "value" else None
    return Copy(value, sent, sent + left, hit.freshness == common_pb2.FRESHNESS_FRESH)
