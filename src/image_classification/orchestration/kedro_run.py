"""The Kedro and MLflow side of one DAG run. Imported by operators only when they run."""

from __future__ import annotations

import os
import re
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from shlex import quote
from typing import Any

import kedro
from kedro.framework.context import KedroContext
from kedro.framework.project import configure_project
from kedro.framework.session import KedroSession
from kedro.io import CatalogProtocol
from kedro_mlflow.pipeline.pipeline_ml import PipelineML

from image_classification import tracking
from image_classification.champion.aftermath import Aftermath
from image_classification.champion.statement import DecisionRun
from image_classification.configuration import names
from image_classification.configuration.location import PACKAGE, find_configuration
from image_classification.configuration.path import list_values
from image_classification.configuration.scope import SHARED, Scope
from image_classification.configuration.tag import PROMOTION, TRAINING
from image_classification.errors import ConfigurationError, SealedError
from image_classification.orchestration.account import Account
from image_classification.orchestration.code import check_code, record_code
from image_classification.orchestration.run_name import name_run
from image_classification.pages.night import write_history, write_night
from image_classification.vendor.kedro import find_pipeline, make_session, plain_pipeline


class TaskSession(KedroSession):
    """A session whose context is loaded once: what an operator reads, its node runs with."""

    _loaded: KedroContext | None = None

    def load_context(self) -> KedroContext:
        """Return the context, loaded at the first call."""
        if self._loaded is None:
            self._loaded = super().load_context()
        return self._loaded


