"""The dashboard: what Grafana would refuse or draw wrongly, and queries that nobody can answer.

Invariants: the classic JSON model, with a fixed uid, so that an import replaces the last one.

Not here: drawing it (draw.py); whether its queries answer (scenario.py).
"""

import json
import re
import subprocess
import tempfile
from pathlib import Path

import yaml

import promql
from alerts import groups
from found import DEPLOY, require

FILE = DEPLOY / "monitoring/dashboard.json"
COLUMNS = 24


def load() -> dict:
    return json.loads(FILE.read_text())


def queries(dashboard: dict) -> list[tuple[str, str]]:
    """(where, expression) of panels, annotations and variables."""
    found = []
    for panel in dashboard["panels"]:
        found += [(panel["title"], target["expr"]) for target in panel.get("targets", [])]
    found += [(f"annotation {note['name']}", note["expr"]) for note in dashboard["annotations"]["list"]]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            inner = re.fullmatch(r"label_values\((.*), [a-z]+\)", variable["definition"])
            require(inner, f"dashboard.json: variable {variable['name']} asks {variable['definition']}")
            found.append((f"variable {variable['name']}", inner[1]))
    return found


def filled(expression: str, interval: str = "1m", span: str = "1h") -> str:
    """As Grafana would send it, for every namespace and pod."""
    for variable, value in (("$__rate_interval", interval), ("$__range", span), ("$namespace", ".*"), ("$pod", ".*")):
        expression = expression.replace(variable, value)
    require("$" not in expression, f"dashboard.json: an unknown variable in {expression}")
    return expression


def check_layout(panels: list[dict]) -> None:
    """Ids are unique, every panel lies inside the grid and on nobody else."""
    ids = [panel["id"] for panel in panels]
    require(len(ids) == len(set(ids)), "dashboard.json: two panels have the same id")
    taken: dict[tuple[int, int], str] = {}
    for panel in panels:
        grid = panel["gridPos"]
        require(0 <= grid["x"] and grid["x"] + grid["w"] <= COLUMNS, f"dashboard.json: {panel['title']} is too wide")
        for x in range(grid["x"], grid["x"] + grid["w"]):
            for y in range(grid["y"], grid["y"] + grid["h"]):
                require((x, y) not in taken, f"dashboard.json: {panel['title']} lies on {taken.get((x, y))}")
                taken[x, y] = panel["title"]


def check(live: dict) -> str:
    dashboard = load()
    require(dashboard["id"] is None and dashboard["uid"] == "vedetta", "dashboard.json: id must be null, uid vedetta")
    panels = dashboard["panels"]
    check_layout(panels)
    for panel in panels:
        if panel["type"] != "row":
            require(panel.get("targets"), f"dashboard.json: {panel['title']} asks nothing")
            require(len(panel["title"]) <= 40, f"dashboard.json: `{panel['title']}` is too long for a title")
    recorded = {rule["record"] for group in groups() for rule in group["rules"] if "record" in rule}
    asked = queries(dashboard)
    for where, expression in asked:
        wrong = promql.unknown(expression, live, recorded)
        require(not wrong, f"dashboard.json: {where} asks for what no vedetta has: {', '.join(wrong)}")
    check_syntax(asked)
    drawn = len([panel for panel in panels if panel["type"] != "row"])
    return f"{drawn} panels, {len(asked)} queries"


def check_syntax(asked: list[tuple[str, str]]) -> None:
    """promtool reads rules only, so each query becomes one."""
    rules = [{"record": f"query_{i}", "expr": filled(expression)} for i, (_, expression) in enumerate(asked)]
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "queries.yaml"
        path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
        done = subprocess.run(["promtool", "check", "rules", path], capture_output=True, text=True)
    require(done.returncode == 0, f"dashboard.json: {done.stdout}{done.stderr}")
