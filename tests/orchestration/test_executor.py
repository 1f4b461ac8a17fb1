"""The executor imports the heavy libraries before it forks, and starts whatever happens."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
from airflow.executors.local_executor import LocalExecutor

from image_classification.orchestration import executor

PROBE = """
import json, logging, sys
from unittest import mock
from airflow.executors.local_executor import LocalExecutor
from image_classification.orchestration.executor import PRELOADED, PreloadedLocalExecutor

handlers = list(logging.getLogger().handlers)
with mock.patch.object(LocalExecutor, "start"):
    PreloadedLocalExecutor().start()
print(json.dumps({
    "missing": [name for name in PRELOADED if name not in sys.modules],
    "handlers_stay": logging.getLogger().handlers == handlers,
}))
"""


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A module that can be imported, one that breaks, one that is not there, and another good."""
    (tmp_path / "sound_module.py").touch()
    (tmp_path / "broken_module.py").write_text("raise RuntimeError('no such device')")
    (tmp_path / "last_module.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("KEDRO_LOGGING_CONFIG", "unused")
    names = ["sound_module", "broken_module", "absent_module", "last_module"]
    monkeypatch.setattr(executor, "PRELOADED", names)
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    return names


def start_executor() -> tuple[list[set[str]], list[str]]:
    """Return what was imported when the workers would have been forked, and the warnings."""
    imported_at_fork = []

    def fork() -> None:
        imported_at_fork.append(set(sys.modules))

    with (
        mock.patch.object(LocalExecutor, "start", side_effect=fork),
        mock.patch.object(executor.PreloadedLocalExecutor, "log", create=True) as log,
    ):
        executor.PreloadedLocalExecutor().start()
    return imported_at_fork, [call.args[0] % call.args[1:] for call in log.warning.mock_calls]


def test_modules_are_imported_before_the_workers_are_forked(modules: list[str]) -> None:
    (imported,), _ = start_executor()
    assert imported & set(modules) == {"sound_module", "last_module"}


def test_module_that_cannot_be_imported_is_a_warning_that_names_it(modules: list[str]) -> None:
    starts, warnings = start_executor()
    assert len(starts) == 1
    assert warnings == [
        "Not preloaded, tasks will import it: broken_module (no such device)",
        "Not preloaded, tasks will import it: absent_module (No module named 'absent_module')",
    ]


def test_every_library_of_the_list_is_imported_and_logging_is_left_alone() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, text=True, check=True
    )
    assert json.loads(answer.stdout.splitlines()[-1]) == {"missing": [], "handlers_stay": True}
