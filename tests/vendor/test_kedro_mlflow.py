"""kedro-mlflow's hook and configuration, cut to what a run needs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import pytest

from image_classification.vendor import kedro_mlflow
from image_classification.vendor.mlflow import make_active_run


def test_every_parameter_that_the_hook_logs_goes_through_the_public_name() -> None:
    taken: list[tuple[str, Any]] = []

    class Hook(kedro_mlflow.OpenMlflowHook):
        def take_parameter(self, name: str, value: Any) -> None:
            taken.append((name, value))

    Hook()._log_param("training.epochs", 8)
    assert taken == [("training.epochs", 8)]


def test_a_run_that_was_found_active_is_not_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    hook, ended = kedro_mlflow.OpenMlflowHook(), []
    hook._is_mlflow_enabled = True
    monkeypatch.setattr(mlflow, "end_run", lambda *_: ended.append(True))
    monkeypatch.setattr(mlflow, "active_run", lambda: make_active_run("r1", "e1"))
    for found, times in ((True, 0), (False, 1)):
        hook.found_active_run = found
        assert hook.found_active_run is found
        hook.end_run({}, None)
        assert len(ended) == times


def test_the_command_names_pipelines_and_nodes() -> None:
    told = kedro_mlflow.describe_command(
        {"pipeline_names": ["training"], "node_names": ["train_network"], "unknown": 1}
    )
    assert told.startswith("kedro run")
    assert "training" in told
    assert "train_network" in told


@pytest.mark.parametrize("on_databricks", [False, True])
def test_autologging_is_switched_off_where_it_is_on(
    on_databricks: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Elsewhere MLflow would look into each library as it is imported, Keras half imported too."""
    asked: list[object] = []
    monkeypatch.setattr(mlflow, "autolog", lambda **options: asked.append(options))
    for name in ("set_tracking_uri", "set_registry_uri"):
        monkeypatch.setattr(mlflow, name, lambda _: None)
    monkeypatch.delenv("DATABRICKS_RUNTIME_VERSION", raising=False)
    if on_databricks:
        monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "16")
    server = {"mlflow_tracking_uri": f"sqlite:///{tmp_path}/mlflow.db"}
    config = kedro_mlflow.QuietMlflowConfig.model_validate({"server": server})
    config.setup(SimpleNamespace(project_path=tmp_path, _get_config_credentials=dict))
    assert asked == ([{"disable": True}] if on_databricks else [])
