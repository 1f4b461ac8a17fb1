"""What the MLflow server of this machine is told."""

from __future__ import annotations

import re
from pathlib import Path

MLFLOW_APP = "image-classification"
"""MLflow's basic-auth app, which opens no file but its artifacts; see `vendor/mlflow_server.py`."""

MODEL_SOURCES = r"^(models:/|runs:/|mlflow-artifacts:/|(file://)?{}/artifacts/)"
"""Where the files of a model version may lie. MLflow looks besides whether they are its run's."""

SETTINGS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def make_command(store: Path, host: str, port: int) -> list[str]:
    """Return the command that serves a store.

    Args:
        store: the folder with its SQLite file, `mlflow.db`, and its `artifacts`.
        host: where it listens.
        port: likewise.
    """
    return [
        *("mlflow", "server", "--host", host, "--port", str(port)),
        *("--workers", "1", "--backend-store-uri", f"sqlite:///{store}/mlflow.db"),
        *("--app-name", MLFLOW_APP, "--serve-artifacts"),
        *("--artifacts-destination", str(store / "artifacts")),
        *("--default-artifact-root", "mlflow-artifacts:/"),
    ]


def configure_mlflow(store: Path) -> dict[str, str]:
    """Return the variables of a store's server; users and keys have their own."""
    sources = MODEL_SOURCES.format(re.escape(str(store)))
    return SETTINGS | {"MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX": sources}
