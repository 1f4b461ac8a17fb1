"""The figure of where the seconds of a run went."""

from __future__ import annotations

import pandas as pd
from drawing import assert_is_drawn, assert_threads_draw_alike
from matplotlib.figure import Figure

from image_classification import figures
from image_classification.figures.profile import PHASE_COLOURS

PROFILE = pd.DataFrame(
    {
        "task": ["open_run", "train_network"],
        "at": [0.0, 8.0],
        **{phase: [0.5, 1.0] for phase in PHASE_COLOURS},
        "total": [4.0, 8.0],
    }
)


def draw() -> Figure:
    return figures.plot_profile(PROFILE, "retraining 2026-11-26 02:00")


def test_a_figure_becomes_a_png_and_leaves_nothing_in_pyplot() -> None:
    assert_is_drawn(draw)


def test_figures_can_be_drawn_in_several_threads() -> None:
    assert_threads_draw_alike(draw)


def test_the_phases_of_a_task_follow_one_another_from_when_it_was_queued() -> None:
    (axes,) = draw().axes

    of_second = [bar for bar in axes.patches if round(bar.get_y() + bar.get_height() / 2) == 1]
    assert [bar.get_x() for bar in of_second] == [8.0 + number for number in range(8)]
    assert [bar.get_width() for bar in of_second] == [1.0] * len(PHASE_COLOURS)
    assert axes.get_title() == "retraining 2026-11-26 02:00"


def test_each_task_is_named_in_order_with_its_seconds() -> None:
    (axes,) = draw().axes

    assert [label.get_text() for label in axes.get_yticklabels()] == ["open_run", "train_network"]
    assert [text.get_text() for text in axes.texts] == ["4.0 s", "8.0 s"]
    assert axes.yaxis_inverted()
