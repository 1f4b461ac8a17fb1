"""What the simulation of the gate found: tables in Markdown, and a figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from promotion_simulation import (
    ABOVE,
    AT_LEAST,
    BOOTSTRAP,
    CONFIDENCES,
    GAINS,
    GATE,
    MCNEMAR,
    MOST_NIGHTS,
    RULES,
    SOON,
    TESTS,
    VALIDATION_PATIENTS,
    YEAR,
    YEAR_RULES,
)
from scipy import stats

COLOURS = {
    AT_LEAST: "#c44e52",
    ABOVE: "#dd8452",
    MCNEMAR: "#937860",
    BOOTSTRAP: "#8172b3",
    TESTS: "#4c72b0",
    GATE: "#55a868",
}
RANGE = "\N{EN DASH}"


def report_nights(results: Sequence[Mapping[str, Any]]) -> None:
    report_equal(results)
    report_real(results)


def report_equal(results: Sequence[Mapping[str, Any]]) -> None:
    rows = [result for result in results if result["pair"] == "equal"]
    print("\n### Two equally good models: nights on which the challenger is promoted\n")
    print("| rule | " + " | ".join(f"{row['patients']} patients" for row in rows) + " |")
    print("|---|" + "---:|" * len(rows))
    for rule in RULES:
        print(f"| {rule} | " + " | ".join(format_share(row, rule) for row in rows) + " |")
    yearly = [f"{YEAR * row['promoted'][GATE] / row['nights']:.0f}" for row in rows]
    print("| default gate, of 365 such nights | " + " | ".join(yearly) + " |")
    print("| mean gain, points | ", end="")
    means = [f"{100 * row['mean_gain']:+.3f} ± {100 * row['gain_error']:.3f}" for row in rows]
    print(" | ".join(means) + " |")
    print(f"\n{rows[0]['nights']} nights each; 95 % interval of Clopper and Pearson; ± one error.")


def report_real(results: Sequence[Mapping[str, Any]]) -> None:
    rows = [result for result in results if result["pair"] != "equal"]
    if not rows:
        return
    print("\n### Networks as they are: nights on which the challenger is promoted\n")
    print("| challenger | gain, points | " + " | ".join(RULES) + " |")
    print("|---|---:|" + "---:|" * len(RULES))
    for row in rows:
        shares = " | ".join(format_share(row, rule) for rule in RULES)
        print(f"| {row['pair']} | {100 * row['mean_gain']:+.2f} | {shares} |")


def format_share(row: Mapping[str, Any], rule: str) -> str:
    low, high = find_interval(row["promoted"][rule], row["nights"])
    share = row["promoted"][rule] / row["nights"]
    return f"{100 * share:.1f} % ({100 * low:.1f}{RANGE}{100 * high:.1f})"


def find_interval(count: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Clopper and Pearson, 1934, Biometrika 26:404)."""
    interval = stats.binomtest(count, total).proportion_ci(0.95, "exact")
    return interval.low, interval.high


def report_confidences(results: Sequence[Mapping[str, Any]]) -> None:
    print("\n### What the confidence of the interval buys: nights on which the gate promotes\n")
    names = [f"{100 * row['gain']:g} points, {row['patients']} patients" for row in results]
    print("| confidence | " + " | ".join(names) + " |")
    print("|---|" + "---:|" * len(names))
    for confidence in CONFIDENCES:
        shares = [f"{100 * row['promoted'][confidence] / row['nights']:.1f} %" for row in results]
        print(f"| {confidence:g} | " + " | ".join(shares) + " |")


def report_tests(results: Sequence[Mapping[str, Any]]) -> None:
    print("\n### McNemar's test beside the interval: nights on which the tests promote\n")
    rules = list(results[0]["promoted"])
    print("| true gain | patients | cells of each | nights | " + " | ".join(rules) + " |")
    print("|---:|---:|---:|---:|" + "---:|" * len(rules))
    for row in results:
        shares = " | ".join(format_share(row, rule) for rule in rules)
        print(
            f"| {100 * row['gain']:+.1f} | {row['patients']} | {row['cells'] or 'all'} "
            f"| {row['nights']} | {shares} |"
        )


def report_gains(results: Sequence[Mapping[str, Any]]) -> None:
    print("\n### A true gain: nights until the default gate promotes\n")
    print("| true gain | patients | first night | median | 90 % quantile | within 30 nights |")
    print("|---:|---:|---:|---:|---:|---:|")
    for row in sorted(results, key=lambda row: (row["gain"], row["patients"])):
        waits = np.array(row["waits"])
        first, soon = (f"{(waits <= limit).mean():.0%}" for limit in (1, SOON))
        median, late = (
            format_wait(np.quantile(waits, share, method="higher")) for share in (0.5, 0.9)
        )
        print(
            f"| {100 * row['gain']:.1f} points | {row['patients']} | {first} | {median} | {late} "
            f"| {soon} |"
        )


def format_wait(nights: float) -> str:
    return f"{nights:.0f}" if nights <= MOST_NIGHTS else f"> {MOST_NIGHTS}"


