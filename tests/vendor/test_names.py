"""The private names of other packages that are relied on are still there: which one broke?"""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

import pytest

NAMES = [
    "kedro.framework.session:KedroSession.__init__",
    "kedro.framework.session:KedroSession.load_context",
    "kedro.io.core:generate_timestamp",
    "kedro.framework.project:pipelines.set_requested",
    "kedro.runner:SequentialRunner._run",
    "kedro.runner:AbstractRunner.run",
    "kedro_mlflow.framework.hooks.mlflow_hook:MlflowHook._log_param",
    "kedro_mlflow.framework.hooks.mlflow_hook:MlflowHook._logger",
    "kedro_mlflow.framework.hooks.mlflow_hook:MlflowHook.after_pipeline_run",
    "kedro_mlflow.framework.hooks.mlflow_hook:MlflowHook.before_node_run",
    "kedro_mlflow.framework.hooks.mlflow_hook:MlflowHook.before_pipeline_run",
    "kedro_mlflow.framework.hooks.mlflow_hook:MlflowHook.on_pipeline_error",
    "kedro_mlflow.framework.hooks.utils:_generate_kedro_command",
    "kedro_mlflow.config.kedro_mlflow_config:KedroMlflowConfig._set_experiment",
    "kedro_mlflow.config.kedro_mlflow_config:KedroMlflowConfig.setup",
    "kedro_mlflow.io.metrics:MlflowMetricDataset.DEFAULT_SAVE_MODE",
    "kedro_mlflow.io.metrics:MlflowMetricDataset._save",
    "kedro_mlflow.io.metrics:MlflowMetricDataset._logging_activated",
    "kedro_mlflow.io.metrics:MlflowMetricHistoryDataset._save",
    "kedro_mlflow.io.metrics:MlflowMetricsHistoryDataset._build_args_list_from_metric_item",
    "kedro_mlflow.io.metrics:MlflowMetricsHistoryDataset._is_dataset_metric",
    "mlflow.tracking.fluent:_active_run_stack.get",
    "mlflow:MlflowClient.get_metric_history",
    "mlflow:MlflowClient._get_registry_client",
    "mlflow.tracking._model_registry.client:ModelRegistryClient.set_model_version_tag",
    "mlflow:ActiveRun.__init__",
    "mlflow.store.artifact.artifact_repository_registry:get_artifact_repository",
    "mlflow.store.artifact.artifact_repo:ArtifactRepository.delete_artifacts",
    "mlflow.server.auth:create_app",
    "mlflow.server.constants:ARTIFACTS_DESTINATION_ENV_VAR",
    "mlflow.server.handlers:_get_request_message",
    "mlflow.store.artifact.artifact_repository_registry:_artifact_repository_registry.register",
    "mlflow.store.artifact.local_artifact_repo:LocalArtifactRepository.artifact_dir",
    "mlflow.entities:RunInfo.__init__",
    "omegaconf.basecontainer:BaseContainer._resolvers",
]
"""``module:name.attribute`` of what `vendor` names in its docstrings."""

ARGUMENTS = {
    "kedro_mlflow.framework.hooks.utils:_generate_kedro_command": [
        "tags",
        "node_names",
        "from_nodes",
        "to_nodes",
        "from_inputs",
        "load_versions",
        "pipeline_names",
    ],
    "kedro_mlflow.framework.hooks.mlflow_hook:MlflowHook._log_param": ["self", "name", "value"],
    "kedro.runner:SequentialRunner._run": ["self", "pipeline", "catalog", "hook_manager", "run_id"],
}


def find(name: str) -> Any:
    module, _, path = name.partition(":")
    found: Any = import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_there(name: str) -> None:
    find(name)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_function_takes_what_it_is_given(name: str) -> None:
    assert list(inspect.signature(find(name)).parameters) == ARGUMENTS[name]


def test_a_name_that_is_gone_is_found_out() -> None:
    with pytest.raises(AttributeError):
        find("kedro.runner:SequentialRunner._walk")


def test_a_session_keeps_its_record_where_it_is_written(tmp_path: Any) -> None:
    from kedro.framework.session import KedroSession

    session = KedroSession("id", project_path=tmp_path)
    session._store.update({"env": "test"})
    assert session.store["env"] == "test"


def test_a_file_dataset_tells_where_its_file_is(tmp_path: Any) -> None:
    from kedro_datasets.json import JSONDataset

    from image_classification.vendor.kedro import digest_file, locate_file

    dataset = JSONDataset(filepath=str(tmp_path / "a.json"))
    dataset.save({"a": 1})
    assert locate_file(dataset) == str(tmp_path / "a.json")
    assert len(digest_file(dataset)) == 64


def test_the_hook_starts_with_the_flags_that_are_set() -> None:
    from kedro_mlflow.framework.hooks.mlflow_hook import MlflowHook

    hook = MlflowHook()
    assert hook._is_mlflow_enabled is True
    assert hook.sep == "."


def test_the_data_of_a_run_keep_their_points_with_their_steps() -> None:
    from mlflow.entities import Metric, RunData

    (point,) = RunData(metrics=[Metric("auc", 0.9, 1, 3)])._metric_objs
    assert (point.key, point.step) == ("auc", 3)


def test_log_model_makes_its_client_by_the_name_that_is_lent() -> None:
    import mlflow

    from image_classification.vendor.mlflow import lend_frugal_client

    usual = mlflow.MlflowClient
    with lend_frugal_client(lambda *_: None, lambda *_: None):
        assert mlflow.MlflowClient is not usual
    assert mlflow.MlflowClient is usual
    source = inspect.getsource(import_module("mlflow.models.model"))
    assert "client = mlflow.MlflowClient()" in source
    assert "client.log_model_artifacts(model.model_id, local_path)" in source
