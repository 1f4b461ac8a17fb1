"""Measures of a classifier from its table of predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
    roc_auc_score,
)

PROBABILITY_PREFIX = "probability_"


def tabulate_predictions(
    images: pd.DataFrame,
    probabilities: npt.NDArray[np.floating],
    class_names: Sequence[str],
) -> pd.DataFrame:
    """Return `images` with a probability column per class and the predicted `category`.

    Args:
        images: one row per image, ``n`` rows.
        probabilities: shape ``(n, classes)``.
        class_names: the classes in the order of the columns of `probabilities`.
    """
    table = images.reset_index(drop=True).copy()
    for column, name in enumerate(class_names):
        table[f"{PROBABILITY_PREFIX}{name}"] = probabilities[:, column].astype(float)
    categories = np.asarray(class_names, dtype=object)
    table["category"] = categories[probabilities.argmax(axis=1)] if len(table) else []
    return table


def measure_predictions(
    predictions: pd.DataFrame, class_names: Sequence[str], positive_class: str
) -> dict[str, float]:
    """Measure predictions of labelled images.

    Args:
        predictions: columns `label`, `category` and ``probability_<class>`` of each class.
        class_names: all classes, in order.
        positive_class: the class whose recall is the sensitivity; all others are negative.

    Returns:
        `accuracy`, `auc` (area under the ROC curve of the positive class against the rest),
        `sensitivity`, `specificity`, `f1` (of the positive class), all 0 to 1, and `log_loss`.
    """
    labels = predictions["label"].to_numpy(dtype=object)
    categories = predictions["category"].to_numpy(dtype=object)
    positive, called = labels == positive_class, categories == positive_class
    probabilities = predictions[[f"{PROBABILITY_PREFIX}{name}" for name in class_names]].to_numpy()
    # In float32 they sum to 1 but for the rounding, which log_loss would warn of.
    probabilities = probabilities / probabilities.sum(axis=1, keepdims=True)
    index = {name: number for number, name in enumerate(class_names)}
    return {
        "accuracy": float(accuracy_score(labels, categories)),
        "auc": float(roc_auc_score(positive, predictions[f"{PROBABILITY_PREFIX}{positive_class}"])),
        "sensitivity": float(called[positive].mean()),
        "specificity": float((~called[~positive]).mean()),
        "f1": float(f1_score(positive, called, zero_division=0)),
        "log_loss": float(
            log_loss([index[label] for label in labels], probabilities, labels=range(len(index)))
        ),
    }


def measure_classes(
    predictions: pd.DataFrame, class_names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Return precision, recall, F1 (0 to 1) and the number of images of each class."""
    measures = precision_recall_fscore_support(
        predictions["label"].to_numpy(dtype=object),
        predictions["category"].to_numpy(dtype=object),
        labels=list(class_names),
        zero_division=0,
    )
    return {
        name: {
            "precision": float(measures[0][row]),
            "recall": float(measures[1][row]),
            "f1": float(measures[2][row]),
            "images": int(measures[3][row]),
        }
        for row, name in enumerate(class_names)
    }
