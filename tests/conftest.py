"""Fixtures shared by all tests: a project of its own per test, with small synthetic images."""

from __future__ import annotations

import gc
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from arrivals import deliver_cells
from shortcuts import quick_catalogs, quick_configuration, quick_stores
from sqlalchemy import Engine, event
from storage_root import copy_database, forget_mlflow_state, put_in_force

from image_classification import words

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Before Airflow, Kedro or TensorFlow is imported.
os.environ.update(
    DO_NOT_TRACK="1",
    KEDRO_DISABLE_TELEMETRY="1",
    MLFLOW_DISABLE_TELEMETRY="true",
    TF_CPP_MIN_LOG_LEVEL="3",
    # Levels only: Kedro's own handler draws tables, which takes longer than what they tell of.
    KEDRO_LOGGING_CONFIG=str(
        Path(__file__).parents[1] / "src/image_classification/orchestration/kedro_logging.yml"
    ),
)
# For formats of addresses that no schema here has, jsonschema would make a grammar: 1.7 s.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]
for name in list(os.environ):
    if name.startswith(("AIRFLOW__", "IMAGE_CLASSIFICATION_")) or name == "MLFLOW_TRACKING_URI":
        del os.environ[name]


# How long an example takes depends on what else the machine does.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

LONGEST = (
    "tests/end_to_end/",
    "tests/end_to_end/test_celery.py",
    "tests/end_to_end/test_race.py",
    "tests/champion/",
    "tests/commands/",
    "tests/dags/",
    "tests/end_to_end/test_packaged_model.py",
    "tests/pipelines/data_processing/test_intake_killed.py",
    "tests/pipelines/data_processing/test_intake_properties.py",
    "tests/vision/test_training.py",
)
"""What takes longest: files, and folders whose other files share what they set up.

The order is that in which they begin.
"""

AFTER = {"tests/test_image.py": "tests/end_to_end/test_celery.py"}
"""Files that the process of another one runs, too: a third Airflow at once makes all of them wait,
and who waits asks again and again."""


def find_part(nodeid: str) -> str:
    """Return the part of the tests that one process runs: a folder of `LONGEST`, or a file."""
    file = nodeid.partition("::")[0]
    file = AFTER.get(file, file)
    if file in LONGEST:
        return file
    return next((part for part in LONGEST if part.endswith("/") and file.startswith(part)), file)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no process is left alone with it at the end."""
    places = {part: place for place, part in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(find_part(item.nodeid), len(LONGEST)))


gc.disable()  # what is imported stays: looking through it took a quarter of the imports' time


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what was imported, and come less often than it does."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    gc.enable()


LEFT_OUT = [
    Path(__file__).parent / name for name in ("end_to_end", "test_image.py", "test_package.py")
]
"""What starts services. Files of other folders may have the same name: these are paths."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out what starts services where its mark is: its imports take each process seconds."""
    is_quick = "not end_to_end" in config.getoption("markexpr", "")
    return True if is_quick and collection_path in LEFT_OUT else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Let `--dist loadfile` spread the parts of the tests over the processes."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class PartScheduling(LoadFileScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return find_part(nodeid)

    return PartScheduling(config, log)


@event.listens_for(Engine, "connect")
def _write_without_waiting(connection: Any, _: Any) -> None:
    """Let no commit wait for the disk: these databases need not outlive a power cut."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")


@pytest.fixture(scope="session", autouse=True)
def _written_without_waiting() -> Iterator[None]:
    """Let no file wait for the disk either. Who counts what is flushed puts a counter there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(scope="session")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 240 synthetic cells of 30 patients, two classes. Do not change it."""
    from image_classification.local.synthetic import make_cells

    folder = tmp_path_factory.mktemp("cells")
    make_cells(folder, range(1, 31), 8)
    return folder


@pytest.fixture(scope="session", autouse=True)
def _tables_made_once() -> Iterator[None]:
    """Let MLflow make the tables of a store once: its many migrations take seconds."""
    if "mlflow" in sys.modules:
        with quick_stores():
            yield
    else:
        yield


@pytest.fixture(scope="session", autouse=True)
def _read_once() -> Iterator[None]:
    """Let Kedro find the class of each kind of dataset once, and OmegaConf parse each text once."""
    with ExitStack() as stack:
        if "omegaconf" in sys.modules:
            stack.enter_context(quick_configuration())
        if "kedro.io" in sys.modules:
            stack.enter_context(quick_catalogs())
        yield


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A browser, for all tests of a process: Playwright starts no second one beside it."""
    from browser import CHROMIUM, QUIET
    from playwright.sync_api import sync_playwright

    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", *QUIET]
        )
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file in which MLflow has made its tables, which takes seconds. Copy it."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture(scope="session")
def _used_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("used") / "mlflow.db"


@pytest.fixture
def mlflow_store(empty_store: Path, _used_store: Path) -> str:
    """The address of an empty MLflow store, connected to.

    It is one file for all tests, since MLflow checks each file that it has not met before.
    """
    from image_classification import tracking

    copy_database(empty_store, _used_store)
    uri = f"sqlite:///{_used_store}"
    tracking.connect(uri)
    return uri


@pytest.fixture
def storage(tmp_path: Path, cells: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A storage root in force, where `cells` have arrived, with the `test` environment."""
    put_in_force(monkeypatch, tmp_path / "storage")
    deliver_cells(cells, tmp_path / "storage")
    return tmp_path / "storage"


@pytest.fixture(autouse=True)
def _shipped_words() -> None:
    """Speak of cells and patients, as the project that is shipped does."""
    words.use(words.Words("Malaria in blood cells", "patient", "patients", "cell", "cells"))


@pytest.fixture(autouse=True)
def _forget_mlflow_state() -> Iterator[None]:
    """Leave no active run, tracking address or experiment to the next test."""
    yield
    forget_mlflow_state()
