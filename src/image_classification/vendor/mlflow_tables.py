"""MLflow: an SQLite store whose tables others see all at once.

Relied on, tried with MLflow 3.17.2: `SqlAlchemyStore`, which makes the tables of a file that has
none as it is made itself, its attribute `engine`, and the name of the log that tells of it. MLflow
makes them one by one without a lock, so two that begin at once leave a file that nobody can use
(https://github.com/mlflow/mlflow/issues/19943). It can go when that is closed.

And `LOCATIONS`: the columns that name where artifacts lie. MLflow has no call that changes them. It
can go when no storage is left that a release before the relative addresses has made.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from secrets import token_hex
from urllib.parse import unquote, urlparse


def make_store(path: Path) -> None:
    """Make an SQLite store with all tables, unless there is one; several processes may do so."""
    if path.exists() and path.stat().st_size:
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # noqa: PLC0415

    # What it tells on stderr nobody can act on.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    part = path.with_name(f"{path.name}.{token_hex(4)}.part")
    try:
        SqlAlchemyStore(  # type: ignore[no-untyped-call]
            f"sqlite:///{part}", "mlflow-artifacts:/"
        ).engine.dispose()
        _put_in_place(part, path)
    finally:
        for left in (part, Path(f"{part}-wal"), Path(f"{part}-shm"), Path(f"{part}-journal")):
            left.unlink(missing_ok=True)


def _put_in_place(part: Path, path: Path) -> None:
    """Give a file its name, unless another process has given the name to its own."""
    if path.exists() and not path.stat().st_size:
        path.unlink(missing_ok=True)
    try:
        os.link(part, path)
    except FileExistsError:
        pass
    except OSError:  # a file system without links
        if not path.exists():
            part.rename(path)


def is_whole(path: Path) -> bool:
    """Return whether an SQLite store has its tables, and the experiment that MLflow makes last."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(path, timeout=10)) as store:
        version = store.execute("SELECT version_num FROM alembic_version").fetchone()
        return bool(version and store.execute("SELECT 1 FROM experiments LIMIT 1").fetchone())
    return False


LOCATIONS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
    ("model_versions", "source"),
)
"""Columns in which MLflow keeps where artifacts lie."""

BESIDE = "mlflow-artifacts:/"
"""The folder `artifacts` beside the SQLite file; see `mlflow_server.open_served`."""


def relocate_artifacts(path: Path) -> list[str]:
    """Let a store that was moved find its artifacts; return the places that it knew before.

    An earlier release named their folder by its whole path, ``…/mlflow/artifacts``. Where that is
    not the folder beside the file, and there is one, the storage was renamed, copied or restored:
    the addresses become relative to the file.

    Args:
        path: the SQLite file.
    """
    own = path.absolute().parent / "artifacts"
    if not own.is_dir():
        return []
    with suppress(sqlite3.Error), closing(sqlite3.connect(path, timeout=10)) as store, store:
        places = store.execute("SELECT DISTINCT artifact_location FROM experiments").fetchall()
        moved = [place for (place,) in places if _lies_elsewhere(place or "", own)]
        for place in moved:
            for table, column in LOCATIONS:
                store.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?)"  # noqa: S608
                    f" WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                    (BESIDE, len(place) + 2, place, len(place) + 1, f"{place}/"),
                )
        return moved
    return []


def _lies_elsewhere(place: str, own: Path) -> bool:
    folder = Path(unquote(urlparse(place).path) if place.startswith("file:") else place)
    return folder.is_absolute() and folder.parts[-2:] == ("mlflow", "artifacts") and folder != own
