"""The registry and the runs, against a real MLflow store."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from image_classification import registry, tracking
from image_classification.datasets import RegisteredNetworkDataset
from image_classification.errors import RegistryError, TrackingError

MODEL = "cells"
EXPERIMENT = "experiment"


class Echo(mlflow.pyfunc.PythonModel):
    def predict(self, context: Any, model_input: list[str], params: Any = None) -> list[str]:
        return model_input


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose tables are made: to make them takes a second."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def store(tmp_path: Path, empty_store: Path) -> str:
    uri = f"sqlite:///{tmp_path / 'mlflow' / 'mlflow.db'}"
    tracking.prepare_store(uri)
    shutil.copy(empty_store, tmp_path / "mlflow" / "mlflow.db")
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

    def test_a_champion_set_since_the_comparison_found_none_stays(self) -> None:
        first, second = register("retraining/a"), register("retraining/b")
        registry.promote_challenger(MODEL, first, None, decide(True))
        with pytest.raises(RegistryError, match=f"expected version None, found {first}"):
            registry.promote_challenger(MODEL, second, None, decide(True))
        assert champion() == first

    def test_a_champion_removed_since_the_comparison_is_not_replaced(self) -> None:
        first, second = register("retraining/a"), register("retraining/b")
        with pytest.raises(RegistryError, match=f"expected version {first}, found None"):
            registry.promote_challenger(MODEL, second, first, decide(True, champion=first))
        assert champion() is None

    def test_a_retry_of_a_promotion_that_was_cut_short_completes_the_record(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, second = register("retraining/a"), register("retraining/b")
        registry.promote_challenger(MODEL, first, None, decide(True))
        decision = decide(True, champion=first, reason="better")

        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(registry, "record_decision", killed)
            with pytest.raises(KeyboardInterrupt):
                registry.apply_decision(MODEL, second, decision)
        assert registry.apply_decision(MODEL, second, decision) == f"promoted v{second}: better"
        assert champion() == second
        tags = MlflowClient().get_model_version(MODEL, second).tags
        assert tags[registry.DECISION_TAG] == "promoted"
        assert tags["compared_with_version"] == first

    def test_an_alias_that_did_not_move_is_an_error_and_no_promotion_is_recorded(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        version = register("retraining/a")
        monkeypatch.setattr(MlflowClient, "set_registered_model_alias", lambda *_: None)
        with pytest.raises(RegistryError, match=f"was set to version {version} but points to None"):
            registry.promote_challenger(MODEL, version, None, decide(True))
        assert registry.DECISION_TAG not in MlflowClient().get_model_version(MODEL, version).tags

    def test_keeping_moves_no_alias_where_there_is_no_champion_either(self) -> None:
        version = register("retraining/a")
        outcome = registry.apply_decision(MODEL, version, decide(False, reason="too weak"))
        assert outcome == "kept no champion: too weak"
        assert champion() is None
        kept = MlflowClient().get_model_version(MODEL, version)
        assert kept.tags["compared_with_version"] == "none"
        assert "champion v" not in kept.description

    def test_a_champion_judged_against_itself_keeps_the_record_of_its_promotion(self) -> None:
        version = register("retraining/a")
        registry.apply_decision(MODEL, version, decide(True, reason="first champion"))
        outcome = registry.apply_decision(MODEL, version, decide(False, version, "+0.00 points"))
        assert outcome == f"kept v{version}: +0.00 points"
        kept = MlflowClient().get_model_version(MODEL, version)
        assert kept.tags[registry.DECISION_TAG] == "promoted"
        assert kept.tags[registry.REASON_TAG] == "first champion"
        assert "**Promoted**: first champion" in kept.description

    def test_the_newest_registered_version_is_the_challenger(self) -> None:
        first, second = register("retraining/a"), register("retraining/b")
        found = registry.find_version(MODEL, registry.CHALLENGER)
        latest = registry.find_latest_version(MODEL)
        assert found is not None
        assert latest is not None
        assert str(found.version) == str(latest.version) == second != first

    def test_a_store_that_fails_is_not_taken_for_a_missing_alias(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise MlflowException("the disk is full")

        monkeypatch.setattr(MlflowClient, "get_model_version_by_alias", fail)
        with pytest.raises(MlflowException, match="the disk is full"):
            registry.find_version(MODEL, registry.CHAMPION)

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
        assert not dataset.exists()


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

    def test_a_run_keeps_running_after_an_error_within(self) -> None:
        run_id = tracking.open_run(EXPERIMENT, "retraining/x", "a run", {})
        with pytest.raises(ValueError, match="inside"), tracking.resume_run(run_id):
            raise ValueError("inside")
        assert tracking.active_run_id() is None
        assert MlflowClient().get_run(run_id).info.status == "RUNNING"

    def test_a_closed_run_that_is_opened_again_runs_again(self) -> None:
        run_id = tracking.open_run(EXPERIMENT, "retraining/x", "a run", {})
        tracking.close_run(run_id, False, "kedro run")
        assert tracking.open_run(EXPERIMENT, "retraining/x", "a run", {}) == run_id
        assert MlflowClient().get_run(run_id).info.status == "RUNNING"

    def test_a_run_in_an_experiment_that_does_not_exist_is_refused(self) -> None:
        assert tracking.find_run("elsewhere", "retraining/x") is None
        with pytest.raises(TrackingError, match="'elsewhere' does not exist"):
            tracking.open_run("elsewhere", "retraining/x", "a run", {})

    def test_other_refusals_of_mlflow_pass_as_they_are(self) -> None:
        with (
            pytest.raises(MlflowException, match="the disk is full"),
            tracking.explain_refusals(),
        ):
            raise MlflowException("the disk is full")

    def test_a_run_is_located_by_its_store_where_no_server_shows_it(self, store: str) -> None:
        run_id = tracking.open_run(EXPERIMENT, "retraining/x", "a run", {})
        assert tracking.locate_run(run_id) == f"MLflow run {run_id} in {store}"

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
