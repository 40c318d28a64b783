"""Tests near.py against real vedettas, which it starts itself, on one real Redis, which it is given.

`stories`: each thing that can change or hide a value makes the L0 stop serving the old one within the bound L; and the
story notices an L0 that is broken there.
`races`: many readers, foreign and own writers, cut streams and killed sessions at once. No answer is older than L, and
no key stays different; the same with an L0 without tokens must be noticed.

Not here: the L0 and its surroundings (near.py, world.py), Redis and the run as a whole (tests/it/l0.rs), the argument
(docs/clients.md).
"""

import argparse
import bisect
import contextlib
import itertools
import sys
import threading

import grpc
from google.protobuf import duration_pb2
from vedetta.v1 import cache_pb2, common_pb2, watch_pb2

from near import MISS, now
from world import BOUND, FRAMED, PACE, PATIENCE, RAW
from world import Credulous, Deaf, Redis, Vedetta, Watched, WithoutTokens, eventually, holds, replaced

# Which story must notice which broken L0.
NOTICED = [(Deaf, "a_killed_session"), (Deaf, "a_flushall"), (Credulous, "a_vedetta_that_is_paused")]


class Stories:
    """Each method is one story, told with fresh keys; what it returns is printed."""

    def __init__(self, arguments):
        self.redis = Redis(arguments.redis)
        # Few events, so that a subscriber can be too slow for them in a moment.
        self.ours = Vedetta(arguments.vedetta, arguments.redis, "--limits-replay-events", "20")
        self.theirs = Vedetta(arguments.vedetta, arguments.redis)
        self.near, self.other = Watched(self.ours), Watched(self.theirs)
        self.keys = (b"key-%d" % number for number in itertools.count())

    def close(self):
        self.near.close()
        self.other.close()
        self.ours.kill()
        self.theirs.kill()

    def kept(self, cache, value=b"old"):
        """A new key whose value is in the L0."""
        key = next(self.keys)
        self.other.put(cache, key, value)
        holds(self.near, cache, key, value)
        return key

    def change(self, cache, new, change, old=b"old", bound=BOUND):
        key = self.kept(cache, old)
        change(key)
        took = replaced(self.near, cache, key, old, new, now(), bound)
        holds(self.near, cache, key, new)
        return f"old for {took * 1000:.1f} ms"

    def hits_misses_and_nulls_are_local(self):
        self.kept(FRAMED)
        self.kept(RAW)
        self.kept(FRAMED, None)
        holds(self.near, FRAMED, b"nothing", MISS)

    def a_key_that_appears(self):
        key = next(self.keys)
        holds(self.near, RAW, key, MISS)
        self.redis(("SET", b"raw::" + key, "new"))
        return f"miss for {replaced(self.near, RAW, key, MISS, b'new', now()) * 1000:.1f} ms"

    def a_foreign_set(self):
        return self.change(RAW, b"new", lambda key: self.redis(("SET", b"raw::" + key, "new")))

    def an_own_put(self):
        return self.change(FRAMED, b"new", lambda key: self.near.put(FRAMED, key, b"new"), bound=0)

    def an_own_evict(self):
        return self.change(FRAMED, MISS, lambda key: self.near.evict(FRAMED, key), bound=0)

    def an_own_clear(self):
        for cache in (FRAMED, RAW):
            self.change(cache, MISS, lambda _, cache=cache: self.near.clear(cache), bound=0)

    def a_put_through_another_vedetta(self):
        return self.change(FRAMED, b"new", lambda key: self.other.put(FRAMED, key, b"new"))

    def an_evict_through_another_vedetta(self):
        return self.change(FRAMED, MISS, lambda key: self.other.evict(FRAMED, key))

    def a_clear_through_another_vedetta(self):
        raw = self.change(RAW, MISS, lambda _: self.other.clear(RAW))
        return f"{self.change(FRAMED, MISS, lambda _: self.other.clear(FRAMED))}, raw {raw}"

    def a_flushall(self):
        return self.change(FRAMED, MISS, lambda _: self.redis(("FLUSHALL",)))

    def an_expiry(self):
        key, ttl = next(self.keys), 0.4
        self.other.put(FRAMED, key, b"old", common_pb2.Expiry(ttl=duration_pb2.Duration(nanos=int(ttl * 1e9))))
        replaced(self.near, FRAMED, key, b"old", MISS, now(), bound=ttl)

    def a_killed_session(self):
        def change(key):
            kill = ("CLIENT", "KILL", "TYPE", "normal")
            self.redis(("MULTI",), kill, ("SET", b"raw::" + key, "new"), ("EXEC",))
        return self.change(RAW, b"new", change)

    def a_stream_that_is_cut_resumes(self):
        stays, changes = self.kept(RAW), self.kept(RAW)
        told = len(self.near.told)
        self.near.door.clear()
        self.near.cut()
        self.redis(("SET", b"raw::" + changes, "new"))
        # Heard by the vedetta, and by nobody behind it, when it answers the new value.
        request = cache_pb2.GetRequest(cache=RAW, key=changes)
        eventually("news", lambda: self.near.stub.Get(request).hit.value == b"new")
        assert self.near.stale(RAW, changes)[0] == b"old"
        self.near.door.set()
        replaced(self.near, RAW, changes, b"old", b"new", now())
        before = self.near.calls.count
        holds(self.near, RAW, stays, b"old")
        assert self.near.told[told:] == [], self.near.told[told:]
        return f"{self.near.calls.count - before} calls for what was kept"

    def a_subscriber_that_is_too_slow(self):
        """More events pass by than a vedetta remembers, while the stream is not read and its buffers are full."""
        key, told = self.kept(RAW), len(self.near.told)
        with self.near._lock:
            for number in range(150):
                long = b"%d-" % number + b"x" * 60_000
                self.near.stub.Put(cache_pb2.PutRequest(cache=RAW, key=long, value=b""))
            self.redis(("SET", b"raw::" + key, "new"))
            changed = now()
        took = replaced(self.near, RAW, key, b"old", b"new", changed)
        eventually("a Discontinuity", lambda: self.near.told[told:])
        assert self.near.error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, self.near.error
        self.redis(("FLUSHALL",))
        return f"old for {took * 1000:.1f} ms"

    def a_vedetta_that_is_paused(self):
        """Within L the L0 goes on by itself; then it has only stale copies, and says so."""
        key = self.kept(RAW)
        patience, self.near._timeout = self.near._timeout, 0.05
        self.ours.pause()
        paused = latest = now()
        try:
            self.redis(("SET", b"raw::" + key, "new"))
            hits = 0
            with contextlib.suppress(grpc.RpcError):
                while latest - paused <= BOUND:
                    began = now()
                    assert self.near.get(RAW, key) == b"old"
                    hits, latest = hits + 1, began
            assert hits and latest - paused <= BOUND, f"{hits} hits, the last after {latest - paused:.3f} s"
            value, overdue = self.near.stale(RAW, key)
            assert value == b"old" and 0 < overdue <= now() - paused
        finally:
            self.near._timeout = patience
            self.ours.resume()
        replaced(self.near, RAW, key, b"old", b"new", now())
        holds(self.near, RAW, key, b"new")
        return f"fresh for {(latest - paused) * 1000:.0f} ms of {BOUND * 1000:.0f} ms"

    def a_vedetta_that_restarts(self):
        key, told = self.kept(RAW), len(self.near.told)
        self.ours.kill()
        self.redis(("SET", b"raw::" + key, "new"))
        changed = now()
        self.ours.start()
        took = replaced(self.near, RAW, key, b"old", b"new", changed)
        eventually("a Discontinuity", lambda: self.near.told[told:])
        holds(self.near, RAW, key, b"new")
        reasons = self.near.discontinuities()
        assert watch_pb2.WatchResponse.Discontinuity.REASON_RESUME_TOO_OLD in reasons, reasons
        return f"old for {took * 1000:.1f} ms"


