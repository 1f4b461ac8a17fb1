"""A Celery worker imports the heavy libraries before its pool is forked; the scheduler does not."""

from __future__ import annotations

import subprocess
import sys
from unittest import mock

import pytest
from airflow.providers.celery.executors.default_celery import DEFAULT_CELERY_CONFIG
from celery import Celery

from image_classification.orchestration.workers import celery
from image_classification.orchestration.workers.preload import TASKS_PER_WORKER, Preload


def start_worker() -> None:
    """Do what Celery does in a worker's first process before it forks."""
    Celery("probe", config_source=celery.CELERY_CONFIG).loader.import_default_modules()


def test_a_worker_imports_before_it_forks() -> None:
    with mock.patch.object(celery, "preload_modules", return_value=Preload()) as imports:
        start_worker()
    imports.assert_called_once_with()


def test_a_worker_that_is_not_safe_to_fork_does_not_start() -> None:
    unsafe = Preload(unsafe={"some.library": "a thread running ('pool')"})
    with (
        mock.patch.object(celery, "preload_modules", return_value=unsafe),
        pytest.raises(SystemExit, match=r"importing some\.library .*PRELOAD=False"),
    ):
        start_worker()


def test_a_worker_imports_nothing_where_the_configuration_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW__IMAGE_CLASSIFICATION__PRELOAD", "False")
    with mock.patch.object(celery, "preload_modules") as imports:
        start_worker()
    imports.assert_not_called()


def test_the_configuration_is_airflows_own_but_for_the_end_of_a_pool_process() -> None:
    changed = {"worker_max_tasks_per_child": TASKS_PER_WORKER}
    assert DEFAULT_CELERY_CONFIG | changed == celery.CELERY_CONFIG


def test_reading_the_configuration_imports_nothing_heavy() -> None:
    probe = (
        "import sys; sys.modules['rfc3987_syntax'] = None  # as in tests/conftest.py\n"
        "import image_classification.orchestration.celery_config\n"
        "print({'tensorflow', 'mlflow', 'kedro'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
