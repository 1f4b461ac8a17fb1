"""Figures of challenger and champion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from drawing import assert_is_drawn, assert_threads_draw_alike
from judgement import CLASSES, POSITIVE, make_policy, predict
from matplotlib.figure import Figure

from image_classification import figures
from image_classification.gate.comparison import compare_predictions

ANY_GAIN = (0.0, "the mean beyond this")
OURS, THEIRS = {"C1": "1111", "C2": "1101", "C3": "10"}, {"C1": "1101", "C2": "1101", "C3": "11"}


def compare(minimum_images: int = 3, champion: bool = True, fault: str = "") -> dict[str, Any]:
    policy = make_policy(minimum_patient_images=minimum_images)
    theirs = predict(THEIRS, "1") if champion else predict(THEIRS).iloc[:0]
    return compare_predictions(predict(OURS), theirs, CLASSES, POSITIVE, policy, fault)


def report(nights: int) -> pd.DataFrame:
    """Return a report of the gate: every third night without a champion."""
    rows = [
        {
            "version": str(night + 1),
            "gain": None if night % 3 == 0 else 0.01 * night,
            "gain_low": None if night % 3 == 0 else 0.01 * night - 0.02,
            "gain_high": None if night % 3 == 0 else 0.01 * night + 0.02,
            "then": ["promote", "keep", "refuse", "keep"][night % 4],
            "now": ["promote", "promote", "refuse", "keep"][night % 4],
        }
        for night in range(nights)
    ]
    columns = ["version", "gain", "gain_low", "gain_high", "then", "now"]
    return pd.DataFrame(rows, columns=columns)


FIGURES: dict[str, Callable[[], Figure]] = {
    "comparison": lambda: figures.plot_comparison(compare(), ANY_GAIN),
    "comparison without champion": lambda: figures.plot_comparison(
        compare(champion=False), ANY_GAIN
    ),
    "comparison with a fault": lambda: figures.plot_comparison(
        compare(fault="gone " * 40), ANY_GAIN
    ),
    "comparison without slices": lambda: figures.plot_comparison(
        compare(minimum_images=9), ANY_GAIN
    ),
    "gate report": lambda: figures.plot_gate_report(report(9)),
    "gate report of nothing": lambda: figures.plot_gate_report(report(0)),
}


@pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES.keys())
def test_a_figure_becomes_a_png_and_leaves_nothing_in_pyplot(draw: Callable[[], Figure]) -> None:
    assert_is_drawn(draw)


def test_figures_can_be_drawn_in_several_threads() -> None:
    assert_threads_draw_alike(FIGURES["comparison"])


def test_a_comparison_shows_the_gain_its_interval_and_what_is_required() -> None:
    comparison = compare()
    gain, _ = figures.plot_comparison(comparison, (0.02, "this")).axes

    (line,) = [line for line in gain.lines if line.get_label() == "required: this"]
    assert line.get_xdata() == [2.0, 2.0]
    (drawn,) = gain.containers
    point, _, (bar,) = drawn.lines
    assert point.get_xdata().tolist() == [100 * comparison["tests"]["gain"]]
    ends = 100 * comparison["tests"]["low"], 100 * comparison["tests"]["high"]
    assert bar.get_segments()[0][:, 0].tolist() == pytest.approx(ends)
    assert "95 % interval\nover 3 patients" in gain.get_title()


def test_a_comparison_shows_each_large_patient_the_worst_first() -> None:
    _, patients = figures.plot_comparison(compare(), ANY_GAIN).axes

    assert [text.get_text() for text in patients.get_yticklabels()] == ["C2 (4)", "C1 (4)"]
    shares = {line.get_label(): list(line.get_xdata()) for line in patients.lines}
    assert shares["challenger"] == [0.75, 1.0]
    assert shares["champion"] == [0.75, 0.75]


@pytest.mark.parametrize(
    ("fault", "said"), [("", "no champion yet"), ("its files are gone", "its files are gone")]
)
def test_a_comparison_without_champion_says_why_and_shows_the_challenger(
    fault: str, said: str
) -> None:
    gain, patients = figures.plot_comparison(compare(champion=False, fault=fault), ANY_GAIN).axes

    assert [text.get_text() for text in gain.texts] == [said]
    shares = {line.get_label(): list(line.get_xdata()) for line in patients.lines}
    assert shares == {"challenger": [0.75, 1.0]}


def test_a_gate_report_counts_the_promotions_of_both_policies() -> None:
    table = report(9)
    _, counts = figures.plot_gate_report(table).axes

    drawn = {line.get_label(): int(line.get_ydata()[-1]) for line in counts.lines}
    assert drawn == {"policy of the time": 3, "asked for": 5}
    names = [text.get_text() for text in counts.get_xticklabels()]
    assert names == [f"v{number}" for number in range(1, 10)]


def test_a_gate_report_of_a_year_keeps_its_labels_apart() -> None:
    _, counts = figures.plot_gate_report(report(365)).axes

    names = [text.get_text() for text in counts.get_xticklabels()]
    assert names[:2] == ["v1", "v20"]
    assert len(names) == 20
    assert list(counts.get_xticks())[:2] == [0, 19]


def test_a_gate_report_colours_each_comparison_by_the_verdict_asked_for() -> None:
    gains, _ = figures.plot_gate_report(report(6)).axes

    drawn = {line.get_label(): list(line.get_xdata()) for line in gains.lines}
    assert {name: drawn[name] for name in ("promote", "keep", "refuse")} == {
        "promote": [0, 1, 4, 5],
        "keep": [3],
        "refuse": [2],
    }
    points = {line.get_label(): list(line.get_ydata()) for line in gains.lines}
    assert points["refuse"] == pytest.approx([2.0])
    assert points["promote"] == pytest.approx([0.0, 1.0, 4.0, 5.0])


def test_what_is_required_fits_beside_the_gain_however_long_it_is() -> None:
    demand = "belief beyond this, at most 0.3 points lost on average"
    gain, _ = figures.plot_comparison(compare(), (0.0, demand)).axes
    (text,) = gain.get_legend().get_texts()
    lines = text.get_text().splitlines()
    assert " ".join(lines) == f"required: {demand}"
    assert max(map(len, lines)) <= 30
