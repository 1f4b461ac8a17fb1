"""Which data a version was made from: its tags tell a few facts, the summary of its run the rest.

Versions of earlier releases carry all of the facts as tags. They are read by the same names.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from image_classification import tracking
from image_classification.champion import registry

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

logger = logging.getLogger(__name__)


def make_tags(summary: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of a new version: the decision to come, and which data it was made from.

    Args:
        summary: from `select_images`.
    """
    return {
        registry.DECISION_TAG: registry.NOT_JUDGED,
        registry.REASON_TAG: registry.NOT_JUDGED,
        registry.IMAGES_TAG: str(summary["images"]),
        registry.DIGEST_TAG: summary["data_digest"],
    }


def read_facts(version: ModelVersion) -> dict[str, str]:
    """Return what is known of the data of a version, by name.

    Returns:
        `data_digest`, and where its run has kept the summary of that data: `images`, `patients`,
        `captured_until`, `index_until`, `batches`, ``<split>_digest`` of each split, and the rule
        by which patients were drawn.
    """
    if registry.OLD_DIGEST_TAG in version.tags:
        return dict(version.tags)
    digest = version.tags.get(registry.DIGEST_TAG)
    if digest is None:
        return {}
    return {registry.OLD_DIGEST_TAG: digest} | _read_summary(version, digest)


def _read_summary(version: ModelVersion, digest: str) -> dict[str, str]:
    path = tracking.SUMMARY_ARTIFACT
    content = tracking.read_artifact(version.run_id, path) if version.run_id else None
    try:
        facts = _describe_summary(json.loads(content)) if content else None
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        logger.warning("%s of MLflow run %s cannot be read: %s", path, version.run_id, error)
        return {}
    if facts is None:
        logger.warning("MLflow run %s keeps no %s", version.run_id, path)
        return {}
    if facts[registry.OLD_DIGEST_TAG] != digest:
        logger.warning(
            "%s of MLflow run %s is of other data than version %s was made from: it is ignored",
            path,
            version.run_id,
            version.version,
        )
        return {}
    return facts


def _describe_summary(summary: Mapping[str, Any]) -> dict[str, str]:
    """Return the facts of a summary, each by one name; see `read_facts`.

    Args:
        summary: from `select_images`.
    """
    return {
        registry.OLD_DIGEST_TAG: summary["data_digest"],
        "images": str(summary["images"]),
        "patients": str(summary["patients"]),
        "captured_until": summary["captured_until"],
        "index_until": summary["index_until"],
        "batches": ", ".join(summary["batches"]),
        **{f"{split}_digest": facts["digest"] for split, facts in summary["splits"].items()},
        **{name: str(value) for name, value in summary["split_rule"].items()},
    }
