"""MLflow: a server that opens no file but its artifacts, and what it serves, read without it.

Relied on, tried with MLflow 3.17.2:

- `_artifact_repository_registry`: what opens an address. MLflow's server opens any folder of its
  machine that an account names as the place of an experiment, or of a trace; there is no setting
  against it, only one against hosts (`MLFLOW_ALLOWED_HOST_ADDRESSED_ARTIFACT_SCHEMES`). It can go
  when there is.
- `mlflow.server.handlers._get_request_message`: what a request says, however it is written.
- `LocalArtifactRepository.artifact_dir`: the folder that it opens.

`pyproject.toml` declares two entry points of MLflow: `create_app` as an app, and `open_served`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

APP = "image-classification"
"""The name of the app, for ``mlflow server --app-name``."""

SQLITE = "sqlite:///"


def create_app() -> Any:
    """Return MLflow's app with its log-in (`basic-auth`), which opens no file but its artifacts."""
    from mlflow.server import app, auth  # noqa: PLC0415 - a client has no server
    from mlflow.store.artifact.artifact_repository_registry import (  # noqa: PLC0415
        _artifact_repository_registry,
    )

    registry: Any = _artifact_repository_registry
    for scheme in ("", "file"):
        registry.register(scheme, _open_below_destination)
    served = auth.create_app(app)
    app.before_request(_refuse_location)
    return served


def open_served(
    artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None
) -> Any:
    """Return the artifacts at ``mlflow-artifacts:/...``: from the server, or from its folder.

    A server keeps them in the folder `artifacts` beside its SQLite file. Where that file itself is
    the tracking store, as while the server is down, they are read and written there.
    """
    import mlflow  # noqa: PLC0415 - MLflow imports this module
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository  # noqa: PLC0415
    from mlflow.store.artifact.mlflow_artifacts_repo import (  # noqa: PLC0415
        MlflowArtifactsRepository,
    )
    from mlflow.utils.uri import validate_path_is_safe  # noqa: PLC0415

    store = tracking_uri or mlflow.get_tracking_uri()
    if not store.startswith(SQLITE):
        return MlflowArtifactsRepository(artifact_uri, tracking_uri, registry_uri)
    path = validate_path_is_safe(  # type: ignore[no-untyped-call]
        urlparse(artifact_uri).path.lstrip("/")
    )
    folder = Path(store.removeprefix(SQLITE)).absolute().parent / "artifacts" / path
    # As a URL: of a plain path, MLflow takes "%20" for a space.
    return LocalArtifactRepository(folder.as_uri(), tracking_uri, registry_uri)


def _open_below_destination(
    artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None
) -> Any:
    from mlflow.exceptions import MlflowException  # noqa: PLC0415
    from mlflow.protos.databricks_pb2 import PERMISSION_DENIED  # noqa: PLC0415
    from mlflow.server.constants import ARTIFACTS_DESTINATION_ENV_VAR  # noqa: PLC0415
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository  # noqa: PLC0415

    opened = LocalArtifactRepository(artifact_uri, tracking_uri, registry_uri)
    own = LocalArtifactRepository(os.environ[ARTIFACTS_DESTINATION_ENV_VAR])
    if not Path(opened.artifact_dir).resolve().is_relative_to(Path(own.artifact_dir).resolve()):
        raise MlflowException(
            "This server opens no folder but that of its artifacts.", PERMISSION_DENIED
        )
    return opened


def _refuse_location() -> Any:
    """Refuse an experiment that names its own place: it could be that of another's artifacts."""
    from flask import Response, request  # noqa: PLC0415
    from mlflow.protos.service_pb2 import CreateExperiment  # noqa: PLC0415
    from mlflow.server import handlers  # noqa: PLC0415

    rule = request.url_rule.rule if request.url_rule else ""
    if not rule.endswith("/mlflow/experiments/create"):
        return None
    read: Any = handlers._get_request_message
    try:
        location = read(CreateExperiment()).artifact_location
    except Exception:  # noqa: BLE001 - whatever is no request of MLflow's
        return Response("This is no request for an experiment.", status=400)
    if not location:
        return None
    return Response("This server chooses where an experiment keeps its artifacts.", status=403)
