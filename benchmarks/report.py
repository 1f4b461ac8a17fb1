"""Write what the benchmarks measured into docs/performance.md: a table, and figures of the growth.

    python benchmarks/report.py

Reads the JSON that each benchmark left in .local/benchmarks; what was not measured is left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from measuring import PACKAGES, PROJECT, RESULTS

GUIDE = PROJECT / "docs" / "performance.md"
FIGURE = PROJECT / "docs" / "images" / "performance-growth.png"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
ORDER = (
    *("task_cost", "retraining", "parsing", "commands", "training", "intake", "scoring"),
    *("mlflow_requests", "memory"),
)

Results = Mapping[str, dict[str, Any]]


def main() -> None:
    results = {
        name: json.loads(path.read_text())
        for name in ORDER
        if (path := RESULTS / f"{name}.json").exists()
    }
    if not results:
        raise SystemExit(f"No benchmark has left a file in {RESULTS}: run `make benchmark` first.")
    text = GUIDE.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    GUIDE.write_text(f"{before}{BEGIN}\n{render(results)}{END}{after}")
    draw(results).savefig(FIGURE, dpi=110)
    print(f"Written: {GUIDE}, {FIGURE}")


def render(results: Results) -> str:
    """Return the table, and the machines that it was measured on, as Markdown."""
    lines = [
        "| what | against | ours | theirs | ratio | rounds | goal | |",
        "|---|---|---:|---:|---:|---|---|---|",
    ]
    for result in results.values():
        lines += [_render_line(line) for line in result["comparisons"]]
    lines += ["", *sorted({_describe(result) for result in results.values()}), ""]
    return "\n".join(lines)


def _render_line(line: Mapping[str, Any]) -> str:
    low, high = line["spread"]
    sides = (f"{line[side]:.4g} {line['unit']}" for side in ("ours", "theirs"))
    rounds = f"{line['runs']}: {low:.3g} to {high:.3g}"
    return (
        f"| {line['what']} | {line['against']} | {' | '.join(sides)} | **{line['ratio']:.3g}** | "
        f"{rounds} | {line['better']} {line['goal']:g} | {'met' if line['met'] else 'missed'} |"
    )


def _describe(result: Mapping[str, Any]) -> str:
    machine = result["machine"]
    flags = ", ".join(machine["flags"])
    versions = ", ".join(f"{name} {machine[name]}" for name in PACKAGES)
    return (
        f"Measured {result['at'][:10]} on {machine['cores']} cores of {machine['processor']} "
        f"({flags}), {machine['memory_gib']} GiB; Python {machine['python']}, {versions}."
    )


def draw(results: Results) -> Figure:
    """Draw cost against size, a panel each."""
    panels: list[Callable[[Axes], None]] = []

    def add(name: str, key: str, panel: Callable[[Axes, Any], None]) -> None:
        if measured := results.get(name, {}).get("series", {}).get(key):
            panels.append(lambda axes: panel(axes, measured))

    add("task_cost", "cost_by_nodes", _draw_nodes)
    add("task_cost", "cost_by_concurrent_runs", _draw_runs)
    add("intake", "first_intake", _draw_intake)
    add("intake", "known_index", _draw_index)
    add("training", "curve", _draw_curve)
    add("training", "curve", _draw_epochs)
    add("mlflow_requests", "requests", _draw_requests)
    add("training", "memory", _draw_memory)
    rows = max(-(-len(panels) // 2), 1)
    figure = Figure(figsize=(10, 3.4 * rows), layout="constrained")
    for axes, panel in zip(figure.subplots(rows, 2, squeeze=False).flat, panels, strict=False):
        panel(axes)
        axes.grid(alpha=0.3)
    for axes in figure.axes[len(panels) :]:
        axes.remove()
    return figure


def _draw_nodes(axes: Axes, rows: Iterable[Mapping[str, float]]) -> None:
    nodes, seconds = zip(*((row["nodes"], row["run_s"]) for row in rows), strict=True)
    axes.plot(nodes, seconds, "o-")
    axes.set(title="A DAG run, against its nodes", xlabel="nodes in a chain", ylabel="seconds")
    axes.set_ylim(bottom=0)


def _draw_runs(axes: Axes, rows: Iterable[Mapping[str, float]]) -> None:
    runs, seconds = zip(*((row["runs"], row["run_s"]) for row in rows), strict=True)
    axes.plot(runs, seconds, "o-")
    axes.set(title="DAG runs at once", xlabel="DAG runs", ylabel="seconds until all have ended")
    axes.set_ylim(bottom=0)


def _draw_intake(axes: Axes, rows: Iterable[Mapping[str, float]]) -> None:
    rows = list(rows)
    images = [row["images"] for row in rows]
    for key, label in (
        ("first_s", "first intake"),
        ("bare_s", "decoding and resizing alone"),
        ("night_s", "a night of 1 %"),
    ):
        axes.loglog(images, [row[key] for row in rows], "o-", label=label)
    axes.set(title="Intake, against the images", xlabel="images", ylabel="seconds")
    axes.legend()


def _draw_index(axes: Axes, rows: Iterable[Mapping[str, float]]) -> None:
    rows = list(rows)
    known = [row["rows"] for row in rows]
    for key, label in (
        ("night_s", "a night of 100"),
        ("load_s", "load the index"),
        ("select_s", "select the images of a run"),
        ("check_s", "check the contract"),
    ):
        axes.loglog(known, [row[key] for row in rows], "o-", label=label)
    axes.set(title="What grows with the index", xlabel="images known", ylabel="seconds")
    axes.legend()


def _draw_curve(axes: Axes, rows: Iterable[Mapping[str, Any]]) -> None:
    for network, own in _group_by_network(rows).items():
        places = [(row["seconds"], row["accuracy"]) for row in own]
        axes.plot(*zip(*places, strict=True), "o-", label=network)
        for row, place in zip(own, places, strict=True):
            axes.annotate(f" {row['epochs']}", place, fontsize=8, va="top")
    axes.set(
        title="Accuracy against time, by epochs",
        xlabel="seconds of training",
        ylabel="validation accuracy",
        xscale="log",
    )
    axes.legend()


def _draw_epochs(axes: Axes, rows: Iterable[Mapping[str, Any]]) -> None:
    for network, own in _group_by_network(rows).items():
        epochs, seconds = ([row[key] for row in own] for key in ("epochs", "seconds"))
        axes.plot(epochs, seconds, "o-", label=network)
    axes.set(title="Training, against its epochs", xlabel="epochs", ylabel="seconds")
    axes.set_ylim(bottom=0)
    axes.legend()


def _group_by_network(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["network"], []).append(row)
    return groups


def _draw_requests(axes: Axes, asked: Mapping[str, Sequence[Mapping[str, int]]]) -> None:
    for pipeline, rows in asked.items():
        epochs, requests = ([row[key] for row in rows] for key in ("epochs", "requests"))
        axes.plot(epochs, requests, "o-", label=f"pipeline {pipeline}")
    axes.set(title="Requests to MLflow, against epochs", xlabel="epochs", ylabel="requests")
    axes.set_ylim(bottom=0)
    axes.legend()


def _draw_memory(axes: Axes, rows: Iterable[Mapping[str, float]]) -> None:
    thousands, peak = zip(*((row["images"] / 1000, row["gib"]) for row in rows), strict=True)
    axes.plot(thousands, peak, "o-")
    axes.set(
        title="Peak memory of reading an epoch",
        xlabel="thousands of images of 64 px on disk",
        ylabel="GiB, TensorFlow included",
    )
    axes.set_ylim(bottom=0)


if __name__ == "__main__":
    main()
