"""What deploy/ promises, seen by an application: in podman, with the examples as they are.

A Redis with Sentinels, two pods with vedetta in container mode and an application under another user, Prometheus with
the rules. Masters die; nobody's call fails. vedetta is stopped and killed; nothing stays wrong.

Invariants: the first promise that is broken ends it, with the logs. What was drawn from it lies in target/deploy.

Not here: what only a kubelet can do (deploy/README.md).
"""

import json
import os
import signal
import sys
import time

import dashboard
from found import ROOT, Finding, require
from images import logs, podman
from station import APPS, Station, until

REDIS = [f"redis-{i}" for i in range(3)]
SENTINELS = [f"sentinel-{i}" for i in range(3)]
# How often the master is replaced, and how: as many as the alert for it needs.
FAILOVERS = ("killed", "told to hand over", "replaced by an empty pod")
STEP = 2
# A master that dies may take the last writes along; nothing else has happened.
EXPECTED = {"VedettaFailoversRepeat", "VedettaAcknowledgedWritesLost"}
# Of each container, where something went wrong.
LINES = 30


def ok(text: str) -> None:
    print(f"  ok: {text}", flush=True)


def master(station: Station) -> str:
    """The pod that a Sentinel names."""
    name = station.redis_cli("sentinel-0", "sentinel", "get-master-addr-by-name", "mymaster", port=26379)
    return name.split(".")[0]


def promotable(station: Station, pod: str) -> int:
    """How many replicas a Sentinel could promote. It asks for them every ten seconds only: until then it knows none."""
    fields = station.redis_cli(pod, "sentinel", "replicas", "mymaster", port=26379).splitlines()
    pairs = list(zip(fields[::2], fields[1::2]))
    in_step = [value for name, value in pairs if name == "master-link-status" and value == "ok"]
    well = [value for name, value in pairs if name == "flags" and value == "slave"]
    return min(len(in_step), len(well))


def is_whole(station: Station) -> bool:
    """One master with two replicas in step, and Sentinels that could replace it."""
    now = master(station)
    roles = {pod: station.redis_cli(pod, "role").splitlines() for pod in REDIS}
    followers = [lines for pod, lines in roles.items() if pod != now]
    in_step = all(lines[0] == "slave" and lines[1].startswith(now) and lines[3] == "connected" for lines in followers)
    quorum = station.redis_cli("sentinel-0", "sentinel", "ckquorum", "mymaster", port=26379)
    known = all(promotable(station, pod) == 2 for pod in SENTINELS)
    agreed = all(station.metric(pod, "vedetta_sentinels_agreeing") == 3 for pod in APPS)
    return roles[now][0] == "master" and in_step and quorum.startswith("OK 3") and known and agreed


def rounds(station: Station, pod: str) -> int:
    return int(podman("exec", f"{pod}-app", "cat", "/tmp/rounds"))


def progress(station: Station, count: int) -> None:
    """Every application gets so many rounds further."""
    before = {pod: rounds(station, pod) for pod in APPS}
    for pod in APPS:
        until(f"{pod} gets {count} rounds further", lambda pod=pod: rounds(station, pod) >= before[pod] + count)


def check_failovers(station: Station) -> None:
    for how in FAILOVERS:
        until("a master, two replicas, three Sentinels", lambda: is_whole(station), 90)
        progress(station, 10)
        old = master(station)
        began = time.monotonic()
        if how == "killed":
            # From outside, as the kernel does it; podman starts it again at once, as a kubelet does.
            os.kill(station.process(f"{old}-redis"), signal.SIGKILL)
        elif how == "told to hand over":
            command = ("sentinel", "failover", "mymaster")
            until("a failover", lambda: station.redis_cli("sentinel-0", *command, port=26379) == "OK")
        else:
            station.replace(old)
        new = until("another master", lambda: (master(station) != old) and master(station))
        took = time.monotonic() - began
        progress(station, 10)
        ok(f"{old} was {how}; {new} is master after {took:.1f} s, and both applications go on")
    for pod in APPS:
        said = logs(f"{pod}-app")
        failed = [line for line in said if "FAILED" in line]
        require(not failed, f"{pod}: calls failed: {failed[:5]}")
        waited = [line for line in said if line.startswith("WAITED")]
        require(waited, f"{pod}: no round had to wait; did the master die?")
        lost = sum(line.startswith("LOST") for line in said)
        longest = max(int(line.split()[1]) for line in waited)
        ok(f"{pod}: {rounds(station, pod)} rounds, no failed call, the longest round {longest} ms, {lost} lost values")


def check_replacements(station: Station) -> None:
    """The rest of what can be lost: a Sentinel, and everything at once."""
    station.replace("sentinel-1")
    until("three Sentinels that agree", lambda: is_whole(station), 90)
    ok("a Sentinel was replaced by an empty pod, and three agree again")
    station.replace(*REDIS, *SENTINELS)
    until("a master, two replicas, three Sentinels", lambda: is_whole(station), 120)
    progress(station, 10)
    ok("all six were replaced at once; there is one master with two replicas, and both applications go on")


