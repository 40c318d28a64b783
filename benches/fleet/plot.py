"""Draws the report of benches/fleet: how what a fleet costs grows with it.

Not here: measuring; every number comes out of the JSON, and so does what is written below the picture.
"""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

COLOURS = {"nobody": "#8d99ae", "one of ten": "#25a574", "all": "#0b6e4f", "BCAST": "#c8553d"}


def points(report, name, quantile="median"):
    """Sizes and values of a figure, without the fleet of none."""
    found = [figure for figure in report["figures"] if figure["figure"] == name and figure["sidecars"]]
    found.sort(key=lambda figure: figure["sidecars"])
    return [figure["sidecars"] for figure in found], [figure[quantile] for figure in found]


def line(axes, drawn, label, colour, style="o-"):
    sizes, values = drawn
    axes.plot(sizes, values, style, color=colour, label=label, markersize=4)
    for size, value in zip(sizes, values):
        axes.annotate(f"{value:,.0f}", (size, value), fontsize=7, xytext=(0, 5), textcoords="offset points")


def writes(axes, report, writer):
    for holders in ("nobody", "one of ten", "all"):
        name = f"write/{writer}/{holders}/cpu_us"
        line(axes, points(report, name), f"held by {holders}", COLOURS[holders])
    if writer != "Put":
        name = "broadcast/alone/cpu_us" if writer == "SET" else "broadcast/batch/cpu_us"
        line(axes, points(report, name), "bare connections in BCAST mode", COLOURS["BCAST"], "s--")
    axes.set_title(f"Redis CPU per {writer}, us", fontsize=9, loc="left")


def idle(axes, report):
    line(axes, points(report, "idle/redis/cpu_us"), "Redis", "#0b6e4f")
    line(axes, points(report, "idle/sentinel/cpu_us"), "each of three Sentinels", "#c8553d")
    axes.set_title("an idle fleet: CPU, us in a second", fontsize=9, loc="left")


def delays(axes, report):
    for writer, colour in (("SET", "#25a574"), ("Put", "#0b6e4f")):
        name = f"delay/{writer}/us"
        line(axes, points(report, name), f"{writer}, p50", colour)
        line(axes, points(report, name, "p99"), f"{writer}, p99", colour, "s--")
    axes.set_yscale("symlog", linthresh=100)
    axes.set_title("told after the acknowledgement, all hold the key, us", fontsize=9, loc="left")


def main():
    source = Path(sys.argv[1])
    report = json.loads(source.read_text())
    drawn, axes = plt.subplots(2, 3, figsize=(15, 8))
    for place, writer in zip(axes.flat, ("SET", "SET, 50 at once", "Put")):
        writes(place, report, writer)
    line(axes[1][0], points(report, "miss/cpu_us"), "a miss", "#0b6e4f")
    axes[1][0].set_title("Redis CPU per miss, us", fontsize=9, loc="left")
    axes[1][0].set_ylim(bottom=0)
    idle(axes[1][1], report)
    delays(axes[1][2], report)
    for place in axes.flat:
        place.set_xlabel("sidecars", fontsize=8)
        place.tick_params(labelsize=8)
        place.legend(frameon=False, fontsize=8)
        place.spines[["top", "right"]].set_visible(False)
    run = report["run"]
    below = (
        f"{run['ended']}, {run['mode']}, commit {run['versions']['commit']}, {run['machine']['cpu']}; "
        f"load {run['load_before'][0]} before, {run['load_after'][0]} after, {run['stolen_percent']} % stolen"
    )
    drawn.text(0.01, 0.005, below, fontsize=7, color="#555555")
    drawn.tight_layout(rect=(0, 0.02, 1, 1))
    drawn.savefig(source.with_suffix(".png"), dpi=120)


if __name__ == "__main__":
    main()
