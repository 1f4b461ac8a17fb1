"""Import the heavy libraries once, before workers are forked, and check that a fork is safe.

A task then finds them in memory. Nothing may be initialised by that: a module whose import leaves a
thread behind, or opens an accelerator, is named.
"""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from airflow.configuration import conf

from image_classification.errors import ConfigurationError
from image_classification.machine.code import CODE
from image_classification.machine.environment import settle
from image_classification.orchestration.project import SECTION
from image_classification.orchestration.task_log import keep_log_handlers
from image_classification.vendor.airflow.preload import TASK_MODULES

PRELOADED = (
    "tensorflow",
    "keras",
    "mlflow",
    "mlflow.pyfunc",
    "mlflow.tracing.processor.base_mlflow",
    "kedro.framework.session",
    "kedro.framework.cli.cli",
    "kedro_telemetry.plugin",
    "kedro_mlflow.framework.hooks.mlflow_hook",
    "kedro_mlflow.io.artifacts",
    "kedro_mlflow.io.metrics",
    "kedro_mlflow.io.models",
    "kedro_datasets.json.json_dataset",
    "kedro_datasets.matplotlib.matplotlib_dataset",
    "kedro_datasets.pandas.csv_dataset",
    "kedro_datasets.pandas.parquet_dataset",
    "kedro_datasets.tensorflow.tensorflow_model_dataset",
    "matplotlib.figure",
    "model_signing",
    "sklearn.ensemble",
    "sklearn.metrics",
    "omegaconf.grammar_parser",
    # What reading the configuration, and asking MLflow, would import at their first call.
    "omegaconf._impl",
    "omegaconf.vendor.antlr4.LL1Analyzer",
    "netrc",
    "tomli_w",
    *TASK_MODULES,
    "image_classification.orchestration.steps.approval",
    "image_classification.orchestration.kedro_run",
    "image_classification.orchestration.notices.note",
    "image_classification.orchestration.steps.review",
    "image_classification.pipeline_registry",
    "image_classification.figures",
    "image_classification.settings",
    "image_classification.vision.scoring",
    "image_classification.vision.training",
)
"""Imported, never used, before the workers are forked."""

PLACES = (
    "IMAGE_CLASSIFICATION_STORAGE",
    "IMAGE_CLASSIFICATION_INCOMING",
    "IMAGE_CLASSIFICATION_IMAGES",
)
"""Variables that may name a bucket: what reads it takes half a second to import."""

TASKS_PER_WORKER = 100

MODULE_FILES = "the modules that are looked at"
"""Name of the last step. It looks at every module in memory, which may start a lazy one."""

FORK_SAFE_THREADS = frozenset({"jemalloc_bg_thd"})
"""Native threads that a fork does not harm: pyarrow's allocator holds its locks during a fork."""

ACCELERATORS = ("/dev/nvidia", "/dev/kfd", "/dev/dri", "/dev/accel")
THREADS, FILES = Path("/proc/self/task"), Path("/proc/self/fd")


@dataclass
class Preload:
    """What became of the imports.

    Attributes:
        failed: module to its error: a task will import it itself, and report the same.
        unsafe: module to what it left in this process, which must not be forked any more.
    """

    failed: dict[str, str] = field(default_factory=dict)
    unsafe: dict[str, str] = field(default_factory=dict)

    def describe(self) -> Iterator[str]:
        """Return a sentence for each module that something was wrong with."""
        for name, error in self.failed.items():
            yield f"Not preloaded, tasks will import it: {name} ({error})"
        for name, left in self.unsafe.items():
            yield f"Importing {name} has left {left}: a process that was forked now could hang"


def is_wanted() -> bool:
    """Tell whether to preload at all, as the option `preload` says; true without it."""
    return conf.getboolean(SECTION, "preload", fallback=True)


def count_tasks_per_worker() -> int:
    """Return after how many tasks a worker is replaced by a new one.

    The option `tasks_per_worker`.

    Raises:
        ConfigurationError: it is less than 1.
    """
    tasks = conf.getint(SECTION, "tasks_per_worker", fallback=TASKS_PER_WORKER)
    if tasks < 1:
        raise ConfigurationError(
            f"AIRFLOW__{SECTION.upper()}__TASKS_PER_WORKER is {tasks}: a worker needs one task at "
            "least."
        )
    return tasks


def list_modules() -> list[str]:
    """Return what is imported: `PRELOADED`, and the package of each kind of bucket in use."""
    from fsspec.registry import known_implementations  # noqa: PLC0415 - Airflow reads this module

    protocols = {os.environ.get(place, "").partition("://")[0] for place in PLACES}
    used = [known_implementations[one] for one in sorted(protocols) if one in known_implementations]
    return [*PRELOADED, *(one["class"].rpartition(".")[0] for one in used)]


def preload_modules(names: Iterable[str] | None = None) -> Preload:
    """Import modules, and check that this process may still be forked.

    Args:
        names: of the modules; without it `PRELOADED`, and what reads the buckets in `PLACES`.

    Returns:
        What failed, and what was left behind that does not survive a fork. Threads from before are
        not looked at, nor threads that end by themselves when a process forks, as those of OpenBLAS
        (NumPy, SciPy) do. An accelerator counts as open when one of its device files is open: to
        ask its library would initialise it.
    """
    keep_log_handlers()
    settle()
    CODE.digest()
    preload, threads, files = Preload(), _list_threads(), _list_devices()
    started: dict[int, str] = {}
    for name in (*(list_modules() if names is None else names), MODULE_FILES):
        try:
            _resolve_module_files() if name == MODULE_FILES else importlib.import_module(name)
        except Exception as error:  # noqa: BLE001 - a task will meet and report the same
            preload.failed[name] = str(error)
        started |= dict.fromkeys(_list_threads() - threads - started.keys(), name)
        for device in _list_devices() - files:
            preload.unsafe[name] = f"{device} open"
            files.add(device)
    for thread, name in _find_survivors(started):
        preload.unsafe.setdefault(name, f"a thread running ('{thread}')")
    return preload


def _resolve_module_files() -> None:
    """Let Python remember which file each module in memory comes from.

    Kedro's settings look at their own callers, and the first to do so in a process resolves the
    files of all modules: half a second that each task would pay.
    """
    with suppress(Exception):  # a lazy module may fail when it is looked at; a task would say so
        inspect.stack()


def _find_survivors(started: dict[int, str]) -> Iterator[tuple[str, str]]:
    """Return the threads that a fork does not end, each with the module that started it."""
    if not started:
        return
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    for thread in _list_threads() & started.keys():
        with suppress(OSError):  # it has ended by itself
            title = (THREADS / str(thread) / "comm").read_text().strip()
            if title not in FORK_SAFE_THREADS:
                yield title, started[thread]


def _list_threads() -> set[int]:
    return {int(path.name) for path in THREADS.iterdir()}


def _list_devices() -> set[str]:
    devices = set()
    for path in FILES.iterdir():
        with suppress(OSError):  # that of the listing itself
            devices.add(str(path.readlink()))
    return {device for device in devices if device.startswith(ACCELERATORS)}
