"""Measures of a classifier from its table of predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
    roc_auc_score,
)

PROBABILITY_PREFIX = "probability_"
BOOTSTRAP_SEED = 20150601
PREDICTION_NAMES = ("image_id", "image_name", "patient", "label", "category", "model_version")
"""Columns of a table of predictions that hold names, which a CSV reader must not take for numbers:
patient 007 is another than patient 7, and a class may be called NA. The catalog says the same."""
CALIBRATION_BINS = 10


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


def read_predictions(file: IO[bytes]) -> pd.DataFrame:
    """Read a table of predictions from CSV, each name as it was written."""
    return pd.read_csv(
        file, dtype=dict.fromkeys(PREDICTION_NAMES, str), keep_default_na=False, na_values=[""]
    )


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
        `sensitivity`, `specificity`, `f1` (of the positive class), `calibration_error`, all 0 to 1,
        and `log_loss`.
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
        "calibration_error": measure_calibration_error(
            probabilities.max(axis=1), labels == categories
        ),
        "log_loss": float(
            log_loss([index[label] for label in labels], probabilities, labels=range(len(index)))
        ),
    }


def measure_calibration_error(
    confidences: npt.NDArray[np.floating], right: npt.NDArray[np.bool_]
) -> float:
    """Return the mean distance between confidence and accuracy, 0 to 1: 0 is calibrated.

    The expected calibration error (Naeini et al., 2015, AAAI 29), in bins that hold equally many
    images (Nguyen and O'Connor, 2015, EMNLP), since nearly all confidences are near 1. Images of
    equal confidence count alike, whatever their order and whichever bin they fall into.

    Args:
        confidences: probability of the predicted category, ``(n,)``.
        right: whether it is the label, ``(n,)``.
    """
    levels, level, images = np.unique(confidences, return_inverse=True, return_counts=True)
    shares = np.bincount(level, weights=right) / images
    in_order = np.sort(level)
    bins = np.array_split(in_order, min(CALIBRATION_BINS, len(in_order)))
    gaps = [abs(levels[rows].mean() - shares[rows].mean()) * len(rows) for rows in bins]
    return float(sum(gaps) / len(in_order))


def bootstrap_patients(
    sums: npt.NDArray[np.floating],
    images: npt.NDArray[np.floating],
    confidence: float,
    resamples: int,
) -> tuple[float, float]:
    """Return the interval of a mean over images, drawing whole patients with replacement.

    Cells of one patient are right or wrong together, so the patient is the unit, not the cell:
    Davison A. C. and Hinkley D. V. (1997), Bootstrap Methods and their Application, section 3.8.
    The interval is bias-corrected and accelerated: Efron B. (1987), JASA 82:171.

    Args:
        sums: of each patient, over its images, ``(patients,)``; two patients or more.
        images: of each patient, how many there are, ``(patients,)``.
        confidence: of the two-sided interval, 0 to 1.
        resamples: how many times to draw; always the same draws.

    Returns:
        Lower and upper end; the mean is never outside.
    """
    mean = float(sums.sum() / images.sum())
    if np.ptp(sums / images) == 0:  # whichever are drawn, the mean is the same
        return mean, mean

    def average(
        drawn: npt.NDArray[np.floating], counts: npt.NDArray[np.floating], axis: int
    ) -> npt.NDArray[np.floating]:
        means: npt.NDArray[np.floating] = drawn.sum(axis=axis) / counts.sum(axis=axis)
        return means

    def draw(method: str) -> tuple[float, float]:
        interval = stats.bootstrap(
            (sums, images),
            average,
            paired=True,
            vectorized=True,
            method=method,
            confidence_level=confidence,
            n_resamples=resamples,
            rng=np.random.default_rng(BOOTSTRAP_SEED),
        ).confidence_interval
        return float(interval.low), float(interval.high)

    with np.errstate(all="ignore"):
        low, high = draw("BCa")
    if not np.isfinite([low, high]).all():
        low, high = draw("percentile")
    # Corrected for bias and skewness, it may leave out the mean itself, if only by a rounding.
    return min(low, mean), max(high, mean)


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
