"""Plan a rollback: which version shall be champion again, and why."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from image_classification.champion import ledger, registry
from image_classification.configuration.parameters import RollbackParameters
from image_classification.errors import ConfigurationError, RegistryError

logger = logging.getLogger(__name__)

PREVIOUS = "previous"


def plan_rollback(
    entries: Mapping[str, dict[str, Any]],
    registered_versions: Sequence[dict[str, Any]],
    model_name: str,
    parameters: RollbackParameters,
) -> dict[str, str]:
    """Find the version that shall be champion again.

    Args:
        entries: the ledger.
        registered_versions: `version`, `aliases` and `tags` of each version of the model.
        model_name: the registered model.
        parameters: the parameters `rollback`: `version` (a number or "previous"), `reason`, `by`.

    Returns:
        `model`, `from` (the present champion, "" for none), `to`, `reason`, and `by`: the name that
        was typed, which nobody vouches for.

    Raises:
        ConfigurationError: the reason is missing, or there is no such version.
        RegistryError: there is no champion, there was none before it, or it is the one asked for.
    """
    said = {"reason": parameters["reason"].strip(), "by": parameters["by"].strip()}
    if not said["reason"]:
        raise ConfigurationError(
            "A rollback needs rollback.reason: why. It is kept in the ledger for ever."
        )
    own = [entry for entry in entries.values() if entry["model"] == model_name]
    champion = next((one for one in registered_versions if "champion" in one["aliases"]), None)
    recorded = ledger.find_champion(own)
    if champion is None and recorded is None:
        raise RegistryError(
            f"'{model_name}' has no champion: there is nothing to roll back. Promote a version, or "
            "set the alias 'champion' in MLflow."
        )
    present, asked = champion["version"] if champion else "", str(parameters["version"]).strip()
    target = _find_target(asked, champion, model_name, own)
    # A champion that was set by hand may be written down: the ledger then agrees with it.
    known = [one["version"] for one in registered_versions]
    _check_target(target, asked, present if present == recorded or not recorded else "", known)
    tags = next(one["tags"] for one in registered_versions if one["version"] == target)
    if told := tags.get(registry.PACKAGE_TAG):
        raise ConfigurationError(
            f"rollback.version: the package of version {target} is there no more ({told}). Name "
            "another version."
        )
    logger.info("To roll back: champion from version %s to version %s", present or "none", target)
    return {"model": model_name, "from": present, "to": target, **said}


def _check_target(target: str, asked: str, present: str, known: Sequence[str]) -> None:
    """Check that a version may become champion; `present` is the one that must not, "" for none."""
    others = ", ".join(version for version in known if version != present) or "none"
    allowed = f"rollback.version: allowed are '{PREVIOUS}' and the other versions, {others}."
    if target == present:
        raise RegistryError(f"{allowed} Received: '{asked}', which is champion already.")
    if target not in known:
        gone = f": version {target}, which is not registered any more" if asked == PREVIOUS else ""
        raise ConfigurationError(f"{allowed} Received: '{asked}'{gone}.")


def _find_target(
    asked: str, champion: Mapping[str, Any] | None, model_name: str, own: Sequence[ledger.Entry]
) -> str:
    if asked != PREVIOUS:
        return asked.removeprefix("v")
    if champion is None:
        # The alias was removed: the last champion that the ledger knows is the one before.
        return str(ledger.find_champion(own))
    found = ledger.find_previous(own, champion["version"])
    if found is None:
        # It was promoted before there was a ledger: a tag names the version that it replaced.
        replaced = champion["tags"].get("compared_with_version", "none")
        found = None if replaced == "none" else replaced
    if found is None:
        raise RegistryError(
            f"Version {champion['version']} of '{model_name}' is the first champion: none was "
            "before it. Name a version."
        )
    return found
