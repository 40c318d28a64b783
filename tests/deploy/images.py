"""Images for the scenario, of what this machine has: nothing is pulled.

Invariants: FROM scratch, the programs with the libraries that they name, and no more; removed with the scenario.

Not here: the image of vedetta, which deploy/build-image builds; running any of them.
"""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from found import require

# A shell and what deploy/examples/redis-sentinel/start.sh calls; the servers; what asks Prometheus.
PROGRAMS = (
    "sh awk cat cp cut date grep head mv sleep sort timeout tr uniq "
    "redis-server redis-sentinel redis-cli prometheus curl"
).split()
LIBRARY = re.compile(r"(/\S+)(?: \(0x|$)", re.MULTILINE)


def podman(*arguments, tolerant: bool = False, given: str | None = None) -> str:
    """Runs podman and answers with what it prints."""
    command = ["podman", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, input=given)
    require(tolerant or done.returncode == 0, f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout.strip()


def logs(container: str) -> list[str]:
    """The lines that a container has written, wherever to."""
    command = ["podman", "logs", container]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout.splitlines()


def libraries(program: Path) -> list[Path]:
    """What the dynamic loader would read for it; a static program has none."""
    done = subprocess.run(["ldd", program], capture_output=True, text=True)
    return [Path(path) for path in LIBRARY.findall(done.stdout) if Path(path).exists()]


def put(root: Path, source: Path, to: str) -> None:
    """Copies a file, links followed, to a place in the image."""
    place = root / to.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        shutil.copy(source.resolve(), place)


def build(name: str, vedetta: str) -> None:
    """The image of everything but vedetta, with the client of that image."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "root"
        for program in PROGRAMS:
            found = shutil.which(program)
            require(found, f"the scenario needs `{program}` on this machine")
            put(root, Path(found), f"/usr/bin/{program}")
            for library in libraries(Path(found)):
                put(root, library, str(library))
        client = root / "usr/bin/vedetta"
        container = podman("create", vedetta)
        podman("cp", f"{container}:/vedetta", client)
        podman("rm", container)
        for library in libraries(client):
            put(root, library, str(library))
        (root / "bin").symlink_to("usr/bin")
        # podman gives a volume the mode that it finds here; an emptyDir is everybody's.
        for folder in ("tmp", "data", "run", "run/vedetta"):
            (root / folder).mkdir(mode=0o1777)
            (root / folder).chmod(0o1777)
        (root / "etc").mkdir()
        # glibc asks DNS only if it is told to.
        (root / "etc/nsswitch.conf").write_text("hosts: files dns\n")
        (root / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\n")
        archive = Path(scratch) / "root.tar"
        pack = ["tar", "--numeric-owner", "--owner=0", "--group=0", "-C", root, "-cf", archive, "."]
        subprocess.run(pack, check=True)
        podman("import", "--change", "ENV PATH=/usr/bin", archive, name)
