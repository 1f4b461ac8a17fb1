"""Figures of a trained network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from image_classification.gate.prediction import PROBABILITY_PREFIX

COLOURS = {"train": "#4c72b0", "validation": "#dd8452", "test": "#55a868"}

RELIABILITY_BINS = 10


def plot_curves(history: Mapping[str, Sequence[float]]) -> Figure:
    """Plot accuracy and loss by epoch.

    Args:
        history: `train_accuracy`, `validation_accuracy`, `train_loss`, `validation_loss`, a value
            per epoch each.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    for axes, measure in zip(figure.subplots(1, 2), ("accuracy", "loss"), strict=True):
        for split in ("train", "validation"):
            values = history[f"{split}_{measure}"]
            axes.plot(range(1, len(values) + 1), values, "o-", label=split, color=COLOURS[split])
        axes.set(xlabel="epoch", ylabel=measure, title=f"{measure.capitalize()} by epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    return figure


def plot_confusion(predictions: Mapping[str, pd.DataFrame], class_names: Sequence[str]) -> Figure:
    """Plot the confusion matrix of each split, with counts and their share of the row.

    Args:
        predictions: of each split, a table with `label` and `category`.
        class_names: the classes, in the order of rows and columns.
    """
    from sklearn.metrics import confusion_matrix  # noqa: PLC0415

    width = 4.5 + 0.5 * len(class_names)
    figure = Figure(figsize=(width * len(predictions), width - 0.5), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(predictions)))
    for axes, (split, table) in zip(panels, predictions.items(), strict=True):
        counts = confusion_matrix(table["label"], table["category"], labels=list(class_names))
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), count in np.ndenumerate(counts):
            share = shares[row, column]
            axes.text(
                column,
                row,
                f"{count}\n{share:.1%}",
                ha="center",
                va="center",
                color="white" if share > 0.5 else "black",
            )
        ticks = range(len(class_names))
        axes.set_xticks(ticks, class_names, rotation=30 if len(class_names) > 2 else 0)
        axes.set_yticks(ticks, class_names)
        axes.set(xlabel="predicted", ylabel="label", title=f"{split}: {len(table)} images")
    return figure


def plot_roc(
    predictions: Mapping[str, pd.DataFrame], class_names: Sequence[str], positive_class: str | None
) -> Figure:
    """Plot the ROC curve of the positive class against the rest, on each split.

    Without a positive class it is the curve of all pairs of an image and a class: is the image of
    the class? (the micro-average).

    Args:
        predictions: of each split, a table with `label` and the probability of each class.
        class_names: the classes.
        positive_class: the class whose recall is the sensitivity; None for none.
    """
    from sklearn.metrics import roc_auc_score, roc_curve  # noqa: PLC0415

    figure = Figure(figsize=(5.5, 5), layout="constrained")
    axes = figure.subplots()
    for split, table in predictions.items():
        asked = class_names if positive_class is None else [positive_class]
        positive = np.concatenate([table["label"] == name for name in asked])
        scores = np.concatenate([table[f"{PROBABILITY_PREFIX}{name}"] for name in asked])
        false_rate, true_rate, _ = roc_curve(positive, scores)
        area = roc_auc_score(positive, scores)
        axes.plot(false_rate, true_rate, label=f"{split} (AUC {area:.4f})", color=COLOURS[split])
    axes.plot([0, 1], [0, 1], ":", color="grey", label="chance")
    axes.set(
        xlabel="1 - specificity",
        ylabel="sensitivity",
        title=f"ROC curve of {_name_asked(positive_class, 'each class against the rest')}",
        aspect="equal",
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    return figure


def plot_reliability(predictions: Mapping[str, pd.DataFrame], positive_class: str | None) -> Figure:
    """Plot the observed share of the positive class against the probability given to it.

    Without a positive class it is the share of right answers against the probability of the class
    that was called.

    A reliability diagram (DeGroot and Fienberg, 1983, The Statistician 32) with bins of equal
    width; below it, how many images fall into each.

    Args:
        predictions: of each split, a table with `label` and the probability of each class.
        positive_class: the class whose share is observed; None for none.
    """
    figure = Figure(figsize=(5.5, 6), layout="constrained")
    axes, counts = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    edges = np.linspace(0, 1, RELIABILITY_BINS + 1)
    for split, table in predictions.items():
        asked = table["category"] if positive_class is None else positive_class
        positive = (table["label"] == asked).to_numpy()
        scores = _read_scores(table, positive_class).clip(0, 1)
        observed, given = _average_bins(positive, scores.to_numpy(float), edges)
        axes.plot(given, observed, "o-", label=split, color=COLOURS[split])
        counts.hist(scores, bins=edges, histtype="step", color=COLOURS[split])
    axes.plot([0, 1], [0, 1], ":", color="grey", label="perfect")
    named = _name_asked(positive_class, "the class called")
    axes.set(ylabel=f"share that is {named}", title="Reliability")
    counts.set(xlabel=f"probability given to {named}", ylabel="images", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def _name_asked(positive_class: str | None, otherwise: str) -> str:
    return otherwise if positive_class is None else f"'{positive_class}'"


def _read_scores(table: pd.DataFrame, positive_class: str | None) -> pd.Series:
    """Return the probability of the positive class, or of the class called, of each image."""
    if positive_class is not None:
        return table[f"{PROBABILITY_PREFIX}{positive_class}"]
    columns = [name for name in map(str, table) if name.startswith(PROBABILITY_PREFIX)]
    return table[columns].max(axis=1)


def _average_bins(
    positive: npt.NDArray[np.bool_],
    scores: npt.NDArray[np.floating],
    edges: npt.NDArray[np.floating],
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
    """Return the share of positives and the mean score of each bin that holds an image."""
    bin_of = np.searchsorted(edges[1:-1], scores)
    images = np.bincount(bin_of, minlength=len(edges) - 1)
    filled = images > 0
    sums = (np.bincount(bin_of, values, len(images)) for values in (positive, scores))
    observed, given = (total[filled] / images[filled] for total in sums)
    return observed, given