def report_years(results: Sequence[Mapping[str, Any]]) -> None:
    print("\n### A year in which no challenger is better: promotions by noise\n")
    print(f"| rule | patients | median | 5{RANGE}95 % | range | years without | flattery, points |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for row in sorted(results, key=lambda row: (RULES.index(row["rule"]), row["patients"])):
        counts = np.array(row["promotions"])
        low, median, high = np.quantile(counts, (0.05, 0.5, 0.95))
        print(
            f"| {row['rule']} | {row['patients']} | {median:.0f} | {low:.0f}{RANGE}{high:.0f} | "
            f"{counts.min()}{RANGE}{counts.max()} | {(counts == 0).mean():.0%} | "
            f"{100 * row['flattery']:+.2f} |"
        )
    print("\nFlattery: what the last champion shows on validation beyond what it is.")


REPORTS: dict[str, Callable[[Sequence[Mapping[str, Any]]], None]] = {
    "try_nights": report_nights,
    "compare_tests": report_tests,
    "try_confidences": report_confidences,
    "wait_for_gain": report_gains,
    "live_year": report_years,
}
"""Of each simulation, what prints its table."""


def draw(results: Mapping[str, Sequence[Mapping[str, Any]]], source: str) -> Figure:
    """Draw promotions of equals by rule, promotions by noise in a year, and the wait for a gain."""
    figure = Figure(figsize=(9, 8.4), layout="constrained")
    figure.suptitle(f"What the gate lets through: simulated nights ({source})")
    upper, lower = figure.subfigures(2, 1, height_ratios=(1, 1.05))
    panels = upper.subplots(1, 2)
    equal = [row for row in results["try_nights"] if row["pair"] == "equal"]
    draw_equal(panels[0], equal)
    draw_years(panels[1], results["live_year"])
    draw_waits(lower.subplots(), results["wait_for_gain"])
    return figure


def draw_equal(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    for rule, height in ((AT_LEAST, 6), (MCNEMAR, 6), (BOOTSTRAP, 7), (GATE, -14)):
        shares = np.array([row["promoted"][rule] / row["nights"] for row in rows])
        ends = np.array([find_interval(row["promoted"][rule], row["nights"]) for row in rows])
        style = {"fmt": "o-", "markersize": 4, "color": COLOURS[rule]}
        axes.errorbar(range(len(rows)), 100 * shares, 100 * np.abs(ends.T - shares), **style)
        write(axes, rule, (0, 100 * shares[0]), (0, height), color=COLOURS[rule])
    axes.axhline(5, color="black", linestyle="--", linewidth=1)
    write(axes, "5 %", (len(rows) - 0.9, 5), (0, 3))
    axes.set_xticks(range(len(rows)), [str(row["patients"]) for row in rows])
    axes.set(yscale="log", ylim=(1, 100), xlim=(-0.2, len(rows) - 0.5))
    axes.set(xlabel="validation patients", ylabel="nights promoted, %")
    axes.set_yticks((1, 2, 5, 10, 20, 50, 100))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.set_title("Two equally good models", fontsize=11)
    axes.grid(alpha=0.3)


def write(
    axes: Axes, text: str, place: tuple[float, float], shift: tuple[float, float], **style: Any
) -> None:
    """Write a text beside a place of the data, so many points away."""
    axes.annotate(text, place, shift, textcoords="offset points", fontsize=9, **style)


def draw_years(axes: Axes, results: Sequence[Mapping[str, Any]]) -> None:
    rows = [row for row in results if row["patients"] == VALIDATION_PATIENTS]
    rows.sort(key=lambda row: YEAR_RULES.index(row["rule"]))
    for place, row in enumerate(rows):
        counts, jitter = np.array(row["promotions"]), np.random.default_rng(0)
        spots = place + jitter.uniform(-0.25, 0.25, len(counts))
        heights = counts + jitter.uniform(-0.3, 0.3, len(counts))
        axes.plot(spots, heights, ".", color=COLOURS[row["rule"]], alpha=0.3, markersize=4)
        median = float(np.median(counts))
        axes.plot([place - 0.35, place + 0.35], [median, median], color="black", linewidth=2)
        write(axes, f"{median:g}", (place + 0.37, median), (2, -3), fontweight="bold")
    axes.set_xticks(range(len(rows)), [row["rule"] for row in rows])
    axes.set_xlim(-0.5, len(rows) - 0.3)
    axes.set(ylabel="promotions in 365 nights", yscale="symlog", ylim=(-0.5, None))
    axes.set_yticks((0, 1, 2, 5, 10, 20))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_title(f"A year with nothing better ({VALIDATION_PATIENTS} patients)", fontsize=11)
    axes.grid(alpha=0.3, axis="y")


def draw_waits(axes: Axes, results: Sequence[Mapping[str, Any]]) -> None:
    nights = np.arange(1, MOST_NIGHTS + 1)
    colours = dict(zip(GAINS, ("#9ecae1", "#6baed6", "#2171b5", "#08306b"), strict=True))
    for row in sorted(results, key=lambda row: -row["gain"]):
        if row["patients"] == VALIDATION_PATIENTS:
            shares = 100 * (np.array(row["waits"])[:, None] <= nights).mean(axis=0)
            label = f"{100 * row['gain']:g} point{'s' * (row['gain'] != 0.01)}"
            axes.step(nights, shares, where="post", color=colours[row["gain"]], label=label)
    axes.set(xlabel="nights", ylabel="challengers promoted, %", ylim=(0, 102), xscale="log")
    axes.set_xticks((1, 2, 3, 5, 7, 10, 14, 20, 30, 50, 100))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.set_title(
        f"A truly better challenger every night ({VALIDATION_PATIENTS} patients)", fontsize=11
    )
    axes.grid(alpha=0.3)
    axes.legend(title="true gain")