class Races:
    """One run: readers, writers and trouble, then quiet."""

    KEYS, READERS = 24, 5

    def __init__(self, arguments, vedetta, redis, kind):
        self.near, self.redis = kind(vedetta), redis
        self.near.calls.every = 5
        self.address = arguments.redis
        self.over = threading.Event()
        self.wrong, self.failure, self.reads, self.refused = [], None, 0, 0
        # When write n of each key was acknowledged. Every key has one writer, so n is its value.
        self.acknowledged = [[] for _ in range(self.KEYS)]
        for number in range(self.KEYS):
            self.redis(("SET", self.name(number), 0))
            self.acknowledged[number].append(now())

    @staticmethod
    def name(number):
        return b"raw::race-%d" % number

    def check(self, number):
        """One read, and whether it reflects every write acknowledged more than the bound before."""
        began = now()
        try:
            value = self.near.get(RAW, b"race-%d" % number)
        except grpc.RpcError:
            self.refused += 1
            return None
        self.reads += 1
        due = bisect.bisect_left(self.acknowledged[number], began - BOUND) - 1
        if int(value) < due:
            late = began - self.acknowledged[number][int(value) + 1]
            self.wrong.append(f"key {number} is {int(value)}, replaced {late:.3f} s before")
        return int(value)

    def read(self, reader):
        for step in itertools.count(reader):
            if self.over.is_set():
                return
            self.check(step * 7 % self.KEYS)

    def write_from_elsewhere(self, _):
        redis = Redis(self.address)
        for step in itertools.count(1):
            for number in range(0, self.KEYS, 2):
                redis(("SET", self.name(number), step))
                self.acknowledged[number].append(now())
            if self.over.wait(PACE):
                return

    def write_through_the_l0(self, _):
        for step in itertools.count(1):
            for number in range(1, self.KEYS, 2):
                # A failed one may have been applied; it is repeated until it is known.
                eventually("a put", lambda: self.near.put(RAW, b"race-%d" % number, b"%d" % step) or True)
                self.acknowledged[number].append(now())
                if (seen := self.check(number)) is not None and seen < step:
                    self.wrong.append(f"key {number}: put {step} and read {seen}")
            if self.over.wait(PACE):
                return

    def trouble(self, _):
        """Cuts the stream, and now and then the session under it: not so often that it hides what is stuck."""
        redis = Redis(self.address)
        for turn in itertools.count():
            if self.over.wait(0.1):
                return
            if turn % 12 == 3:
                # The sessions that track; other programs are left alone.
                lines = redis(("CLIENT", "LIST")).decode().splitlines()
                clients = [dict(part.split("=", 1) for part in line.split()) for line in lines]
                for client in clients:
                    if "t" in client["flags"]:
                        redis(("CLIENT", "KILL", "ID", client["id"]))
            else:
                self.near.cut()

    def run(self, seconds):
        """Whether something was wrong, looking for that long at most."""
        def guarded(work, number):
            try:
                work(number)
            except Exception as failure:  # noqa: BLE001  a thread that dies must not go unnoticed
                self.failure = failure
        work = [self.read] * self.READERS + [self.write_from_elsewhere, self.write_through_the_l0, self.trouble]
        threads = [threading.Thread(target=guarded, args=(work, n), daemon=True) for n, work in enumerate(work)]
        for thread in threads:
            thread.start()
        until = now() + seconds
        while not self.wrong and not self.failure and now() < until:
            self.over.wait(0.01)
        self.over.set()
        for thread in threads:
            thread.join(PATIENCE)
        if self.failure:
            raise self.failure
        stuck = self.settle()
        figures = f"{self.reads} reads, {self.near.calls.count} calls, {self.refused} refused, "
        figures += f"{sum(map(len, self.acknowledged))} writes, {len(self.near.discontinuities())} discontinuities, "
        figures += f"{len(self.wrong)} too old, {len(stuck)} stuck"
        self.near.close()
        return figures, self.wrong + stuck

    def settle(self):
        """The keys that differ although nobody has written for longer than the bound."""
        quiet = max(writes[-1] for writes in self.acknowledged) + BOUND
        stuck = []
        for number, writes in enumerate(self.acknowledged):
            def answered():
                began = now()
                value = int(self.near.get(RAW, b"race-%d" % number))
                return began > quiet and (value,)
            value, = eventually("quiet", answered)
            if value != len(writes) - 1:
                stuck.append(f"key {number} stays {value}, is {len(writes) - 1}")
        return stuck


