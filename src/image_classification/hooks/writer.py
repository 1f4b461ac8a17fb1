"""Let only one run at a time write the index."""

from __future__ import annotations

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline

from image_classification.datasets.lease import Turn, open_turn

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

    On a disk the lock is one of the operating system, which frees it when the process ends, however
    it ends. On an object store it is a lease, which has to be renewed, and so may be lost: nothing
    is saved without it.
    """

    def __init__(self) -> None:
        self._turn: Turn | None = None
        self._writes = False

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Find where the lock lies."""
        root = str(context.config_loader["globals"]["storage_root"])
        self._turn = open_turn(f"{root}/index/.lock")

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Wait until no other run writes the index."""
        self._writes = not INDEX_DATASETS.isdisjoint(pipeline.all_outputs())
        if self._turn is not None and self._writes:
            self._turn.take()

    @hook_impl
    def before_dataset_saved(self, dataset_name: str) -> None:
        """Save nothing of the index if another run writes it meanwhile.

        Raises:
            StorageError: this run was held up for too long.
        """
        if self._turn is not None and self._writes and dataset_name in INDEX_DATASETS:
            self._turn.check()

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Let other runs write the index."""
        self._release()

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Let other runs write the index."""
        self._release()

    def _release(self) -> None:
        if self._turn is not None:
            self._turn.give_back()
