"""The champion on the newest labelled days: on which images, how accurate, what a fall means.

Sources of the methods:

- Interval of the accuracy, whole patients drawn with replacement: `bootstrap.bootstrap_patients`.
- Area under the ROC curve: Hanley J. A. and McNeil B. J. (1982), Radiology 143:29.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from annotated_types import Ge, Lt
from typing_extensions import TypedDict

from image_classification import words
from image_classification.gate.bootstrap import bootstrap_patients, sum_by_patient
from image_classification.gate.night import NUMBERS, TREND_COLUMNS, locate_nights
from image_classification.gate.number import DECIMALS, format_points
from image_classification.gate.policy import Count, Share
from image_classification.gate.prediction import PROBABILITY_PREFIX, find_right
from image_classification.gate.verdict import KEEP


class MonitoringParameters(TypedDict):
    """Which images the champion is watched on, and when its fall is an alert.

    Attributes:
        minimum_images: days are added, from the newest back, until they hold this many images of
            patients that the champion was not trained on,
        minimum_patients: and until those images are of this many patients.
        maximum_days: no more days than this are taken; days without a captured image do not count.
        maximum_accuracy_fall: share of accuracy that the champion may lose against its validation
            when it was judged.
        confidence: of the two-sided interval over patients.
        resamples: of the bootstrap that gives the interval.
    """

    minimum_images: Count
    minimum_patients: Annotated[int, Ge(2)]
    maximum_days: Count
    maximum_accuracy_fall: Share
    confidence: Annotated[float, Ge(0.5), Lt(1)]
    resamples: Annotated[int, Ge(100)]


CURVES = {
    "newest_accuracy": "accuracy",
    "newest_accuracy_low": "low",
    "newest_accuracy_high": "high",
    "newest_sensitivity": "sensitivity",
    "newest_auc": "auc",
    "reference_accuracy": "reference",
}
"""Name of each curve in MLflow, and its column of the trend."""

WORLD, CHALLENGER = "the world changed", "the challenger is worse"
BOTH = f"both {WORLD} and {CHALLENGER}"
NEITHER = "neither a changed world nor a worse challenger is shown"
"""What `tell_apart` begins with."""


def choose_newest(
    images: pd.DataFrame, trained_patients: Collection[str], rule: MonitoringParameters
) -> pd.DataFrame:
    """Choose the images of the newest days, of patients that the model was not trained on.

    Whole days are taken, from the newest back, until there are `minimum_images` images of
    `minimum_patients` patients, but at most `maximum_days` of the days on which images were
    captured. An image without a date counts for the day on which it was first seen.

    Args:
        images: accepted ones: `image_id`, `patient`, `captured_on`, `first_seen` and more.
        trained_patients: patients of whom the model was trained on at least one image.
        rule: `monitoring`.

    Returns:
        The rows chosen, in the order of `image_id`, with their `day` (ISO 8601). There may be too
        few of them: see `find_shortage`.
    """
    day = images["captured_on"].where(images["captured_on"] != "", images["first_seen"].str[:10])
    newest = sorted(day.unique(), reverse=True)[: rule["maximum_days"]]
    fair = images.assign(day=day)[~images["patient"].isin(list(trained_patients))]
    chosen = fair.head(0)
    for start in newest:
        chosen = fair[fair["day"] >= start]
        if not find_shortage(chosen, rule):
            break
    return chosen.sort_values("image_id").reset_index(drop=True)


def find_shortage(chosen: pd.DataFrame, rule: MonitoringParameters) -> str:
    """Return why there are too few images to measure anything on; "" if there are enough."""
    images, patients = len(chosen), chosen["patient"].nunique()
    if images >= rule["minimum_images"] and patients >= rule["minimum_patients"]:
        return ""
    return (
        f"{images} images of {words.current().count_groups(patients)} that it was not trained on, "
        f"in the newest {rule['maximum_days']} days of images; required: "
        f"{rule['minimum_images']} of {rule['minimum_patients']}"
    )


def measure_newest(
    predictions: pd.DataFrame, positive_class: str | None, rule: MonitoringParameters
) -> dict[str, float]:
    """Measure predictions of labelled images of a few days, which may all be of one class.

    Args:
        predictions: `patient`, `label`, `category` and ``probability_<class>`` of each class.
        positive_class: the class whose recall is the sensitivity; None: both measures of it are
            means over the classes, each against all others.
        rule: `monitoring`: `confidence` and `resamples` of the interval.

    Returns:
        `accuracy`, `low` and `high` (its interval over patients), `sensitivity` and `auc`, all 0 to
        1; NaN where no image is of the class that it needs.
    """
    right = find_right(predictions)
    sums = sum_by_patient(predictions["patient"], right)
    low, high = bootstrap_accuracy(*sums, rule["confidence"], rule["resamples"])
    labels = predictions["label"].to_numpy(object)
    classes = sorted(set(labels)) if positive_class is None else [positive_class]
    recalls = [right[labels == name].mean() for name in classes if (labels == name).any()]
    areas = [_measure_auc(labels == name, predictions, name) for name in classes]
    return {
        "accuracy": float(right.mean()),
        "low": low,
        "high": high,
        "sensitivity": _average(recalls),
        "auc": _average([area for area in areas if not math.isnan(area)]),
    }


def _average(values: Sequence[float]) -> float:
    return float(sum(values) / len(values)) if values else math.nan


def _measure_auc(
    positive: npt.NDArray[np.bool_], predictions: pd.DataFrame, class_name: str
) -> float:
    """Return the area under the ROC curve of a class; NaN where there is no such curve."""
    from sklearn.metrics import roc_auc_score  # noqa: PLC0415

    column = f"{PROBABILITY_PREFIX}{class_name}"
    if not 0 < positive.sum() < len(positive) or column not in predictions:
        return math.nan
    return float(roc_auc_score(positive, predictions[column]))


def bootstrap_accuracy(
    right: npt.NDArray[np.floating],
    images: npt.NDArray[np.floating],
    confidence: float,
    resamples: int,
) -> tuple[float, float]:
    """Return the interval of an accuracy, drawing whole patients with replacement.

    The cells of one patient tend to be right or wrong together, so the patient is the unit.

    Args:
        right: of each patient, how many images the model has right, ``(patients,)``.
        images: of each patient, how many there are, ``(patients,)``.
        confidence: of the two-sided interval, 0 to 1.
        resamples: how many times to draw.

    Returns:
        Lower and upper end; 0 and 1 where there is one patient, who tells nothing about others.
    """
    if len(right) < 2:
        return 0.0, 1.0
    return bootstrap_patients(right, images, confidence, resamples)


def watch_nothing(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the watch record of a night on which no number could be given, and why.

    Args:
        facts: about the champion and the images chosen: `version` (None for no champion),
            `reference`, `images`, `patients`, `from`, `to`, `fault` (why there is no number) and
            `broken` (the champion cannot be loaded, which alerts).
    """
    subject = f"champion v{facts['version']} was not" if facts["version"] else "no champion was"
    unknown = dict.fromkeys(("accuracy", "low", "high", "sensitivity", "auc"))
    return {
        **_copy_facts(facts),
        **unknown,
        "alert": bool(facts["broken"]),
        "sentence": f"{subject} measured on the newest days: {facts['fault']}",
    }