def check_alert(station: Station) -> None:
    def firing():
        alerts = station.ask("alerts")["alerts"]
        named = [alert for alert in alerts if alert["labels"]["alertname"] == "VedettaFailoversRepeat"]
        return [alert for alert in named if alert["state"] == "firing"]

    alert = until("the alert for failovers fires", firing, 30)[0]
    others = {each["labels"]["alertname"] for each in station.ask("alerts")["alerts"] if each["state"] == "firing"}
    unexpected = others - EXPECTED
    require(not unexpected, f"nobody would want to be woken up for {unexpected}")
    ok(f"fires: {alert['annotations']['summary']}")
    states = {target["scrapeUrl"]: target["health"] for target in station.ask("targets")["activeTargets"]}
    require(len(states) == len(APPS) and set(states.values()) == {"up"}, f"targets: {states}")


def check_stopping(station: Station) -> None:
    """SIGTERM as PID 1, with a stream that is open and calls on their way."""
    container = f"{APPS[1]}-vedetta"
    began = time.monotonic()
    # Ends it for good, while a signal alone would be answered with a restart.
    podman("stop", "--time", "10", container)
    took = time.monotonic() - began
    code = podman("inspect", "--format", "{{.State.ExitCode}}", container)
    require(code == "0" and took < 2, f"SIGTERM: ended with {code} after {took:.1f} s")
    podman("start", container)
    until("it serves again", lambda: station.client(APPS[1], "health") is not None)
    ok(f"SIGTERM as PID 1, with a Watch and calls: ended with 0 after {took:.2f} s")


def watched(pod: str) -> list[str]:
    return podman("exec", f"{pod}-app", "cat", "/tmp/watched").splitlines()


def check_kill(station: Station) -> None:
    """vedetta dies without a word while the value changes elsewhere; the application must not keep the old one."""
    first, second = APPS
    station.client(first, "put", "shop", "shared", "before")
    require(station.client(second, "get", "shop", "shared") == "before", "the pods do not share a value")
    seen = len(watched(second))
    old = station.process(f"{second}-vedetta")
    os.kill(old, signal.SIGKILL)
    station.client(first, "put", "shop", "shared", "after")
    until("podman starts it again", lambda: station.process(f"{second}-vedetta") not in (0, old))

    def told():
        return [line for line in watched(second)[seen:] if line.startswith("discontinuity")]

    said = until("Watch says Discontinuity", told)[0]
    got = until("it answers", lambda: station.client(second, "get", "shop", "shared"))
    require(got == "after", f"after SIGKILL and restart it answers {got!r}")
    progress(station, 5)
    ok(f"SIGKILL and restart: the application is told `{said}`, and reads the new value")


def check_dashboard(station: Station, began: float) -> None:
    """Every query of every panel has an answer, and is kept for drawing."""
    shown, end = dashboard.load(), time.time()
    span = f"{int(end - began)}s"
    window = {"start": f"{began:.0f}", "end": f"{end:.0f}", "step": STEP}
    written = dashboard.queries(shown)
    queries = [(where, expression, dashboard.filled(expression, "16s", span)) for where, expression in written]
    # An annotation has nothing to say while nothing happened; that it could is what is asked.
    asked = [filled.removesuffix(" > 0") if where.startswith("annotation") else filled for where, _, filled in queries]
    answers = station.ask_all([("query_range", {"query": query, **window}) for query in asked])
    empty = [f"{where}: {filled}" for (where, _, filled), answer in zip(queries, answers) if not answer["result"]]
    drawn = station.ask_all([("query_range", {"query": filled, **window}) for _, _, filled in queries])
    kept = {expression: answer["result"] for (_, expression, _), answer in zip(queries, drawn)}
    folder = ROOT / "target/deploy"
    (folder / "panels.json").write_text(json.dumps({"start": began, "end": end, "answers": kept}))
    require(not empty, "no data for:\n    " + "\n    ".join(empty))
    ok(f"{len(kept)} different queries of the dashboard return data from Prometheus")


def show_logs(station: Station) -> None:
    for pod in station.made():
        for container in podman("ps", "--all", "--filter", f"pod={pod}", "--format", "{{.Names}}").split():
            if not container.endswith("-infra"):
                print(f"\n== {container}", *logs(container)[-LINES:], sep="\n", file=sys.stderr)


def main() -> int:
    began = time.monotonic()
    # Whoever ends this with a signal wants everything removed too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with Station(sys.argv[1]) as station:
        try:
            station.start_redis()
            station.start_applications()
            station.start_prometheus()
            for pod in APPS:
                until(f"{pod} works", lambda pod=pod: rounds(station, pod) >= 5)
            ok(f"Redis, Sentinels, Prometheus and two applications run after {time.monotonic() - began:.0f} s")
            since = time.time()
            check_failovers(station)
            check_alert(station)
            check_stopping(station)
            check_kill(station)
            time.sleep(2 * STEP)  # for the scrape that sees it, or it would be missing from what is drawn
            check_dashboard(station, since)
            check_replacements(station)
        except (Finding, KeyboardInterrupt) as trouble:
            show_logs(station)
            print(f"  FAILED {trouble}", file=sys.stderr)
            return 1
    ok(f"scenario: {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
