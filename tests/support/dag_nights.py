"""Nights that Airflow runs, a task after the other, in the process of the test."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from image_classification.errors import VerificationError
from image_classification.intake.index import settle_index

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from airflow.sdk import DAG
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

PROJECT = Path(__file__).resolve().parents[2]
MODEL = "test-classifier"

OWN_TO_A_RUN = (
    "in_use",
    "ledger_head",
)
"""Tags of a version that another run of the same work has other values of."""


@dataclass(frozen=True)
class Night:
    """One DAG run, and what the stores hold after it."""

    state: str
    tasks: dict[str, str]
    tries: dict[str, int]
    dag_run_id: str
    notes: list[str]
    mlflow_run: Run
    mlflow_runs: int
    mlflow_runs_of_all: int
    logged_models: int
    versions: dict[str, ModelVersion]
    aliases: dict[str, str]
    active_run_id: str | None
    index: pd.DataFrame
    decision: dict[str, Any] | None

    @property
    def outcome(self) -> str:
        return str(self.mlflow_run.data.tags["outcome"])

    def tasks_that_are(self, state: str) -> set[str]:
        return {task for task, held in self.tasks.items() if held == state}

    @property
    def own_versions(self) -> list[str]:
        run_id = self.mlflow_run.info.run_id
        return [name for name, version in self.versions.items() if version.run_id == run_id]


@dataclass(frozen=True)
class Laboratory:
    """A storage root, and the way to let a night pass over it."""

    storage: Path
    load_dag: Callable[[str], DAG]
    notes: list[tuple[str, str, str]]

    @property
    def client(self) -> MlflowClient:
        from mlflow import MlflowClient

        return MlflowClient(f"sqlite:///{self.storage}/mlflow/mlflow.db")

    def run_dag(
        self,
        pipeline: str = "retraining",
        *,
        retries: int = 0,
        retry_delay_s: float = 0.001,
        at: datetime | None = None,
        **form: Any,
    ) -> DagRun:
        """Run a DAG, a task after the other, in this process.

        Args:
            pipeline: the DAG.
            retries: of each task.
            retry_delay_s: seconds before a retry.
            at: the same time again is the same DAG run again, cleared.
            form: the fields of the trigger form that are changed.
        """
        dag = self.load_dag(pipeline)
        for task in dag.tasks:
            task.retries = retries
            task.retry_delay = timedelta(seconds=retry_delay_s)
            task.retry_exponential_backoff = False
        at = at or datetime.now(UTC)
        return dag.test(run_conf=form, logical_date=at, run_after=at)

    def spend_night(self, pipeline: str = "retraining", **how: Any) -> Night:
        """Run a DAG as `run_dag` does, and look at what it left."""
        import mlflow

        dag_run = self.run_dag(pipeline, **how)
        active = mlflow.active_run()
        instances = {ti.task_id: ti for ti in dag_run.get_task_instances()}
        return self._look(
            pipeline,
            state=str(dag_run.state),
            tasks={name: str(ti.state) for name, ti in instances.items()},
            tries={name: ti.try_number for name, ti in instances.items()},
            dag_run_id=dag_run.run_id,
            active_run_id=active.info.run_id if active else None,
        )

    def run_pipeline(self, pipeline: str, **params: Any) -> None:
        """Run a pipeline without Airflow, in one session: quicker, and to the same effect."""
        from kedro.framework.session import KedroSession
        from kedro.framework.startup import bootstrap_project

        bootstrap_project(PROJECT)
        with KedroSession.create(project_path=PROJECT, runtime_params=params) as session:
            session.run(pipeline_names=[pipeline])

    def folder_of(self, night: Night) -> Path:
        """Return where the tasks of a night have written what is the run's own."""
        return self.storage / "runs" / night.mlflow_run.data.tags["airflow.run"]

    def read_watch(self, night: Night) -> dict[str, Any]:
        """Return how the champion did that night."""
        file = self.folder_of(night) / "champion_watch.json"
        watch: dict[str, Any] = json.loads(file.read_text())
        return watch

    def _look(self, pipeline: str, **held: Any) -> Night:
        key = f"{pipeline}/{held['dag_run_id'].replace(':', '-').replace('+', '-')}"
        experiment = self.client.get_experiment_by_name("image_classification")
        assert experiment is not None
        ids = [experiment.experiment_id]
        all_runs = self.client.search_runs(ids)
        runs = [run for run in all_runs if run.data.tags.get("airflow.run") == key]
        run_id = runs[0].info.run_id
        models = self.client.search_logged_models(ids, f"source_run_id = '{run_id}'")
        versions = self.client.search_model_versions(f"name = '{MODEL}'")
        aliases = self.client.get_registered_model(MODEL).aliases if versions else {}
        decision = self.storage / "runs" / key / "decision.json"
        return Night(
            mlflow_run=runs[0],
            mlflow_runs=len(runs),
            mlflow_runs_of_all=len(all_runs),
            notes=[note for *_, run_id, note in self.notes if run_id == held["dag_run_id"]],
            logged_models=len(models),
            # Without a server before it, an SQL store numbers versions by int.
            versions={str(version.version): version for version in versions},
            aliases={alias: str(version) for alias, version in aliases.items()},
            index=read_index(self.storage),
            decision=json.loads(decision.read_text()) if decision.exists() else None,
            **held,
        )


