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


def plot_roc(predictions: Mapping[str, pd.DataFrame], positive_class: str) -> Figure:
    """Plot the ROC curve of the positive class against the rest, on each split.

    Args:
        predictions: of each split, a table with `label` and the probability of each class.
        positive_class: the class whose recall is the sensitivity.
    """
    from sklearn.metrics import roc_auc_score, roc_curve  # noqa: PLC0415

    figure = Figure(figsize=(5.5, 5), layout="constrained")
    axes = figure.subplots()
    for split, table in predictions.items():
        positive = (table["label"] == positive_class).to_numpy()
        scores = table[f"{PROBABILITY_PREFIX}{positive_class}"]
        false_rate, true_rate, _ = roc_curve(positive, scores)
        area = roc_auc_score(positive, scores)
        axes.plot(false_rate, true_rate, label=f"{split} (AUC {area:.4f})", color=COLOURS[split])
    axes.plot([0, 1], [0, 1], ":", color="grey", label="chance")
    axes.set(
        xlabel="1 - specificity",
        ylabel="sensitivity",
        title=f"ROC curve of '{positive_class}'",
        aspect="equal",
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    return figure


def plot_reliability(predictions: Mapping[str, pd.DataFrame], positive_class: str) -> Figure:
    """Plot the observed share of the positive class against the probability given to it.

    A reliability diagram (DeGroot and Fienberg, 1983, The Statistician 32) with bins of equal
    width; below it, how many images fall into each.

    Args:
        predictions: of each split, a table with `label` and the probability of each class.
        positive_class: the class whose share is observed.
    """
    figure = Figure(figsize=(5.5, 6), layout="constrained")
    axes, counts = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    edges = np.linspace(0, 1, RELIABILITY_BINS + 1)
    for split, table in predictions.items():
        positive = (table["label"] == positive_class).to_numpy()
        scores = table[f"{PROBABILITY_PREFIX}{positive_class}"].clip(0, 1)
        observed, given = _average_bins(positive, scores.to_numpy(float), edges)
        axes.plot(given, observed, "o-", label=split, color=COLOURS[split])
        counts.hist(scores, bins=edges, histtype="step", color=COLOURS[split])
    axes.plot([0, 1], [0, 1], ":", color="grey", label="perfect")
    axes.set(ylabel=f"share that is '{positive_class}'", title="Reliability")
    counts.set(xlabel=f"probability given to '{positive_class}'", ylabel="images", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


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
