"""Errors a user can act on: each names the thing, what was allowed, what came, the remedy."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class ImageClassificationError(Exception):
    """Base of every error that this package raises on purpose."""


class ConfigurationError(ImageClassificationError):
    """A parameter, a YAML file or a setting is wrong."""


class CodeChangedError(ConfigurationError):
    """A task has another package or configuration than its run began with."""


class DataError(ImageClassificationError):
    """The images or the tables made from them cannot be used."""


class StorageError(ImageClassificationError):
    """The storage was not to be had in time: another try may succeed."""


class ContractError(DataError):
    """The data are not what the contract requires."""


class RegistryError(ImageClassificationError):
    """The model registry does not hold what was asked for, or refuses a change."""


class ChampionMovedError(RegistryError):
    """Somebody else moved the champion since it was looked at: nothing was moved."""


class VerificationError(RegistryError):
    """A registered model does not answer as it did when it was made."""


class SealedError(RegistryError):
    """What a version was trained with, or decided by, would be changed afterwards."""


class SignatureError(RegistryError):
    """The files of a registered model are not those that were packaged and signed."""


class LedgerError(RegistryError):
    """The ledger cannot be written, or is not what was written: nothing is promoted over it."""


class TrackingError(ImageClassificationError):
    """The MLflow tracking store cannot be used."""


def find_cause(error: BaseException | None) -> ImageClassificationError | None:
    """Return our error, which Kedro's catalog may have wrapped into its own; None for any other."""
    while error is not None and not isinstance(error, ImageClassificationError):
        error = error.__cause__
    return error


def name_near_misses(received: str, allowed: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` when `received` looks like one of `allowed`, else ``""``."""
    matches = get_close_matches(received, list(allowed), n=1)
    return f" Did you mean '{matches[0]}'?" if matches else ""
