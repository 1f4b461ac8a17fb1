"""The store in which MLflow keeps runs: a server, or an SQLite file."""

from __future__ import annotations

import logging
import os
import time
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlparse, urlsplit, urlunsplit

import mlflow
import requests
from mlflow import MlflowClient
from mlflow.entities import (
    LifecycleStage,
)
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from image_classification.errors import TrackingError
from image_classification.machine.place import find_unusable
from image_classification.vendor.mlflow_tables import is_whole, make_store, relocate_artifacts

logger = logging.getLogger(__name__)

SQLITE = "sqlite:///"

HALF_MADE_TIMEOUT_S = 20
"""How long another process may take to make the tables of an SQLite file."""

SERVED_FROM = "MLFLOW_ARTIFACTS_DESTINATION"
"""Says to a server of MLflow in which folder its artifacts lie."""

LOGIN = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
"""The variables by which MLflow's client logs in."""


def prepare_store(tracking_uri: str, *, ask: bool = True) -> None:
    """Check that the tracking store can be used: MLflow itself would retry for long.

    An SQLite file that is not there is made.

    Args:
        tracking_uri: the address of the store.
        ask: whether to ask a server if it is healthy, and to look into an SQLite file.

    Raises:
        TrackingError: a server does not answer, or an SQLite file cannot be made or used.
    """
    location = urlparse(tracking_uri)
    if location.scheme == "sqlite":
        path = tracking_uri.removeprefix(SQLITE)
        if "://" in path:
            raise TrackingError(
                f"SQLite cannot keep the MLflow store at '{path}'. Where the storage root is not a "
                "local folder, name an MLflow server in MLFLOW_TRACKING_URI."
            )
        if ask:
            _prepare_file(Path(path))
    elif ask and location.scheme in ("http", "https"):
        _ask_server(tracking_uri.rstrip("/"))


def _prepare_file(path: Path) -> None:
    if fault := find_unusable(path):
        raise TrackingError(f"The MLflow store '{path}' cannot be opened: {fault}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        make_store(path)
    except (OSError, SQLAlchemyError) as error:
        raise TrackingError(
            f"The MLflow store '{path}' cannot be made: {error}. Name another in "
            "MLFLOW_TRACKING_URI, or another storage root in IMAGE_CLASSIFICATION_STORAGE."
        ) from error
    # For `kedro mlflow ui`, whose server is started from here.
    os.environ[SERVED_FROM] = (path.parent / "artifacts").absolute().as_uri()
    deadline = time.monotonic() + HALF_MADE_TIMEOUT_S
    while not is_whole(path):
        # A server of MLflow may be making the tables.
        if time.monotonic() > deadline:
            raise TrackingError(
                f"The MLflow store '{path}' is half made, as MLflow leaves it where it was stopped "
                "while it made the tables. It holds no run yet. Remove the file and try again; or "
                "name another store in MLFLOW_TRACKING_URI."
            )
        time.sleep(0.2)
    for place in relocate_artifacts(path):
        logger.warning("The storage was moved: its artifacts lie no more in '%s'", place)


def _ask_server(address: str) -> None:
    """Check by one request that a server answers, and that it lets us in."""
    shown = hide_login(address)
    try:
        login = (os.environ.get(LOGIN[0], ""), os.environ.get(LOGIN[1], ""))
        search = f"{address}/api/2.0/mlflow/experiments/search?max_results=1"
        asked = requests.get(search, auth=login if all(login) else None, timeout=10)
        if asked.status_code != HTTPStatus.UNAUTHORIZED:
            asked.raise_for_status()
    except requests.RequestException as error:
        reason = str(error).replace(address, shown)
        raise TrackingError(
            f"The MLflow server at '{shown}' does not answer ({reason}). Start it "
            "('make up'), or correct MLFLOW_TRACKING_URI; without that variable a local "
            "SQLite store is used."
        ) from None
    if asked.status_code == HTTPStatus.UNAUTHORIZED:
        raise TrackingError(
            f"The MLflow server at '{shown}' asks for a login, and "
            f"{'refuses that of' if all(login) else 'finds none in'} {' and '.join(LOGIN)}. "
            "For a server that 'make up' started: source .local/main/login.sh"
        )


def hide_login(address: str) -> str:
    """Return an address, also that of a database, without the user and password it may hold."""
    parts = urlsplit(address)
    if "@" not in parts.netloc:
        return address
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def connect(tracking_uri: str) -> None:
    """Use this tracking store and registry, outside Kedro."""
    mlflow.set_tracking_uri(tracking_uri)


def open_experiment(name: str, *, restore: bool = True, **creation: Any) -> str:
    """Return the id of an experiment; create it if it does not exist.

    Args:
        name: the name of the experiment.
        restore: whether to restore it if it was deleted.
        creation: arguments of `MlflowClient.create_experiment`.
    """
    client = MlflowClient()
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return str(client.create_experiment(name, **creation))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            return open_experiment(name, restore=restore)  # another run has just created it
    if restore and experiment.lifecycle_stage == LifecycleStage.DELETED:
        client.restore_experiment(experiment.experiment_id)
    return str(experiment.experiment_id)


def read_uri() -> str:
    """Return the address of the tracking store in use."""
    return str(mlflow.get_tracking_uri())


def is_gone(error: Exception) -> bool:
    """Tell whether MLflow refuses because a run, a model or a version was deleted.

    A server that does not answer is another error, and so is a store without room.
    """
    if not isinstance(error, MlflowException):
        return True  # ours, which names what is not there
    deleted = "must be in the 'active' state" in str(error) or "must be in 'active'" in str(error)
    return deleted or error.error_code == "RESOURCE_DOES_NOT_EXIST"
