"""A figure of where the seconds of a run went."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

PHASE_COLOURS = {
    "queue": "#d3d3d3",
    "start": "#8c8c8c",
    "session": "#937860",
    "load": "#64b5cd",
    "compute": "#4c72b0",
    "save": "#55a868",
    "tracking": "#dd8452",
    "other": "#ccb974",
}


def plot_profile(profile: pd.DataFrame, title: str) -> Figure:
    """Plot where the seconds of a run went: a bar for each task, from when it was queued.

    Args:
        profile: of `timing.tabulate_profile`; seconds.
        title: the name of the run.
    """
    figure = Figure(figsize=(10, 1.6 + 0.28 * len(profile)), layout="constrained")
    axes = figure.subplots()
    left = profile["at"].to_numpy(float)
    for phase, colour in PHASE_COLOURS.items():
        seconds = profile[phase].to_numpy(float)
        axes.barh(range(len(profile)), seconds, left=left, color=colour, label=phase)
        left = left + seconds
    for row, (end, total) in enumerate(zip(left, profile["total"], strict=True)):
        axes.annotate(f"{total:.1f} s", (end, row), (3, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(profile)), profile["task"])
    axes.invert_yaxis()
    axes.margins(x=0.08)
    axes.set(xlabel="seconds since the first task was queued", title=title)
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside lower center", ncols=len(PHASE_COLOURS), frameon=False)
    return figure
