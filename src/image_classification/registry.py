"""The only code that talks to the MLflow model registry."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from image_classification import tracking
from image_classification.errors import RegistryError

logger = logging.getLogger(__name__)

CHAMPION = "champion"
CHALLENGER = "challenger"
DIGEST_TAG = "data_digest"
DECISION_TAG = "decision"
REASON_TAG = "decision_reason"
LONGEST_LIST = 2000
"""Characters of a tag: more is for a file."""


@dataclass(frozen=True)
class ModelParts:
    """The files of a packaged model that later runs need."""

    network: Path
    class_names: list[str]


def find_version(model_name: str, alias: str) -> ModelVersion | None:
    """Return the model version that an alias points to, or None where there is none."""
    try:
        return MlflowClient().get_model_version_by_alias(model_name, alias)
    except MlflowException as error:
        # The two answers for "no such alias" and "no such model".
        if error.error_code in ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"):
            return None
        raise


def find_latest_version(model_name: str) -> ModelVersion | None:
    """Return the newest version of a model, or None where there is none."""
    return max(list_versions(model_name), key=lambda version: int(version.version), default=None)


def list_versions(model_name: str) -> list[ModelVersion]:
    """Return all versions of a model, oldest first, with their aliases."""
    client = MlflowClient()
    found = client.search_model_versions(f"name = '{model_name}'")
    numbers = sorted(int(version.version) for version in found)
    # A search leaves the aliases out.
    return [client.get_model_version(model_name, str(number)) for number in numbers]


def find_version_of_run(model_name: str, run_id: str) -> ModelVersion | None:
    """Return the version that was registered for an MLflow run, or None."""
    versions = MlflowClient().search_model_versions(f"name = '{model_name}'")
    return next((version for version in versions if version.run_id == run_id), None)


def register_challenger(model_name: str, run_id: str, tags: Mapping[str, str]) -> ModelVersion:
    """Register the model logged by a run, once, and give it the alias `challenger`.

    Args:
        model_name: the registered model; made if it does not exist.
        run_id: the MLflow run.
        tags: set on the version.

    Raises:
        RegistryError: the run has logged no model.
    """
    version = find_version_of_run(model_name, run_id)
    if version is None:
        model_id = tracking.find_logged_model(run_id)
        if model_id is None:
            raise RegistryError(f"MLflow run {run_id} has logged no model to register.")
        version = mlflow.register_model(f"models:/{model_id}", model_name, tags=dict(tags))
        logger.info("Registered %s version %s", model_name, version.version)
    MlflowClient().set_registered_model_alias(model_name, CHALLENGER, version.version)
    return version


@contextmanager
def open_parts(model_name: str, version: str) -> Iterator[ModelParts]:
    """Fetch the network file and the class names of a version; removed again on leaving.

    Raises:
        RegistryError: the version was not packaged by this project.
    """
    with TemporaryDirectory() as folder:
        uri = f"models:/{model_name}/{version}"
        path = Path(mlflow.artifacts.download_artifacts(uri, dst_path=folder))
        artifacts = Model.load(str(path)).flavors.get("python_function", {}).get("artifacts", {})
        missing = {"network", "class_names"} - set(artifacts)
        if missing:
            raise RegistryError(
                f"{uri} carries no artifact named {', '.join(sorted(missing))}: it was not logged "
                "by this project's training pipeline. Give the alias to a version that was."
            )
        class_names = json.loads((path / artifacts["class_names"]["path"]).read_text())
        yield ModelParts(path / artifacts["network"]["path"], class_names)


def promote_challenger(
    model_name: str, version: str, expected_champion: str | None, decision: Mapping[str, Any]
) -> None:
    """Move the alias `champion` to a version: the only function that does.

    Compare-and-set: the alias moves only if it still points to the champion that the challenger
    was compared with. Verified after the move. Safe to repeat: a version that is champion
    already stays so.

    Args:
        model_name: the registered model.
        version: the version to promote.
        expected_champion: the version that the alias pointed to at the comparison, None for none.
        decision: of `compare_models`; recorded on the version.

    Raises:
        RegistryError: someone else moved the alias since, or it did not move.
    """
    client = MlflowClient()
    current = _champion_version(model_name)
    if current != version:
        if current != expected_champion:
            raise RegistryError(
                f"The champion of '{model_name}' changed since the comparison: expected version "
                f"{expected_champion}, found {current}. Nothing was moved. Run the promotion "
                "pipeline again to compare with the present champion."
            )
        client.set_registered_model_alias(model_name, CHAMPION, version)
        if _champion_version(model_name) != version:
            raise RegistryError(
                f"The alias 'champion' of '{model_name}' was set to version {version} but points "
                f"to {_champion_version(model_name)}. Look at the model in MLflow."
            )
        logger.info("Champion of %s: version %s, before %s", model_name, version, current)
    record_decision(model_name, version, "promoted", decision)


def describe_data(summary: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of a version that say which data it was made from.

    Args:
        summary: of `select_images`.
    """
    batches = summary["batches"]
    listed = ", ".join(batches)
    if len(listed) > LONGEST_LIST:
        listed = f"{len(batches)} batches, {batches[0]} to {batches[-1]}: see data/images.parquet"
    return {
        DIGEST_TAG: summary["data_digest"],
        "images": str(summary["images"]),
        "patients": str(summary["patients"]),
        "captured_until": summary["captured_until"],
        "batches": listed,
        **{f"{split}_digest": facts["digest"] for split, facts in summary["splits"].items()},
        **{name: str(value) for name, value in summary["split_rule"].items()},
    }


