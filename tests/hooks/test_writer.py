"""Two runs at once: one writes the index after the other; who only reads does not wait."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fsspec
import pytest
from filelock import FileLock

from image_classification.datasets.lease import Lease
from image_classification.errors import StorageError
from image_classification.hooks import WriterHook
from image_classification.pipelines import data_processing, review, training


def make_hook(root: str) -> WriterHook:
    hook = WriterHook()
    context: Any = SimpleNamespace(config_loader={"globals": {"storage_root": root}})
    hook.after_context_created(context)
    return hook


def start(hook: WriterHook, pipeline: Any) -> tuple[threading.Thread, threading.Event]:
    """Begin a run in a thread of its own; the event tells that it goes on."""
    goes_on = threading.Event()

    def run() -> None:
        hook.before_pipeline_run(pipeline)
        goes_on.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, goes_on


@pytest.fixture
def other(tmp_path: Path) -> FileLock:
    """Another process that writes."""
    (tmp_path / "index").mkdir()
    lock = FileLock(tmp_path / "index" / ".lock")
    lock.acquire()
    return lock


@pytest.mark.parametrize("writer", [data_processing, review])
def test_a_run_that_writes_waits_for_the_one_before_it(
    tmp_path: Path, other: FileLock, writer: Any
) -> None:
    hook = make_hook(str(tmp_path))
    thread, goes_on = start(hook, writer.create_pipeline())
    assert not goes_on.wait(0.5)
    other.release()
    assert goes_on.wait(10)
    thread.join()
    with pytest.raises(TimeoutError):
        FileLock(tmp_path / "index" / ".lock").acquire(timeout=0)
    hook.after_pipeline_run()
    FileLock(tmp_path / "index" / ".lock").acquire(timeout=0)


def test_a_run_that_fails_lets_others_write(tmp_path: Path) -> None:
    hook = make_hook(str(tmp_path))
    hook.before_pipeline_run(data_processing.create_pipeline())
    hook.on_pipeline_error()
    FileLock(tmp_path / "index" / ".lock").acquire(timeout=0)


def test_a_run_that_reads_does_not_wait(tmp_path: Path, other: FileLock) -> None:
    _, goes_on = start(make_hook(str(tmp_path)), training.create_pipeline())
    assert goes_on.wait(10)


def test_in_a_bucket_a_run_waits_too_and_saves_nothing_once_it_has_lost_its_turn() -> None:
    fsspec.filesystem("memory").store.clear()
    first, second = make_hook("memory://bucket"), make_hook("memory://bucket")
    first.before_pipeline_run(data_processing.create_pipeline())
    first.before_dataset_saved("image_index")
    _, goes_on = start(second, data_processing.create_pipeline())
    assert not goes_on.wait(0.5)
    turn = first._turn
    assert isinstance(turn, Lease)
    turn._number = 0  # as of a run that was held up for longer than a lease
    first.before_dataset_saved("intake_report")
    with pytest.raises(StorageError, match="Nothing was written"):
        first.before_dataset_saved("image_index")
    first.on_pipeline_error()
    reader = make_hook("memory://bucket")
    reader.before_pipeline_run(training.create_pipeline())
    reader.before_dataset_saved("image_index")


def test_a_run_in_a_bucket_that_ends_lets_others_write() -> None:
    fsspec.filesystem("memory").store.clear()
    for end in (WriterHook.after_pipeline_run, WriterHook.on_pipeline_error):
        hook = make_hook("memory://bucket")
        hook.before_pipeline_run(data_processing.create_pipeline())
        end(hook)
