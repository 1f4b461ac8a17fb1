"""How shares and differences are printed."""

from __future__ import annotations

import pytest

from image_classification.gate.number import format_change, format_points

MINUS = "\N{MINUS SIGN}"


@pytest.mark.parametrize(
    ("share", "points"),
    [(0.004, "+0.4"), (-0.0061, f"{MINUS}0.6"), (0.0, "+0.0"), (1.0, "+100.0")],
)
def test_shares_are_told_as_points_with_a_sign(share: float, points: str) -> None:
    assert format_points(share) == points
    assert format_points(share, "") == points.removeprefix("+")


@pytest.mark.parametrize(
    ("change", "in_points", "told"),
    [
        (0.004, True, "+0.4 points"),
        (-0.02, True, f"{MINUS}2.0 points"),
        (0.02, False, "+0.0200"),
        (-0.02, False, f"{MINUS}0.0200"),
    ],
)
def test_a_difference_is_told_in_points_or_as_it_is(
    change: float, in_points: bool, told: str
) -> None:
    assert format_change(change, in_points=in_points) == told
    assert format_change(change, in_points=in_points, sign="") == told.removeprefix("+")
