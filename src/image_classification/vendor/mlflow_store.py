"""MLflow's registry, asked about one model without importing MLflow, which takes two seconds.

Tried with MLflow 3.17. What is relied on, and when it can go: when `import mlflow` takes a tenth of
that.

- The tables `registered_model_tags`, `registered_model_aliases` and `model_versions` of its SQLite
  file, and `Deleted_Internal`, the stage of a version that was deleted.
- The paths of its REST API, which are documented.

Whatever is not as here is answered with None: the caller then asks MLflow itself.
"""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import urllib.error
import urllib.parse
import urllib.request
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DELETED = "Deleted_Internal"

LOGIN = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")

ONLY_MLFLOW_KNOWS = ("MLFLOW_REGISTRY_URI", "MLFLOW_WORKSPACE")
"""Variables with which another store, or another part of it, is meant."""

PLAIN = ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
"""Variables of the tracking store that are understood here; any other has to do with the login."""

PATIENCE_S = 10


@dataclass(frozen=True)
class Registered:
    """What the registry knows of a model.

    Attributes:
        tags: of the model.
        aliases: the version that each points to.
        versions: the description of each version that was asked for and is there.
    """

    tags: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


def read_registered(uri: str, model_name: str, version: str = "") -> Registered | None:
    """Return what the registry knows of a model, and of one version of it; None if in doubt.

    Args:
        uri: of the tracking store: an SQLite file, or a server.
        model_name: the registered model; where there is none, nothing is known of it.
        version: the version that is asked for.
    """
    if any(os.environ.get(name) for name in ONLY_MLFLOW_KNOWS):
        return None
    if uri.startswith("sqlite:///") and "?" not in uri:
        return _read_file(Path(uri.removeprefix("sqlite:///")), model_name, version)
    if uri.startswith(("http://", "https://")) and "@" not in uri:
        return _ask_server(uri.rstrip("/"), model_name, version)
    return None


def _read_file(path: Path, model_name: str, version: str) -> Registered | None:
    if not path.exists():
        return Registered()
    address = f"file:{urllib.parse.quote(str(path.absolute()))}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=PATIENCE_S)) as store:

            def select(columns: str, table: str, more: str = "", *values: str) -> list[Any]:
                query = f"SELECT {columns} FROM {table} WHERE name = ? {more}"  # noqa: S608
                return store.execute(query, (model_name, *values)).fetchall()

            aliases = select("alias, version", "registered_model_aliases")
            return Registered(
                tags=dict(select("key, value", "registered_model_tags")),
                aliases={alias: str(number) for alias, number in aliases},
                versions={
                    str(number): description or ""
                    for number, description in select(
                        "version, description",
                        "model_versions",
                        "AND CAST(version AS TEXT) = ? AND current_stage != ?",
                        version,
                        DELETED,
                    )
                },
            )
    except sqlite3.Error:
        return None


def _ask_server(address: str, model_name: str, version: str) -> Registered | None:
    if any(name.startswith("MLFLOW_TRACKING_") and name not in PLAIN for name in os.environ):
        return None
    try:
        model = _get(f"{address}/api/2.0/mlflow/registered-models/get", name=model_name)
        if model is None:
            return Registered()
        told = model["registered_model"]
        found = {}
        if version.isdecimal():
            path = f"{address}/api/2.0/mlflow/model-versions/get"
            if asked := _get(path, name=model_name, version=version):
                found[version] = asked["model_version"].get("description", "")
        return Registered(
            tags={tag["key"]: tag.get("value", "") for tag in told.get("tags", [])},
            aliases={one["alias"]: str(one["version"]) for one in told.get("aliases", [])},
            versions=found,
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _get(path: str, **query: str) -> dict[str, Any] | None:
    """Return what a server answers; None where it knows no such thing."""
    request = urllib.request.Request(f"{path}?{urllib.parse.urlencode(query)}")  # noqa: S310
    user, password = (os.environ.get(name, "") for name in LOGIN)
    if user and password:
        login = base64.b64encode(f"{user}:{password}".encode()).decode()
        request.add_header("Authorization", f"Basic {login}")
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:  # noqa: S310
            told: dict[str, Any] = json.loads(answer.read())
            return told
    except urllib.error.HTTPError as error:
        with closing(error):
            if json.loads(error.read())["error_code"] == "RESOURCE_DOES_NOT_EXIST":
                return None
        raise