def tell_stories(arguments):
    stories, failed = Stories(arguments), 0
    names = [name for name, story in vars(Stories).items() if name.split("_")[0] in ("a", "an", "hits")]
    sound = stories.near
    try:
        for kind, name in [(Watched, name) for name in names] + NOTICED:
            began, stories.near = now(), sound if kind is Watched else kind(stories.ours)
            try:
                right, figures = kind is Watched, getattr(stories, name)()
            except AssertionError as difference:
                right, figures = kind is not Watched, difference
            failed += not right
            result = "passed" if right else "FAILED"
            print(f"{result} {kind.__name__} {name}: {figures or 'ok'} ({now() - began:.2f} s)", flush=True)
            if kind is not Watched:
                stories.near.close()
    finally:
        stories.near = sound
        stories.close()
    return len(names) + len(NOTICED) - failed, failed


def run_races(arguments):
    """The sound L0 for the whole time, the broken one until it is noticed."""
    passed = failed = 0
    redis, vedetta = Redis(arguments.redis), Vedetta(arguments.vedetta, arguments.redis)
    try:
        for kind, seconds, sound in [(Watched, 3, True), (WithoutTokens, 8, False)]:
            figures, wrong = Races(arguments, vedetta, redis, kind).run(seconds)
            right = sound == (not wrong)
            passed, failed = passed + right, failed + (not right)
            print(f"{'passed' if right else 'FAILED'} {kind.__name__}: {figures}; {wrong[:3]}", flush=True)
    finally:
        vedetta.kill()
    return passed, failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["stories", "races"])
    parser.add_argument("--vedetta", required=True, help="the binary")
    parser.add_argument("--redis", required=True, help="host:port of an empty Redis")
    arguments = parser.parse_args()
    # Threads that hold each other up less, so that more of them meet.
    sys.setswitchinterval(0.0005)
    passed, failed = {"stories": tell_stories, "races": run_races}[arguments.what](arguments)
    print(f"{arguments.what}: {passed} passed, {failed} failed", flush=True)
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
