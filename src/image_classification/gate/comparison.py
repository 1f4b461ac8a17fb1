"""Challenger and champion on the same images: how the two are measured and compared.

Sources of the methods:

- Exact test of paired right and wrong answers: McNemar Q. (1947), Psychometrika 12:153; its exact
  form: Fay M. P. (2010), Biostatistics 11:373. One-sided here.
- Interval of the gain, whole patients drawn with replacement: `bootstrap.bootstrap_patients`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from image_classification import words
from image_classification.errors import DataError
from image_classification.gate.bootstrap import bootstrap_patients, sum_by_patient
from image_classification.gate.measure import measure_classes, measure_predictions
from image_classification.gate.policy import (
    Improvement,
    PromotionPolicy,
    settle_improvement,
)
from image_classification.gate.posterior import measure_spread
from image_classification.gate.prediction import find_right


def compare_predictions(
    challenger: pd.DataFrame,
    champion: pd.DataFrame,
    class_names: Sequence[str],
    positive_class: str | None,
    policy: PromotionPolicy,
    champion_fault: str = "",
) -> dict[str, Any]:
    """Measure two models on the same images, and return all that the verdict is based on.

    Args:
        challenger: a row per image: `image_id`, `patient`, `label`, ``probability_<class>`` of each
            class, `category`, `model_version`.
        champion: the same rows in the same order; empty where there is no champion.
        class_names: the classes, in order.
        positive_class: the class whose recall is the sensitivity; None for none.
        policy: confidence, resamples, and how many images make a patient a slice.
        champion_fault: why the champion could not be scored; "" if it was.

    Returns:
        `challenger` and `champion` (`version`, `metrics`, and `classes`, the measures of each
        class; None for no champion), `champion_fault`, `positive_class`, `images`, `patients`,
        `validation_patients` (names), `majority` (`class` and `share` of the commonest label),
        `tests` (`gain`, `low`, `high`,
        `confidence`, `patients`, `spread` of the patients' gains, `only_challenger_right`,
        `only_champion_right`, `p_value`; None without a champion) and `slices` (of each patient
        with enough images: `patient`, `images`, `challenger`, `champion`, the accuracies).

    Raises:
        DataError: the tables are empty, or not of the same images, patients and labels.
    """
    if challenger.empty:
        raise DataError("There is no validation image to judge the challenger on.")
    compared = bool(len(champion)) and not champion_fault
    if compared:
        _check_same_images(challenger, champion)
    classes = (class_names, positive_class)
    return {
        "challenger": _describe_model(challenger, *classes),
        "champion": _describe_model(champion, *classes) if compared else None,
        "champion_fault": champion_fault,
        "positive_class": positive_class,
        "images": len(challenger),
        "patients": int(challenger["patient"].nunique()),
        "majority": _find_majority(challenger["label"]),
        "validation_patients": sorted(challenger["patient"].astype(str).unique()),
        "tests": _test_gain(challenger, champion, settle_improvement(policy["improvement"]))
        if compared
        else None,
        "slices": _slice_by_patient(
            challenger,
            champion if compared else None,
            policy["guardrails"]["minimum_patient_images"],
        ),
    }


def _describe_model(
    predictions: pd.DataFrame, class_names: Sequence[str], positive_class: str | None
) -> dict[str, Any]:
    return {
        "version": read_version(predictions),
        "metrics": measure_predictions(predictions, class_names, positive_class),
        "classes": measure_classes(predictions, class_names),
    }


def _find_majority(labels: pd.Series) -> dict[str, Any]:
    counts = labels.astype(str).value_counts().sort_index(ascending=False).sort_values()
    return {"class": str(counts.index[-1]), "share": float(counts.iloc[-1] / counts.sum())}


def read_version(predictions: pd.DataFrame) -> str:
    """Return the version of the model that made the predictions; "" where it has none yet."""
    version = predictions["model_version"].iloc[0]
    # The CSV between the nodes gives an empty cell back as NaN.
    return "" if pd.isna(version) else str(version)


def _test_gain(
    challenger: pd.DataFrame, champion: pd.DataFrame, rule: Improvement
) -> dict[str, Any]:
    ours, theirs = find_right(challenger), find_right(champion)
    only_ours, only_theirs = int((ours > theirs).sum()), int((ours < theirs).sum())
    sums = sum_by_patient(challenger["patient"], ours - theirs)
    low, high = bootstrap_gain(*sums, rule["confidence"], rule["resamples"])
    return {
        "gain": float((ours - theirs).mean()),
        "low": low,
        "high": high,
        "confidence": rule["confidence"],
        "patients": len(sums[0]),
        "spread": measure_spread(*sums),
        "only_challenger_right": only_ours,
        "only_champion_right": only_theirs,
        "p_value": measure_mcnemar(only_ours, only_theirs),
    }


def bootstrap_gain(
    gains: npt.NDArray[np.floating],
    images: npt.NDArray[np.floating],
    confidence: float,
    resamples: int,
) -> tuple[float, float]:
    """Return the interval of the gain in accuracy, drawing whole patients with replacement.

    Args:
        gains: of each patient, how many more images the challenger has right, ``(patients,)``.
        images: of each patient, the number of images, ``(patients,)``.
        confidence: of the two-sided interval, 0 to 1.
        resamples: how many times to draw.

    Returns:
        Lower and upper end, shares of accuracy; -1 and 1 where there are fewer than two patients.
    """
    if len(gains) < 2:
        return -1.0, 1.0  # one patient tells nothing about others
    return bootstrap_patients(gains, images, confidence, resamples)


def measure_mcnemar(only_challenger_right: int, only_champion_right: int) -> float:
    """Return the one-sided p-value of the exact McNemar test: is the challenger right more often?

    Args:
        only_challenger_right: images that the challenger alone has right.
        only_champion_right: images that the champion alone has right.
    """
    differing = only_challenger_right + only_champion_right
    if not differing:
        return 1.0
    return float(
        stats.binomtest(only_challenger_right, differing, 0.5, alternative="greater").pvalue
    )


def _slice_by_patient(
    challenger: pd.DataFrame, champion: pd.DataFrame | None, minimum_images: int
) -> list[dict[str, Any]]:
    cells = pd.DataFrame(
        {"patient": challenger["patient"].to_numpy(), "challenger": find_right(challenger)}
    )
    cells["champion"] = np.nan if champion is None else find_right(champion)
    table = cells.groupby("patient").agg(
        images=("challenger", "size"),
        challenger=("challenger", "mean"),
        champion=("champion", "mean"),
    )
    return [
        {
            "patient": str(patient),
            "images": int(row["images"]),
            "challenger": float(row["challenger"]),
            "champion": None if champion is None else float(row["champion"]),
        }
        for patient, row in table[table["images"] >= minimum_images].iterrows()
    ]


def _check_same_images(challenger: pd.DataFrame, champion: pd.DataFrame) -> None:
    ours, theirs = (
        table[["image_id", "patient", "label"]].to_numpy(object).tolist()
        for table in (challenger, champion)
    )
    if ours != theirs:
        raise DataError(
            f"Challenger and champion were not scored on the same images, of the same "
            f"{words.current().groups} and with the same labels, in the same order: "
            f"{len(ours)} and {len(theirs)} rows. Run "
            "score_challenger and score_champion of the same run again."
        )
