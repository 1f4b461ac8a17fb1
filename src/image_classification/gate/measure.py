"""What is measured of a classifier: the one list, from which everything else takes its measures.

The ledger's columns, the card, the floors and guardrails of the policy and the history of the
demonstration all follow `MEASURES`. A new measure is one entry here; a guardrail or a floor on it
is one more line in `conf/base/parameters_promotion.yml`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from image_classification.gate.prediction import PROBABILITY_PREFIX

if TYPE_CHECKING:
    import pandas as pd

Names = npt.NDArray[np.object_]
Flags = npt.NDArray[np.bool_]

CALIBRATION_BINS = 10


@dataclass(frozen=True)
class Answers:
    """What a model answered about ``n`` labelled images.

    Attributes:
        labels: the true class of each image, ``(n,)``.
        categories: the class that the model called, ``(n,)``.
        probabilities: as the model gave them, ``(n, classes)``; a row sums to 1 but for the
            rounding of float32.
        class_names: the classes, in the order of the columns of `probabilities`.
        positive_class: the class whose recall is the sensitivity; all others are negative. None:
            what needs one is the mean over the classes, each against all others.
    """

    labels: Names
    categories: Names
    probabilities: npt.NDArray[np.floating]
    class_names: Sequence[str]
    positive_class: str | None

    @cached_property
    def right(self) -> Flags:
        """Whether the model called the true class, ``(n,)``."""
        return np.asarray(self.labels == self.categories, dtype=bool)

    @cached_property
    def positive(self) -> Flags:
        """Whether the image is of the positive class, ``(n,)``."""
        return np.asarray(self.labels == self.positive_class, dtype=bool)

    @cached_property
    def called(self) -> Flags:
        """Whether the model called the positive class, ``(n,)``."""
        return np.asarray(self.categories == self.positive_class, dtype=bool)

    @cached_property
    def shares(self) -> npt.NDArray[np.floating]:
        """The probabilities, each row divided by its sum, ``(n, classes)``."""
        sums = self.probabilities.sum(axis=1, keepdims=True)
        shares: npt.NDArray[np.floating] = self.probabilities / sums
        return shares


@dataclass(frozen=True)
class Measure:
    """A number that says how good a classifier is.

    Attributes:
        name: the key in decisions, tags, tables and the policy; must never change, since old
            ledgers and registered versions are read by it.
        title: as the card and the sentences of the gate show it.
        compute: from the answers of a model to the number.
        larger_is_better: False for an error or a loss.
        in_points: a difference is told in points, hundredths of the range from 0 to 1; False: as a
            plain number.
        shown_first: one of the few that the demonstration prints and keeps in its history.
    """

    name: str
    title: str
    compute: Callable[[Answers], float]
    larger_is_better: bool = True
    in_points: bool = True
    shown_first: bool = False

    @property
    def guardrail(self) -> str:
        """Key of the policy that says how much worse it may get."""
        return f"maximum_{self.name}_{'fall' if self.larger_is_better else 'rise'}"


def measure_predictions(
    predictions: pd.DataFrame, class_names: Sequence[str], positive_class: str | None
) -> dict[str, float]:
    """Measure predictions of labelled images.

    Args:
        predictions: columns `label`, `category` and ``probability_<class>`` of each class.
        class_names: all classes, in order.
        positive_class: the class whose recall is the sensitivity; see `Answers`.

    Returns:
        The name of each measure of `MEASURES`, in that order, and its value.
    """
    columns = [f"{PROBABILITY_PREFIX}{name}" for name in class_names]
    answers = Answers(
        labels=predictions["label"].to_numpy(dtype=object),
        categories=predictions["category"].to_numpy(dtype=object),
        probabilities=predictions[columns].to_numpy(),
        class_names=class_names,
        positive_class=positive_class,
    )
    return {measure.name: measure.compute(answers) for measure in MEASURES}


def measure_accuracy(answers: Answers) -> float:
    """Return the share of right answers, 0 to 1."""
    return float(answers.right.mean())


def _of_the_positive_class(compute: Callable[[Answers], float]) -> Callable[[Answers], float]:
    """Let a measure of the positive class be the mean over the classes where there is none.

    A class that no image has, or each, says nothing and is left out; NaN where that is all.
    """

    @wraps(compute)
    def measure(answers: Answers) -> float:
        if answers.positive_class is not None:
            return compute(answers)
        each = [replace(answers, positive_class=name) for name in answers.class_names]
        values = [compute(one) for one in each if one.positive.any() and not one.positive.all()]
        return sum(values) / len(values) if values else math.nan

    return measure


@_of_the_positive_class
def measure_auc(answers: Answers) -> float:
    """Return the area under the ROC curve of the positive class against the rest, 0 to 1."""
    from sklearn.metrics import roc_auc_score  # noqa: PLC0415

    column = [name == answers.positive_class for name in answers.class_names].index(True)
    return float(roc_auc_score(answers.positive, answers.probabilities[:, column]))


@_of_the_positive_class
def measure_sensitivity(answers: Answers) -> float:
    """Return the recall of the positive class, 0 to 1."""
    return float(answers.called[answers.positive].mean())


@_of_the_positive_class
def measure_specificity(answers: Answers) -> float:
    """Return the share of negative images that are not called positive, 0 to 1."""
    return float((~answers.called[~answers.positive]).mean())


@_of_the_positive_class
def measure_f1(answers: Answers) -> float:
    """Return the F1 of the positive class, 0 to 1; 0 where it is neither there nor called."""
    counted = int(answers.positive.sum() + answers.called.sum())
    hits = int((answers.positive & answers.called).sum())
    return 2 * hits / counted if counted else 0.0


def measure_calibration(answers: Answers) -> float:
    """Return the calibration error of the category called; see `measure_calibration_error`."""
    return measure_calibration_error(answers.shares.max(axis=1), answers.right)


def measure_log_loss(answers: Answers) -> float:
    """Return the mean negative logarithm of the probability given to the label, from 0 up."""
    from sklearn.metrics import log_loss  # noqa: PLC0415

    number = {name: column for column, name in enumerate(answers.class_names)}
    targets = [number[label] for label in answers.labels]
    return float(log_loss(targets, answers.shares, labels=range(len(number))))


def measure_calibration_error(confidences: npt.NDArray[np.floating], right: Flags) -> float:
    """Return the mean distance between confidence and accuracy, 0 to 1; 0 is calibrated.

    The expected calibration error (Naeini et al., 2015, AAAI 29), in bins that hold equally many
    images (Nguyen and O'Connor, 2015, EMNLP), since nearly all confidences are near 1. Images of
    equal confidence count alike, whatever their order and whichever bin they fall into.

    Args:
        confidences: probability of the predicted category, ``(n,)``.
        right: whether the predicted category is the label, ``(n,)``.
    """
    levels, level, images = np.unique(confidences, return_inverse=True, return_counts=True)
    shares = np.bincount(level, weights=right) / images
    in_order = np.sort(level)
    bins = np.array_split(in_order, min(CALIBRATION_BINS, len(in_order)))
    gaps = [abs(levels[rows].mean() - shares[rows].mean()) * len(rows) for rows in bins]
    return float(sum(gaps) / len(in_order))


MEASURES: tuple[Measure, ...] = (
    Measure("accuracy", "accuracy", measure_accuracy, shown_first=True),
    Measure("auc", "AUC", measure_auc, shown_first=True),
    Measure("sensitivity", "sensitivity", measure_sensitivity, shown_first=True),
    Measure("specificity", "specificity", measure_specificity, shown_first=True),
    Measure("f1", "F1", measure_f1, shown_first=True),
    Measure("calibration_error", "calibration error", measure_calibration, larger_is_better=False),
    Measure("log_loss", "log loss", measure_log_loss, larger_is_better=False, in_points=False),
)


def find_measure(name: str) -> Measure | None:
    """Return the measure of this name; None for one that is not measured any more."""
    return next((measure for measure in MEASURES if measure.name == name), None)


def measure_classes(
    predictions: pd.DataFrame, class_names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Return `precision`, `recall`, `f1` (0 to 1) and the number of `images` of each class.

    Args:
        predictions: columns `label` and `category`.
        class_names: all classes, in order.
    """
    from sklearn.metrics import precision_recall_fscore_support  # noqa: PLC0415

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


def average_classes(classes: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Return the macro averages of `precision`, `recall` and `f1`: each class counts alike.

    Args:
        classes: of `measure_classes`. A class without an image has no recall, and is left out.
    """
    measured = [of_class for of_class in classes.values() if of_class["images"]]
    return {
        name: sum(of_class[name] for of_class in measured) / len(measured)
        for name in ("precision", "recall", "f1")
    }


def count_confusions(predictions: pd.DataFrame, class_names: Sequence[str]) -> list[list[int]]:
    """Return the confusion matrix: a row per label, a column per category, in order.

    Args:
        predictions: columns `label` and `category`.
        class_names: all classes, in order.
    """
    from sklearn.metrics import confusion_matrix  # noqa: PLC0415

    columns = (predictions[name].to_numpy(dtype=object) for name in ("label", "category"))
    counts: list[list[int]] = confusion_matrix(*columns, labels=list(class_names)).tolist()
    return counts
