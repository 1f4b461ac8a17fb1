"""MLflow's runs entered without asking, and its client lent for a while."""

from __future__ import annotations

from pathlib import Path

import mlflow
import pytest

from image_classification.vendor import mlflow as vendor


def test_a_run_on_the_stack_is_active_and_taken_off_is_not() -> None:
    stack = vendor.list_active_runs()
    stack.append(vendor.make_active_run("r1", "e1"))
    try:
        active = mlflow.active_run()
        assert active is not None
        assert (active.info.run_id, active.info.experiment_id) == ("r1", "e1")
        assert active.info.status == "RUNNING"
    finally:
        stack.clear()
    assert mlflow.active_run() is None


def test_the_usual_client_is_back_whatever_happened() -> None:
    usual = mlflow.MlflowClient

    def fail() -> None:
        with vendor.lend_frugal_client(lambda *_: None, lambda *_: None):
            assert mlflow.MlflowClient is not usual
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert mlflow.MlflowClient is usual


def test_files_at_an_address_are_deleted_and_none_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "run" / "data").mkdir(parents=True)
    (tmp_path / "run" / "data" / "rows.csv").write_text("rows")
    (tmp_path / "other").mkdir()
    for _ in range(2):
        vendor.delete_files(str(tmp_path / "run"))
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []
    assert (tmp_path / "other").exists()
