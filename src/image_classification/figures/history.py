"""Figures of many nights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from image_classification import words


def plot_history(history: pd.DataFrame) -> Figure:
    """Plot what each night brought: images, accuracies on validation, and decisions.

    Args:
        history: a row per night: `night`, `images` (in all, NaN where nothing was trained),
            `challenger_accuracy`, `champion_accuracy` (0 to 1, or NaN), `decision` (where nothing
            was trained, why).
    """
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    accuracy, images = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    nights = history["night"]
    accuracy.plot(nights, history["challenger_accuracy"], "-", color="grey", lw=1, zorder=1)
    for decision, marker, colour in (
        ("promoted", "^", "#55a868"),
        ("kept champion", "v", "#c44e52"),
    ):
        rows = history[history["decision"] == decision]
        if len(rows):
            accuracy.scatter(
                rows["night"],
                rows["challenger_accuracy"],
                90,
                colour,
                marker=marker,
                label=f"challenger, {decision}",
            )
    accuracy.plot(nights, history["champion_accuracy"], "s--", color="#4c72b0", label="champion")
    accuracy.set(ylabel="accuracy on validation", title="Challenger and champion, night by night")
    accuracy.grid(alpha=0.3)
    accuracy.legend()
    counts = history["images"].fillna(0)
    bars = images.bar(nights, counts, color="#8172b3")
    images.bar_label(bars, [f"{count:.0f}" if count else "" for count in counts])
    for night, said in history.loc[counts == 0, ["night", "decision"]].itertuples(index=False):
        # Upright: beside one another, such nights leave no room for the words.
        images.annotate(
            said,
            (night, 0),
            xytext=(0, 3),
            textcoords="offset points",
            rotation=90,
            ha="center",
            fontsize="small",
        )
    images.set(xlabel="night", ylabel="images in all")
    images.margins(y=0.2)
    images.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True))
    return figure


def plot_champion_trend(trend: pd.DataFrame) -> Figure:
    """Plot the champion's accuracy on the newest days, night by night, beside its reference.

    The reference is the accuracy on validation that the champion was promoted with.

    Args:
        trend: a row per measurement, oldest first: `recorded_at` (ISO 8601), `model_version`,
            `accuracy`, `low`, `high`, `reference` (0 to 1, or NaN) and `alert`.
    """
    trend = trend.assign(time=pd.to_datetime(trend["recorded_at"]).dt.tz_localize(None))
    figure = Figure(figsize=(10, 4.8), layout="constrained")
    axes: Any = figure.subplots()
    reigns = (trend["model_version"] != trend["model_version"].shift()).cumsum()
    for number, (_, reign) in enumerate(trend.groupby(reigns)):
        _draw_reign(axes, reign, is_first=number == 0)
    _mark_nights(axes, trend)
    _scale_nights(axes, trend["time"])
    axes.set(
        xlabel="night (UTC)",
        ylabel="accuracy",
        title=(
            f"The champion on the newest labelled days, of {words.current().groups} it was not "
            "trained on"
        ),
    )
    axes.margins(y=0.12)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=5, frameon=False)
    return figure


def _mark_nights(axes: Any, trend: pd.DataFrame) -> None:
    """Mark the nights that alerted and, at the bottom, those on which nothing was measured."""
    alerts = trend[trend["alert"].astype(bool)]
    if len(alerts):
        axes.plot(
            alerts["time"],
            alerts["accuracy"],
            "v",
            color="#c44e52",
            ms=9,
            label="alert",
            zorder=4,
        )
    missed = trend[trend["accuracy"].isna()]
    if len(missed):
        axes.plot(
            missed["time"],
            np.full(len(missed), 0.02),
            "x",
            color="grey",
            transform=axes.get_xaxis_transform(),
            label="not measured",
        )


def _scale_nights(axes: Any, times: pd.Series) -> None:
    locator = AutoDateLocator(minticks=3, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    # Some room at the sides; without it, a single night would lie in a range of years.
    room = max(0.03 * (times.max() - times.min()), pd.Timedelta(minutes=30))
    axes.set_xlim(times.min() - room, times.max() + room)


def _draw_reign(axes: Any, reign: pd.DataFrame, is_first: bool) -> None:
    """Draw the nights of one champion: accuracy, interval, reference, and where it began."""

    def name(text: str) -> str:
        return text if is_first else f"_{text}"  # matplotlib leaves it out of the legend

    times, blue = reign["time"], "#4c72b0"
    axes.fill_between(
        times,
        reign["low"],
        reign["high"],
        color=blue,
        alpha=0.18,
        lw=0,
        label=name(f"interval over {words.current().groups}"),
    )
    axes.vlines(times, reign["low"], reign["high"], color=blue, alpha=0.35, lw=1)
    axes.plot(times, reign["accuracy"], "o-", color=blue, ms=4, label=name("champion"), zorder=3)
    axes.plot(
        times,
        reign["reference"],
        "--",
        color="#55a868",
        marker="_",
        label=name("on validation, when promoted"),
    )
    axes.axvline(times.iloc[0], color="grey", lw=1, ls=":")
    axes.annotate(
        f"v{reign['model_version'].iloc[0]}",
        (times.iloc[0], 1),
        xycoords=("data", "axes fraction"),
        xytext=(3, -12),
        textcoords="offset points",
        color="grey",
    )
