"""Figures: drawn without pyplot, which keeps every figure and serves one thread."""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
import pytest
from judgement import CLASSES as TWO_CLASSES
from judgement import POSITIVE, make_policy
from judgement import predict as predict_two
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from image_classification import figures
from image_classification.gate.comparison import compare_predictions

CLASSES = ["ring", "healthy", "smudge"]


def predict(count: int = 30) -> pd.DataFrame:
    random = np.random.default_rng(count)
    probabilities = random.dirichlet(np.ones(3), count)
    table = pd.DataFrame(probabilities, columns=[f"probability_{name}" for name in CLASSES])
    table["label"] = [CLASSES[number % 3] for number in range(count)]
    table["category"] = [CLASSES[number] for number in probabilities.argmax(axis=1)]
    return table.assign(patient="C1", confidence=probabilities.max(axis=1))


TABLES = {"validation": predict(30), "test": predict(24)}
HISTORY = {
    f"{split}_{name}": [0.5, 0.4, 0.3]
    for split in ("train", "validation")
    for name in ("accuracy", "loss")
}
OURS, THEIRS = {"C1": "1111", "C2": "1101", "C3": "10"}, {"C1": "1101", "C2": "1101", "C3": "11"}


def compare(minimum_images: int = 3, champion: bool = True, fault: str = "") -> dict[str, Any]:
    policy = make_policy(minimum_patient_images=minimum_images)
    theirs = predict_two(THEIRS, "1") if champion else predict_two(THEIRS).iloc[:0]
    return compare_predictions(predict_two(OURS), theirs, TWO_CLASSES, POSITIVE, policy, fault)


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
    "curves": lambda: figures.plot_curves(HISTORY),
    "curves of one epoch": lambda: figures.plot_curves({name: [0.5] for name in HISTORY}),
    "confusion": lambda: figures.plot_confusion(TABLES, CLASSES),
    "confusion of one split": lambda: figures.plot_confusion({"test": predict()}, CLASSES),
    "roc": lambda: figures.plot_roc(TABLES, "ring"),
    "reliability": lambda: figures.plot_reliability(TABLES, "ring"),
    "mistakes": lambda: figures.plot_contact_sheet(
        predict(8), np.zeros((8, 16, 16, 3), np.uint8), 9, 30
    ),
    "no mistake": lambda: figures.plot_contact_sheet(
        predict(8).head(0), np.zeros((0, 16, 16, 3), np.uint8), 0, 30
    ),
    "comparison": lambda: figures.plot_comparison(compare(), 0.0),
    "comparison without champion": lambda: figures.plot_comparison(compare(champion=False), 0.0),
    "comparison with a fault": lambda: figures.plot_comparison(compare(fault="gone " * 40), 0.0),
    "comparison without slices": lambda: figures.plot_comparison(compare(minimum_images=9), 0.0),
    "gate report": lambda: figures.plot_gate_report(report(9)),
    "gate report of nothing": lambda: figures.plot_gate_report(report(0)),
    "trend": lambda: figures.plot_champion_trend(TREND),
    "trend of one night": lambda: figures.plot_champion_trend(TREND.head(1)),
    "trend without a reference": lambda: figures.plot_champion_trend(
        TREND.assign(reference=np.nan)
    ),
}


def render(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=40)
    return file.getvalue()


@pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES.keys())
def test_a_figure_becomes_a_png_and_leaves_nothing_in_pyplot(draw: Callable[[], Figure]) -> None:
    before = plt.get_fignums()

    content = render(draw())

    assert content.startswith(b"\x89PNG")
    assert plt.get_fignums() == before


def test_figures_can_be_drawn_in_several_threads() -> None:
    with ThreadPoolExecutor(4) as pool:
        contents = list(pool.map(lambda draw: render(draw()), FIGURES.values()))

    assert contents == [render(draw()) for draw in FIGURES.values()]


def test_confusion_matrix_counts_every_image_of_each_split() -> None:
    figure = figures.plot_confusion(TABLES, CLASSES)

    for axes, (split, table) in zip(figure.axes, TABLES.items(), strict=True):
        counts = [int(text.get_text().split("\n")[0]) for text in axes.texts]
        assert len(counts) == 9
        assert sum(counts) == len(table)
        assert axes.get_title() == f"{split}: {len(table)} images"
        diagonal = [counts[0], counts[4], counts[8]]
        assert sum(diagonal) == (table["label"] == table["category"]).sum()
        assert [label.get_text() for label in axes.get_yticklabels()] == CLASSES


def test_confusion_matrix_shows_a_class_without_images() -> None:
    table = predict(30)
    table = table[table["label"] != "smudge"]

    assert render(figures.plot_confusion({"test": table}, CLASSES)).startswith(b"\x89PNG")


def test_roc_curve_names_the_area_of_each_split() -> None:
    from sklearn.metrics import roc_auc_score

    legend = figures.plot_roc(TABLES, "ring").axes[0].get_legend()

    for text, (split, table) in zip(legend.get_texts(), TABLES.items(), strict=False):
        area = roc_auc_score(table["label"] == "ring", table["probability_ring"])
        assert text.get_text() == f"{split} (AUC {area:.4f})"


def test_contact_sheet_says_how_many_mistakes_there_are_in_all() -> None:
    figure = figures.plot_contact_sheet(predict(8), np.zeros((8, 4, 4, 3), np.uint8), 9, 30)

    assert figure.get_suptitle() == "The 8 most confident of 9 mistakes in 30 images"
    assert sum(bool(axes.images) for axes in figure.axes) == 8


def test_a_comparison_shows_the_gain_its_interval_and_what_is_required() -> None:
    comparison = compare()
    gain, _ = figures.plot_comparison(comparison, 0.02).axes

    (line,) = [line for line in gain.lines if line.get_label() == "required: beyond this"]
    assert line.get_xdata() == [2.0, 2.0]
    (drawn,) = gain.containers
    point, _, (bar,) = drawn.lines
    assert point.get_xdata().tolist() == [100 * comparison["tests"]["gain"]]
    ends = 100 * comparison["tests"]["low"], 100 * comparison["tests"]["high"]
    assert bar.get_segments()[0][:, 0].tolist() == pytest.approx(ends)
    assert "95 % interval\nover 3 patients" in gain.get_title()


def test_a_comparison_shows_each_large_patient_the_worst_first() -> None:
    _, patients = figures.plot_comparison(compare(), 0.0).axes

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
    gain, patients = figures.plot_comparison(compare(champion=False, fault=fault), 0.0).axes

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


def test_trend_marks_each_champion_the_alerts_and_the_nights_without_a_number() -> None:
    figure = figures.plot_champion_trend(TREND)

    (axes,) = figure.axes
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
