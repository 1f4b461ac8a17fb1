"""What a night comes to does not depend on whether its tasks found the libraries in memory."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from arrivals import deliver_cells

PROJECT = Path(__file__).resolve().parents[2]
NIGHT = Path(__file__).parents[1] / "support" / "night.py"


@pytest.fixture
def read_results() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(PROJECT / "benchmarks")
        yield importlib.import_module("retraining").read_results


def start_night(executor: str, storage: Path, cells: Path) -> subprocess.Popen[str]:
    deliver_cells(cells, storage)
    environment = os.environ | {
        "AIRFLOW_HOME": str(storage.parent / "airflow"),
        "IMAGE_CLASSIFICATION_STORAGE": str(storage),
        "KEDRO_ENV": "test",
    }
    return subprocess.Popen(
        [sys.executable, str(NIGHT), executor],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
def test_a_night_gives_the_same_with_the_stock_executor_and_with_ours(
    tmp_path: Path, cells: Path, read_results: Any
) -> None:
    storages = {name: tmp_path / name / "storage" for name in ("stock", "preloaded")}
    nights = {name: start_night(name, storage, cells) for name, storage in storages.items()}
    logs = {name: night.communicate(timeout=900)[0] for name, night in nights.items()}
    assert {name: night.returncode for name, night in nights.items()} == {
        "stock": 0,
        "preloaded": 0,
    }, logs
    assert "train_network: TensorFlow was there: False" in logs["stock"]
    assert "train_network: TensorFlow was there: True" in logs["preloaded"]
    results = {
        name: read_results(storage / "runs" / "retraining" / "night")
        for name, storage in storages.items()
    }
    assert results["preloaded"] == results["stock"]
