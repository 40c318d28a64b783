"""The rules for Prometheus: they parse, name what exists, and their tests notice when one of them is broken.

Invariants: every alert has a case of its own name in which it fires for `bad` and not for `good`; an alert that never
fires, one that always does, and one that does not wait, each turn its case red.

Not here: the cases (deploy/monitoring/tests); the chapters of the runbook (pages.py).
"""

import re
import subprocess
import tempfile
from pathlib import Path

import yaml

import promql
from found import DEPLOY, documents, require

MONITORING = DEPLOY / "monitoring"
# What an annotation shows of the alert's labels.
TEMPLATED = re.compile(r"\$labels\.([a-z_]+)")


def groups() -> list[dict]:
    """What the operator hands to Prometheus."""
    return documents((MONITORING / "prometheusrule.yaml").read_text())[0]["spec"]["groups"]


def alerts() -> list[dict]:
    return [rule for group in groups() for rule in group["rules"] if "alert" in rule]


def promtool(*arguments, folder: Path) -> subprocess.CompletedProcess:
    """Its two outputs as one, in their order: the names of suites are in the one, what failed in them in the other."""
    command = ["promtool", *arguments]
    return subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def write(folder: Path, rules: list[dict], cases: list[dict], name: str = "") -> str:
    """Writes a file of cases and the rules that they are about; answers its name."""
    (folder / f"{name}rules.yaml").write_text(yaml.safe_dump({"groups": rules}, sort_keys=False))
    suite = yaml.safe_load((MONITORING / "tests/alerts.yaml").read_text())
    suite |= {"rule_files": [f"{name}rules.yaml"], "tests": cases}
    (folder / f"{name}cases.yaml").write_text(yaml.safe_dump(suite, sort_keys=False))
    return f"{name}cases.yaml"


def cases() -> list[dict]:
    return yaml.safe_load((MONITORING / "tests/alerts.yaml").read_text())["tests"]


def check_annotations(alert: dict) -> None:
    """An alert says what happened, what the application sees and where to read on."""
    name, notes = alert["alert"], alert["annotations"]
    require(alert["labels"]["severity"] in ("critical", "warning"), f"{name}: severity is neither critical nor warning")
    for note in ("summary", "description"):
        require(notes.get(note), f"{name}: no {note}")
    require(notes["runbook"] == f"RUNBOOK.md#{name.lower()}", f"{name}: its runbook is {notes['runbook']}")


def check_case(alert: dict, case: dict) -> None:
    """The case has the labels that the annotations show, a good one beside the bad, and asks too early where it can."""
    name = alert["alert"]
    fired = [sample["labels"] for ask in case["promql_expr_test"] for sample in ask["exp_samples"]]
    fired = [labels for labels in fired if f'alertname="{name}"' in labels]
    require(fired, f"tests/alerts.yaml: {name} never fires")
    require(all('namespace="bad"' in labels for labels in fired), f"tests/alerts.yaml: {name} fires for good ones")
    series = " ".join(series["series"] for series in case["input_series"])
    require('namespace="good"' in series, f"tests/alerts.yaml: {name} has no good one beside the bad")
    for note in alert["annotations"].values():
        for label in TEMPLATED.findall(note):
            require(f'{label}="' in fired[0], f"{name}: an annotation shows the label {label}, which the alert has not")


def check(live: dict) -> str:
    rules, every = groups(), [rule for group in groups() for rule in group["rules"]]
    recorded = {rule["record"] for rule in every if "record" in rule}
    for rule in every:
        wrong = promql.unknown(rule["expr"], live, recorded)
        name = rule.get("alert") or rule["record"]
        require(not wrong, f"prometheusrule.yaml: {name} asks for what no vedetta has: {', '.join(wrong)}")
    by_name = {case["name"]: case for case in cases()}
    for alert in alerts():
        check_annotations(alert)
        require(alert["alert"] in by_name, f"tests/alerts.yaml: no case for {alert['alert']}")
        check_case(alert, by_name[alert["alert"]])
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        suite = write(folder, rules, cases())
        for arguments in (("check", "rules", "--lint=all", "--lint-fatal", "rules.yaml"), ("test", "rules", suite)):
            done = promtool(*arguments, folder=folder)
            require(done.returncode == 0, f"promtool {' '.join(arguments)}: {done.stdout}")
    return f"{len(recorded)} recorded, {len(alerts())} alerts, {len(by_name)} cases"


def mutants(alert: dict) -> list[tuple[str, dict]]:
    """The alert, broken in each way."""
    found = [("never fires", {**alert, "expr": "vector(1) < 0"}), ("always fires", {**alert, "expr": "vector(1)"})]
    if "for" in alert:
        found.append(("does not wait", {key: value for key, value in alert.items() if key != "for"}))
    return found


def check_mutants() -> str:
    """Breaks one alert at a time; its own case must notice."""
    recording = [group for group in groups() if all("record" in rule for rule in group["rules"])]
    by_name = {case["name"]: case for case in cases()}
    suites = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for alert in alerts():
            for how, mutant in mutants(alert):
                rules = [*recording, {"name": "mutant", "rules": [mutant]}]
                suite = write(folder, rules, [by_name[alert["alert"]]], f"{len(suites)}-")
                suites[suite] = f"{alert['alert']} {how}"
        done = promtool("test", "rules", *suites, folder=folder)
    # "Unit Testing:  FILE" and the verdict below it, for each.
    said = done.stdout.split("Unit Testing:  ")
    verdicts = dict(part.split("\n", 1) for part in said if "\n" in part)
    for suite, mutant in suites.items():
        require("FAILED:" in verdicts.get(suite, ""), f"tests/alerts.yaml: nobody notices that {mutant}")
    return f"{len(suites)} broken alerts are noticed"
