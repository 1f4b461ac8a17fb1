"""MLflow's database is copied as it is at one moment, and comes back into an empty one."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from image_classification.errors import TrackingError
from image_classification.local.database import find_program
from image_classification.local.ports import find_port
from image_classification.tracking import dump_database, find_database, load_database


def count_rows(path: Path) -> int:
    with closing(sqlite3.connect(path)) as store:
        return int(store.execute("SELECT count(*) FROM runs").fetchone()[0])


def test_a_file_is_copied_while_somebody_writes(tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    store = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(store)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("CREATE TABLE runs (id)")
        writer.execute("INSERT INTO runs VALUES (1)")
        writer.commit()
        writer.execute("INSERT INTO runs VALUES (2)")  # not yet
        copy = dump_database(f"sqlite:///{store}", tmp_path / "copy")
        writer.commit()
    assert (copy.name, count_rows(copy), count_rows(store)) == ("mlflow.db", 1, 2)
    load_database(copy, f"sqlite:///{tmp_path}/there/mlflow.db")
    assert count_rows(tmp_path / "there" / "mlflow.db") == 1


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"mine")
    (tmp_path / "copy").mkdir()
    copy = tmp_path / "copy" / "mlflow.db"
    copy.write_bytes(b"another's")
    with pytest.raises(TrackingError, match="There is a database already"):
        load_database(copy, f"sqlite:///{tmp_path}/mlflow.db")
    assert (tmp_path / "mlflow.db").read_bytes() == b"mine"


def test_a_copy_goes_into_a_database_of_its_kind_alone(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=r"of SQLite .*Received: 'postgresql://host/db'"):
        load_database(tmp_path / "mlflow.db", "postgresql://me:secret@host/db")
    with pytest.raises(TrackingError, match="of PostgreSQL"):
        load_database(tmp_path / "mlflow.dump", f"sqlite:///{tmp_path}/mlflow.db")
    with pytest.raises(TrackingError, match="Only SQLite and PostgreSQL"):
        dump_database("mysql://me:secret@host/db", tmp_path)
    with pytest.raises(TrackingError, match="There is no SQLite file"):
        dump_database(f"sqlite:///{tmp_path}/none.db", tmp_path)


def test_a_server_on_this_machine_keeps_its_database_in_the_storage(tmp_path: Path) -> None:
    storage = str(tmp_path)
    assert find_database("sqlite:////x/mlflow.db", storage) == "sqlite:////x/mlflow.db"
    assert find_database("postgresql://host/db", storage) == "postgresql://host/db"
    with pytest.raises(TrackingError, match="name it by --database") as told:
        find_database("https://me:secret@mlflow.example.org", storage)
    assert "secret" not in str(told.value)
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "mlflow.db").touch()
    assert (
        find_database("http://127.0.0.1:5000", storage) == f"sqlite:///{storage}/mlflow/mlflow.db"
    )


@pytest.fixture
def postgres() -> Iterator[str]:
    """The address of a PostgreSQL with two databases, `one` and `two`."""
    initdb, server, psql = map(find_program, ("initdb", "postgres", "psql"))
    if not (initdb and server and psql):
        pytest.skip("no PostgreSQL on this machine (Debian: apt-get install postgresql)")
    data = Path(tempfile.mkdtemp(prefix="postgres-"))  # another user can enter its parent
    as_user: list[str] = []
    if os.geteuid() == 0:  # PostgreSQL refuses to be run by root
        shutil.chown(data, "postgres", "postgres")
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    (data / "password").write_text("secret")
    made = [*as_user, initdb, "-D", f"{data}/db", "--username=me", "--auth=scram-sha-256", "-N"]
    subprocess.run([*made, f"--pwfile={data}/password"], check=True, capture_output=True)
    port = find_port(25532)
    address = f"postgresql://me:secret@127.0.0.1:{port}"
    serve = [*as_user, server, "-D", f"{data}/db", "-p", str(port), "-k", "", "-F"]
    process = subprocess.Popen(serve, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while run_sql(psql, f"{address}/postgres", "CREATE DATABASE one").returncode:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        run_sql(psql, f"{address}/postgres", "CREATE DATABASE two")
        yield address
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(data)


def run_sql(psql: str, address: str, statement: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [psql, address, "-At", "-c", statement], capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_postgres_is_copied_by_its_own_means(postgres: str, tmp_path: Path) -> None:
    psql = find_program("psql") or "psql"
    run_sql(psql, f"{postgres}/one", "CREATE TABLE runs (id int); INSERT INTO runs VALUES (7)")
    address = postgres.replace("postgresql://", "postgresql+psycopg2://")
    copy = dump_database(f"{address}/one", tmp_path)
    load_database(copy, f"{address}/two")
    assert run_sql(psql, f"{postgres}/two", "SELECT id FROM runs").stdout == "7\n"
    with pytest.raises(TrackingError, match=r"pg_restore failed: .*already exists"):
        load_database(copy, f"{address}/two")
    with pytest.raises(TrackingError, match="pg_dump failed") as told:
        dump_database(f"{address}/none", tmp_path)
    assert "secret" not in str(told.value)
