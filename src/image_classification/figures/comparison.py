"""Figures of challenger and champion."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from image_classification import words

VERDICT_COLOURS = {"promote": "#55a868", "keep": "#c44e52", "refuse": "#8172b3"}

LONGEST_LEGEND = 30
"""Letters in a line of the legend: more are wider than the gain's part of the figure."""

LONGEST_AXIS = 20
"""How many labels are readable side by side."""


def plot_comparison(comparison: Mapping[str, Any], required: tuple[float, str]) -> Figure:
    """Plot the gain with its interval, and both models patient by patient.

    Args:
        comparison: of `comparison.compare_predictions`.
        required: a gain, share of accuracy, and what must lie beyond it; see
            `improvement.describe_requirement`.
    """
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    gain, patients = figure.subplots(1, 2, width_ratios=(1, 1.6))
    if tests := comparison["tests"]:
        _draw_gain(gain, tests, *required)
    else:
        gain.axis("off")
        gain.text(
            0.5, 0.5, comparison["champion_fault"] or "no champion yet", ha="center", wrap=True
        )
    rows = sorted(comparison["slices"], key=lambda row: row["challenger"])
    places = range(len(rows))
    for role, marker, colour in (("champion", "s", "#4c72b0"), ("challenger", "o", "#dd8452")):
        if comparison[role]:
            shares = [row[role] for row in rows]
            patients.plot(shares, places, marker, color=colour, label=role, alpha=0.8)
    for place, row in zip(places, rows, strict=True):
        if row["champion"] is not None:
            ends = (row["champion"], row["challenger"])
            patients.plot(ends, (place, place), "-", color="grey", lw=1, zorder=0)
    patients.set_yticks(places, [f"{row['patient'][:12]} ({row['images']})" for row in rows])
    patients.tick_params(axis="y", labelsize=max(4, min(9, 200 // max(1, len(rows)))))
    group = words.current().group
    patients.set(xlabel="accuracy", title=f"{group.capitalize()} by {group} (images)")
    patients.grid(alpha=0.3)
    if rows:
        patients.legend(loc="lower right")
    return figure


def _draw_gain(axes: Any, tests: Mapping[str, Any], least: float, demand: str) -> None:
    told = textwrap.fill(f"required: {demand}", LONGEST_LEGEND)
    low, middle, high = (100 * tests[name] for name in ("low", "gain", "high"))
    axes.errorbar(
        [middle], [0], xerr=[[middle - low], [high - middle]], fmt="o", capsize=6, color="#dd8452"
    )
    axes.axvline(100 * least, color="#c44e52", ls="--", label=told)
    axes.axvline(0, color="grey", lw=0.8)
    axes.set_yticks([])
    axes.set_ylim(-1, 1)
    axes.set(
        xlabel="gain in accuracy, points",
        title=f"Challenger over champion, {100 * tests['confidence']:g} % interval\n"
        f"over {words.current().count_groups(tests['patients'])}",
    )
    axes.legend(loc="lower center")


def plot_gate_report(report: pd.DataFrame) -> Figure:
    """Plot stored comparisons judged by two policies: each gain, and the promotions so far.

    Args:
        report: a row per comparison in the order of time: `version`, `gain`, `gain_low`,
            `gain_high` (shares, NaN without a champion), and the verdicts `then`, by the policy of
            the time, and `now`, by the one asked for.
    """
    figure = Figure(figsize=(10, 5.5), layout="constrained")
    gains, counts = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    places = np.arange(len(report))
    middle, low, high = (
        100 * report[name].astype(float).to_numpy() for name in ("gain", "gain_low", "gain_high")
    )
    gains.vlines(places, low, high, color="grey", lw=1)
    for verdict, colour in VERDICT_COLOURS.items():
        rows = (report["now"] == verdict).to_numpy()
        if rows.any():
            gains.plot(places[rows], np.nan_to_num(middle)[rows], "o", color=colour, label=verdict)
    gains.axhline(0, color="black", lw=0.8)
    gains.set(ylabel="gain, points", title="Stored comparisons, judged by the policy asked for")
    if len(report):
        gains.legend()
    for name, title, style in (("then", "policy of the time", "--"), ("now", "asked for", "-")):
        promoted = (report[name] == "promote").cumsum()
        counts.step(places, promoted, style, where="post", label=title)
    counts.set(ylabel="promotions so far", xlabel="version")
    shown = places[:: -(-len(places) // LONGEST_AXIS) or 1]
    counts.set_xticks(shown, [f"v{version}" for version in report["version"].iloc[shown]])
    counts.yaxis.get_major_locator().set_params(integer=True)
    counts.legend()
    for axes in (gains, counts):
        axes.grid(alpha=0.3)
    return figure
