"""The MLflow model registry. No other code talks to it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from image_classification import tracking
from image_classification.champion import glance
from image_classification.errors import ChampionMovedError, RegistryError
from image_classification.gate.rule import RUN_OF_TODAY
from image_classification.gate.verdict import INTERRUPTED, LOST_RACE, REFUSED
from image_classification.vendor.mlflow import set_version_tags

logger = logging.getLogger(__name__)

CHAMPION = glance.CHAMPION
CHALLENGER = "challenger"
# The tags of a version: MLflow shows them in the order in which they were set first.
DECISION_TAG = "decision"
REASON_TAG = "decision_reason"
NOT_JUDGED = "not judged yet"
"""The decision about a version whose run has come to none."""
IMAGES_TAG = "images"
DIGEST_TAG = "images_digest"
"""Tag of a version: digest of the images, labels and splits that it was made from."""
OLD_DIGEST_TAG = "data_digest"
"""What an earlier release called that tag; the ledger and the summary of a run still do."""
IN_USE_TAG = "in_use"
"""Tag of each version that is champion, or was: since when, or from when to when."""
GUARDS_TAG = "refused_for"
"""Tag of a version: the guards that refused its comparison."""
PACKAGE_TAG = "package"
"""Tag of a version whose packaged model was removed as old: when."""
REFERENCE_TAG = "validation_accuracy"
"""Tag of a version: its accuracy on the validation images when it was judged."""
LEDGER_TAG = glance.LEDGER_TAG


def find_version(model_name: str, alias: str) -> ModelVersion | None:
    """Return the model version that an alias points to, or None if there is none."""
    try:
        return MlflowClient().get_model_version_by_alias(model_name, alias)
    except MlflowException as error:
        # MLflow's codes for "no such alias" and "no such model".
        if error.error_code in ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"):
            return None
        raise


def find_latest_version(model_name: str, *, own: bool = False) -> ModelVersion | None:
    """Return the newest version of a model by its number, or None if there is none.

    Args:
        model_name: the registered model.
        own: only versions that this project has registered.
    """
    found = [one for one in list_versions(model_name) if not own or read_digest(one.tags)]
    return max(found, key=lambda version: int(version.version), default=None)


def list_versions(model_name: str) -> list[ModelVersion]:
    """Return all versions of a model, oldest first, with their aliases."""
    client = MlflowClient()
    found = client.search_model_versions(f"name = '{model_name}'")
    numbers = sorted(int(version.version) for version in found)
    # The search returns versions without their aliases.
    return [client.get_model_version(model_name, str(number)) for number in numbers]


def find_version_of_model(model_name: str, model_id: str) -> ModelVersion | None:
    """Return the version that a logged model was registered as, or None."""
    versions = MlflowClient().search_model_versions(f"name = '{model_name}'")
    source = f"models:/{model_id}"
    return next((version for version in versions if version.source == source), None)


def register_challenger(model_name: str, model_id: str, tags: Mapping[str, str]) -> ModelVersion:
    """Register a logged model, once, and give it the alias `challenger`, if no newer one has it.

    Args:
        model_name: the registered model; it is created if it does not exist.
        model_id: the logged model.
        tags: the tags of the new version.
    """
    version = find_version_of_model(model_name, model_id)
    if version is None:
        version = mlflow.register_model(f"models:/{model_id}", model_name, tags=dict(tags))
        logger.info("Registered %s version %s", model_name, version.version)
    newest = find_version(model_name, CHALLENGER)
    if newest is None or int(newest.version) < int(version.version):
        MlflowClient().set_registered_model_alias(model_name, CHALLENGER, version.version)
    return version


def copy_version(version: ModelVersion, model_name: str) -> ModelVersion:
    """Register the logged model behind a version as another registered model, once.

    MLflow's own `copy_model_version` names the version as the source, so that the copy is lost with
    it, and its files could not be told from those of another model. The tags that say what the
    version was made from go with it.

    Raises:
        RegistryError: there is no logged model behind it.
    """
    model_id = read_model_id(version)
    if model_id is None:
        raise RegistryError(
            f"Version {version.version} of '{version.name}' comes from {version.source}, which is "
            "no logged model of this project: it cannot be copied."
        )
    kept = (IMAGES_TAG, DIGEST_TAG, OLD_DIGEST_TAG, REFERENCE_TAG)
    tags = {name: version.tags[name] for name in kept if name in version.tags}
    found = find_version_of_model(model_name, model_id)
    return found or mlflow.register_model(f"models:/{model_id}", model_name, tags=tags)


def move_champion(model_name: str, version: str | None, expected: str | None) -> bool:
    """Move the alias `champion`: the only function that does.

    MLflow has no compare-and-set: that is the entry of the ledger, which comes first. This function
    looks again, so that an alias that was set by hand in the meantime is left alone.

    Args:
        model_name: the registered model.
        version: the version that the alias shall point to; None removes the alias.
        expected: the version that it points to now; None if there is no champion.

    Returns:
        Whether the alias moved; False if it already pointed to the version.

    Raises:
        ChampionMovedError: the alias points to another version than expected; nothing was moved.
        RegistryError: the alias was set, and yet points elsewhere.
    """
    current = find_champion(model_name)
    if current == version:
        return False
    if current != expected:
        raise ChampionMovedError(
            f"The champion of '{model_name}' changed since it was looked at: expected "
            f"{name_champion(expected)}, found {name_champion(current)}. Nothing was moved. Run "
            "the DAG 'promotion' to compare with the present champion."
        )
    if version is None:
        MlflowClient().delete_registered_model_alias(model_name, CHAMPION)
    else:
        MlflowClient().set_registered_model_alias(model_name, CHAMPION, version)
    if (found := find_champion(model_name)) != version:
        raise RegistryError(
            f"The alias '{CHAMPION}' of '{model_name}' was set to {name_champion(version)} but "
            f"points to {name_champion(found)}. Look at the model in MLflow."
        )
    logger.info(
        "Champion of %s: %s, before %s", model_name, name_champion(version), name_champion(current)
    )
    return True


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
        known = ", ".join(str(found.version) for found in list_versions(model_name))
        known = known or "none yet, a night that trains registers one"
        raise RegistryError(
            f"There is no version '{version}' of '{model_name}'. Known: {known}. MLflow said: "
            f"{error.message}"
        ) from None


def find_model_id(model_name: str, version: str) -> str | None:
    """Return the id of the logged model behind a version, or None."""
    return read_model_id(get_version(model_name, version))


def read_model_id(version: ModelVersion) -> str | None:
    """Return the id of the logged model that a version was registered from, or None."""
    source = version.source or ""
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


def tag_version(model_name: str, version: str, tags: Mapping[str, str]) -> None:
    """Set tags of a version; its description stays as it is."""
    set_version_tags(model_name, version, tags)


def tag_model(model_name: str, tags: Mapping[str, str]) -> None:
    """Set tags of the registered model, whatever its versions are."""
    for key, value in tags.items():
        try:
            MlflowClient().set_registered_model_tag(model_name, key, value)
        except MlflowException as error:
            if "unique constraint" not in str(error).lower():
                raise
            # Another run has set it after MLflow looked, and before it wrote.
            MlflowClient().set_registered_model_tag(model_name, key, value)


def read_model_tags(model_name: str) -> dict[str, str] | None:
    """Return the tags of the registered model, or None if there is no such model."""
    try:
        return dict(MlflowClient().get_registered_model(model_name).tags)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def read_all_tags(model_name: str) -> dict[str, dict[str, str]]:
    """Return the tags of each version of a model, by its number, in one request."""
    found = MlflowClient().search_model_versions(f"name = '{model_name}'")
    return {str(version.version): dict(version.tags) for version in found}


def read_descriptions(model_name: str) -> dict[str, str]:
    """Return the card of each version of a model, by its number, in one request."""
    found = MlflowClient().search_model_versions(f"name = '{model_name}'")
    return {str(version.version): version.description or "" for version in found}


def list_uses() -> list[ModelVersion]:
    """Return all versions of all registered models, without their aliases."""
    return list(MlflowClient().search_model_versions())


def delete_version(model_name: str, version: str) -> None:
    """Delete a version; to do so twice does no harm."""
    try:
        MlflowClient().delete_model_version(model_name, version)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise


def locate_version(model_name: str, version: str) -> str:
    """Return the address of a version's page, or its URI if there is no server."""
    uri = mlflow.get_tracking_uri()
    if not uri.startswith("http"):
        return f"models:/{model_name}/{version}"
    return f"{tracking.hide_login(uri).rstrip('/')}/#/models/{model_name}/versions/{version}"


def read_digest(tags: Mapping[str, str]) -> str | None:
    """Return the digest of the data of a version; None if this project has not registered it."""
    return tags.get(DIGEST_TAG) or tags.get(OLD_DIGEST_TAG)


def explain_unjudged(tags: Mapping[str, str]) -> str:
    """Return why a version still needs a fair judgement, or "" if it has had one.

    A version has had none if it was refused only for the date of its run, or if its run lost a
    race: neither shows how good it is. A version that a person has rolled back needs none.
    """
    decision = tags.get(DECISION_TAG)
    if decision in (None, NOT_JUDGED):  # an earlier release set none before there was one
        return "was never judged"
    if decision == LOST_RACE:
        return "lost a race, and was not judged against the present champion"
    if decision == INTERRUPTED:
        return "was to be promoted, and that was interrupted"
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


def name_champion(version: str | None) -> str:
    """Return a champion as part of a sentence."""
    return f"version {version}" if version else "none"
