"""Score the champion on the newest labelled days, judge it, and plot it night after night."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from image_classification import figures, vision, words
from image_classification.datasets import (
    ImageBatches,
    OpenNetwork,
    RegisteredImages,
    RegisteredNetwork,
)
from image_classification.errors import RegistryError
from image_classification.gate import reference, trend
from image_classification.gate.prediction import tabulate_predictions
from image_classification.gate.trend import MonitoringParameters
from image_classification.intake import index

logger = logging.getLogger(__name__)

PREDICTION_COLUMNS = ["image_id", "image_name", "patient", "label", "day"]


def score_newest_days(
    open_champion: OpenNetwork,
    champion_images: RegisteredImages | None,
    image_index: pd.DataFrame,
    image_batches: ImageBatches,
    known_references: pd.DataFrame,
    parameters: MonitoringParameters,
) -> tuple[pd.DataFrame, dict[str, Any], pd.DataFrame]:
    """Score the champion on the newest accepted images, of patients that it was not trained on.

    Where labels of its validation images were corrected since it was judged, it is scored on those
    again, once: what it is watched by is its accuracy with the labels that hold now.

    Args:
        open_champion: loads the champion; it is called only if there is something to score.
        champion_images: the images that the champion was made from; None if there is no champion.
        image_index: the log of the index.
        image_batches: reads the images of the batches that were taken in.
        known_references: what earlier nights have measured again.
        parameters: the parameters `monitoring`.

    Returns:
        A table with one row per image: `image_id`, `image_name`, `patient`, `label`, `day`, a
        probability per class, `category` and `model_version`. It has no rows if there is nothing to
        measure. A dictionary of facts: `version`, `reference` (its accuracy on the validation
        images when it was judged, or measured again), `corrected` (labels of these, since then),
        `images` and `patients` (counts), `from` and `to` (days), `fault` (why there is nothing to
        measure, or ""), and `broken` (whether the reason is that the champion cannot be loaded).
        And the row to add to the references, if there is one.

    Raises:
        DataError: an image cannot be read.
    """
    images = index.select_accepted(image_index)
    nothing = known_references.head(0)
    if champion_images is None:
        facts = _gather_facts(None, images.head(0), "there is none yet")
        return _score_nothing(), facts, nothing
    if champion_images.images is None:
        fault = f"it is not known which {words.current().groups} it was trained on"
        return _score_nothing(), _gather_facts(champion_images, images.head(0), fault), nothing
    referee = _Referee(champion_images, champion_images.images, images, known_references)
    trained_on = champion_images.images.query("split == 'train'")["patient"]
    chosen = trend.choose_newest(images, set(trained_on), parameters)
    facts = _gather_facts(champion_images, chosen, trend.find_shortage(chosen, parameters))
    facts |= {"reference": referee.reference, "corrected": referee.corrected}
    if facts["fault"] and not referee.is_due:
        return _score_nothing(), facts, nothing
    try:
        champion = _open_same(open_champion, champion_images)
    except RegistryError as error:
        # The night goes on: training does not need the champion, and the gate will refuse.
        fault = f"it cannot be loaded: {error}"
        return _score_nothing(), {**facts, "fault": fault, "broken": True}, nothing
    measured = referee.measure(champion, image_batches) if referee.is_due else nothing
    facts["reference"] = referee.reference
    if facts["fault"]:
        return _score_nothing(), facts, measured
    return _score(champion, image_batches, chosen), facts, measured


class _Referee:
    """Knows what the champion is watched by: its accuracy on its validation images.

    Attributes:
        corrected: how many of these have another label than when it was judged.
        reference: the accuracy with the labels that hold now; the one from then where no label was
            corrected, or where it is not measured again yet. None where it is not known.
        is_due: it is to be measured again.
    """

    def __init__(
        self,
        champion: RegisteredImages,
        made_from: pd.DataFrame,
        images: pd.DataFrame,
        known: pd.DataFrame,
    ) -> None:
        self._champion = champion
        self._judged = reference.find_judged(made_from, images)
        self._digest = reference.digest_labels(self._judged)
        self.corrected = reference.count_corrected(self._judged)
        self.reference = champion.validation_accuracy
        again = reference.find_reference(known, champion.run_id, self._digest)
        self.is_due = bool(self.corrected) and self.reference is not None and again is None
        if self.corrected and again is not None:
            self.reference = again

    def measure(self, champion: RegisteredNetwork, image_batches: ImageBatches) -> pd.DataFrame:
        """Score the validation images, and return the row to record."""
        judged = self._judged.assign(day="")
        predictions = _score(champion, image_batches, judged)
        facts = {
            "version": self._champion.version,
            "run_id": self._champion.run_id,
            "corrected": self.corrected,
            "before": self._champion.validation_accuracy,
        }
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        row = reference.make_row(facts, predictions, self._digest, now)
        self.reference = float(row["accuracy"].iloc[0])
        logger.info(
            "%d validation labels of champion v%s were corrected since it was judged: its accuracy "
            "is %.4f now, and was %.4f",
            self.corrected,
            self._champion.version,
            self.reference,
            facts["before"],
        )
        return row


def watch_champion(
    newest_predictions: pd.DataFrame,
    newest_days: dict[str, Any],
    known_trend: pd.DataFrame,
    positive_class: str | None,
    parameters: MonitoringParameters,
) -> tuple[pd.DataFrame, dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """Measure the champion on the newest days, and compare that with its measures at promotion.

    Args:
        newest_predictions: the table from `score_newest_days`.
        newest_days: the facts from `score_newest_days`.
        known_trend: the rows that earlier nights recorded.
        positive_class: the class that sensitivity is about; None for none.
        parameters: the parameters `monitoring`.

    Returns:
        The row to add to the trend, or no row if there is no champion or today's row exists; the
        result of `trend.judge_newest`; and the whole trend as curves.
    """
    if newest_days["fault"]:
        watch = trend.watch_nothing(newest_days)
    else:
        measures = trend.measure_newest(newest_predictions, positive_class, parameters)
        watch = trend.judge_newest(newest_days, measures, parameters)
    logger.log(logging.WARNING if watch["alert"] else logging.INFO, "%s", watch["sentence"])
    if watch["version"] is None:
        return known_trend.head(0), watch, {}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    row = trend.make_row(watch, newest_predictions["image_id"], now)
    log = pd.concat([known_trend, row], ignore_index=True) if len(known_trend) else row
    settled = trend.settle_trend(log)
    is_new = len(settled) > len(trend.settle_trend(known_trend))
    return row if is_new else row.head(0), watch, trend.list_curves(settled)


def plot_trend(champion_trend: pd.DataFrame) -> Iterator[Figure]:
    """Plot the champion's accuracy on the newest days over time, once there is a measurement."""
    settled = trend.settle_trend(champion_trend)
    if settled["accuracy"].notna().any():
        yield figures.plot_champion_trend(settled)
    else:
        logger.info("No champion was measured on the newest days yet: there is nothing to plot")


