"""Tell a person who waits for a run how far it is; what else is logged goes into a file."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from logging.handlers import MemoryHandler
from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from image_classification.progress import progress
from image_classification.vendor.mlflow_log import log_as_others

WAITING_FOR_A_FILE = "run_log"
"""Name of the handler in `conf/logging.yml` that keeps records until there is a file for them."""

FOLDER = "logs"
KEPT_LOGS = 100
"""So many log files stay in the storage, the newest ones."""

LINE = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class ProgressHook:
    """A line for each node, with its seconds: loading, work and saving."""

    def __init__(self) -> None:
        self._root = ""
        self._log: Path | None = None
        self._nodes: dict[str, float] = {}
        self._began = 0.0
        self._done = self._count = 0

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Learn where the log file would lie, before the other hooks ask MLflow."""
        self._root = str(context.config_loader["globals"]["storage_root"])
        if any(_find_waiting()):
            log_as_others()

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline) -> None:
        """Give the log its file, where the configuration waits for one; say what runs."""
        self._log = open_log(self._root)
        self._nodes, self._done, self._count = {}, 0, len(pipeline.nodes)
        if self._log is not None:
            name = "+".join(run_params.get("pipeline_names") or ["__default__"])
            nodes = "1 node" if self._count == 1 else f"{self._count} nodes"
            progress.info("%s: %s; log: %s", name, nodes, self._log)

    @hook_impl(tryfirst=True)
    def before_dataset_loaded(self, node: Node) -> None:
        """A node begins with its first input."""
        self._turn_to(node)

    @hook_impl(tryfirst=True)
    def before_node_run(self, node: Node) -> None:
        """A node without inputs begins here."""
        self._turn_to(node)

    @hook_impl(wrapper=True, tryfirst=True)
    def after_pipeline_run(self) -> Any:
        """Say of the last node how long it took, before what follows the nodes."""
        self._finish()
        return (yield)

    @hook_impl(tryfirst=True)
    def on_node_error(self, node: Node) -> None:
        """Say which node has failed; why, its error says."""
        began = self._nodes.pop(node.name, time.monotonic())
        self._finish()
        progress.info("%s failed after %.1f s", node.name, time.monotonic() - began)

    @hook_impl(trylast=True)
    def on_pipeline_error(self) -> None:
        """Name the log once more."""
        self._finish()
        if self._log is not None:
            progress.info("log: %s", self._log)

    def _turn_to(self, node: Node) -> None:
        if node.name not in self._nodes:
            self._finish()
            self._nodes[node.name] = time.monotonic()

    def _finish(self) -> None:
        """Say of the node before how long it took, until its outputs were saved."""
        for name, began in self._nodes.items():
            self._done += 1
            seconds = time.monotonic() - began
            of = f"{self._done:>2}/{self._count}  " if self._count > 1 else ""
            progress.info("%s%-28s%8.1f s", of, name, seconds)
        self._nodes.clear()


def open_log(storage_root: str) -> Path | None:
    """Open the log file of this process, and write into it what was logged so far.

    Args:
        storage_root: a folder. On an object store no log is kept.

    Returns:
        The file; None where no handler waits for one, or the folder cannot be written.
    """
    waiting = list(_find_waiting())
    if not waiting or "://" in storage_root:
        return None
    opened = [handler.target for handler in waiting if isinstance(handler.target, logging.Handler)]
    file = opened[0] if opened else _make_file(Path(storage_root, FOLDER))
    if not isinstance(file, logging.FileHandler):
        return None
    for handler in waiting:
        handler.setTarget(file)
        handler.capacity = 1  # from now on each record is written at once
        handler.flush()
    return Path(file.baseFilename)


def _find_waiting() -> Iterator[MemoryHandler]:
    """Yield the handlers that wait for a file; `logging` gives each name to one handler."""
    seen = set()
    for name in (None, "image_classification", "kedro"):
        for handler in logging.getLogger(name).handlers:
            if handler.name == WAITING_FOR_A_FILE and isinstance(handler, MemoryHandler):
                if id(handler) not in seen:
                    yield handler
                seen.add(id(handler))


def _make_file(folder: Path) -> logging.Handler | None:
    name = f"{datetime.now(UTC):%Y-%m-%dT%H%M%S}-{os.getpid()}.log"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for old in sorted(folder.glob("*.log"))[: -KEPT_LOGS + 1]:
            old.unlink(missing_ok=True)
        file = logging.FileHandler(folder / name, encoding="utf-8")
    except OSError as error:
        progress.warning("No log is written into '%s': %s", folder, error)
        return None
    file.setFormatter(logging.Formatter(LINE))
    return file
