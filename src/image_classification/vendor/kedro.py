"""Kedro: private names of sessions and of file datasets.

Tried with Kedro 1.7.0 and kedro-datasets 9.6.0.

- `KedroSession._store`: the record of a session. `KedroSession.create` starts git twice to fill it;
  it can go when a session can be made without that.
- `_fs`, `_filepath`, `_protocol`, `_exists_function` and `_glob_function` of a file dataset, where
  its file lies, and `_init_args`, what it was made with. They can go when datasets tell.
- `kedro.io.core.generate_timestamp`: the id of a session.
- `pipelines.set_requested`, and setting an item of `pipelines`: a PipelineML cannot be cut into
  single nodes (kedro-mlflow 2.0.3), so that a session has to find another pipeline under its name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path, PurePosixPath
from typing import Any

from fsspec.implementations.local import LocalFileSystem
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.io.core import generate_timestamp
from kedro_mlflow.pipeline.pipeline_ml import PipelineML


def make_session(
    session_class: type[KedroSession],
    project_path: Path,
    conf_source: Path,
    env: str | None,
    runtime_params: dict[str, Any],
) -> Any:
    """Make a session as `KedroSession.create` does, without asking git for what nobody reads."""
    session = session_class(
        session_id=generate_timestamp(), project_path=project_path, conf_source=str(conf_source)
    )
    facts = {"session_id": session.session_id, "env": env, "runtime_params": runtime_params}
    session._store.update(facts)
    return session


def list_pipelines() -> list[str]:
    """Return the names of the registered pipelines; of none outside of a project."""
    return sorted(pipelines)


def find_pipeline(name: str) -> Any:
    """Return a registered pipeline, whichever others a session has asked for."""
    pipelines.set_requested([name])
    return pipelines[name]


@contextmanager
def plain_pipeline(name: str) -> Iterator[None]:
    """Let a session find a PipelineML as the plain pipeline that it trains with, for a while."""
    registered = find_pipeline(name)
    if isinstance(registered, PipelineML):
        pipelines[name] = registered.training
    try:
        yield
    finally:
        pipelines.set_requested(None)


def locate_file(dataset: Any) -> str:
    """Return where the file of a dataset lies, as its filesystem names it."""
    return str(dataset._filepath.as_posix())


def is_local_file(dataset: Any) -> bool:
    """Return whether the file of a dataset lies in a folder of this machine."""
    return isinstance(dataset._fs, LocalFileSystem)


def fetch_file(dataset: Any, folder: Path) -> Path:
    """Copy the file of a dataset into a folder of this machine; return the copy."""
    file = folder / dataset._filepath.name
    dataset._fs.get_file(locate_file(dataset), str(file))
    return file


def copy_file(dataset: Any, folder: Path) -> Any:
    """Return a dataset as this one, of a copy of its file in a folder of this machine.

    Whoever pickles one that still knows the object store needs its package to read it again, and
    with Azure its credentials.
    """
    twin, local, file = copy(dataset), LocalFileSystem(), fetch_file(dataset, folder).as_posix()
    twin._filepath, twin._fs, twin._protocol = PurePosixPath(file), local, "file"
    twin._exists_function, twin._glob_function = local.exists, local.glob
    twin._init_args = {"filepath": file}
    return twin


def digest_file(dataset: Any) -> str:
    """Return the sha256 of the file of a dataset, 64 hexadecimal digits."""
    with dataset._fs.open(locate_file(dataset), "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()
