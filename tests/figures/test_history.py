"""Figures of many nights: the demonstration's history, and the champion watched."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from drawing import assert_is_drawn, assert_threads_draw_alike
from matplotlib.figure import Figure

from image_classification import figures

HISTORY = pd.DataFrame(
    {
        "night": [1, 2, 3],
        "images": [100, None, 150],
        "challenger_accuracy": [0.9, None, 0.92],
        "champion_accuracy": [None, None, 0.93],
        "decision": ["promoted", "waiting for more", "kept champion"],
    }
)
TREND = pd.DataFrame(
    {
        "recorded_at": [f"2026-03-{day:02d}T02:05:00+00:00" for day in range(1, 6)],
        "model_version": ["3", "3", "3", "4", "4"],
        "accuracy": [0.95, np.nan, 0.94, 0.96, 0.88],
        "low": [0.93, np.nan, 0.92, 0.94, 0.86],
        "high": [0.97, np.nan, 0.96, 0.98, 0.9],
        "reference": [0.95, 0.95, 0.95, 0.96, 0.96],
        "alert": [False, False, False, False, True],
    }
)
FIGURES: dict[str, Callable[[], Figure]] = {
    "history": lambda: figures.plot_history(HISTORY),
    "trend": lambda: figures.plot_champion_trend(TREND),
    "trend of one night": lambda: figures.plot_champion_trend(TREND.head(1)),
    "trend without a reference": lambda: figures.plot_champion_trend(
        TREND.assign(reference=np.nan)
    ),
}


@pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES.keys())
def test_a_figure_becomes_a_png_and_leaves_nothing_in_pyplot(draw: Callable[[], Figure]) -> None:
    assert_is_drawn(draw)


def test_figures_can_be_drawn_in_several_threads() -> None:
    assert_threads_draw_alike(FIGURES["trend"])


def test_history_marks_each_decision_and_says_where_nothing_was_trained() -> None:
    accuracy, images = FIGURES["history"]().axes

    marked = {
        collection.get_label(): collection.get_offsets().tolist()
        for collection in accuracy.collections
    }
    assert marked == {
        "challenger, promoted": [[1, 0.9]],
        "challenger, kept champion": [[3, 0.92]],
    }
    lines = {line.get_label(): line for line in accuracy.lines}
    assert np.nan_to_num(lines["champion"].get_ydata().astype(float)).tolist() == [0, 0, 0.93]
    assert [bar.get_height() for bar in images.patches] == [100, 0, 150]
    assert [text.get_text() for text in images.texts] == ["100", "", "150", "waiting for more"]


def test_trend_marks_each_champion_the_alerts_and_the_nights_without_a_number() -> None:
    (axes,) = FIGURES["trend"]().axes

    assert [text.get_text() for text in axes.texts] == ["v3", "v4"]
    lines = {str(line.get_label()): line for line in axes.lines}
    assert lines["alert"].get_ydata().tolist() == [0.88]
    assert len(lines["not measured"].get_xdata()) == 1
    assert lines["champion"].get_ydata()[[0, 2]].tolist() == [0.95, 0.94]
    assert lines["on validation, when promoted"].get_ydata().tolist() == [0.95] * 3
    assert lines["_on validation, when promoted"].get_ydata().tolist() == [0.96] * 2


def test_trend_names_each_thing_once_and_nothing_that_is_not_there() -> None:
    (legend,) = figures.plot_champion_trend(TREND).legends
    named = [text.get_text() for text in legend.get_texts()]
    assert len(named) == len(set(named)) == 5
    (legend,) = figures.plot_champion_trend(TREND.head(1)).legends
    assert "alert" not in [text.get_text() for text in legend.get_texts()]


def test_a_champion_that_comes_back_is_another_reign() -> None:
    back = TREND.assign(model_version=["3", "3", "4", "4", "3"])
    (axes,) = figures.plot_champion_trend(back).axes
    assert [text.get_text() for text in axes.texts] == ["v3", "v4", "v3"]
