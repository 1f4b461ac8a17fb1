"""The heavy libraries are imported before a fork, and what would not survive it is found out."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_classification.errors import ConfigurationError
from image_classification.orchestration.workers import preload
from image_classification.orchestration.workers.preload import PRELOADED, preload_modules

PROBE = """
import json, logging, sys
from pathlib import Path
from image_classification.orchestration.workers.preload import PRELOADED, preload_modules

sys.path.insert(0, sys.argv[1])
handlers = list(logging.getLogger().handlers)
preload = preload_modules()
answer = {
    "missing": [name for name in PRELOADED if name not in sys.modules],
    "handlers_stay": logging.getLogger().handlers == handlers,
    "unsafe": preload.unsafe,
}
print(json.dumps(answer | {"unsafe_in_use": preload_modules(["using_tensorflow"]).unsafe}))
"""


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with modules of all kinds."""
    (tmp_path / "sound_module.py").touch()
    (tmp_path / "broken_module.py").write_text("raise RuntimeError('no such device')")
    (tmp_path / "starting_module.py").write_text(
        "import threading\nend = threading.Event()\nthreading.Thread(target=end.wait).start()"
    )
    (tmp_path / "opening_module.py").write_text(
        f"file = open({str(tmp_path / 'accelerator0')!r}, 'w')"
    )
    (tmp_path / "last_module.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("KEDRO_LOGGING_CONFIG", "unused")
    monkeypatch.setattr(preload, "ACCELERATORS", (str(tmp_path / "accelerator"),))
    before = set(sys.modules)
    yield tmp_path
    if "starting_module" in sys.modules:
        sys.modules["starting_module"].end.set()
    for name in set(sys.modules) - before:
        if name.endswith("_module"):
            del sys.modules[name]


def test_what_reads_the_buckets_in_use_is_imported_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_CLASSIFICATION_STORAGE", "/mnt/cells")
    assert preload.list_modules() == [*PRELOADED]
    monkeypatch.setenv("IMAGE_CLASSIFICATION_STORAGE", "s3://laboratory/cells")
    monkeypatch.setenv("IMAGE_CLASSIFICATION_IMAGES", "az://images/cells")
    assert preload.list_modules() == [*PRELOADED, "adlfs", "s3fs"]


def test_importing_it_leaves_nothing_that_a_fork_would_harm(modules: Path) -> None:
    assert preload_modules(["s3fs"]).unsafe == {}


def test_a_worker_needs_a_task_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__IMAGE_CLASSIFICATION__TASKS_PER_WORKER", "7")
    assert preload.count_tasks_per_worker() == 7
    monkeypatch.setenv("AIRFLOW__IMAGE_CLASSIFICATION__TASKS_PER_WORKER", "0")
    with pytest.raises(ConfigurationError, match=r"TASKS_PER_WORKER is 0: .* one task at least"):
        preload.count_tasks_per_worker()


def test_a_module_that_cannot_be_imported_is_named_and_the_rest_is_imported(modules: Path) -> None:
    names = ["sound_module", "broken_module", "absent_module", "last_module"]
    found = preload_modules(names)
    assert {"sound_module", "last_module"} <= set(sys.modules)
    assert list(found.describe()) == [
        "Not preloaded, tasks will import it: broken_module (no such device)",
        "Not preloaded, tasks will import it: absent_module (No module named 'absent_module')",
    ]
    assert found.unsafe == {}


def test_a_module_that_starts_a_thread_is_named(modules: Path) -> None:
    found = preload_modules(["sound_module", "starting_module", "last_module"])
    assert list(found.unsafe) == ["starting_module"]
    (sentence,) = found.describe()
    assert sentence.startswith("Importing starting_module has left a thread running")


def test_a_thread_from_before_is_not_held_against_a_module(modules: Path) -> None:
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    try:
        assert preload_modules(["sound_module"]).unsafe == {}
    finally:
        end.set()
        thread.join()


def test_a_module_that_opens_an_accelerator_is_named(modules: Path) -> None:
    found = preload_modules(["sound_module", "opening_module", "last_module"])
    assert found.unsafe == {"opening_module": f"{modules}/accelerator0 open"}
    sys.modules["opening_module"].file.close()


@pytest.mark.slow
def test_the_libraries_leave_nothing_behind_until_they_are_used(tmp_path: Path) -> None:
    (tmp_path / "using_tensorflow.py").write_text("import tensorflow\ntensorflow.constant(1)")
    command = [sys.executable, "-c", PROBE, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout.splitlines()[-1])
    assert list(answer.pop("unsafe_in_use")) == ["using_tensorflow"]
    assert answer == {"missing": [], "handlers_stay": True, "unsafe": {}}


def test_no_module_is_listed_twice() -> None:
    assert len(set(PRELOADED)) == len(PRELOADED)
