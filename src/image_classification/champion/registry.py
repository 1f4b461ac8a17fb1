"""The MLflow model registry. No other code talks to it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import pandas as pd
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from image_classification import tracking
from image_classification.champion.consumer import GOLDEN_CELLS
from image_classification.errors import ChampionMovedError, RegistryError
from image_classification.gate.rule import RUN_OF_TODAY
from image_classification.gate.verdict import LOST_RACE, REFUSED
from image_classification.vendor.mlflow import set_version_tags

logger = logging.getLogger(__name__)

CHAMPION = "champion"
CHALLENGER = "challenger"
DIGEST_TAG = "data_digest"
DECISION_TAG = "decision"
REASON_TAG = "decision_reason"
INDEX_TAG = "index_until"
GUARDS_TAG = "refused_for"
"""Tag of a version: the guards that refused its comparison."""
REFERENCE_TAG = "validation_accuracy"
"""Tag of a version: its accuracy on the validation images when it was judged."""
LOCK_TIMEOUT_S = 600
LONGEST_LIST = 2000
"""Characters of a tag; a longer list belongs into a file."""


@dataclass(frozen=True)
class ModelParts:
    """The files of a packaged model that later runs need."""

    network: Path
    class_names: list[str]


def find_version(model_name: str, alias: str) -> ModelVersion | None:
    """Return the model version that an alias points to, or None if there is none."""
    try:
        return MlflowClient().get_model_version_by_alias(model_name, alias)
    except MlflowException as error:
        # MLflow's codes for "no such alias" and "no such model".
        if error.error_code in ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"):
            return None
        raise


def find_latest_version(model_name: str) -> ModelVersion | None:
    """Return the newest version of a model by its number, or None if there is none."""
    return max(list_versions(model_name), key=lambda version: int(version.version), default=None)


def list_versions(model_name: str) -> list[ModelVersion]:
    """Return all versions of a model, oldest first, with their aliases."""
    client = MlflowClient()
    found = client.search_model_versions(f"name = '{model_name}'")
    numbers = sorted(int(version.version) for version in found)
    # The search returns versions without their aliases.
    return [client.get_model_version(model_name, str(number)) for number in numbers]


def find_version_of_run(model_name: str, run_id: str) -> ModelVersion | None:
    """Return the version that was registered for an MLflow run, or None."""
    versions = MlflowClient().search_model_versions(f"name = '{model_name}'")
    return next((version for version in versions if version.run_id == run_id), None)


def register_challenger(
    model_name: str,
    run_id: str,
    tags: Mapping[str, str],
    golden_cells: pd.DataFrame | None = None,
    experiment_id: str | None = None,
) -> ModelVersion:
    """Register the model logged by a run, once, and give it the alias `challenger`.

    Args:
        model_name: the registered model; it is created if it does not exist.
        run_id: the MLflow run.
        tags: the tags of the new version.
        golden_cells: images and the network's answers, stored with the files of the model.
        experiment_id: the experiment of the run, if the caller knows it; it saves a request.

    Raises:
        RegistryError: the run has logged no model.
    """
    version = find_version_of_run(model_name, run_id)
    if version is None:
        model_id = tracking.find_logged_model(run_id, experiment_id)
        if model_id is None:
            raise RegistryError(f"MLflow run {run_id} has logged no model to register.")
        if golden_cells is not None:
            tracking.attach_table(model_id, golden_cells, GOLDEN_CELLS)
        version = mlflow.register_model(f"models:/{model_id}", model_name, tags=dict(tags))
        logger.info("Registered %s version %s", model_name, version.version)
    MlflowClient().set_registered_model_alias(model_name, CHALLENGER, version.version)
    return version


@contextmanager
def fetch_files(model_name: str, version: str) -> Iterator[Path]:
    """Fetch the files of a version, or of an alias, into a folder that is deleted at the end.

    Raises:
        RegistryError: the files are gone, or cannot be fetched.
    """
    separator = "@" if version in (CHAMPION, CHALLENGER) else "/"
    uri = f"models:/{model_name}{separator}{version}"
    with TemporaryDirectory() as folder:
        try:
            path = Path(mlflow.artifacts.download_artifacts(uri, dst_path=folder))
        except (OSError, MlflowException) as error:
            # A dead server is not a broken model, and raises another error.
            tracking.prepare_store(tracking.read_uri())
            raise RegistryError(f"The files of {uri} cannot be fetched: {error}") from error
        yield path


@contextmanager
def open_parts(model_name: str, version: str) -> Iterator[ModelParts]:
    """Fetch the network file and the class names of a version; the file is deleted at the end.

    Raises:
        RegistryError: the version was not packaged by this project, or its files are gone.
    """
    uri = f"models:/{model_name}/{version}"
    with fetch_files(model_name, version) as path:
        try:
            flavors = Model.load(str(path)).flavors
        except (OSError, MlflowException) as error:
            raise RegistryError(f"{uri} is no whole MLflow model: {error}") from error
        artifacts = flavors.get("python_function", {}).get("artifacts", {})
        missing = {"network", "class_names"} - set(artifacts)
        if missing:
            raise RegistryError(
                f"{uri} carries no artifact named {', '.join(sorted(missing))}: it was not logged "
                "by this project's training pipeline. Give the alias to a version that was."
            )
        try:
            class_names = json.loads((path / artifacts["class_names"]["path"]).read_text())
        except (OSError, ValueError) as error:
            raise RegistryError(f"The class names of {uri} cannot be read: {error}") from error
        yield ModelParts(path / artifacts["network"]["path"], class_names)


def move_champion(
    model_name: str, version: str | None, expected: str | None, lock: AbstractContextManager[Any]
) -> bool:
    """Move the alias `champion`: the only function that does.

    MLflow has no compare-and-set. So this function reads and sets the alias under a lock that every
    caller takes, moves it only if it points to the expected version, and reads it once more.

    Args:
        model_name: the registered model.
        version: the version that the alias shall point to; None removes the alias.
        expected: the version that it points to now; None if there is no champion.
        lock: from `lock_champion`; the caller may hold it already.

    Returns:
        Whether the alias moved; False if it already pointed to the version.

    Raises:
        ChampionMovedError: the alias points to another version than expected; nothing was moved.
        RegistryError: the alias was set, and yet points elsewhere.
    """
    with lock:
        current = find_champion(model_name)
        if current == version:
            return False
        if current != expected:
            raise ChampionMovedError(
                f"The champion of '{model_name}' changed since it was looked at: expected "
                f"{_name(expected)}, found {_name(current)}. Nothing was moved. Run the DAG "
                "'promotion' to compare with the present champion."
            )
        if version is None:
            MlflowClient().delete_registered_model_alias(model_name, CHAMPION)
        else:
            MlflowClient().set_registered_model_alias(model_name, CHAMPION, version)
        if (found := find_champion(model_name)) != version:
            raise RegistryError(
                f"The alias '{CHAMPION}' of '{model_name}' was set to {_name(version)} but points "
                f"to {_name(found)}. Look at the model in MLflow."
            )
    logger.info("Champion of %s: %s, before %s", model_name, _name(version), _name(current))
    return True


def lock_champion(folder: str | None) -> AbstractContextManager[Any]:
    """Return the lock that a process holds while it moves the champion.

    It is a lock of the operating system, which frees it when the process ends, however it ends. The
    process that holds it may take it again.

    Args:
        folder: the folder of the ledger, which all these processes share. None if the ledger is on
            an object store: then nothing is locked.
    """
    if folder is None:
        logger.warning("The ledger is no folder: nothing keeps two runs from promoting at once")
        return nullcontext()
    path = Path(folder, ".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path, timeout=LOCK_TIMEOUT_S, thread_local=False)


def find_champion(model_name: str) -> str | None:
    """Return the version that the alias `champion` points to, or None."""
    version = find_version(model_name, CHAMPION)
    # Without a server, an SQL store returns the version as a number, unlike its annotation.
    return str(version.version) if version else None


def get_version(model_name: str, version: str) -> ModelVersion:
    """Return a version of a model, with its tags and aliases.

    Raises:
        RegistryError: there is no such version.
    """
    try:
        return MlflowClient().get_model_version(model_name, version)
    except MlflowException as error:
        known = ", ".join(str(found.version) for found in list_versions(model_name)) or "none"
        raise RegistryError(
            f"There is no version '{version}' of '{model_name}'. Known: {known}. MLflow said: "
            f"{error.message}"
        ) from None


def find_model_id(model_name: str, version: str) -> str | None:
    """Return the id of the logged model behind a version, or None."""
    source = get_version(model_name, version).source or ""
    return source.removeprefix("models:/") if source.startswith("models:/m-") else None


def describe_version(
    model_name: str,
    version: str,
    tags: Mapping[str, str],
    description: str,
    outdated: Iterable[str] = (),
) -> None:
    """Set the tags and the description of a version.

    Args:
        model_name: the registered model.
        version: its version.
        tags: the tags to set; other tags stay as they are.
        description: Markdown.
        outdated: names of tags to remove, if the version has them.
    """
    client = MlflowClient()
    known = client.get_model_version(model_name, version).tags
    for key in set(outdated) & set(known):
        client.delete_model_version_tag(model_name, version, key)
    set_version_tags(model_name, version, tags)
    client.update_model_version(model_name, version, description)


def locate_version(model_name: str, version: str) -> str:
    """Return the address of a version's page, or its URI if there is no server."""
    uri = mlflow.get_tracking_uri()
    if not uri.startswith("http"):
        return f"models:/{model_name}/{version}"
    return f"{uri.rstrip('/')}/#/models/{model_name}/versions/{version}"


