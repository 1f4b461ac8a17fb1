"""Writers of Airflow's SQLite file wait for one another."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from image_classification.local.sqlite import OPTIONS


@pytest.fixture
def file(tmp_path: Path) -> Path:
    with closing(sqlite3.connect(tmp_path / "airflow.db")) as made, made:
        made.execute("PRAGMA journal_mode = WAL")
        made.execute("CREATE TABLE run (id INTEGER)")
    return tmp_path / "airflow.db"


def write(file: Path, options: dict[str, Any], count: int = 20) -> None:
    """Look, then write, within a savepoint, as Airflow makes the run of a DAG."""
    engine = create_engine(f"sqlite:///{file}", connect_args=options)
    with engine.connect() as connection:
        for _ in range(count):
            with connection.begin_nested():
                found = connection.execute(text("SELECT COUNT(*) FROM run")).scalar()
                connection.execute(text("INSERT INTO run VALUES (:id)"), {"id": found})
            connection.commit()
    engine.dispose()


def test_two_that_look_and_then_write_wait_for_one_another(file: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: write(file, OPTIONS), range(4)))
    with closing(sqlite3.connect(file)) as store:
        assert store.execute("SELECT COUNT(DISTINCT id) FROM run").fetchone() == (80,)


def test_without_these_options_one_of_them_is_refused_at_once(file: Path) -> None:
    with closing(sqlite3.connect(file)) as first, closing(sqlite3.connect(file)) as second:
        first.execute("SAVEPOINT made")
        first.execute("SELECT * FROM run").fetchall()
        with second:
            second.execute("INSERT INTO run VALUES (1)")
        with pytest.raises(sqlite3.OperationalError, match="database is locked"):
            first.execute("INSERT INTO run VALUES (2)")
