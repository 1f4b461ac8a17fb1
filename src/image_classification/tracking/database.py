"""Copies of the database in which MLflow keeps runs and versions, by the database's own means."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from image_classification.errors import TrackingError
from image_classification.tracking.store import SQLITE, hide_login

POSTGRES = "postgresql"

COPY_OF_SQLITE, COPY_OF_POSTGRES = "mlflow.db", "mlflow.dump"
"""Names of a copy, by its kind."""


def find_database(tracking_uri: str, storage_root: str) -> str:
    """Return the address of the database behind a tracking store.

    Args:
        tracking_uri: a database itself, or a server.
        storage_root: where a server that `make up` has started keeps an SQLite file.

    Raises:
        TrackingError: only who has set the server up can tell.
    """
    if tracking_uri.startswith((SQLITE, POSTGRES)):
        return tracking_uri
    file = Path(storage_root, "mlflow", "mlflow.db")
    if "://" not in storage_root and file.exists():
        return f"{SQLITE}{file}"
    raise TrackingError(
        f"Which database the MLflow server at '{hide_login(tracking_uri)}' has is not known here: "
        "name it by --database, as its --backend-store-uri does, and its artifacts by --artifacts."
    )


def dump_database(database: str, folder: Path) -> Path:
    """Write a copy of a database, as it is at one moment; return the file.

    Others may write meanwhile: SQLite's backup and pg_dump see one state.

    Args:
        database: an SQLite file (``sqlite:///…``) or PostgreSQL (``postgresql://…``).
        folder: where the copy is written.

    Raises:
        TrackingError: there is no such database, or it is of another kind.
    """
    if database.startswith(SQLITE):
        source = Path(database.removeprefix(SQLITE))
        if not source.is_file():
            raise TrackingError(f"There is no SQLite file '{source}': MLflow has kept no run yet.")
        target = folder / COPY_OF_SQLITE
        with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
            old.backup(new)
        return target
    target = folder / COPY_OF_POSTGRES
    _run_client("pg_dump", database, "--format=custom", "--no-owner", f"--file={target}")
    return target


def load_database(copy: Path, database: str) -> None:
    """Make a database from a copy, all of it or nothing.

    Args:
        copy: of `dump_database`.
        database: an SQLite file that is not there yet, or an empty database of PostgreSQL.

    Raises:
        TrackingError: there is something already, or the copy is of another kind.
    """
    check_target(copy.name, database)
    if copy.name == COPY_OF_POSTGRES:
        options = ("--no-owner", "--exit-on-error", "--single-transaction")
        _run_client("pg_restore", database, *options, more=(str(copy),))
        return
    target = Path(database.removeprefix(SQLITE))
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f"{target.name}.partial")
    shutil.copyfile(copy, aside)
    aside.replace(target)


def check_target(name: str, database: str) -> None:
    """Check that a copy of a database can become this one.

    Args:
        name: of the file of the copy.
        database: as `load_database` takes it.

    Raises:
        TrackingError: there is an SQLite file already, or the copy is of another kind.
    """
    is_file = name == COPY_OF_SQLITE
    if is_file != database.startswith(SQLITE):
        kind = "SQLite (sqlite:///…)" if is_file else "PostgreSQL (postgresql://…)"
        raise TrackingError(
            f"The copy is of {kind}: a database of the same kind is needed. Received: "
            f"'{hide_login(database)}'. Name one by --database."
        )
    if is_file and (target := Path(database.removeprefix(SQLITE))).exists():
        raise TrackingError(f"There is a database already: '{target}'. Nothing was changed.")


def _run_client(program: str, database: str, *options: str, more: tuple[str, ...] = ()) -> None:
    """Run a client of PostgreSQL; the password is not on its command line."""
    if not database.startswith(POSTGRES):
        raise TrackingError(
            f"Only SQLite and PostgreSQL are copied. Received: '{hide_login(database)}'."
        )
    found = _find_program(program)
    if found is None:
        raise TrackingError(f"'{program}' is needed (Debian: apt-get install postgresql-client).")
    parts = urlsplit(database)
    user = f"{parts.username}@" if parts.username else ""
    netloc = f"{user}{parts.netloc.rpartition('@')[2]}"
    address = urlunsplit(parts._replace(scheme=POSTGRES, netloc=netloc))
    secret = {"PGPASSWORD": unquote(parts.password)} if parts.password else {}
    done = subprocess.run(  # noqa: S603
        [found, *options, f"--dbname={address}", *more],
        env={**os.environ, **secret},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise TrackingError(f"{program} failed: {done.stderr.strip()}. Nothing was changed.")


def _find_program(name: str) -> str | None:
    """Return the path of a program; Debian keeps those of PostgreSQL off the PATH, too."""
    debian = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *debian]))