def _score_nothing() -> pd.DataFrame:
    return pd.DataFrame(columns=[*PREDICTION_COLUMNS, "category", "model_version"], dtype=str)


def _gather_facts(
    champion: RegisteredImages | None, chosen: pd.DataFrame, fault: str
) -> dict[str, Any]:
    return {
        "version": champion.version if champion else None,
        "reference": champion.validation_accuracy if champion else None,
        "images": len(chosen),
        "patients": int(chosen["patient"].nunique()),
        "from": str(chosen["day"].min()) if len(chosen) else "",
        "to": str(chosen["day"].max()) if len(chosen) else "",
        "fault": fault,
        "broken": False,
    }


def _open_same(open_champion: OpenNetwork, images: RegisteredImages) -> RegisteredNetwork:
    champion = open_champion()
    if champion is None or champion.version != images.version:
        raise RegistryError(
            f"The champion was version {images.version} and is now "
            f"{champion.version if champion else 'none'}: it was changed meanwhile"
        )
    return champion


def _score(
    champion: RegisteredNetwork, image_batches: ImageBatches, chosen: pd.DataFrame
) -> pd.DataFrame:
    paths = chosen["path"].tolist()
    probabilities = vision.score_images(
        champion.network,
        len(paths),
        lambda part: image_batches.read_images(chosen.iloc[part]),
        name=paths.__getitem__,
    )
    table = tabulate_predictions(chosen[PREDICTION_COLUMNS], probabilities, champion.class_names)
    return table.assign(model_version=champion.version)
