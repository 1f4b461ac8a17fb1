"""Let only one run at a time write the index."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline

from image_classification.hooks.tracking import logger

INDEX_DATASETS = {
    "collected_batches",
    "image_inspections",
    "batch_screenings",
    "image_index",
    "packed_pixels",
    "recorded_reviews",
}


class WriterHook:
    """Let only one run at a time write the index: two at once would miss each other's rows.

    The lock is one of the operating system, which frees it when the process ends, however it ends.
    It needs a storage root that is a folder; on an object store nothing is locked.
    """

    def __init__(self) -> None:
        self._lock: FileLock | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Find the file of the lock."""
        root = str(context.config_loader["globals"]["storage_root"])
        path = Path(root, "index", ".lock")
        self._lock = None if "://" in root else FileLock(path, thread_local=False)

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Wait until no other run writes the index."""
        if self._lock is None or INDEX_DATASETS.isdisjoint(pipeline.all_outputs()):
            return
        Path(self._lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            logger.info("Another run writes the index: waiting for it (%s)", self._lock.lock_file)
            self._lock.acquire()

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Let other runs write the index."""
        self._release()

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Let other runs write the index."""
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