def describe_data(summary: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of a version that say which data it was made from.

    Args:
        summary: from `select_images`.
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
        INDEX_TAG: summary["index_until"],
        "batches": listed,
        **{f"{split}_digest": facts["digest"] for split, facts in summary["splits"].items()},
        **{name: str(value) for name, value in summary["split_rule"].items()},
    }


def explain_unjudged(tags: Mapping[str, str]) -> str:
    """Return why a version still needs a fair judgement, or "" if it has had one.

    A version has had none if it was refused only for the date of its run, or if its run lost a
    race: neither shows how good it is. A version that a person has rolled back needs none.
    """
    decision = tags.get(DECISION_TAG)
    if decision is None:
        return "was never judged"
    if decision == LOST_RACE:
        return "lost a race, and was not judged against the present champion"
    if tags.get(GUARDS_TAG) == RUN_OF_TODAY and decision == REFUSED:
        return "was refused for the date of its run alone"
    return ""


def read_images(model_name: str, version: str) -> pd.DataFrame:
    """Return the images that a version was made from, one row each, with their splits.

    Raises:
        RegistryError: there is no such version, or its run has kept no table of images.
    """
    found = get_version(model_name, version)
    images = tracking.read_images(found.run_id) if found.run_id else None
    if images is None:
        raise RegistryError(
            f"Version {version} of '{model_name}' keeps no table of its images "
            f"({tracking.IMAGES_ARTIFACT} of MLflow run {found.run_id})."
        )
    return images


def _name(version: str | None) -> str:
    return f"version {version}" if version else "none"
