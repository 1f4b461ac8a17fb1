"""Figures that showed a patient who was forgotten are replaced, and only those."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from image_classification.figures import choose_figures, redraw_figure
from image_classification.figures.forgotten import COMPARISON, MISTAKES, SHEET

PATHS = ["plots/roc_curve.png", f"plots/{MISTAKES}", f"promotion/{COMPARISON}", f"review/{SHEET}"]


@pytest.mark.parametrize(
    ("changed", "summary", "chosen"),
    [
        (["data/images.parquet"], "", []),
        (["predictions/validation_predictions.csv"], "", PATHS[1:3]),
        (["promotion/champion_predictions.csv"], "", PATHS[1:3]),
        ([], r"**my\_batch** is held", PATHS[3:]),
        ([], "**another** is held", []),
    ],
)
def test_those_are_chosen_that_may_show_them(
    changed: list[str], summary: str, chosen: list[str]
) -> None:
    assert choose_figures(PATHS, changed, summary, ["my_batch"]) == chosen


@pytest.mark.parametrize("decision", [None, {"policy": {}}])
def test_a_figure_that_cannot_be_drawn_anew_says_why_it_is_gone(decision: object) -> None:
    content = redraw_figure(COMPARISON, decision)  # type: ignore[arg-type]
    assert Image.open(io.BytesIO(content)).size == (600, 150)