def judge_newest(
    facts: Mapping[str, Any], measures: Mapping[str, float], rule: MonitoringParameters
) -> dict[str, Any]:
    """Judge the champion's accuracy on the newest days by the one that it was promoted with.

    It alerts when the accuracy is below the reference by more than `maximum_accuracy_fall` and the
    upper end of its interval is below the reference too, so that a few unlucky patients do not.

    Args:
        facts: as in `watch_nothing`; `reference` is the accuracy on validation when the champion
            was judged, None where that is not known. Where labels were corrected since, it is
            measured again, and `corrected` is how many.
        measures: of `measure_newest`.
        rule: `monitoring`.

    Returns:
        The watch record: `version`, `accuracy`, `low`, `high`, `sensitivity`, `auc` (None where it
        could not be measured), `reference`, `images`, `patients`, `from`, `to` (the first and last
        day), `alert` and `sentence`.
    """
    reference = facts["reference"]
    fell = certain = False
    if reference is not None:
        fall = round(reference - measures["accuracy"], DECIMALS)
        fell = fall > rule["maximum_accuracy_fall"]
        certain = round(measures["high"], DECIMALS) < round(reference, DECIMALS)
    return {
        **_copy_facts(facts),
        **{name: None if math.isnan(value) else value for name, value in measures.items()},
        "alert": fell and certain,
        "sentence": _tell_level(facts, measures, rule["confidence"], fell=fell, certain=certain),
    }


def _tell_level(
    facts: Mapping[str, Any],
    measures: Mapping[str, float],
    confidence: float,
    *,
    fell: bool,
    certain: bool,
) -> str:
    """Return what the champion's accuracy on the newest days means, a sentence."""
    reference = facts["reference"]
    interval = (
        f"{measures['accuracy']:.3f} ({100 * confidence:g} % CI {measures['low']:.3f} to "
        f"{measures['high']:.3f}) on {_describe_images(facts)}"
    )
    champion = f"champion v{facts['version']}"
    if reference is None:
        return f"{champion} has {interval}; what it had when it was promoted is not known"
    level = f"{interval}, {reference:.3f} when it was promoted"
    if corrected := facts.get("corrected"):
        level += f" (measured again: {corrected} of its validation labels were corrected since)"
    if fell and certain:
        return f"{WORLD}: {champion} has {level}"
    if fell:
        return (
            f"{champion} may have fallen on the newest days, or the {words.current().groups} are "
            f"unlucky: {level}"
        )
    return f"{champion} holds its level on the newest days: {level}"


