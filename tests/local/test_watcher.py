"""What has died of a stack is started again."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from image_classification.local.services import Stack, read_stack
from image_classification.local.watcher import LONGEST_PAUSE_S, LOOK_EVERY_S, Watcher
from image_classification.machine.stack import WATCHER

HERE = (os.getpid(), psutil.Process().create_time())
GONE = (os.getpid(), 1.0)


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """A stack whose scheduler has died, and dies again whenever it is started."""
    stack = Stack("main", tmp_path, processes={"mlflow": HERE, "scheduler": GONE, WATCHER: HERE})
    stack.folder.mkdir(parents=True)
    monkeypatch.setattr(Stack, "start_service", lambda self, _: self.write_down())
    stack.write_down()
    return stack


def test_only_what_has_died_is_started_again_and_it_is_written_down(
    stack: Stack, tmp_path: Path
) -> None:
    assert Watcher("main", tmp_path).look(stack, 0) == ["scheduler"]
    known = read_stack("main", tmp_path)
    assert known is not None
    assert [name for _, name in known.restarts] == ["scheduler"]


def test_what_dies_again_and_again_is_started_after_longer_and_longer_pauses(
    stack: Stack, tmp_path: Path
) -> None:
    watcher = Watcher("main", tmp_path)
    started = [second for second in range(0, 3600, LOOK_EVERY_S) if watcher.look(stack, second)]
    pauses = [later - earlier for earlier, later in pairwise(started)]
    assert pauses[:5] == [5, 10, 20, 40, 80]
    assert set(pauses[7:]) == {LONGEST_PAUSE_S}
    assert len(stack.restarts) == len(started)


def test_a_watcher_ends_with_its_stack(stack: Stack, tmp_path: Path) -> None:
    (stack.folder / "stack.json").unlink()
    Watcher("main", tmp_path).watch()


def test_a_watcher_ends_when_another_has_taken_over(stack: Stack, tmp_path: Path) -> None:
    stack.processes[WATCHER] = GONE
    stack.write_down()
    Watcher("main", tmp_path).watch()
    known = read_stack("main", tmp_path)
    assert known is not None
    assert known.restarts == []
