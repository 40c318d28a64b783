"""A vedetta that follows a Sentinel, to ask what metrics there are.

Invariants: everything listens on loopback, at ports that were free a moment ago, under a directory of its own; what was
started is stopped by its own process id.

Not here: what the metrics are compared with.
"""

import os
import re
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections import defaultdict
from pathlib import Path

from found import Finding

PATIENCE = 30.0

# A series with its labels, as Prometheus reads it: names to the values of each label.
Names = dict[str, dict[str, set[str]]]

SERIES = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? ", re.MULTILINE)
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')


def parse(text: str) -> Names:
    """The names in a scrape, with the values of their labels."""
    names: Names = defaultdict(lambda: defaultdict(set))
    for name, labels in SERIES.findall(text):
        names[name]
        for label, value in LABEL.findall(labels):
            names[name][label].add(value)
    return names


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Live:
    """Redis, a Sentinel and vedetta."""

    def __init__(self) -> None:
        self.binary = os.environ["VEDETTA"]
        self.scratch = tempfile.TemporaryDirectory()
        self.processes: list[subprocess.Popen] = []

    def __enter__(self) -> "Live":
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def start(self) -> None:
        folder = Path(self.scratch.name)
        redis, sentinel, self.admin = free_port(), free_port(), free_port()
        self.socket = folder / "vedetta.sock"
        self.spawn(["redis-server", "--port", str(redis), "--bind", "127.0.0.1", "--save", "", "--dir", folder])
        config = folder / "sentinel.conf"
        config.write_text(f"port {sentinel}\nbind 127.0.0.1\nsentinel monitor mymaster 127.0.0.1 {redis} 1\n")
        self.spawn(["redis-sentinel", config])
        settings = {
            "REDIS_ADDRESSES": f"127.0.0.1:{sentinel}",
            "VEDETTA_SOCKET": str(self.socket),
            "VEDETTA_LISTEN": "none",
            "VEDETTA_ADMIN_LISTEN": f"127.0.0.1:{self.admin}",
            # So that the counters of answers that are compared exist too.
            "VEDETTA_NEAR_AUDIT_EVERY": "1",
        }
        self.spawn([self.binary, "serve"], settings)
        # Series by cache exist when the cache has been used.
        self.until_ok("put", "a", "k", "v")
        self.until_ok("get", "a", "k")

    def spawn(self, command: list, settings: dict | None = None) -> None:
        log = open(Path(self.scratch.name) / f"{len(self.processes)}.log", "wb")
        environment = {"PATH": os.environ["PATH"], **(settings or {})}
        self.processes.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))

    def until_ok(self, *call: str) -> None:
        """Calls until it succeeds: the servers have just been started."""
        command = [self.binary, "--address", f"unix:{self.socket}", *call]
        end = time.monotonic() + PATIENCE
        while True:
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode == 0:
                return
            if time.monotonic() > end:
                raise Finding(f"vedetta {' '.join(call)}: {done.stderr}\n{self.logs()}")
            time.sleep(0.05)

    def logs(self) -> str:
        return "\n".join(path.read_text() for path in sorted(Path(self.scratch.name).glob("*.log")))

    def metrics(self) -> Names:
        """A scrape."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics", timeout=PATIENCE) as answer:
            return parse(answer.read().decode())

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
        self.scratch.cleanup()
