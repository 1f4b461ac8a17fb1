"""From challenger and champion to a comparison."""

from __future__ import annotations

import logging
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from image_classification import figures, vision
from image_classification.datasets import ImageBatches, OpenNetwork, RegisteredNetwork
from image_classification.errors import RegistryError
from image_classification.gate.comparison import compare_predictions
from image_classification.gate.improvement import describe_gain, describe_requirement
from image_classification.gate.policy import PromotionPolicy, settle_improvement
from image_classification.gate.prediction import PROBABILITY_PREFIX, tabulate_predictions
from image_classification.vision import Network

logger = logging.getLogger(__name__)

PREDICTION_COLUMNS = ["image_id", "image_name", "patient", "label"]


def score_challenger(
    network: Network | RegisteredNetwork,
    class_names: list[str],
    image_batches: ImageBatches,
    image_splits: pd.DataFrame,
) -> pd.DataFrame:
    """Score the challenger on the validation images, from their files.

    Args:
        network: the network that was just trained, or the registered challenger.
        class_names: the classes of a network that was just trained, in the order of its outputs.
        image_batches: reads the images of the batches that were taken in.
        image_splits: from `select_images`.

    Returns:
        One row per image: `image_id`, `image_name`, `patient`, `label`, a probability per class,
        `category`, and `model_version`, which is empty if the network is not registered yet.
    """
    if not isinstance(network, RegisteredNetwork):
        network = RegisteredNetwork(network, class_names, version="")
    return _score(network, image_batches, image_splits)


def score_champion(
    open_champion: OpenNetwork,
    class_names: list[str],
    image_batches: ImageBatches,
    image_splits: pd.DataFrame,
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Score the registered champion on the same images, in the same way.

    Returns:
        A table as from `score_challenger`, with the champion's version; it has no rows if there is
        no champion, or if it cannot be scored. And a dictionary with `fault`: why the champion
        cannot be scored, or "". With a fault the gate refuses the comparison, and the night goes
        on.
    """
    columns = [*PREDICTION_COLUMNS, *(f"{PROBABILITY_PREFIX}{name}" for name in class_names)]
    nothing = pd.DataFrame(columns=[*columns, "category", "model_version"])
    try:
        champion = open_champion()
        if champion is None:
            return nothing, {"fault": ""}
        if champion.class_names != class_names:
            raise RegistryError(
                f"version {champion.version} knows the classes {', '.join(champion.class_names)}; "
                f"today's are {', '.join(class_names)}"
            )
        return _score(champion, image_batches, image_splits), {"fault": ""}
    except RegistryError as error:
        logger.warning("The champion cannot be scored: %s", error)
        return nothing, {"fault": str(error)}


def compare_models(
    challenger_predictions: pd.DataFrame,
    champion_predictions: pd.DataFrame,
    champion_scoring: dict[str, str],
    class_names: list[str],
    positive_class: str | None,
    policy: PromotionPolicy,
) -> tuple[dict[str, Any], Figure]:
    """Compare challenger and champion on the same images. The gate judges the comparison.

    Args:
        challenger_predictions: from `score_challenger`.
        champion_predictions: from `score_champion`; no rows if there is no champion.
        champion_scoring: from `score_champion`: `fault`, why the champion could not be scored.
        class_names: the classes.
        positive_class: the class that sensitivity is about; None for none.
        policy: the parameters `promotion`.

    Returns:
        The comparison (see `comparison.compare_predictions`), and a figure of it.

    Raises:
        DataError: the two tables are about different images.
    """
    comparison = compare_predictions(
        challenger_predictions,
        champion_predictions,
        class_names,
        positive_class,
        policy,
        champion_fault=champion_scoring["fault"],
    )
    if comparison["tests"]:
        logger.info("On the same images: %s", describe_gain(comparison["tests"]))
    required = describe_requirement(settle_improvement(policy["improvement"]))
    return comparison, figures.plot_comparison(comparison, required)


def _score(
    registered: RegisteredNetwork, image_batches: ImageBatches, image_splits: pd.DataFrame
) -> pd.DataFrame:
    rows = image_splits[image_splits["split"] == "validation"].sort_values("image_id")
    paths = rows["path"].tolist()
    probabilities = vision.score_images(
        registered.network,
        len(paths),
        lambda part: image_batches.read_images(rows.iloc[part]),
        name=paths.__getitem__,
    )
    table = tabulate_predictions(rows[PREDICTION_COLUMNS], probabilities, registered.class_names)
    return table.assign(model_version=registered.version)
