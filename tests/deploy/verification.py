"""deploy/verify.sh, with a vedetta that is there and one that is not.

Not here: a cluster; fake-kubectl stands in for it.
"""

import os
import subprocess
import tempfile
from pathlib import Path

from found import DEPLOY, require

FAKE = Path(__file__).parent / "fake-kubectl"


def verify(binary: str, address: str, state: str) -> subprocess.CompletedProcess:
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "kubectl").symlink_to(FAKE)
        path = f"{scratch}:{os.environ['PATH']}"
        # fake-kubectl may be anywhere when it starts the client.
        given = {"PATH": path, "VEDETTA": str(Path(binary).resolve()), "VEDETTA_ADDRESS": address, "STATE": state}
        return subprocess.run([DEPLOY / "verify.sh", "-n", "shop"], env=given, capture_output=True, text=True)


def check(binary: str, socket: Path) -> str:
    good = verify(binary, f"unix:{socket}", "true/0")
    require(good.returncode == 0, f"verify.sh finds fault with what is well: {good.stderr}")
    require(good.stdout.count("  ok: ") == 7, f"verify.sh says {good.stdout}")
    for why, address, state in (
        ("nobody answers", "unix:/nowhere.sock", "true/0"),
        ("vedetta is not ready", f"unix:{socket}", "false/3"),
        ("there is no vedetta", f"unix:{socket}", ""),
    ):
        bad = verify(binary, address, state)
        require(bad.returncode == 1 and "FAILED" in bad.stderr, f"verify.sh does not notice that {why}: {bad.stdout}")
    return "verify.sh tells a vedetta that works from three that do not"
