"""What every check shares: where the files are, how they are read, and how a finding is told.

Not here: any rule about them.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"


class Finding(Exception):
    """Something in deploy/ is wrong; the text names the file and the remedy."""


def require(holds, finding: str) -> None:
    """Raises the finding unless it holds."""
    if not holds:
        raise Finding(finding)


def shown(path: Path) -> str:
    """The path as a reader knows it."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def documents(text: str) -> list[dict]:
    """The objects of a YAML text."""
    return [document for document in yaml.safe_load_all(text) if document]


def kustomize(folder: Path) -> list[dict] | None:
    """What `kubectl apply -k` would apply; None where there is no kubectl.

    Built from a copy, so that the passwords that the example wants are not written beside it.
    """
    if not shutil.which("kubectl"):
        return None
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / folder.name
        shutil.copytree(folder, copy)
        if (copy / "passwords").exists():
            subprocess.run([copy / "passwords"], check=True, stderr=subprocess.DEVNULL)
        done = subprocess.run(["kubectl", "kustomize", copy], capture_output=True, text=True)
    require(done.returncode == 0, f"kubectl kustomize {shown(folder)}: {done.stderr.strip()}")
    return documents(done.stdout)
