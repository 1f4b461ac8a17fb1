"""Contact sheets: which images, how many, and under which captions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from drawing import assert_is_drawn, assert_threads_draw_alike
from matplotlib.figure import Figure

from image_classification import figures


def make_pixels(count: int) -> np.ndarray:
    return np.zeros((count, 4, 4, 3), np.uint8)


def make_mistakes(count: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "label": ["ring"] * count,
            "category": ["healthy"] * count,
            "patient": [f"C{number}" for number in range(count)],
            "confidence": [0.987] * count,
        }
    )


def make_suspects(count: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "path": [f"batch/ring/{'x' * 30}{number}.png" for number in range(count)],
            "label": ["ring"] * count,
            "patient": ["a-very-long-patient-name"] * count,
        }
    )


FIGURES: dict[str, Callable[[], Figure]] = {
    "mistakes": lambda: figures.plot_contact_sheet(make_mistakes(8), make_pixels(8), 9, 30),
    "no mistake": lambda: figures.plot_contact_sheet(make_mistakes(0), make_pixels(0), 0, 30),
    "suspects": lambda: figures.plot_suspects("first", make_suspects(2), make_pixels(2)),
}


@pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES.keys())
def test_a_figure_becomes_a_png_and_leaves_nothing_in_pyplot(draw: Callable[[], Figure]) -> None:
    assert_is_drawn(draw)


def test_figures_can_be_drawn_in_several_threads() -> None:
    assert_threads_draw_alike(FIGURES["no mistake"])


def test_contact_sheet_says_how_many_mistakes_there_are_in_all() -> None:
    figure = FIGURES["mistakes"]()

    assert figure.get_suptitle() == "The 8 most confident of 9 mistakes in 30 images"
    assert sum(bool(axes.images) for axes in figure.axes) == 8
    assert figure.axes[1].get_title() == "label ring\ncalled healthy 99%\npatient C1"


def test_a_sheet_without_mistakes_says_so() -> None:
    assert FIGURES["no mistake"]().get_suptitle() == "No mistake in 30 images"


@pytest.mark.parametrize(("images", "panels"), [(0, 6), (6, 6), (7, 12)])
def test_a_row_of_the_sheet_holds_six_images(images: int, panels: int) -> None:
    figure = figures.plot_contact_sheet(make_mistakes(images), make_pixels(images), 99, 100)

    assert len(figure.axes) == panels
    assert sum(bool(axes.images) for axes in figure.axes) == images


def test_suspects_are_shown_with_label_patient_and_the_end_of_their_name() -> None:
    figure = FIGURES["suspects"]()

    assert figure.get_suptitle() == (
        "Batch 'first': its 2 most suspicious images, with their labels"
    )
    name = f"{'x' * 19}0.png"
    assert figure.axes[0].get_title() == f"ring\npatient a-very-long-\n{name}"
    assert sum(bool(axes.images) for axes in figure.axes) == 2