def read_index(storage: Path) -> pd.DataFrame:
    """Return the index as it stands, but for when it was written."""
    parts = [pd.read_parquet(path) for path in sorted((storage / "index/images").glob("*.parquet"))]
    if not parts:  # no image was ever taken in
        return pd.DataFrame()
    settled = settle_index(pd.concat(parts, ignore_index=True))
    return settled.drop(columns=["recorded_at", "first_seen"])


def compare_with_kedro_run(night: Night, storage: Path) -> None:
    """Check that `kedro run` over a storage root comes to what a first night came to."""
    import mlflow
    from kedro.framework.session import KedroSession
    from kedro.framework.startup import bootstrap_project

    bootstrap_project(PROJECT)
    with KedroSession.create(project_path=PROJECT) as session:
        session.run(pipeline_names=["retraining"])
    assert mlflow.active_run() is None

    pd.testing.assert_frame_equal(read_index(storage), night.index)
    _compare_decisions(json.loads((storage / "runs/local/decision.json").read_text()), night)

    client = mlflow.MlflowClient(f"sqlite:///{storage}/mlflow/mlflow.db")
    (run,) = client.search_runs(["1"])
    assert measures_of(run) == pytest.approx(measures_of(night.mlflow_run), abs=1e-6)
    assert run.info.status == "FINISHED"
    assert run.data.tags["outcome"] == night.outcome
    assert len(client.search_logged_models(["1"])) == 1
    version = client.get_model_version_by_alias(MODEL, "champion")
    assert lasting_tags(version) == lasting_tags(night.versions["1"])


def _compare_decisions(decision: dict[str, Any], night: Night) -> None:
    assert night.decision is not None
    assert decision["challenger"]["metrics"] == pytest.approx(
        night.decision["challenger"]["metrics"], abs=1e-6
    )
    for key in ("verdict", "reason", "champion", "images", "patients", "policy"):
        assert decision[key] == night.decision[key]


def measures_of(run: Run) -> dict[str, float]:
    """Return the metrics of an MLflow run, but for how fast the machine was."""
    measures = dict(run.data.metrics)
    measures.pop("training.images_per_second", None)
    return measures


def lasting_tags(version: ModelVersion) -> dict[str, str]:
    """Return the tags of a version, but for those of the run that registered it."""
    return {key: value for key, value in version.tags.items() if key not in OWN_TO_A_RUN}


@contextmanager
def failing(place: str, error: type[Exception] = RuntimeError) -> Iterator[None]:
    """Let the first call of a function raise."""
    module, _, name = place.rpartition(".")
    with pytest.MonkeyPatch.context() as patch:
        sound = getattr(import_module(module), name)
        calls = 0

        def fail(*arguments: Any, **keywords: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == 1:
                raise error(f"{name} was interrupted")
            return sound(*arguments, **keywords)

        patch.setattr(place, fail)
        yield
        assert calls, f"{place} was not called"


class Consumer:
    """Stands for the fresh process that loads the packaged model, and takes seconds to."""

    def __init__(self) -> None:
        self.fault: str = ""
        self.on_ask: Callable[[], None] = lambda: None

    def __call__(self, model_uri: str, timed_calls: int = 0) -> dict[str, Any]:
        from image_classification.champion import registry

        if model_uri.endswith("@champion"):
            self.on_ask()
            if self.fault:
                raise VerificationError(self.fault)
        version = registry.find_champion(MODEL)
        model_id = registry.find_model_id(MODEL, version) if version else None
        return {
            "model_id": model_id,
            "load_s": 1.0,
            "latency_ms": 5.0,
            "size_mb": 2.0,
            "golden_cells": 4,
            "golden_difference": 0.0,
        }


@contextmanager
def quick_work(
    consumer: Consumer | None = None, *, without: tuple[str, ...] = ()
) -> Iterator[None]:
    """Leave out what takes the time.

    The network stays as it was built, the figures are blank, no fresh process loads the model.

    Args:
        consumer: stands for that process; one that finds nothing wrong without it.
        without: nodes whose tasks do nothing.
    """
    from matplotlib.figure import Figure

    from image_classification.orchestration.kedro_run import KedroRun
    from image_classification.vision import History, Network, set_seed

    run_node = KedroRun.run_node

    def blank(*_: Any) -> Figure:
        return Figure()

    def fit(
        build: Callable[[], Network], *_: Any, epochs: int, seed: int, **__: Any
    ) -> tuple[Network, History, dict[str, Any]]:
        set_seed(seed)
        return build(), History(*([0.5] * epochs for _ in range(6))), {"precision": "none"}

    def run_most(self: KedroRun, node_name: str) -> None:
        if node_name not in without:
            run_node(self, node_name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KedroRun, "run_node", run_most)
        patch.setattr("image_classification.vision.fit_network", fit)
        asked = consumer or Consumer()
        patch.setattr("image_classification.champion.verification.consume_version", asked)
        drawn = (
            "champion_trend",
            "comparison",
            "confusion",
            "contact_sheet",
            "curves",
            "reliability",
            "roc",
        )
        for name in drawn:
            patch.setattr(f"image_classification.figures.plot_{name}", blank)
        yield