@dataclass
class KedroRun:
    """One DAG run, as Kedro and MLflow see it.

    Attributes:
        project_path: the folder that holds `conf/`.
        pipeline: the registered pipeline that the DAG was made from.
        dag_id: the DAG.
        dag_run_id: Airflow's id of the run, unique within the DAG.
        dag_run_url: the page of the DAG run.
        runtime_params: Kedro parameters that this run changes, nested.
        mlflow_run_id: the MLflow run, once it is open.
        experiment_id: of that run, where it is known.
        backfill: it was started for a past date, by a backfill.
        age_hours: since the date that it is for.
        identity: who triggered it, as Airflow vouches for.
        has_page: it compares, or would if there were enough images: a page is written of it.
        scope: project and environment of the DAG.
    """

    project_path: Path
    pipeline: str
    dag_id: str
    dag_run_id: str
    dag_run_url: str
    runtime_params: dict[str, Any]
    mlflow_run_id: str | None = None
    experiment_id: str | None = None
    backfill: bool = False
    age_hours: float | None = None
    identity: str = ""
    has_page: bool = False
    scope: Scope = SHARED

    @property
    def key(self) -> str:
        """The name of this DAG run among all, also the name of its folder in the catalog."""
        return name_run(self.dag_id, self.dag_run_id)

    def open_mlflow_run(self) -> str:
        """Find or create the MLflow run of this DAG run; return its id.

        It also writes down which package and configuration the run begins with.

        Raises:
            SealedError: this run has logged its model, or has come to a decision.
        """
        self.experiment_id = self.context.mlflow.open_experiment()  # type: ignore[attr-defined]
        self.mlflow_run_id = tracking.open_run(
            self.experiment_id,
            self.key,
            run_name=self._run_name,
            tags={
                tracking.AIRFLOW_URL_TAG: self.dag_run_url,
                "env": str(self.context.env),
                "kedro_version": kedro.__version__,
                "pipeline_names": self.pipeline,
            },
            check=self._check_found,
        )
        record_code(self.context)
        return self.mlflow_run_id

    def _check_found(self, run_id: str) -> None:
        self.mlflow_run_id = run_id
        self.aftermath.refuse_sealed({TRAINING, PROMOTION})

    def check_code(self) -> None:
        """Check that this task has what the run began with; see `check_code`."""
        check_code(self.context)

    def locate_mlflow_run(self) -> str:
        """Return the address of the MLflow run."""
        self.context  # noqa: B018 - loading the context points MLflow to the configured store
        return tracking.locate_run(self.required_run_id, self.experiment_id)

    def run_node(self, node_name: str) -> None:
        """Run one node of the pipeline on the MLflow run of this DAG run.

        Raises:
            SealedError: the node would change evidence that is closed.
            TrackingError: a parameter was changed since this run logged it.
        """
        self.context  # noqa: B018 - before it, the process may know no pipelines
        (node,) = find_pipeline(self.pipeline).only_nodes(node_name).nodes
        self.aftermath.refuse_sealed(node.tags)
        session = self._take_session()
        try:
            with plain_pipeline(self.pipeline), tracking.explain_refusals():
                session.run(pipeline_names=[self.pipeline], node_names=[node_name])
        finally:
            # Kedro's hooks do not hear of a timeout; MLflow would finish at exit what is active.
            tracking.leave_run()

    def is_settled(self) -> bool:
        """Return whether this run has ended well before, and its evidence is closed."""
        try:
            self.aftermath.refuse_sealed({PROMOTION})
        except SealedError:
            return tracking.has_finished(self.required_run_id)
        return False

    def read_outcome(self) -> str:
        """Return what was recorded of this run, "" for nothing yet."""
        self.context  # noqa: B018 - see above
        return tracking.read_tag(self.required_run_id, tracking.OUTCOME_TAG) or ""

    def log_model(self) -> str:
        """Log the model, by the definition of the training pipeline, and register it; see there.

        Raises:
            ConfigurationError: that pipeline was not made by `pipeline_ml_factory`.
        """
        self.context  # noqa: B018 - before it, the process may know no pipelines
        pipeline = find_pipeline(TRAINING)
        if not isinstance(pipeline, PipelineML):
            raise ConfigurationError(
                f"Pipeline '{TRAINING}' must be made by pipeline_ml_factory to log a model. "
                f"Received: {type(pipeline).__name__}."
            )
        return self.aftermath.log_challenger(pipeline)

    def answer_review(self, answer: dict[str, str]) -> None:
        """Let the next node know what the person answered."""
        self.runtime_params.setdefault("review", {}).update(answer)

    def record_outcome(self, outcome: str) -> None:
        """Write what came of this run into the MLflow run."""
        self.context  # noqa: B018 - see above
        tracking.record_outcome(self.required_run_id, outcome)

    def record_watch(self, sentence: str) -> bool:
        """Write how the champion does into the MLflow run; return whether it alerts."""
        tracking.tag_run(self.required_run_id, {tracking.WATCH_TAG: sentence})
        return bool(self.catalog.load(names.CHAMPION_WATCH)["alert"])

    def write_page(self, outcome: str) -> None:
        """Write the page of this night, if it has one, and the page of all nights.

        No run fails for it.

        Args:
            outcome: what was recorded of the run; "" while it goes on.
        """
        if self.has_page:
            write_night(self.catalog, self.aftermath.run, outcome)
        else:
            write_history(self.catalog)

    def log_profile(self, tasks: list[dict[str, Any]]) -> None:
        """Keep where the seconds of this run went with the MLflow run.

        Args:
            tasks: what Airflow knows of the tasks: when each was queued, began and ended.
        """
        timings = list(self.catalog.load(names.TASK_TIMINGS).values())
        tracking.log_profile(self.required_run_id, tasks, timings)

    def close_mlflow_run(self, succeeded: bool) -> str:
        """Set the final status of the MLflow run and return it."""
        self.context  # noqa: B018 - see above
        return tracking.close_run(self.required_run_id, succeeded, self._command)

    @property
    def required_run_id(self) -> str:
        """The id of the MLflow run.

        Raises:
            ConfigurationError: it is not open.
        """
        if self.mlflow_run_id is None:
            raise ConfigurationError(
                f"DAG run {self.key} has no MLflow run: clear the task open_run and all after it."
            )
        return self.mlflow_run_id

    @property
    def _run_name(self) -> str:
        """The DAG and the minute, as in ``retraining 2026-11-22 02:00``."""
        minute = re.search(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)", self.dag_run_id)
        return f"{self.dag_id} {' '.join(minute.groups()) if minute else self.dag_run_id}"

    @property
    def _command(self) -> str:
        changes = ",".join(f"{path}={value}" for path, value in list_values(self.runtime_params))
        command = f"kedro run --pipelines {self.pipeline}"
        # Quoted, since people paste it into a shell.
        return f"{command} --params {quote(changes)}" if changes else command

    @property
    def model_name(self) -> str:
        """The name of the registered model."""
        return str(self.context.params["registered_model_name"])

    @cached_property
    def aftermath(self) -> Aftermath:
        """What follows the nodes of this run, step by step."""
        run = DecisionRun(
            self.required_run_id,
            self.key,
            self.dag_run_url,
            self.backfill,
            self.age_hours,
            self.experiment_id,
            self.identity,
        )
        return Aftermath(self.catalog, run)

    @cached_property
    def account(self) -> Account:
        """What this run has to tell."""
        return Account(self)

    @cached_property
    def context(self) -> KedroContext:
        """The project's context; loading it points MLflow to the configured store."""
        return self._session.load_context()

    @cached_property
    def catalog(self) -> CatalogProtocol[Any, Any]:
        """The catalog, in which this run has a folder of its own."""
        return self.context.catalog

    @cached_property
    def _session(self) -> TaskSession:
        return self._create_session()

    def _take_session(self) -> TaskSession:
        """Return a session that has run nothing, with the parameters as they are now."""
        session: TaskSession | None = self.__dict__.pop("_session", None)
        if session is None or session.store["runtime_params"] != self._session_params:
            session = self._create_session()
        return session

    def _create_session(self) -> TaskSession:
        configure_project(PACKAGE)
        conf_source = find_configuration(self.project_path)
        env = os.environ.get("KEDRO_ENV")
        params = deepcopy(self._session_params)
        session: TaskSession = make_session(
            TaskSession, self.project_path, conf_source, env, params
        )
        return session

    @property
    def _session_params(self) -> dict[str, Any]:
        ids = {"mlflow_run_id": self.mlflow_run_id, "mlflow_experiment_id": self.experiment_id}
        known = {name: value for name, value in ids.items() if value}
        return self.runtime_params | {"run_id": self.key} | known