def describe_watch(watch: Mapping[str, Any], decision: Mapping[str, Any] | None) -> str:
    """Return how the champion is doing, in a sentence; "" for no champion.

    Where a challenger has just failed to replace it, the sentence says what the reason may be: see
    `tell_apart`.

    Args:
        watch: of `judge_newest` or `watch_nothing`.
        decision: of the gate; None where nothing was judged.
    """
    if not watch["version"]:
        return ""
    if decision is not None and decision["verdict"] == KEEP:
        return tell_apart(watch, decision)
    return str(watch["sentence"])


def tell_apart(watch: Mapping[str, Any] | None, decision: Mapping[str, Any]) -> str:
    """Say whether the world changed, the challenger is worse, both, or neither.

    The challenger is worse when the whole interval of its gain lies below 0. Both models were
    scored on the same validation images, so that number does not depend on a change of the world.

    Args:
        watch: of `judge_newest` or `watch_nothing`; None where the champion was not watched.
        decision: its `tests` hold `gain`, `low` and `high` (shares, challenger less champion);
            None where they were not compared.

    Returns:
        A sentence that begins with `WORLD`, `CHALLENGER`, `BOTH` or `NEITHER`, with the numbers.
    """
    tests = decision.get("tests")
    # An alert without a number means that the champion cannot be loaded.
    changed = bool(watch and watch["alert"] and watch["accuracy"] is not None)
    worse = tests is not None and round(tests["high"], DECIMALS) < 0
    verdict = {
        (True, True): BOTH,
        (True, False): WORLD,
        (False, True): CHALLENGER,
        (False, False): NEITHER,
    }[changed, worse]
    seen = watch["sentence"] if watch else "the champion was not measured on the newest days"
    compared = (
        f"on the same validation images the challenger is {format_points(tests['gain'])} "
        f"points from the champion ({format_points(tests['low'], '')} to "
        f"{format_points(tests['high'], '')})"
        if tests
        else "the challenger was not compared with a champion"
    )
    return f"{verdict}: {seen.removeprefix(f'{WORLD}: ')}; {compared}"


def make_row(
    watch: Mapping[str, Any], image_ids: Collection[str], recorded_at: str
) -> pd.DataFrame:
    """Return a watch record as a row of the trend, `TREND_COLUMNS`.

    Args:
        watch: of a champion.
        image_ids: the images that it was measured on.
        recorded_at: ISO 8601, UTC.
    """
    digest = hashlib.sha256("\n".join(sorted(image_ids)).encode()).hexdigest()[:16]
    row = {
        **watch,
        "recorded_at": recorded_at,
        "model_version": watch["version"],
        "days_from": watch["from"],
        "days_to": watch["to"],
        "images_digest": digest,
    }
    return pd.DataFrame([row])[TREND_COLUMNS].astype(dict.fromkeys(NUMBERS, "float64"))


def settle_trend(log: pd.DataFrame) -> pd.DataFrame:
    """Return the trend: one row for each night that counts, see `locate_nights`.

    Args:
        log: rows as they were added, `TREND_COLUMNS`.
    """
    recorded = zip(log["recorded_at"], log["model_version"], log["images_digest"], strict=True)
    return log.iloc[locate_nights(recorded)].reset_index(drop=True)


def list_curves(trend: pd.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """Return the trend as curves, each a list of `value`, `step` and `timestamp_ms`.

    Args:
        trend: of `settle_trend`. The step of a row is its place, from 1. A row without a value is
            left out, so the steps show a gap.
    """
    timestamps_ms = [_read_timestamp_ms(time) for time in trend["recorded_at"]]
    return {
        name: [
            {"value": float(value), "step": step, "timestamp_ms": timestamp_ms}
            for step, (value, timestamp_ms) in enumerate(
                zip(trend[column], timestamps_ms, strict=True), 1
            )
            if not math.isnan(value)
        ]
        for name, column in CURVES.items()
    }


def _copy_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: facts[name] for name in ("version", "reference", "images", "patients", "from", "to")
    }


def _describe_images(facts: Mapping[str, Any]) -> str:
    days = facts["from"] if facts["from"] == facts["to"] else f"{facts['from']} to {facts['to']}"
    groups = words.current().count_groups(facts["patients"])
    return f"{facts['images']} images of {groups} of {days}"


def _read_timestamp_ms(time: str) -> int:
    return int(datetime.fromisoformat(time).timestamp() * 1000)
