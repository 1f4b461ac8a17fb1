"""The services of this machine, as they were written down."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from image_classification.machine.stack import (
    STACK_VARIABLE,
    StackState,
    describe_restarts,
    find_process,
    locate_stack,
    read_state,
    write_state,
)

HERE = (os.getpid(), psutil.Process().create_time())


def test_a_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder = locate_stack("demo", tmp_path)
    folder.mkdir(parents=True)
    again = [("2026-01-01T02:00:00+00:00", "scheduler")]
    state = StackState("demo", folder, 5001, 8081, {"mlflow": HERE}, again)
    write_state(state)
    assert read_state("demo", tmp_path) == state
    assert [path.name for path in folder.iterdir()] == ["stack.json"]
    assert read_state("main", tmp_path) is None


def test_what_does_not_run_any_more_is_dead(tmp_path: Path) -> None:
    pid, created = HERE
    other = (pid, created - 3600)  # another process got the id of one that ended
    state = StackState("main", tmp_path, processes={"mlflow": HERE, "scheduler": other})
    assert state.list_dead() == ["scheduler"]
    assert find_process(other) is None
    assert find_process((2**22 + 1, 0.0)) is None


def test_a_run_learns_what_died_while_it_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert describe_restarts(datetime.now(UTC)) == ""
    folder = locate_stack("main", tmp_path)
    folder.mkdir(parents=True)
    restarts = [("2026-01-01T01:00:00+00:00", "mlflow"), ("2026-01-01T03:00:00+00:00", "scheduler")]
    write_state(StackState("main", folder, restarts=restarts))
    monkeypatch.setenv(STACK_VARIABLE, str(folder))
    sentence = describe_restarts(datetime(2026, 1, 1, 2, tzinfo=UTC))
    assert sentence.endswith("started again: scheduler (2026-01-01T03:00:00+00:00).")
    assert describe_restarts(datetime(2026, 1, 2, tzinfo=UTC)) == ""
