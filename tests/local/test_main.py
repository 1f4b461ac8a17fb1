"""The Makefile's verbs: what each is given, and how a mistake ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from image_classification.errors import DataError
from image_classification.local import __main__ as program
from image_classification.local.services import Stack


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

    def start(stack: Stack, ports: tuple[int, int]) -> None:
        started.append(ports)
        stack.mlflow_port, stack.airflow_port = ports

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
