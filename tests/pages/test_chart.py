"""Charts: what they escape, and where their ticks lie."""

from __future__ import annotations

import math

from image_classification.pages.chart import (
    Chart,
    scale_shares,
    tick_counts,
    tick_numbers,
    tick_shares,
)


def test_every_text_is_escaped() -> None:
    chart = Chart("<b>", (0, 1), (0, 1))
    chart.rule_x([(0, "<i>")], "</svg>")
    chart.rule_y([(0, "<u>")])
    chart.draw_points([(0, 0, "<script>")], "challenger")
    chart.write(1, 1, "<a>")
    drawn = str(chart.render())
    for name in ("<b>", "<i>", "<u>", "<script>", "<a>"):
        assert name not in drawn
        assert name.replace("<", "&lt;").replace(">", "&gt;") in drawn
    assert drawn.count("</svg>") == 1


def test_ends_leave_room_and_stay_between_nothing_and_all() -> None:
    low, high = scale_shares([0.9, 0.98, math.nan])
    assert 0.88 < low < 0.9
    assert 0.98 < high <= 1
    assert scale_shares([]) == (0.0, 1.0)
    low, high = scale_shares([0.95])
    assert low < 0.95 < high


def test_ticks_are_round_and_few() -> None:
    labels = [label for _, label in tick_shares((0.0, 1.0))]
    assert labels == ["0 %", "20 %", "40 %", "60 %", "80 %", "100 %"]
    assert len(tick_shares((0.0, 1.0), most=4)) <= 4
    assert [label for _, label in tick_shares((0.912, 0.948))] == ["92 %", "93 %", "94 %"]
    assert tick_counts(3) == [(1, "1"), (2, "2"), (3, "3")]
    assert len(tick_counts(100)) <= 8
    assert [label for _, label in tick_numbers(0, 0.6)] == ["0", "0.2", "0.4", "0.6"]
