"""Draws the dashboard, where there is no Grafana: its panels, from the answers of a Prometheus.

Invariants: nothing is made up: a panel without data says so. What Grafana would show otherwise (colours, fonts) differs.

Not here: asking (scenario.py).
"""

import json
import re
import sys
from datetime import datetime, timezone

import matplotlib

matplotlib.use("Agg")
from matplotlib import dates, pyplot as plt  # noqa: E402
from matplotlib.ticker import FuncFormatter  # noqa: E402

import dashboard  # noqa: E402

# Of the grid: 24 columns, rows of 30 pixels.
COLUMNS, ROW, WIDTH, DPI = 24, 0.34, 19.0, 90
MARGIN = 0.9


def shown(value: float, unit: str) -> str:
    """A number with its unit."""
    if unit == "percentunit":
        return f"{value * 100:.3g}%"
    if unit == "s":
        for bound, factor, name in ((1e-3, 1e6, "µs"), (1, 1e3, "ms"), (120, 1, "s"), (float("inf"), 1 / 60, "min")):
            if abs(value) < bound:
                return "0" if value == 0 else f"{value * factor:.3g} {name}"
    if unit == "bytes":
        return f"{value / 2**20:.3g} MiB"
    return f"{value:.3g}" + ("/s" if unit in ("reqps", "ops") else "")


def label(series: dict, legend: str) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda name: series["metric"].get(name[1], ""), legend)


def points(series: dict) -> tuple[list, list]:
    """Times and values; a gap longer than three steps is not drawn across."""
    times, values, last = [], [], None
    for moment, value in series["values"]:
        if last is not None and moment - last > 6.5:
            times.append(datetime.fromtimestamp(last + 1, timezone.utc))
            values.append(float("nan"))
        times.append(datetime.fromtimestamp(moment, timezone.utc))
        values.append(float(value))
        last = moment
    return times, values


def stat(axes, panel: dict, answers: dict) -> None:
    result = answers[panel["targets"][0]["expr"]]
    defaults = panel["fieldConfig"]["defaults"]
    value = float(result[0]["values"][-1][1]) if result else None
    steps = [step for step in defaults["thresholds"]["steps"] if value is not None and value >= (step["value"] or 0)]
    colour = {"green": "#3f9b54", "yellow": "#d9a514", "red": "#c4162a"}[steps[-1]["color"]] if steps else "#888888"
    axes.set_facecolor(colour)
    text = "no data" if value is None else shown(value, defaults["unit"])
    axes.text(0.5, 0.45, text, ha="center", va="center", color="white", fontsize=18, transform=axes.transAxes)
    axes.set_xticks([])
    axes.set_yticks([])


def lines(axes, panel: dict, answers: dict) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    drawn = []
    for target in panel["targets"]:
        for series in answers[target["expr"]]:
            drawn.append((label(series, target["legendFormat"]), *points(series)))
    # What is 0 all the time is told once, not thirty times.
    quiet = [name for name, _, values in drawn if len(drawn) > 6 and not any(value > 0 for value in values)]
    drawn = [each for each in drawn if each[0] not in quiet]
    for name, times, values in drawn:
        if defaults["custom"]["drawStyle"] == "bars":
            axes.bar(times, values, width=2 / 86400, label=name, alpha=0.7)
        else:
            axes.plot(times, values, linewidth=1, label=name)
    if quiet:
        axes.plot([], [], color="none", label=f"{len(quiet)} more at 0")
    if not drawn and not quiet:
        axes.text(0.5, 0.5, "no data", ha="center", transform=axes.transAxes)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: shown(value, defaults["unit"])))
    axes.grid(alpha=0.25)
    axes.legend(fontsize=5.5, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=4, frameon=False)


def timeline(axes, panel: dict, answers: dict) -> None:
    target = panel["targets"][0]
    names = []
    for i, series in enumerate(answers[target["expr"]]):
        names.append(label(series, target["legendFormat"]).split(".")[0])
        for moment, value in series["values"]:
            start = dates.date2num(datetime.fromtimestamp(moment, timezone.utc))
            axes.broken_barh([(start, 2.1 / 86400)], (i - 0.35, 0.7), color="#3f9b54" if float(value) else "#c4162a")
    axes.set_yticks(range(len(names)), names)


def table(axes, panel: dict, answers: dict) -> None:
    rows = [", ".join(series["metric"].values()) for series in answers[panel["targets"][0]["expr"]]]
    axes.text(0.03, 0.95, "\n".join(rows) or "nothing", va="top", fontsize=8, transform=axes.transAxes)
    axes.set_xticks([])
    axes.set_yticks([])


DRAWERS = {"stat": stat, "timeseries": lines, "state-timeline": timeline, "table": table}


def annotate(axes, notes: list, answers: dict) -> None:
    """A line where something began to hold."""
    for note in notes:
        for series in answers[note["expr"]]:
            last = 0.0
            for moment, value in series["values"]:
                if float(value) > 0 and moment - last > 15:
                    at = datetime.fromtimestamp(moment, timezone.utc)
                    axes.axvline(at, color=note["iconColor"], linewidth=0.8, linestyle="--")
                if float(value) > 0:
                    last = moment


def main() -> None:
    source, destination = sys.argv[1:]
    with open(source) as file:
        seen = json.load(file)
    shown_dashboard = dashboard.load()
    panels = shown_dashboard["panels"]
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    height = rows * ROW + MARGIN
    plt.rcParams.update({"font.size": 7, "axes.titlesize": 8, "axes.titlelocation": "left"})
    figure = plt.figure(figsize=(WIDTH, height), dpi=DPI)
    begin, end = (datetime.fromtimestamp(seen[edge], timezone.utc) for edge in ("start", "end"))
    title = f"vedetta   {begin:%H:%M:%S} to {end:%H:%M:%S}, scraped every 2 s; dashed: "
    title += "failovers (orange), restarts (red), losses (purple)"
    figure.text(0.01, 1 - 0.45 / height, title, fontsize=11, weight="bold")
    for panel in panels:
        grid = panel["gridPos"]
        top = height - MARGIN - grid["y"] * ROW
        if panel["type"] == "row":
            figure.text(0.01, (top - ROW * 0.7) / height, "▾ " + panel["title"], fontsize=10, weight="bold")
            continue
        # Room for the title above, the times and the legend below, and the numbers at the left.
        below = 0.75 if panel["type"] == "timeseries" else 0.3 if panel["type"] == "state-timeline" else 0.08
        left = 0.75 if panel["type"] in ("timeseries", "state-timeline") else 0.12
        cell = WIDTH / COLUMNS
        x, y = grid["x"] * cell + left, top - grid["h"] * ROW + below
        width, tall = grid["w"] * cell - left - 0.15, grid["h"] * ROW - below - 0.28
        axes = figure.add_axes((x / WIDTH, y / height, width / WIDTH, tall / height))
        axes.set_title(panel["title"])
        DRAWERS[panel["type"]](axes, panel, seen["answers"])
        if left > 0.5:
            axes.set_xlim(begin, end)
            axes.xaxis.set_major_formatter(dates.DateFormatter("%H:%M:%S"))
            axes.xaxis.set_major_locator(plt.MaxNLocator(5))
            annotate(axes, shown_dashboard["annotations"]["list"], seen["answers"])
    figure.savefig(destination)
    print(destination)


if __name__ == "__main__":
    main()
