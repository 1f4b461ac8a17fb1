"""The database of the local Airflow: PostgreSQL where Debian's is there, SQLite else.

PostgreSQL refuses to be run by root, and a stack that has begun with SQLite stays with it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from image_classification.local.accounts import write_private
from image_classification.local.ports import ServiceError
from image_classification.machine.stack import HOST

DRIVERS = ("psycopg2", "asyncpg")
"""Packages by which Airflow speaks to PostgreSQL, in its two ways."""

OPTIONS = "image_classification.local.sqlite.OPTIONS"


class Database:
    """Where one stack's Airflow keeps its runs."""

    def __init__(self, folder: Path) -> None:
        """Name the database of a stack.

        Args:
            folder: of the stack; the database lies below it.
        """
        self._folder = folder / "postgres"
        self._sqlite = folder / "airflow" / "airflow.db"
        self._password_file = folder / "postgres.password"

    @property
    def is_server(self) -> bool:
        """Whether it is PostgreSQL."""
        if self._folder.exists():
            return True
        drivers = all(map(find_spec, DRIVERS))
        return bool(
            not self._sqlite.exists() and os.geteuid() != 0 and drivers and find_program("postgres")
        )

    def make(self) -> None:
        """Make PostgreSQL's files, unless they are there.

        Raises:
            ServiceError: PostgreSQL cannot make them.
        """
        if (self._folder / "PG_VERSION").exists():
            return
        shutil.rmtree(self._folder, ignore_errors=True)  # of a start that was stopped
        password = secrets.token_urlsafe(24)
        write_private(self._password_file, password)
        where = ["-D", str(self._folder), "--username=airflow", "--auth=scram-sha-256"]
        done = subprocess.run(
            [
                *(find_program("initdb") or "initdb", *where, "--encoding=UTF8", "--locale=C"),
                f"--pwfile={self._password_file}",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise ServiceError(f"PostgreSQL cannot be set up: {done.stderr.strip()}")

    def command(self, port: int) -> list[str]:
        """Return the command that serves it, on localhost alone."""
        program = find_program("postgres") or "postgres"
        return [program, "-D", str(self._folder), "-h", HOST, "-p", str(port), "-k", ""]

    def configure(self, port: int) -> dict[str, str]:
        """Return Airflow's settings for it, without ``AIRFLOW__``."""
        if self.is_server:
            password = self._password_file.read_text()
            address = f"postgresql+psycopg2://airflow:{password}@{HOST}:{port}/postgres"
            return {"DATABASE__SQL_ALCHEMY_CONN": address}
        return {
            "DATABASE__SQL_ALCHEMY_CONNECT_ARGS": OPTIONS,
            "DATABASE__SQL_ALCHEMY_CONNECT_ARGS_ASYNC": OPTIONS,
        }


def find_program(name: str) -> str | None:
    """Return the path of a program; Debian keeps those of PostgreSQL off the PATH."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_read_version, reverse=True)
    return shutil.which(name, path=os.pathsep.join([os.environ["PATH"], *map(str, debian)]))


def _read_version(folder: Path) -> int:
    return int(folder.parent.name) if folder.parent.name.isdigit() else 0