def read_images(model_name: str, version: str) -> pd.DataFrame:
    """Return the images that a version was made from, with their splits.

    Raises:
        RegistryError: there is no such version, or its run has kept no table of images.
    """
    try:
        found = MlflowClient().get_model_version(model_name, version)
    except MlflowException as error:
        raise RegistryError(
            f"There is no version '{version}' of '{model_name}': {error.message}"
        ) from None
    images = tracking.read_images(found.run_id) if found.run_id else None
    if images is None:
        raise RegistryError(
            f"Version {version} of '{model_name}' keeps no table of its images "
            f"({tracking.IMAGES_ARTIFACT} of MLflow run {found.run_id})."
        )
    return images


def keep_champion(model_name: str, version: str, decision: Mapping[str, Any]) -> None:
    """Record on the challenger's version that it was not promoted, and why.

    A champion judged against itself keeps the record of its promotion.
    """
    if _champion_version(model_name) == version:
        return
    record_decision(model_name, version, "kept champion", decision)


def apply_decision(model_name: str, version: str, decision: Mapping[str, Any]) -> str:
    """Promote the version or keep the champion, as decided. Returns the outcome, a sentence."""
    champion = decision["champion"]
    if decision["promote"]:
        expected = champion["version"] if champion else None
        promote_challenger(model_name, version, expected, decision)
        return f"promoted v{version}: {decision['reason']}"
    keep_champion(model_name, version, decision)
    kept = f"kept v{champion['version']}" if champion else "kept no champion"
    return f"{kept}: {decision['reason']}"


def record_decision(
    model_name: str, version: str, outcome: str, decision: Mapping[str, Any]
) -> None:
    """Write a decision into a model version: tags to filter by, a description to read."""
    client = MlflowClient()
    champion = decision["champion"]
    measures = {"validation": decision["challenger"]["metrics"]}
    if champion:
        measures["champion"] = champion["metrics"]
    tags = {
        DECISION_TAG: outcome,
        REASON_TAG: decision["reason"],
        "decided_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "compared_with_version": champion["version"] if champion else "none",
        **{
            f"{role}_{name}": f"{value:.4f}"
            for role, metrics in measures.items()
            for name, value in metrics.items()
        },
    }
    for key, value in tags.items():
        client.set_model_version_tag(model_name, version, key, value)
    client.update_model_version(model_name, version, _describe(outcome, decision))


def _champion_version(model_name: str) -> str | None:
    version = find_version(model_name, CHAMPION)
    # An SQL store without a server before it gives a number, whatever the annotation says.
    return str(version.version) if version else None


def _describe(outcome: str, decision: Mapping[str, Any]) -> str:
    champion, challenger = decision["champion"], decision["challenger"]
    header = "| measure on validation | this version |"
    rule = "|---|---|"
    if champion:
        header += f" champion v{champion['version']} |"
        rule += "---|"
    rows = [
        f"| {name} | {value:.4f} |" + (f" {champion['metrics'][name]:.4f} |" if champion else "")
        for name, value in challenger["metrics"].items()
    ]
    scored = (
        f"Scored on {decision['images']} validation images of {decision['patients']} patients that "
        "neither model was trained on."
    )
    verdict = f"**{outcome[0].upper()}{outcome[1:]}**: {decision['reason']}"
    return "\n".join([verdict, "", header, rule, *rows, "", scored])
