"""What is drawn of a night: each patient, each night, each champion."""

from __future__ import annotations

import math
from typing import Any

from night_pages import make_trend

from image_classification.pages.curve import Bin
from image_classification.pages.drawing import (
    NARROW_PX,
    WIDE_PX,
    draw_champions,
    draw_groups,
    draw_history,
    draw_reliability,
    draw_trend,
)


def make_slice(patient: str, ours: float, theirs: float | None) -> dict[str, Any]:
    return {"patient": patient, "images": 50, "challenger": ours, "champion": theirs}


def test_each_patient_has_both_models_and_a_bar_between_them() -> None:
    rows = [make_slice("C1", 0.9, 0.8), make_slice("C2", 0.8, 0.9), make_slice("C3", 0.9, 0.9)]
    for width in (WIDE_PX, NARROW_PX):
        drawn = str(draw_groups(rows, width))
        assert drawn.count('class="dot challenger"') == drawn.count('class="dot champion"') == 3
        assert drawn.count('class="bridge better"') == drawn.count('class="bridge worse"') == 1
        assert "C1: challenger 90.0%" in drawn
        assert "C1 (50)" in drawn


def test_without_a_champion_the_challenger_stands_alone() -> None:
    drawn = str(draw_groups([make_slice("C1", 0.9, None)], WIDE_PX))
    assert "champion" not in drawn


def test_a_night_that_alerted_is_marked() -> None:
    drawn = str(draw_trend(make_trend(), WIDE_PX))
    assert drawn.count('class="dot worse"') == 1
    assert drawn.count('class="dot champion"') == 2
    assert ">v3<" in drawn
    assert ">v4<" in drawn


def test_a_change_of_champion_is_marked_and_named() -> None:
    points = [
        ("2026-11-20T02:00:00+00:00", "", math.nan),
        ("2026-11-21T02:00:00+00:00", "3", 0.95),
        ("2026-11-22T02:00:00+00:00", "3", 0.94),
        ("2026-11-23T02:00:00+00:00", "4", 0.97),
    ]
    drawn = str(draw_champions(points, WIDE_PX))
    assert drawn.count('class="change"') == 2
    assert ">v3<" in drawn
    assert ">v4<" in drawn
    assert drawn.count('class="dot champion"') == 3
    assert "21 Nov" in drawn


def test_the_curves_and_the_calibration_show_every_point() -> None:
    history = {"train_loss": [0.5, 0.3, 0.2], "validation_loss": [0.6, 0.4, 0.3]}
    assert str(draw_history(history, "loss")).count("<circle") == 6
    drawn = str(draw_reliability({"challenger": [Bin(0.1, 0.2, 7)]}, "rust"))
    assert "given 10%, true 20%, 7 cells" in drawn
    assert "probability given to rust" in drawn
