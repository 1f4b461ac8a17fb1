"""Challenger and champion to a decision."""

from __future__ import annotations

from typing import Any

import pandas as pd

from image_classification import vision
from image_classification.datasets import ImageBatches, RegisteredNetwork
from image_classification.errors import DataError
from image_classification.metrics import (
    PROBABILITY_PREFIX,
    measure_predictions,
    tabulate_predictions,
)
from image_classification.parameters import PromotionParameters
from image_classification.vision import Network

PREDICTION_COLUMNS = ["image_id", "image_name", "patient", "label"]


def score_challenger(
    network: Network | RegisteredNetwork,
    class_names: list[str],
    image_batches: ImageBatches,
    image_splits: pd.DataFrame,
) -> pd.DataFrame:
    """Score the challenger on the validation images, from their files.

    Args:
        network: the network just trained, or the registered challenger.
        class_names: the classes of a network just trained, in the order of its outputs.
        image_batches: the batches taken in.
        image_splits: of `select_images`.

    Returns:
        One row per image: `image_id`, `image_name`, `patient`, `label`, a probability per class,
        `category`, and `model_version`, empty where it is not registered yet.
    """
    if not isinstance(network, RegisteredNetwork):
        network = RegisteredNetwork(network, class_names, version="")
    return _score(network, image_batches, image_splits)


def score_champion(
    champion_if_any: RegisteredNetwork | None,
    class_names: list[str],
    image_batches: ImageBatches,
    image_splits: pd.DataFrame,
) -> pd.DataFrame:
    """Score the registered champion on the same images, in the same way.

    Returns:
        As `score_challenger`, with the champion's version; no rows where there is no champion.
    """
    if champion_if_any is None:
        columns = [*PREDICTION_COLUMNS, *(f"{PROBABILITY_PREFIX}{name}" for name in class_names)]
        return pd.DataFrame(columns=[*columns, "category", "model_version"])
    return _score(champion_if_any, image_batches, image_splits)


def compare_models(
    challenger_predictions: pd.DataFrame,
    champion_predictions: pd.DataFrame,
    class_names: list[str],
    positive_class: str,
    parameters: PromotionParameters,
) -> dict[str, Any]:
    """Decide whether the challenger replaces the champion.

    The challenger must meet the floors; where there is a champion it must also be more accurate
    on the same images, by more than `minimum_accuracy_gain`. An equal model does not replace it.

    Args:
        challenger_predictions: of `score_challenger`.
        champion_predictions: of `score_champion`, empty for no champion.
        class_names: the classes.
        positive_class: the class that sensitivity is about.
        parameters: `promotion`.

    Returns:
        `promote` (bool), `reason` (a sentence with the numbers), `challenger` and `champion`
        (`version` and `metrics`; None for no champion), `images` and `patients` compared, and the
        `rule` that was applied.

    Raises:
        DataError: the two tables are not of the same images.
    """
    challenger = measure_predictions(challenger_predictions, class_names, positive_class)
    champion = None
    if len(champion_predictions):
        _check_same_images(challenger_predictions, champion_predictions)
        champion = {
            "version": _version(champion_predictions),
            "metrics": measure_predictions(champion_predictions, class_names, positive_class),
        }
    promote, reason = _judge(challenger, champion, parameters)
    return {
        "promote": promote,
        "reason": reason,
        "challenger": {
            "version": _version(challenger_predictions),
            "metrics": challenger,
        },
        "champion": champion,
        "images": len(challenger_predictions),
        "patients": int(challenger_predictions["patient"].nunique()),
        "rule": dict(parameters),
    }


def _score(
    registered: RegisteredNetwork, image_batches: ImageBatches, image_splits: pd.DataFrame
) -> pd.DataFrame:
    rows = image_splits[image_splits["split"] == "validation"].sort_values("image_id")
    paths = rows["path"].tolist()
    probabilities = vision.score_images(
        registered.network,
        len(paths),
        lambda part: image_batches.read(paths[part]),
        name=paths.__getitem__,
    )
    table = tabulate_predictions(rows[PREDICTION_COLUMNS], probabilities, registered.class_names)
    return table.assign(model_version=registered.version)


def _judge(
    challenger: dict[str, float], champion: dict[str, Any] | None, rule: PromotionParameters
) -> tuple[bool, str]:
    for measure, floor in (
        ("accuracy", rule["minimum_accuracy"]),
        ("sensitivity", rule["minimum_sensitivity"]),
    ):
        if challenger[measure] < floor:
            return False, (
                f"the challenger's {measure} of {challenger[measure]:.4f} is below the floor of "
                f"{floor:.4f}"
            )
    if champion is None:
        verdict = True
        why = (
            f"first champion: accuracy {challenger['accuracy']:.4f} and sensitivity "
            f"{challenger['sensitivity']:.4f} meet the floors of "
            f"{rule['minimum_accuracy']:.4f} and {rule['minimum_sensitivity']:.4f}"
        )
    else:
        # 0.8 - 0.7 is more than 0.1 in binary; an accuracy is no finer than one image in 10^9.
        gain = round(challenger["accuracy"] - champion["metrics"]["accuracy"], 9)
        verdict = gain > rule["minimum_accuracy_gain"]
        why = (
            f"the challenger's accuracy of {challenger['accuracy']:.4f} is {100 * gain:+.2f} "
            f"points from champion v{champion['version']}'s "
            f"{champion['metrics']['accuracy']:.4f}; required: more than "
            f"{100 * rule['minimum_accuracy_gain']:+.2f}"
        )
    if verdict and not rule["enabled"]:
        return False, f"promotion is switched off (promotion.enabled is false); otherwise {why}"
    return verdict, why


def _version(predictions: pd.DataFrame) -> str:
    version = predictions["model_version"].iloc[0]
    # The CSV between the nodes gives an empty cell back as NaN, a number as one.
    return "" if pd.isna(version) else str(version).removesuffix(".0")


def _check_same_images(challenger: pd.DataFrame, champion: pd.DataFrame) -> None:
    same = challenger["image_id"].tolist() == champion["image_id"].tolist()
    if not same:
        raise DataError(
            f"Challenger and champion were not scored on the same images: {len(challenger)} and "
            f"{len(champion)} rows. Run score_challenger and score_champion of the same run again."
        )
