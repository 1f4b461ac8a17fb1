"""The table of regret, and its picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

HARM = (0.005, 0.01)
BOUND = 0.01
"""Share of the nights on which a promotion may be worse by more than a point."""

SHOWN = ("real, clean", "real, adverse", "made, clean", "made, adverse")


def summarise(results: pd.DataFrame) -> pd.DataFrame:
    """Return a row per policy, from the rows of `regret.compare_one`, in points.

    `harm_*`: promotions worse than the champion before by more than 0.5 and 1 point, per cent of
    the nights.
    """
    rows = []
    for policy, own in results.groupby("policy", sort=False):
        losses = np.concatenate([*own["losses"], []]).astype(float)
        nights = int(own["regrets"].map(len).sum())
        row: dict[str, Any] = {"policy": policy, "nights": nights}
        groups = {"all": own} | dict(list(own.groupby("kind")))
        for kind, part in groups.items():
            mean, error = average(part)
            row |= {f"{kind} mean": 100 * mean, f"{kind} error": 100 * error}
        lived = own[own["regrets"].map(len) > 0]
        row["last"] = 100 * lived["regrets"].map(lambda regrets: regrets[-1]).mean()
        row["worst"] = 100 * lived["regrets"].map(max).max()
        row |= {
            f"harm {100 * limit:g}": 100 * float((losses > limit).sum()) / nights for limit in HARM
        }
        row["moves"] = own["losses"].map(len).mean()
        row["moves a year"] = own["moves_a_year"].iloc[0]
        rows.append(row)
    return pd.DataFrame(rows)


def average(rows: pd.DataFrame) -> tuple[float, float]:
    """Return the mean over sequences of the mean regret of their nights, and half its interval."""
    means = np.array([np.mean(regrets) for regrets in rows["regrets"] if len(regrets)])
    if len(means) < 2:
        return float(means.mean()) if len(means) else np.nan, np.nan
    half = stats.t.ppf(0.975, len(means) - 1) * means.std(ddof=1) / np.sqrt(len(means))
    return float(means.mean()), float(half)


def show(results: pd.DataFrame) -> None:
    """Print the tables, as Markdown; regret and harm in points and per cent of the nights."""
    kinds = results.drop_duplicates("sequence")["kind"].value_counts()
    print(", ".join(f"{count} {kind}" for kind, count in kinds.sort_index().items()))
    for _, rows in results.groupby("table", sort=False):
        table = summarise(rows)
        shown = [kind for kind in sorted(kinds.index) if f"{kind} mean" in table]
        header = [
            *("policy", "all", *shown),
            *("last", "worst night", "harm > 0.5", "harm > 1", "moves", "moves a year"),
        ]
        print("\n| " + " | ".join(header) + " |\n|" + "---|" + "---:|" * (len(header) - 1))
        for _, row in table.sort_values("all mean").iterrows():
            cells = [
                f"{row[f'{kind} mean']:.2f} ± {row[f'{kind} error']:.2f}"
                for kind in ("all", *shown)
            ]
            year = "" if pd.isna(row["moves a year"]) else f"{row['moves a year']:.1f}"
            cells += [f"{row['last']:.2f}", f"{row['worst']:.1f}"]
            cells += [f"{row['harm 0.5']:.1f} %", f"{row['harm 1']:.1f} %"]
            print("| " + " | ".join([row["policy"], *cells, f"{row['moves']:.1f}", year]) + " |")


def draw(results: pd.DataFrame) -> Figure:
    """Draw the mean regret of each rule with its interval, and beside it how often it harms."""
    table = summarise(results[results["table"] == "rules"]).sort_values("all mean", ascending=False)
    figure = Figure(figsize=(10, 0.32 * len(table) + 1.2), layout="constrained")
    regret, harm = figure.subplots(1, 2, sharey=True, width_ratios=(2, 1))
    places = range(len(table))
    within = table["harm 1"] <= 100 * BOUND
    colours = ["#4c72b0" if one else "#c44e52" for one in within]
    regret.barh(places, table["all mean"], xerr=table["all error"], color=colours, ecolor="0.3")
    regret.set_yticks(places, table["policy"], fontsize=8)
    regret.set_xlabel("Mean regret, points of accuracy, and its 95 % interval over sequences")
    harm.barh(places, table["harm 1"], color=colours)
    harm.axvline(100 * BOUND, color="0.3", linestyle="--", linewidth=1)
    harm.set_xlabel("Promotions worse by over a point,\n% of the nights; the bound is 1")
    for axes in (regret, harm):
        axes.grid(axis="x", alpha=0.3)
        axes.set_xlim(left=0)
    figure.suptitle("What each rule loses on patients that nobody saw")
    return figure
