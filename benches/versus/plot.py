"""Draws the report of benches/versus: what an operation costs, how many there are in a second, and the tails.

Not here: measuring; every number comes out of the JSON, and so does what is written below each picture.
"""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

COLOURS = {
    "vedetta embedded": "#0b6e4f",
    "vedetta on Redis, L1 hits": "#25a574",
    "vedetta on Redis, L1 misses": "#a3d9c3",
    "its service on plain tonic": "#7d7abc",
    "echo on plain tonic": "#b9b7dd",
    "redis-server": "#c8553d",
    "memcached": "#e0a458",
    "HAProxy before Redis": "#8d99ae",
}
UNITS = {"get": "a Get", "get_many": "a key of GetMany (64)", "pipeline": "a Get in Pipeline", "put": "a Put"}


def below(report):
    """What every picture says about its run."""
    run = report["run"]
    return (
        f"{run['ended']}, {run['mode']}, commit {run['versions']['commit']}, {run['machine']['cpu']}; "
        f"load {run['load_before'][0]} before, {run['load_after'][0]} after, {run['stolen_percent']} % stolen"
    )


def tables(report, **wanted):
    """The tables with these properties."""
    return [table for table in report["tables"] if all(table[name] == value for name, value in wanted.items())]


def save(figure, report, path):
    figure.text(0.01, 0.005, below(report), fontsize=7, color="#555555")
    figure.tight_layout(rect=(0, 0.02, 1, 1))
    figure.savefig(path, dpi=130)
    plt.close(figure)


def label(server, figure):
    if "refused" in server:
        return "refused"
    return f"{server[figure]:,.0f}" if server[figure] >= 1000 else f"{server[figure]:.2f}"


def bars(axes, table, figure, unit):
    """One bar for each server, the first on top."""
    servers = table["servers"]
    names = [server["server"] for server in servers]
    values = [server.get(figure, 0) for server in servers]
    drawn = axes.barh(names, values, color=[COLOURS.get(name, "#999999") for name in names])
    labels = [label(server, figure) for server in servers]
    axes.bar_label(drawn, labels, padding=3, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.18)
    axes.set_title(table["title"], fontsize=9, loc="left")
    axes.set_xlabel(unit, fontsize=8)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def grid(report, chosen, figure, unit, path):
    """One picture with a part for each table."""
    rows = (len(chosen) + 1) // 2
    drawn, axes = plt.subplots(rows, 2, figsize=(13, 2.9 * rows), squeeze=False)
    for place, table in zip(axes.flat, chosen):
        bars(place, table, figure, unit(table))
    for place in axes.flat[len(chosen) :]:
        place.axis("off")
    save(drawn, report, path)


def tails(report, path):
    """p50, p99 and p99.9 of each server, alone and beside a clear."""
    lines = []
    for tail in report["tails"]:
        rate = f"{tail['server']}\n{tail['requests_per_second']:,.0f}/s"
        lines.append((rate, tail["calm"]))
        if tail["with_clear"]:
            lines.append((f"beside a clear of 100,000\nin {tail['clear_ms']} ms", tail["with_clear"]))
    drawn, axes = plt.subplots(figsize=(10, 4.5))
    for offset, (quantile, colour) in enumerate((("p50_us", "#a3d9c3"), ("p99_us", "#25a574"), ("p999_us", "#0b6e4f"))):
        places = [number + 0.27 * offset for number in range(len(lines))]
        values = [quantiles[quantile] for _, quantiles in lines]
        bar = axes.bar(places, values, width=0.25, color=colour, label=quantile.removesuffix("_us"))
        axes.bar_label(bar, [f"{value:,.0f}" for value in values], fontsize=7)
    axes.set_yscale("log")
    axes.set_ylabel("latency from the intended time, us")
    axes.set_xticks([number + 0.27 for number in range(len(lines))], [name for name, _ in lines], fontsize=8)
    axes.set_title("get, 1024 B, Unix socket, open loop at 70 % of the throughput", fontsize=9, loc="left")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    save(drawn, report, path)


def main():
    source = Path(sys.argv[1])
    report = json.loads(source.read_text())
    main_tables = [table for table in tables(report, value_bytes=1024) if table["connections"] * table["depth"] > 1]
    one = tables(report, connections=1, depth=1)
    grid(
        report,
        main_tables,
        "server_cpu_us",
        lambda table: f"server CPU for {UNITS[table['operation']]}, us",
        source.with_name("cpu.png"),
    )
    grid(report, main_tables, "ops_per_second", lambda _: "operations in a second", source.with_name("throughput.png"))
    grid(report, one, "p50_us", lambda _: "median latency, us", source.with_name("latency.png"))
    tails(report, source.with_name("tails.png"))


if __name__ == "__main__":
    main()
