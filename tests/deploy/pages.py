"""Pages and scripts: the runbook has a chapter per alert, links lead somewhere, shells can read what is for them.

Not here: what the chapters say.
"""

import re
import subprocess

from alerts import alerts
from found import DEPLOY, require, shown

HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)]*))?\)")


def anchors(text: str) -> list[str]:
    """As the readers of Markdown make them: lower case, spaces become hyphens, punctuation goes."""
    return [re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in HEADING.findall(text)]


def check_runbook() -> int:
    text = (DEPLOY / "monitoring/RUNBOOK.md").read_text()
    names = [alert["alert"] for alert in alerts()]
    chapters = [heading for heading in HEADING.findall(text) if heading.startswith("Vedetta")]
    for name in names:
        require(chapters.count(name) == 1, f"RUNBOOK.md: {chapters.count(name)} chapters for {name}")
        chapter = text.split(f"### {name}\n")[1].split("\n## ")[0].split("\n### ")[0]
        require("**The application sees**" in chapter, f"RUNBOOK.md: {name} does not say what the application sees")
    orphans = set(chapters) - set(names)
    require(not orphans, f"RUNBOOK.md: chapters without an alert: {orphans}")
    return len(names)


def check_links() -> int:
    count = 0
    for page in sorted(DEPLOY.rglob("*.md")):
        for target, anchor in LINK.findall(page.read_text()):
            if "://" in target:
                continue
            path = (page.parent / target).resolve() if target else page
            require(path.exists(), f"{shown(page)}: nothing at {target}")
            if anchor:
                known = anchors(path.read_text())
                require(anchor in known, f"{shown(page)}: no heading #{anchor} in {shown(path)}")
            count += 1
    return count


def check_scripts() -> int:
    count = 0
    for path in sorted(path for path in DEPLOY.rglob("*") if path.is_file()):
        first = path.read_bytes().split(b"\n")[0]
        if not first.startswith(b"#!"):
            continue
        shell = first.decode().split("/")[-1].split()[-1]
        done = subprocess.run([shell, "-n", path], capture_output=True, text=True)
        require(done.returncode == 0, f"{shown(path)}: {done.stderr}")
        count += 1
    return count


def check() -> str:
    return f"{check_runbook()} chapters, {check_links()} links, {check_scripts()} scripts"
