"""The registry and the runs, against a real MLflow store."""

from __future__ import annotations

import shutil
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from kedro.io import DatasetError
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from image_classification import tracking
from image_classification.champion import registry
from image_classification.champion.consumer import GOLDEN_CELLS
from image_classification.configuration import resolvers
from image_classification.datasets import (
    MetricCurvesDataset,
    RegisteredImagesDataset,
    RegisteredNetworkDataset,
)
from image_classification.errors import ChampionMovedError, RegistryError, TrackingError

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
    run_id = tracking.open_run(tracking.open_experiment(EXPERIMENT), airflow_run, "a run", {})
    with tracking.resume_run(run_id):
        mlflow.pyfunc.log_model(name="model", python_model=Echo(), pip_requirements=[])
    return run_id


@pytest.fixture
def lock(tmp_path: Path) -> AbstractContextManager[Any]:
    return registry.lock_champion(str(tmp_path / "ledger"))


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
        run_id = tracking.open_run(
            tracking.open_experiment(EXPERIMENT), "retraining/none", "a run", {}
        )
        with pytest.raises(RegistryError, match=f"{run_id} has logged no model"):
            registry.register_challenger(MODEL, run_id, {})

    def test_the_champion_moves_from_none_to_a_version_to_another_and_to_none(
        self, lock: AbstractContextManager[Any]
    ) -> None:
        first, second = register("retraining/a"), register("retraining/b")
        for target, expected in ((first, None), (second, first), (first, second), (None, first)):
            assert registry.move_champion(MODEL, target, expected, lock)
            assert champion() == target

    def test_moving_where_it_is_already_does_nothing_whatever_is_expected(
        self, lock: AbstractContextManager[Any]
    ) -> None:
        version = register("retraining/a")
        assert registry.move_champion(MODEL, version, None, lock)
        assert not registry.move_champion(MODEL, version, None, lock)
        assert champion() == version

    @pytest.mark.parametrize("set_by_hand", [True, False])
    @pytest.mark.parametrize("expects_one", [True, False])
    def test_a_champion_that_is_not_the_one_expected_stays(
        self, lock: AbstractContextManager[Any], set_by_hand: bool, expects_one: bool
    ) -> None:
        first, second, third = (register(f"retraining/{name}") for name in ("a", "b", "c"))
        if set_by_hand:
            MlflowClient().set_registered_model_alias(MODEL, registry.CHAMPION, second)
        elif not expects_one:
            return  # none is what is expected, and what is found
        expected, found = (first if expects_one else None), (second if set_by_hand else None)
        named = [f"version {version}" if version else "none" for version in (expected, found)]
        with pytest.raises(ChampionMovedError, match="expected {}, found {}".format(*named)):
            registry.move_champion(MODEL, third, expected, lock)
        assert champion() == found

    def test_an_alias_that_did_not_move_is_an_error(
        self, lock: AbstractContextManager[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        version = register("retraining/a")
        monkeypatch.setattr(MlflowClient, "set_registered_model_alias", lambda *_: None)
        with pytest.raises(RegistryError, match=f"set to version {version} but points to none"):
            registry.move_champion(MODEL, version, None, lock)

    def test_a_version_that_is_not_there_is_named_beside_those_that_are(self) -> None:
        register("retraining/a")
        with pytest.raises(RegistryError, match=r"no version '7' of 'cells'. Known: 1"):
            registry.get_version(MODEL, "7")

    def test_golden_cells_are_kept_among_the_files_of_the_model(self, tmp_path: Path) -> None:
        cells = pd.DataFrame({"image_name": ["a"], "image": [b"x"], "probability_A": [0.25]})
        run_id = log_a_model()
        version = registry.register_challenger(MODEL, run_id, {}, cells)
        folder = mlflow.artifacts.download_artifacts(
            f"models:/{MODEL}/{version.version}", dst_path=str(tmp_path)
        )
        pd.testing.assert_frame_equal(pd.read_parquet(Path(folder, GOLDEN_CELLS)), cells)

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

    def test_a_version_whose_files_are_broken_is_an_error_of_ours(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        version = register("retraining/broken")

        def fail(_: str) -> None:
            raise MlflowException("MLmodel is missing")

        monkeypatch.setattr("image_classification.champion.registry.Model.load", fail)
        with (
            pytest.raises(RegistryError, match="is no whole MLflow model: MLmodel is missing"),
            registry.open_parts(MODEL, version),
        ):
            pass

    def test_a_run_that_was_deleted_for_good_keeps_no_images(self) -> None:
        assert tracking.read_images("0" * 32) is None

    def test_an_optional_network_without_alias_is_none(self) -> None:
        dataset = RegisteredNetworkDataset(model_name=MODEL, alias="champion", required=False)
        assert dataset.load() is None
        assert not dataset.exists()


@pytest.mark.usefixtures("store")
class TestRegisteredImages:
    IMAGES = pd.DataFrame(
        {
            "image_id": ["a", "b", "c"],
            "label": "ring",
            "patient": ["C1", "C2", "C3"],
            "split": ["train", "validation", "test"],
        }
    )

    def open(self) -> RegisteredImagesDataset:
        return RegisteredImagesDataset(model_name=MODEL, alias="champion")

    def promote(self, images: pd.DataFrame | None) -> str:
        run_id = log_a_model()
        if images is not None:
            with tracking.resume_run(run_id):
                tracking.log_images(images)
        version = str(registry.register_challenger(MODEL, run_id, {}).version)
        registry.move_champion(MODEL, version, None, nullcontext())
        tags = {registry.DECISION_TAG: "promoted", registry.REFERENCE_TAG: "0.9000"}
        registry.describe_version(MODEL, version, tags, "a card")
        return version

    def test_no_champion_has_no_images(self) -> None:
        assert self.open().load() is None
        assert not self.open().exists()

    def test_the_champion_has_its_own_images_and_what_it_was_judged_by(self) -> None:
        version = self.promote(self.IMAGES)
        found = self.open().load()
        assert found is not None
        assert found.version == version
        pd.testing.assert_frame_equal(found.images, self.IMAGES, check_dtype=False)
        assert found.validation_accuracy == 0.9
        assert found.tags[registry.DECISION_TAG] == "promoted"
        assert self.open().exists()

    def test_images_that_were_not_kept_are_unknown_and_not_none_at_all(self) -> None:
        version = self.promote(None)
        found = self.open().load()
        assert found is not None
        assert (found.version, found.images) == (version, None)

    def test_a_champion_that_was_never_judged_has_no_accuracy_of_its_own(self) -> None:
        version = register("retraining/by-hand")
        MlflowClient().set_registered_model_alias(MODEL, registry.CHAMPION, version)
        found = self.open().load()
        assert found is not None
        assert found.validation_accuracy is None

    def test_they_cannot_be_saved(self) -> None:
        with pytest.raises(DatasetError, match="cannot be changed"):
            self.open().save(self.IMAGES)


@pytest.mark.usefixtures("store")
class TestCurves:
    DATASET = MetricCurvesDataset(prefix="champion")

    def history(self, run_id: str, key: str) -> list[tuple[int, float, int]]:
        points = MlflowClient().get_metric_history(run_id, key)
        return sorted((point.step, point.value, point.timestamp) for point in points)

    def save(self, run_id: str, **curves: list[float]) -> None:
        with tracking.resume_run(run_id):
            self.DATASET.save(
                {
                    name: [
                        {"value": value, "step": step, "timestamp_ms": 1000 * step}
                        for step, value in enumerate(values, 1)
                    ]
                    for name, values in curves.items()
                }
            )

    def test_curves_are_logged_whole_and_the_last_point_is_the_metric(self) -> None:
        run_id = tracking.open_run(
            tracking.open_experiment(EXPERIMENT), "retraining/x", "a run", {}
        )
        self.save(run_id, newest_accuracy=[0.9, 0.8], newest_auc=[])
        assert self.history(run_id, "champion.newest_accuracy") == [(1, 0.9, 1000), (2, 0.8, 2000)]
        assert MlflowClient().get_run(run_id).data.metrics == {"champion.newest_accuracy": 0.8}

    def test_saving_again_and_more_leaves_each_point_once(self) -> None:
        run_id = tracking.open_run(
            tracking.open_experiment(EXPERIMENT), "retraining/x", "a run", {}
        )
        for values in ([0.9, 0.8], [0.9, 0.8], [0.9, 0.8, 0.7]):
            self.save(run_id, newest_accuracy=values)
        steps = [step for step, *_ in self.history(run_id, "champion.newest_accuracy")]
        assert steps == [1, 2, 3]

    def test_a_year_of_curves_takes_a_request_for_each_thousand_points(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run_id = tracking.open_run(
            tracking.open_experiment(EXPERIMENT), "retraining/x", "a run", {}
        )
        requests: list[int] = []
        send = MlflowClient.log_batch

        def count(self: MlflowClient, run_id: str, metrics: list[Any]) -> None:
            requests.append(len(metrics))
            send(self, run_id, metrics=metrics)

        monkeypatch.setattr(MlflowClient, "log_batch", count)
        self.save(run_id, low=[0.5] * 700, high=[0.9] * 700)
        assert requests == [1000, 400]
        assert len(self.history(run_id, "champion.high")) == 700

    def test_without_a_run_nothing_is_logged(self) -> None:
        self.DATASET.save({"newest_accuracy": [{"value": 1.0, "step": 1, "timestamp_ms": 1}]})
        assert tracking.active_run_id() is None

    def test_they_cannot_be_loaded(self) -> None:
        with pytest.raises(DatasetError, match="cannot be loaded"):
            self.DATASET.load()


@pytest.mark.usefixtures("store")
class TestRuns:
    def test_a_dag_run_has_one_mlflow_run_however_often_it_is_opened(self) -> None:
        first = tracking.open_run(
            tracking.open_experiment(EXPERIMENT), "retraining/x", "a run", {"a": "1"}
        )
        assert (
            tracking.open_run(
                tracking.open_experiment(EXPERIMENT), "retraining/x", "a run", {"a": "2"}
            )
            == first
        )
        assert (
            tracking.open_run(tracking.open_experiment(EXPERIMENT), "retraining/y", "a run", {})
            != first
        )
        assert MlflowClient().get_run(first).data.tags["a"] == "2"

    def test_a_task_leaves_the_run_running_and_nothing_active(self) -> None:
        run_id = tracking.open_run(
            tracking.open_experiment(EXPERIMENT), "retraining/x", "a run", {}
        )
        with tracking.resume_run(run_id):
            assert tracking.active_run_id() == run_id
        assert tracking.active_run_id() is None
        assert MlflowClient().get_run(run_id).info.status == "RUNNING"

    @pytest.mark.parametrize(("succeeded", "status"), [(True, "FINISHED"), (False, "FAILED")])
    def test_closing_sets_the_status_and_the_command(self, succeeded: bool, status: str) -> None:
        run_id = tracking.open_run(tracking.open_experiment(EXPERIMENT), "retraining/x", "r", {})
        assert tracking.close_run(run_id, succeeded, "kedro run") == status
        run = MlflowClient().get_run(run_id)
        assert run.info.status == status
        assert run.data.tags[tracking.COMMAND_TAG] == "kedro run"

    def test_the_logged_model_of_a_run_is_found(self) -> None:
        run_id = log_a_model()
        assert tracking.find_logged_model(run_id)
        other = tracking.open_run(
            tracking.open_experiment(EXPERIMENT), "retraining/other", "a run", {}
        )
        assert tracking.find_logged_model(other) is None

    def test_a_model_whose_upload_was_cut_short_does_not_count(self) -> None:
        run_id = tracking.open_run(
            tracking.open_experiment(EXPERIMENT), "retraining/x", "a run", {}
        )
        experiment = MlflowClient().get_run(run_id).info.experiment_id
        MlflowClient().create_logged_model(experiment, name="model", source_run_id=run_id)
        assert tracking.find_logged_model(run_id) is None
        assert MlflowClient().search_logged_models([experiment]) == []

    def test_a_run_keeps_running_after_an_error_within(self) -> None:
        run_id = tracking.open_run(
            tracking.open_experiment(EXPERIMENT), "retraining/x", "a run", {}
        )
        with pytest.raises(ValueError, match="inside"), tracking.resume_run(run_id):
            raise ValueError("inside")
        assert tracking.active_run_id() is None
        assert MlflowClient().get_run(run_id).info.status == "RUNNING"

    def test_a_closed_run_that_is_opened_again_runs_again(self) -> None:
        run_id = tracking.open_run(
            tracking.open_experiment(EXPERIMENT), "retraining/x", "a run", {}
        )
        tracking.close_run(run_id, False, "kedro run")
        assert (
            tracking.open_run(tracking.open_experiment(EXPERIMENT), "retraining/x", "a run", {})
            == run_id
        )
        assert MlflowClient().get_run(run_id).info.status == "RUNNING"

    def test_an_experiment_is_made_once_and_restored_where_it_was_deleted(self) -> None:
        first = tracking.open_experiment("elsewhere", tags={"kind": "training"})
        MlflowClient().delete_experiment(first)
        assert tracking.open_experiment("elsewhere") == first
        experiment = MlflowClient().get_experiment(first)
        assert (experiment.lifecycle_stage, experiment.tags["kind"]) == ("active", "training")

    def test_other_refusals_of_mlflow_pass_as_they_are(self) -> None:
        with (
            pytest.raises(MlflowException, match="the disk is full"),
            tracking.explain_refusals(),
        ):
            raise MlflowException("the disk is full")

    def test_a_run_is_located_by_its_store_where_no_server_shows_it(self, store: str) -> None:
        run_id = tracking.open_run(
            tracking.open_experiment(EXPERIMENT), "retraining/x", "a run", {}
        )
        assert tracking.locate_run(run_id) == f"MLflow run {run_id} in {store}"

    def test_a_changed_parameter_is_refused_with_the_remedy(self) -> None:
        run_id = tracking.open_run(
            tracking.open_experiment(EXPERIMENT), "retraining/x", "a run", {}
        )
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
    assert resolvers.locate_artifacts("sqlite:////x/mlflow.db", "/x") == "/x/mlflow/artifacts"
    assert resolvers.locate_artifacts("https://mlflow.example.org", "/x") is None
