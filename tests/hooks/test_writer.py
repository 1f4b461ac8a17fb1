"""Two runs at once: one writes the index after the other; who only reads does not wait."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from filelock import FileLock

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


def test_an_object_store_has_no_lock(tmp_path: Path) -> None:
    hook = make_hook("s3://bucket/cells")
    hook.before_pipeline_run(data_processing.create_pipeline())
    hook.after_pipeline_run()
