"""The doctor names what has to be mended, and exits with 1."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import psutil
import pytest
from click.testing import CliRunner
from storage_root import use_store

from image_classification import tracking
from image_classification.champion import registry
from image_classification.commands import doctor as command
from image_classification.commands.doctor import (
    doctor,
    examine_bucket,
    examine_services,
    examine_store,
)
from image_classification.datasets.neighbour import mark_folder
from image_classification.machine.stack import StackState, locate_stack, write_state

HERE = (os.getpid(), psutil.Process().create_time())
GONE = (os.getpid(), 1.0)


class Late(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'{"scheduler": {"status": "unhealthy"}, "triggerer": {"status": null}}'
        self.send_response_only(200)
        self.send_header("Date", formatdate(time.time() - 600, usegmt=True))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def late_server() -> Iterator[int]:
    """A server whose clock is ten minutes late, and an Airflow without a scheduler."""
    with HTTPServer(("127.0.0.1", 0), Late) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_port
        server.shutdown()


def write_stack(project: Path, **state: object) -> None:
    folder = locate_stack("main", project)
    folder.mkdir(parents=True)
    write_state(StackState("main", folder, **state))  # type: ignore[arg-type]


def test_a_machine_where_all_is_well_ends_with_0(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGE_CLASSIFICATION_STORAGE", str(tmp_path))
    monkeypatch.setenv("KEDRO_ENV", "test")
    done = CliRunner().invoke(doctor)
    assert done.exit_code == 0, done.output
    assert "the first run makes it" in done.output
    assert done.output.endswith("Nothing has to be mended.\n")
    assert not (tmp_path / "mlflow").exists()


def test_what_has_to_be_mended_ends_with_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_CLASSIFICATION_STORAGE", str(tmp_path / "what?"))
    monkeypatch.setenv("KEDRO_ENV", "test")
    done = CliRunner().invoke(doctor)
    assert done.exit_code == 1
    assert "holds '?'" in done.output
    assert "  - Name another folder in IMAGE_CLASSIFICATION_STORAGE." in done.output


def test_an_environment_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEDRO_ENV", "elsewhere")
    done = CliRunner().invoke(doctor)
    assert done.exit_code == 1
    assert "There is no environment 'elsewhere'" in done.output


def test_a_wrong_parameter_is_named(tmp_path: Path) -> None:
    configuration = {"parameters": {"training": {}}, "globals": {}}
    (finding,) = command.examine_configuration(configuration)  # type: ignore[arg-type]
    assert finding.remedy


def test_a_bucket_that_cannot_be_relied_on_is_named(tmp_path: Path) -> None:
    assert list(examine_bucket(str(tmp_path))) == []
    (finding,) = examine_bucket("s4://cells")
    assert (finding.about, "none of s3://" in finding.sentence) == ("storage", True)


def test_a_folder_of_another_project_among_the_batches_is_named(tmp_path: Path) -> None:
    settings = {"incoming": str(tmp_path / "in"), "images": str(tmp_path / "kept")}
    assert list(command.examine_neighbours(settings)) == []
    mark_folder(f"{tmp_path}/in/leaves", "leaves")
    (finding,) = command.examine_neighbours(settings)
    assert f"'{tmp_path}/in/leaves' is the folder of another project" in finding.sentence
    assert "IMAGE_CLASSIFICATION_INCOMING, or give this project a name" in finding.remedy


def test_a_service_that_has_died_is_named_with_its_log(tmp_path: Path) -> None:
    write_stack(tmp_path, processes={"mlflow": HERE, "scheduler": GONE, "watcher": HERE})
    (finding,) = examine_services(tmp_path)
    assert "scheduler of the stack 'main' has died" in finding.sentence
    assert "logs/scheduler.log" in finding.sentence
    assert finding.remedy.startswith("Wait a minute")


def test_without_a_watcher_nothing_is_started_again(tmp_path: Path) -> None:
    write_stack(tmp_path, processes={"scheduler": GONE, "watcher": GONE})
    remedies = [finding.remedy for finding in examine_services(tmp_path)]
    assert remedies == ["make down STACK=main; make up STACK=main"] * 2


def test_what_was_started_again_and_what_is_unhealthy_is_told(
    tmp_path: Path, late_server: int
) -> None:
    restarts = [("2026-01-01T02:00:00+00:00", "scheduler")]
    write_stack(tmp_path, airflow_port=late_server, processes={"mlflow": HERE}, restarts=restarts)
    restarted, unhealthy = examine_services(tmp_path)
    assert "started again at 2026-01-01T02:00" in restarted.sentence
    assert not restarted.remedy
    assert "its scheduler is unhealthy" in unhealthy.sentence


def test_an_airflow_that_does_not_answer_is_named(tmp_path: Path) -> None:
    write_stack(tmp_path, airflow_port=9, processes={"mlflow": HERE})
    (finding,) = examine_services(tmp_path)
    assert "Airflow at http://127.0.0.1:9 does not answer" in finding.sentence


def test_a_server_whose_clock_is_wrong_is_named(
    late_server: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "find_champion", lambda _: "1")
    (finding,) = examine_store(f"http://127.0.0.1:{late_server}", "cells")
    assert "+10 minutes from the MLflow server" in finding.sentence
    tracking.connect("")


def test_a_store_without_a_champion_is_no_fault(tmp_path: Path, empty_store: Path) -> None:
    (finding,) = examine_store(use_store(tmp_path, empty_store), "cells")
    assert finding.sentence == "'cells' has no champion yet."
    assert not finding.remedy


def test_a_store_that_is_half_made_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("image_classification.tracking.store.HALF_MADE_TIMEOUT_S", 0)
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as half:
        half.execute("CREATE TABLE experiments (name TEXT)")
    (finding,) = examine_store(f"sqlite:///{tmp_path}/mlflow.db", "cells")
    assert "half made" in finding.sentence
    assert finding.remedy


def test_looking_at_the_machine_imports_no_large_library() -> None:
    code = (
        "import sys; from image_classification.machine import environment, fitness, place, stack;"
        "large = {'mlflow', 'kedro', 'pandas', 'airflow', 'tensorflow', 'requests'};"
        "print(*large & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
