"""Figures of a trained network."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from drawing import assert_is_drawn, assert_threads_draw_alike
from matplotlib.figure import Figure
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_auc_score

from image_classification import figures

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
    "train_accuracy": [0.5, 0.6, 0.7],
    "validation_accuracy": [0.4, 0.5, 0.6],
    "train_loss": [0.9, 0.8, 0.7],
    "validation_loss": [1.0, 0.9, 0.8],
}
FIGURES: dict[str, Callable[[], Figure]] = {
    "curves": lambda: figures.plot_curves(HISTORY),
    "curves of one epoch": lambda: figures.plot_curves({name: [0.5] for name in HISTORY}),
    "confusion": lambda: figures.plot_confusion(TABLES, CLASSES),
    "confusion of one split": lambda: figures.plot_confusion({"test": predict()}, CLASSES),
    "confusion without a class": lambda: figures.plot_confusion(
        {"test": predict()[lambda table: table["label"] != "smudge"]}, CLASSES
    ),
    "roc": lambda: figures.plot_roc(TABLES, CLASSES, "ring"),
    "roc of no class": lambda: figures.plot_roc(TABLES, CLASSES, None),
    "reliability of no class": lambda: figures.plot_reliability(TABLES, None),
    "reliability": lambda: figures.plot_reliability(TABLES, "ring"),
}


@pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES.keys())
def test_a_figure_becomes_a_png_and_leaves_nothing_in_pyplot(draw: Callable[[], Figure]) -> None:
    assert_is_drawn(draw)


def test_figures_can_be_drawn_in_several_threads() -> None:
    assert_threads_draw_alike(FIGURES["roc"])


def test_curves_show_each_measure_of_both_splits_by_epoch() -> None:
    accuracy, loss = figures.plot_curves(HISTORY).axes

    for axes, measure in ((accuracy, "accuracy"), (loss, "loss")):
        drawn = {line.get_label(): list(line.get_ydata()) for line in axes.lines}
        assert drawn == {split: HISTORY[f"{split}_{measure}"] for split in ("train", "validation")}
        assert list(axes.lines[0].get_xdata()) == [1, 2, 3]
        assert axes.get_ylabel() == measure


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


def test_confusion_matrix_has_a_row_per_label_with_shares_of_that_label() -> None:
    table = pd.DataFrame({"label": ["a", "a", "a", "b"], "category": ["a", "a", "b", "b"]})

    (axes,) = figures.plot_confusion({"test": table}, ["a", "b"]).axes

    texts = {text.get_position(): text.get_text() for text in axes.texts}
    assert texts == {  # column, row
        (0, 0): "2\n66.7%",
        (1, 0): "1\n33.3%",
        (0, 1): "0\n0.0%",
        (1, 1): "1\n100.0%",
    }


def test_roc_curve_names_the_area_of_each_split() -> None:
    legend = figures.plot_roc(TABLES, CLASSES, "ring").axes[0].get_legend()

    for text, (split, table) in zip(legend.get_texts(), TABLES.items(), strict=False):
        area = roc_auc_score(table["label"] == "ring", table["probability_ring"])
        assert text.get_text() == f"{split} (AUC {area:.4f})"


def test_reliability_shows_observed_shares_and_counts_every_image() -> None:
    table = pd.DataFrame(
        {"label": ["p", "u", "p", "p"], "probability_p": [0.15, 0.15, 0.95, 1.0000001]}
    )

    axes, counts = figures.plot_reliability({"test": table}, "p").axes

    drawn = {line.get_label(): line for line in axes.lines}
    assert list(drawn["test"].get_ydata()) == [0.5, 1.0]
    assert list(drawn["test"].get_xdata()) == pytest.approx([0.15, 0.975])
    assert counts.patches[0].get_xy()[:, 1].max() == 2
    assert set(drawn) == {"test", "perfect"}


def test_reliability_bins_as_scikit_learn_does() -> None:
    table = predict(200).assign(probability_ring=np.linspace(0, 1, 200).round(1))

    axes, _ = figures.plot_reliability({"test": table}, "ring").axes

    observed, given = calibration_curve(
        table["label"] == "ring", table["probability_ring"], n_bins=10
    )
    assert axes.lines[0].get_ydata() == pytest.approx(observed)
    assert axes.lines[0].get_xdata() == pytest.approx(given)
