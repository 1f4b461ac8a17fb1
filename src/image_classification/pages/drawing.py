"""The charts of the pages."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd
from markupsafe import Markup

from image_classification import words
from image_classification.pages.chart import (
    CHARACTER_PX,
    ROW_PX,
    Chart,
    scale_shares,
    tick_counts,
    tick_numbers,
    tick_shares,
)
from image_classification.pages.curve import Bin, Threshold

CHALLENGER, CHAMPION = "challenger", "champion"
LONGEST_NAME = 18
DAY = "%d %b"
UNIT = (0.0, 1.0)
WIDE_PX, NARROW_PX = 900.0, 380.0
"""Of a chart as wide as the page, on a desk and on a phone."""

EDGE = 0.4
"""Of a night: room before the first one and after the last."""


@dataclass(frozen=True)
class Figure:
    """A chart and what it says.

    Attributes:
        title: what it shows.
        told: what to see in it, a sentence.
        svg: the drawing.
        key: name and style of each kind of mark.
    """

    title: str
    told: str
    svg: Markup
    key: tuple[tuple[str, str], ...] = ()


def draw_both(draw: Callable[..., Markup], *values: Any) -> tuple[Markup, Markup]:
    """Return a chart twice: as wide as a page on a desk, and as a phone."""
    return draw(*values, WIDE_PX), draw(*values, NARROW_PX)


def draw_groups(slices: Sequence[Mapping[str, Any]], width: float) -> Markup:
    """Draw both models' accuracy on each patient, the worst of the challenger first.

    Args:
        slices: `patient`, `images`, `challenger` and `champion` (None for none) of each.
        width: of the chart.
    """
    rows = sorted(slices, key=lambda row: (row["challenger"], row["patient"]))
    names = [f"{row['patient'][:LONGEST_NAME]} ({row['images']})" for row in rows]
    values = [row[role] for row in rows for role in (CHALLENGER, CHAMPION) if row[role] is not None]
    left = 18 + CHARACTER_PX * max(map(len, names), default=0)
    height = ROW_PX * len(rows) + 56
    ends = scale_shares(values)
    group = words.current().group
    title = f"Accuracy {group} by {group}"
    chart = Chart(title, ends, (0, max(len(rows), 1)), width, height, left)
    chart.rule_x(tick_shares(ends, most=4 if width < WIDE_PX else 7), "read right")
    for place, (row, name) in enumerate(zip(rows, names, strict=True)):
        y = chart.top + ROW_PX * (place + 0.5)
        chart.write(chart.left - 9, y + 4, name, "end")
        ours, theirs = row[CHALLENGER], row[CHAMPION]
        if theirs is not None and theirs != ours:
            style = "better" if ours > theirs else "worse"
            chart.add(
                '<line class="bridge {}" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>',
                *(style, chart.place_x(theirs), chart.place_x(ours), y, y),
            )
        for role, value in ((CHAMPION, theirs), (CHALLENGER, ours)):
            if value is not None:
                chart.add(
                    '<circle class="dot {}" cx="{:.1f}" cy="{:.1f}" r="{}">'
                    "<title>{}: {} {:.1%}</title></circle>",
                    *(role, chart.place_x(value), y, 5.5 if role == CHAMPION else 4.5),
                    *(row["patient"], role, value),
                )
    return chart.render()


def draw_history(history: Mapping[str, Sequence[float]], measure: str) -> Markup:
    """Draw a measure by epoch, in training and on validation."""
    lines = {split: history[f"{split}_{measure}"] for split in ("train", "validation")}
    values = [value for line in lines.values() for value in line]
    shares = measure == "accuracy"
    ends = scale_shares(values) if shares else (0.0, max(values) * 1.05)
    last = max(map(len, lines.values()))
    chart = Chart(f"{measure.capitalize()} by epoch", (1, max(last, 2)), ends)
    chart.rule_x(tick_counts(last), "epoch")
    chart.rule_y(tick_shares(ends) if shares else tick_numbers(*ends))
    for split, style in (("train", "quiet"), ("validation", CHALLENGER)):
        points = list(enumerate(lines[split], 1))
        chart.draw_line(points, style)
        chart.draw_points([(x, y, f"epoch {x}, {split}: {y:.4f}") for x, y in points], style)
    return chart.render()


def draw_reliability(bins: Mapping[str, Sequence[Bin]], positive_class: str) -> Markup:
    """Draw how often an image is of the class that got a probability for it, of each model."""
    chart = Chart("Calibration", UNIT, UNIT)
    chart.rule_x(tick_shares(UNIT), f"probability given to {positive_class}")
    chart.rule_y(tick_shares(UNIT))
    chart.draw_line([(0, 0), (1, 1)], "ideal")
    for role in (CHAMPION, CHALLENGER):
        found = bins.get(role, ())
        chart.draw_line([(one.given, one.observed) for one in found], role)
        points = [(one.given, one.observed, _describe_bin(role, one)) for one in found]
        chart.draw_points(points, role)
    return chart.render()


def _describe_bin(role: str, one: Bin) -> str:
    images = words.current().count_images(one.images)
    return f"{role}: given {one.given:.0%}, true {one.observed:.0%}, {images}"


def draw_thresholds(levels: Mapping[str, Sequence[Threshold]], positive_class: str) -> Markup:
    """Draw sensitivity and specificity over the threshold, of each model."""
    shown = [
        value
        for found in levels.values()
        for one in found
        if 0.02 <= one.level <= 0.98
        for value in (one.sensitivity, one.specificity)
    ]
    ends = scale_shares(shown, 0.2)
    chart = Chart("Thresholds", UNIT, ends)
    chart.rule_x(tick_shares(UNIT), f"called {positive_class} from this probability on")
    chart.rule_y(tick_shares(ends))
    for role in (CHAMPION, CHALLENGER):
        for name, style in (("sensitivity", role), ("specificity", f"{role} dashed")):
            points = [(one.level, max(ends[0], getattr(one, name))) for one in levels.get(role, ())]
            chart.draw_line(points, style)
    return chart.render()


def draw_trend(trend: pd.DataFrame, width: float) -> Markup:
    """Draw the champion's accuracy on the newest days, night by night, beside its reference.

    Args:
        trend: of `gate.trend.settle_trend`: `recorded_at`, `model_version`, `accuracy`, `low`,
            `high`, `reference`, `alert`.
        width: of the chart.
    """
    rows = trend[trend["accuracy"].notna()].reset_index(drop=True)
    numbers = [float(v) for name in ("accuracy", "low", "high", "reference") for v in rows[name]]
    ends = scale_shares(numbers)
    chart = Chart("The champion on the newest days", _span(len(rows)), ends, width, 250)
    chart.rule_x(_tick_days(list(rows["recorded_at"]), width), "night")
    chart.rule_y(tick_shares(ends))
    reigns = (rows["model_version"] != rows["model_version"].shift()).cumsum()
    for _, reign in rows.groupby(reigns):
        places = list(reign.index)
        low, high = reign["low"].astype(float), reign["high"].astype(float)
        bounds = list(zip(places, low, high, strict=True))
        chart.draw_area(bounds, CHAMPION)
        for place, lowest, highest in bounds:
            chart.draw_line([(place, lowest), (place, highest)], f"{CHAMPION} thin")
        reference = [
            (x, float(y)) for x, y in zip(places, reign["reference"], strict=True) if pd.notna(y)
        ]
        chart.draw_line(reference, "reference")
        points = list(zip(places, reign["accuracy"].astype(float), strict=True))
        chart.draw_line(points, CHAMPION)
        for (x, y), alert, at in zip(points, reign["alert"], reign["recorded_at"], strict=True):
            told = f"{at[:10]}: version {reign['model_version'].iloc[0]}, {y:.1%}"
            chart.draw_points([(x, y, told)], "worse" if alert else CHAMPION)
        chart.write(
            chart.place_x(places[0]) + 4,
            chart.top + 10,
            f"v{reign['model_version'].iloc[0]}",
            style="mark",
        )
    return chart.render()


def draw_champions(points: Sequence[tuple[str, str, float]], width: float) -> Markup:
    """Draw the champions as a line through time: after each decision, who is in use.

    Args:
        points: of each decision, oldest first: when (ISO 8601), the version that is in use after
            it, and that version's accuracy on validation in that decision, 0 to 1, or NaN.
        width: of the chart.
    """
    known = [value for _, _, value in points if not math.isnan(value)]
    ends = scale_shares(known)
    chart = Chart(
        "The version in use, decision by decision", _span(len(points)), ends, width, 250, top=26
    )
    chart.rule_x(_tick_days([at for at, _, _ in points], width), "decision")
    chart.rule_y(tick_shares(ends))
    before = ""
    reign: list[tuple[float, float]] = []
    for place, (at, version, value) in enumerate(points):
        if version != before:
            chart.draw_line(reign, CHAMPION)
            reign, before = [], version
            x = chart.place_x(place)
            chart.add(
                '<line class="change" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>',
                *(x, x, chart.top, chart.height - chart.bottom),
            )
            chart.write(x + 4, chart.top - 8, f"v{version}" if version else "none", style="mark")
        if not math.isnan(value):
            reign.append((place, value))
            chart.draw_points(
                [(place, value, f"{at[:10]}: version {version}, {value:.1%}")], CHAMPION
            )
    chart.draw_line(reign, CHAMPION)
    return chart.render()


def _span(nights: int) -> tuple[float, float]:
    return -EDGE, max(nights - 1, 1) + EDGE


def _tick_days(times: Sequence[str], width: float) -> list[tuple[float, str]]:
    """Return ticks for nights that stand side by side, as many as there is room for."""
    step = max(1, -(-len(times) // int(width // 90)))
    same_day = len({at[:10] for at in times}) == 1
    moments = [datetime.fromisoformat(at) for at in times]
    return [
        (place, f"{moments[place]:%H:%M}" if same_day else f"{moments[place]:{DAY}}".lstrip("0"))
        for place in range(0, len(times), step)
    ]
