"""The registry and the runs, against a real MLflow store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient

from image_classification import registry, tracking
from image_classification.datasets import RegisteredNetworkDataset
from image_classification.errors import RegistryError, TrackingError

MODEL = "cells"
EXPERIMENT = "experiment"


class Echo(mlflow.pyfunc.PythonModel):
    def predict(self, context: Any, model_input: list[str], params: Any = None) -> list[str]:
        return model_input


@pytest.fixture
def store(tmp_path: Path) -> str:
    uri = f"sqlite:///{tmp_path / 'mlflow' / 'mlflow.db'}"
    tracking.prepare_store(uri)
    tracking.connect(uri)
    mlflow.create_experiment(EXPERIMENT, artifact_location=str(tmp_path / "artifacts"))
    mlflow.set_experiment(EXPERIMENT)
    return uri


def log_a_model(airflow_run: str = "retraining/one") -> str:
    run_id = tracking.open_run(EXPERIMENT, airflow_run, "a run", {})
    with tracking.resume_run(run_id):
        mlflow.pyfunc.log_model(name="model", python_model=Echo(), pip_requirements=[])
    return run_id


def decide(promote: bool, champion: str | None = None, reason: str = "so") -> dict[str, Any]:
    metrics = {"accuracy": 0.9, "auc": 0.95}
    return {
        "promote": promote,
        "reason": reason,
        "challenger": {"version": "", "metrics": metrics},
        "champion": {"version": champion, "metrics": metrics} if champion else None,
        "images": 10,
        "patients": 2,
    }


def champion() -> str | None:
    version = registry.find_version(MODEL, registry.CHAMPION)
    return str(version.version) if version else None


def register(name: str) -> str:
    return str(registry.register_challenger(MODEL, log_a_model(name), {}).version)


@pytest.mark.usefixtures("store")
class TestRegistry:
    def test_no_alias_is_no_version(self) -> None:
        assert registry.find_version("never registered", registry.CHAMPION) is None
        register("retraining/one")
        assert registry.find_version(MODEL, registry.CHAMPION) is None

    def test_a_run_is_registered_once_however_often_it_is_asked_for(self) -> None:
        run_id = log_a_model()
        first = registry.register_challenger(MODEL, run_id, {"data_digest": "abc"})
        again = registry.register_challenger(MODEL, run_id, {"data_digest": "abc"})
        assert int(first.version) == int(again.version) == 1
        assert len(registry.list_versions(MODEL)) == 1
        found = registry.find_version(MODEL, registry.CHALLENGER)
        assert found is not None
        assert found.tags["data_digest"] == "abc"

    def test_a_run_without_a_model_cannot_be_registered(self) -> None:
        run_id = tracking.open_run(EXPERIMENT, "retraining/none", "a run", {})
        with pytest.raises(RegistryError, match=f"{run_id} has logged no model"):
            registry.register_challenger(MODEL, run_id, {})

    def test_the_first_champion_replaces_nobody(self) -> None:
        version = register("retraining/one")
        registry.promote_challenger(MODEL, version, None, decide(True))
        assert champion() == version

    def test_promoting_twice_is_promoting_once(self) -> None:
        version = register("retraining/one")
        for _ in range(2):
            registry.promote_challenger(MODEL, version, None, decide(True))
        assert champion() == version

    def test_a_champion_that_someone_moved_since_the_comparison_stays(self) -> None:
        first, second, third = (register(f"retraining/{name}") for name in ("a", "b", "c"))
        registry.promote_challenger(MODEL, first, None, decide(True))
        MlflowClient().set_registered_model_alias(MODEL, registry.CHAMPION, second)
        with pytest.raises(RegistryError, match=f"expected version {first}, found {second}"):
            registry.promote_challenger(MODEL, third, first, decide(True, champion=first))
        assert champion() == second
        tags = MlflowClient().get_model_version(MODEL, third).tags
        assert registry.DECISION_TAG not in tags

    def test_a_decision_can_be_read_on_the_version(self) -> None:
        first, second = register("retraining/a"), register("retraining/b")
        registry.apply_decision(MODEL, first, decide(True))
        outcome = registry.apply_decision(MODEL, second, decide(False, first, "too weak"))
        assert outcome == f"kept v{first}: too weak"
        assert champion() == first
        kept = MlflowClient().get_model_version(MODEL, second)
        assert kept.tags[registry.DECISION_TAG] == "kept champion"
        assert kept.tags[registry.REASON_TAG] == "too weak"
        assert kept.tags["validation_accuracy"] == "0.9000"
        assert kept.tags["champion_accuracy"] == "0.9000"
        assert "**Kept champion**: too weak" in kept.description
        assert f"champion v{first}" in kept.description

    def test_a_model_not_packaged_here_is_refused_with_the_remedy(self) -> None:
        version = register("retraining/one")
        with (
            pytest.raises(RegistryError, match=r"carries no artifact named class_names, network"),
            registry.open_parts(MODEL, version),
        ):
            pass

    def test_a_required_network_without_alias_names_alias_model_and_remedy(self) -> None:
        dataset = RegisteredNetworkDataset(model_name=MODEL, alias="champion")
        with pytest.raises(Exception, match=r"'cells' has no version with the alias 'champion'"):
            dataset.load()

    def test_an_optional_network_without_alias_is_none(self) -> None:
        dataset = RegisteredNetworkDataset(model_name=MODEL, alias="champion", required=False)
        assert dataset.load() is None


@pytest.mark.usefixtures("store")
class TestRuns:
    def test_a_dag_run_has_one_mlflow_run_however_often_it_is_opened(self) -> None:
        first = tracking.open_run(EXPERIMENT, "retraining/x", "a run", {"a": "1"})
        assert tracking.open_run(EXPERIMENT, "retraining/x", "a run", {"a": "2"}) == first
        assert tracking.open_run(EXPERIMENT, "retraining/y", "a run", {}) != first
        assert MlflowClient().get_run(first).data.tags["a"] == "2"

    def test_a_task_leaves_the_run_running_and_nothing_active(self) -> None:
        run_id = tracking.open_run(EXPERIMENT, "retraining/x", "a run", {})
        with tracking.resume_run(run_id):
            assert tracking.active_run_id() == run_id
            mlflow.start_run(run_id=None, nested=True)
        assert tracking.active_run_id() is None
        assert MlflowClient().get_run(run_id).info.status == "RUNNING"

    @pytest.mark.parametrize(("succeeded", "status"), [(True, "FINISHED"), (False, "FAILED")])
    def test_closing_sets_the_status_and_the_command(self, succeeded: bool, status: str) -> None:
        run_id = tracking.open_run(EXPERIMENT, "retraining/x", "r", {"node_names": "['last']"})
        assert tracking.close_run(run_id, succeeded, "kedro run") == status
        run = MlflowClient().get_run(run_id)
        assert run.info.status == status
        assert run.data.tags[tracking.COMMAND_TAG] == "kedro run"
        assert "node_names" not in run.data.tags

    def test_the_logged_model_of_a_run_is_found(self) -> None:
        run_id = log_a_model()
        assert tracking.find_logged_model(run_id)
        other = tracking.open_run(EXPERIMENT, "retraining/other", "a run", {})
        assert tracking.find_logged_model(other) is None

    def test_a_model_whose_upload_was_cut_short_does_not_count(self) -> None:
        run_id = tracking.open_run(EXPERIMENT, "retraining/x", "a run", {})
        experiment = MlflowClient().get_run(run_id).info.experiment_id
        MlflowClient().create_logged_model(experiment, name="model", source_run_id=run_id)
        assert tracking.find_logged_model(run_id) is None
        assert MlflowClient().search_logged_models([experiment]) == []

    def test_a_changed_parameter_is_refused_with_the_remedy(self) -> None:
        run_id = tracking.open_run(EXPERIMENT, "retraining/x", "a run", {})
        with tracking.resume_run(run_id):
            mlflow.log_param("epochs", 1)
            with (
                pytest.raises(TrackingError, match="Undo the change, or trigger a new run"),
                tracking.explain_refusals(),
            ):
                mlflow.log_param("epochs", 2)


def test_a_server_that_does_not_answer_is_named_with_the_remedy() -> None:
    with pytest.raises(TrackingError, match=r"http://127.0.0.1:9.*MLFLOW_TRACKING_URI"):
        tracking.prepare_store("http://127.0.0.1:9")


def test_artifacts_lie_below_the_storage_root_unless_a_server_keeps_them() -> None:
    assert tracking.locate_artifacts("sqlite:////x/mlflow.db", "/x") == "/x/mlflow/artifacts"
    assert tracking.locate_artifacts("https://mlflow.example.org", "/x") is None
