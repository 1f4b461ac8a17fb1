"""Are there new images to train on, which the newest registered version has not seen?"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pandas as pd

from image_classification import words
from image_classification.champion import registry
from image_classification.errors import RegistryError
from image_classification.intake.waiting import count_changes, count_corrected, judge_changes

logger = logging.getLogger(__name__)


def check_new_images(
    model_name: str,
    images: pd.DataFrame,
    summary: Mapping[str, Any],
    training: Mapping[str, Any],
    *,
    judges: bool,
    always: bool = False,
) -> tuple[bool, str]:
    """Tell whether there are enough images to train on, and enough new ones; say why or why not.

    Args:
        model_name: the registered model.
        images: the images of this run, from `select_images`.
        summary: of the same images, from `select_images`: counts, the digest of all, and what the
            night waits for where the set is too small (`waiting`). No parameter trains on that.
        training: the parameters `training`: `min_new_images`, and `force`, which trains anyway.
        judges: whether this run will compare the challenger with the champion. If so, it trains on
            the same images again where the newest version was never judged, because its night
            failed after the version was registered.
        always: the run was started to train, whatever is new.
    """
    if waiting := summary.get("waiting"):  # a summary of an older release says nothing of it
        return False, str(waiting)
    if always:
        return True, f"Training on {_count(summary)}."
    is_new, reason = _compare_with_newest(model_name, images, summary, training, judges)
    if training["force"] and not is_new:
        return True, f"{reason} Training anyway, as asked (force)."
    return is_new, reason


def _compare_with_newest(
    model_name: str,
    images: pd.DataFrame,
    summary: Mapping[str, Any],
    training: Mapping[str, Any],
    judges: bool,
) -> tuple[bool, str]:
    latest = registry.find_latest_version(model_name)
    counts = _count(summary)
    if latest is not None and registry.read_digest(latest.tags) is None:
        logger.warning("Version %s was not registered by this project", latest.version)
        latest = registry.find_latest_version(model_name, own=True)
    if latest is None:
        return True, f"No model is registered yet: training on {counts}."
    version = str(latest.version)
    if registry.read_digest(latest.tags) == summary["data_digest"]:
        if judges and (unjudged := registry.explain_unjudged(latest.tags)):
            return True, (
                f"No new images, but version {version} {unjudged}: training on these {counts} "
                "again."
            )
        return False, f"No new images: version {version} was trained on these {counts}."
    try:
        known = registry.read_images(model_name, version)
    except RegistryError as error:
        return True, f"{error} So nothing tells what is new: training on {counts}."
    is_enough, said = judge_changes(
        *count_changes(images, known),
        training["min_new_images"],
        version,
        count_corrected(images, known),
    )
    return is_enough, f"{said}: training on {counts}." if is_enough else said


def _count(summary: Mapping[str, Any]) -> str:
    return f"{summary['images']} images of {words.current().count_groups(summary['patients'])}"
