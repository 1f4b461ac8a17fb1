"""The table of regret, and its picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from regret_policies import BEST, NEVER, NEWEST
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


def draw(results: pd.DataFrame, shipped: str = "") -> Figure:
    """Draw regret against harm, a mark per policy; below and to the left is better."""
    table = summarise(results[results["table"] == "rules"])
    table = table[table["policy"] != BEST]
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.subplots()
    families = table["policy"].str.split(r"[,\d]", regex=True).str[0].str.strip()
    for family, rows in table.groupby(families.replace({NEWEST: NEWEST, NEVER: NEVER})):
        axes.scatter(rows["harm 1"], rows["all mean"], label=family, s=40)
    axes.axvline(100 * BOUND, color="0.6", linestyle="--", linewidth=1)
    axes.set_xlabel("Promotions that are worse by more than a point, % of all nights")
    axes.set_ylabel("Mean regret, points of accuracy")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    axes.set_title(shipped or "What each rule loses on patients that nobody saw")
    return figure
