"""Figures: drawn without pyplot, which keeps every figure and serves one thread."""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from image_classification import plots

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
FIGURES: dict[str, Callable[[], Figure]] = {
    "curves": lambda: plots.plot_curves(HISTORY),
    "curves of one epoch": lambda: plots.plot_curves({name: [0.5] for name in HISTORY}),
    "confusion": lambda: plots.plot_confusion(TABLES, CLASSES),
    "confusion of one split": lambda: plots.plot_confusion({"test": predict()}, CLASSES),
    "roc": lambda: plots.plot_roc(TABLES, "ring"),
    "reliability": lambda: plots.plot_reliability(TABLES, "ring"),
    "mistakes": lambda: plots.plot_contact_sheet(
        predict(8), np.zeros((8, 16, 16, 3), np.uint8), 9, 30
    ),
    "no mistake": lambda: plots.plot_contact_sheet(
        predict(8).head(0), np.zeros((0, 16, 16, 3), np.uint8), 0, 30
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
    figure = plots.plot_confusion(TABLES, CLASSES)

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

    assert render(plots.plot_confusion({"test": table}, CLASSES)).startswith(b"\x89PNG")


def test_roc_curve_names_the_area_of_each_split() -> None:
    from sklearn.metrics import roc_auc_score

    legend = plots.plot_roc(TABLES, "ring").axes[0].get_legend()

    for text, (split, table) in zip(legend.get_texts(), TABLES.items(), strict=False):
        area = roc_auc_score(table["label"] == "ring", table["probability_ring"])
        assert text.get_text() == f"{split} (AUC {area:.4f})"


def test_contact_sheet_says_how_many_mistakes_there_are_in_all() -> None:
    figure = plots.plot_contact_sheet(predict(8), np.zeros((8, 4, 4, 3), np.uint8), 9, 30)

    assert figure.get_suptitle() == "The 8 most confident of 9 mistakes in 30 images"
    assert sum(bool(axes.images) for axes in figure.axes) == 8
