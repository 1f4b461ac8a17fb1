"""The Makefile's verbs: what each is given, and how a mistake ends."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from image_classification.errors import DataError
from image_classification.local import __main__ as program
from image_classification.local.services import Stack

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def nights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[Any, ...]]:
    """What `run_nights` was called with."""
    calls: list[tuple[Any, ...]] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(program, "run_nights", lambda *given: calls.append(given))
    return calls


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["demo"], ("demo", None, 2, None)),
        (["replay"], ("replay", None, 6, None)),
        (["replay", "--nights", "3", "--model", "cells"], ("replay", None, 3, "cells")),
        (["demo", "--data", "cells.zip"], ("demo", Path("cells.zip"), 2, None)),
    ],
)
def test_nights_run_in_the_project_with_what_was_asked(
    nights: list[tuple[Any, ...]],
    tmp_path: Path,
    arguments: list[str],
    expected: tuple[Any, ...],
) -> None:
    assert program.main(arguments) == 0
    assert nights == [(tmp_path, *expected)]


def test_the_libraries_show_no_bars_among_its_lines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bars, seen = "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(bars, "true")
    monkeypatch.delenv(bars)
    monkeypatch.setattr(program, "run_nights", lambda *_: seen.append(os.environ.get(bars)))
    assert program.main(["demo"]) == 0
    assert seen == ["false"]


@pytest.mark.parametrize("count", ["0", "-1", "2.5", "many"])
def test_a_number_of_nights_that_is_none_is_refused(
    nights: list[tuple[Any, ...]], count: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        program.main(["demo", f"--nights={count}"])
    assert ended.value.code == 2
    assert f"a number from 1 on is allowed. Received: {count}" in capsys.readouterr().err
    assert nights == []


def test_an_error_of_ours_ends_with_its_sentence_and_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any) -> None:
        raise DataError("There is no such folder.")

    monkeypatch.setattr(program, "run_nights", fail)
    assert program.main(["demo"]) == 1
    assert capsys.readouterr().err == "\nError: There is no such folder.\n"


@pytest.mark.parametrize(
    ("name", "ending"), [("main", "make down\n"), ("demo", "make down STACK=demo\n")]
)
def test_up_tells_where_the_pages_are_and_how_to_stop_them(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    ending: str,
) -> None:
    started: list[tuple[int, int]] = []
    monkeypatch.chdir(tmp_path)

    def start(stack: Stack, *ports: int) -> None:
        stack.mlflow_port, stack.airflow_port = ports
        started.append((stack.mlflow_port, stack.airflow_port))

    monkeypatch.setattr(Stack, "start", start)
    ports = ["--mlflow-port", "5055", "--airflow-port", "8088"]
    assert program.main(["up", "--stack", name, *ports]) == 0
    assert started == [(5055, 8088)]
    told = capsys.readouterr().out
    assert ":8088   user: admin   password: " in told
    assert ":5055   user: admin   password: " in told
    assert f"source {tmp_path}/.local/{name}/login.sh\n" in told
    assert told.endswith(ending)


def test_another_address_of_the_images_has_a_size_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Any] = []

    def download(*given: Any) -> Path:
        asked.extend(given)
        return tmp_path / "cell images.zip"

    monkeypatch.setattr(program, "download_archive", download)
    assert program.main(["data", "--url", "https://mirror/cells.zip", "--sha256", "ab"]) == 0
    folder, source, digest = asked
    assert (folder, digest) == (Path("data/download"), "ab")
    assert (source.url, source.size_bytes) == ("https://mirror/cells.zip", None)
    assert capsys.readouterr().out.endswith(f"make demo DATA='{tmp_path}/cell images.zip'\n")


LEFT_BEHIND = (
    *("PYTHONPATH", "PYTHONHOME", "PYTHONWARNINGS", "PYTHONOPTIMIZE", "PYTHONIOENCODING"),
    *("VIRTUAL_ENV", "CONDA_PREFIX", "GIT_DIR", "GIT_WORK_TREE", "BASH_ENV", "CDPATH"),
    *(
        "PIP_TARGET",
        "PIP_PREFIX",
        "PIP_CONSTRAINT",
        "PIP_NO_BINARY",
        "UV_PYTHON",
        "UV_EXCLUDE_NEWER",
    ),
)


def show_environment(tmp_path: Path, **given: str) -> dict[str, str]:
    """Return the environment of a command that make runs."""
    makefile = tmp_path / "Makefile"
    makefile.write_text(f"include {PROJECT / 'Makefile'}\nshow:\n\t@env -0\n")
    done = subprocess.run(
        ["make", "--silent", "-f", str(makefile), "show"],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)} | given,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(line.split("=", 1) for line in done.stdout.split("\0") if line)


@pytest.mark.parametrize("name", LEFT_BEHIND)
def test_a_command_of_make_gets_nothing_of_another_project(tmp_path: Path, name: str) -> None:
    assert show_environment(tmp_path, **{name: "elsewhere"}).get(name, "") == ""


def test_a_command_of_make_gets_settings_of_logging_that_are_there_and_no_others(
    tmp_path: Path,
) -> None:
    name, place = "KEDRO_LOGGING_CONFIG", tmp_path / "our logging.yml"
    assert name not in show_environment(tmp_path, **{name: str(place)})
    place.write_text("version: 1\n")
    assert show_environment(tmp_path, **{name: str(place)})[name] == str(place)


def test_a_command_of_make_installs_into_the_environment_of_the_project(tmp_path: Path) -> None:
    shown = show_environment(tmp_path, PIP_USER="1", HOME=str(tmp_path / "gone"))
    assert shown["PIP_USER"] == "0"
    assert shown["PYTHONUTF8"] == "1"
    assert shown["UV_CACHE_DIR"] == str(tmp_path / ".venv" / "cache")
    assert "UV_CACHE_DIR" not in show_environment(tmp_path)


def test_a_command_of_airflow_needs_a_stack_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert program.main(["airflow", "dags", "list"]) == 1
    assert "make up STACK=main" in capsys.readouterr().err


def test_a_command_of_airflow_knows_the_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = Stack("main", tmp_path, 5001, 8081)
    stack.folder.mkdir(parents=True)
    stack.write_down()
    called: list[Any] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "execve", lambda *given: called.extend(given))
    program.main(["airflow", "--", "backfill", "create", "--dag-id", "retraining"])
    _, command, environment = called
    assert command[1:] == ["backfill", "create", "--dag-id", "retraining"]
    assert environment["AIRFLOW__API__PORT"] == "8081"
    assert environment["AIRFLOW_HOME"] == str(stack.folder / "airflow")
