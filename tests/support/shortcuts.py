"""What many sessions and DAG runs in one process need to do once only."""

from __future__ import annotations

import inspect
import io
import json
import os
import pickle
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest


@contextmanager
def quick_sessions() -> Iterator[None]:
    """Let each Kedro session find the configuration files read and resolved, if one has before.

    What has another environment, storage root or parameters is read for itself.
    """
    import dynaconf.loaders.py_loader
    import dynaconf.utils.files
    from kedro.config import OmegaConfigLoader

    from image_classification.configuration.plain import PlainConfiguration
    from image_classification.configuration.project import settle_words

    read, read_plainly = OmegaConfigLoader.__getitem__, PlainConfiguration._read
    known: dict[str, dict[str, Any]] = {}

    def read_once(self: OmegaConfigLoader, key: str) -> dict[str, Any]:
        if key in self:  # given explicitly
            return read(self, key)
        place = _describe_place(key, self.conf_source, self.env, self.runtime_params)
        if place not in known:
            known[place] = read(self, key)
        return known[place]

    def read_plainly_once(self: PlainConfiguration, kind: str) -> dict[str, Any]:
        place = _describe_place(kind, self._conf, self._env)
        if place not in known:
            known[place] = read_plainly(self, kind)
        if kind == "parameters":
            settle_words(self.project, known[place])
        return known[place]

    # Kedro's settings ask for the files of all their callers, which takes long below pytest.
    frugal = SimpleNamespace(stack=_list_callers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OmegaConfigLoader, "__getitem__", read_once)
        patch.setattr(PlainConfiguration, "_read", read_plainly_once)
        patch.setattr(dynaconf.loaders.py_loader, "inspect", frugal)
        patch.setattr(dynaconf.utils.files, "inspect", frugal)
        yield


@contextmanager
def quick_configuration() -> Iterator[None]:
    """Let OmegaConf parse each text once: the content of a file, and a value with ``${...}``."""
    import omegaconf.base
    from omegaconf import OmegaConf

    load = OmegaConf.load
    known: dict[str, bytes] = {}

    def load_once(file: Any, **options: Any) -> Any:
        text = file.getvalue() if isinstance(file, io.StringIO) else Path(file).read_text()
        if text not in known:
            known[text] = pickle.dumps(load(file, **options))
        return pickle.loads(known[text])  # noqa: S301 - what this process has written

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OmegaConf, "load", staticmethod(load_once))
        patch.setattr(omegaconf.base, "parse", cache(omegaconf.base.parse))
        yield


@contextmanager
def quick_catalogs() -> Iterator[None]:
    """Let Kedro look for the class of a dataset once.

    It tries two packages of its own first, and Python forgets that they lack it.
    """
    from kedro.io import core

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core, "_load_obj", cache(core._load_obj))
        yield


@contextmanager
def quick_stores() -> Iterator[None]:
    """Let a new MLflow store be a copy of the first one, before anything was written into it.

    What MLflow says to SQLite before every few statements is said once to each connection, and no
    client of MLflow's looks for Spark all along the path of Python.
    """
    import mlflow.store.db.utils
    from sqlalchemy import event

    make_tables = mlflow.store.db.utils._initialize_tables
    manage_sessions = mlflow.store.db.utils._get_managed_session_maker
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        empty = Path(folder) / "empty.db"

        def copy_tables(engine: Any) -> None:
            file = engine.url.database
            if engine.dialect.name != "sqlite" or not file:
                make_tables(engine)
            elif empty.exists():
                engine.dispose()
                shutil.copy(empty, file)
            else:
                make_tables(engine)
                shutil.copy(file, empty)

        def manage_quick_sessions(make_session: Any, kind: str) -> Any:
            engine = make_session.kw["bind"]
            if kind != "sqlite" or not engine.url.database:
                return manage_sessions(make_session, kind)
            event.listen(engine, "connect", _set_up)
            engine.dispose()  # what is connected was not set up
            return manage_sessions(make_session, "set up")

        patch.setattr(mlflow.store.db.utils, "_initialize_tables", copy_tables)
        patch.setattr(mlflow.store.db.utils, "_get_managed_session_maker", manage_quick_sessions)
        patch.setitem(sys.modules, "pyspark", None)
        yield


def _set_up(connection: Any, _: Any) -> None:
    """Tell SQLite what MLflow tells it before every few statements."""
    for setting in ("foreign_keys = ON", "busy_timeout = 20000", "case_sensitive_like = true"):
        connection.execute(f"PRAGMA {setting}")


def _list_callers() -> list[Any]:
    """Do as much of what `inspect.stack` does as is looked at: name each caller's file."""
    frame, callers = inspect.currentframe(), []
    while frame := frame and frame.f_back:
        callers.append(SimpleNamespace(filename=frame.f_code.co_filename))
    return callers


def _describe_place(key: str, folder: str | Path, *more: Any) -> str:
    ours = ("IMAGE_CLASSIFICATION_", "MLFLOW_")
    environment = {name: value for name, value in os.environ.items() if name.startswith(ours)}
    files = {str(path): path.stat().st_mtime_ns for path in Path(folder).rglob("*.yml")}
    place = [key, folder, files, *more, environment, Path.cwd()]
    return json.dumps(place, default=str, sort_keys=True)


@contextmanager
def quick_dag_runs() -> Iterator[None]:
    """Let `dag.test()` parse the folder of DAG files once, and not before each run."""
    from airflow.dag_processing import dagbag

    parse, sync = dagbag.BundleDagBag, dagbag.sync_bag_to_db
    synced: list[Any] = []

    def parse_once(*arguments: Any, **options: Any) -> Any:
        return synced[0] if synced else parse(*arguments, **options)

    def sync_once(bag: Any, *arguments: Any, **options: Any) -> None:
        if bag not in synced:
            sync(bag, *arguments, **options)
            synced.append(bag)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dagbag, "BundleDagBag", parse_once)
        patch.setattr(dagbag, "sync_bag_to_db", sync_once)
        yield
