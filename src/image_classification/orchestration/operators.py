"""Operators: each runs one step of a DAG run. Heavy imports happen in `execute`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import BaseBranchOperator, BaseOperator, SkipMixin, conf

from image_classification.orchestration.settings import DagSettings

if TYPE_CHECKING:
    from airflow.sdk import Context

    from image_classification.orchestration.kedro_run import KedroRun

OPEN_RUN = "open_run"
FAILED_STATES = ("failed", "upstream_failed")
RECORDERS = {"promote_challenger", "keep_champion"}


class PipelineOperator(BaseOperator):
    """Base: turns the Airflow context into a `KedroRun`, the Kedro side of this DAG run."""

    def __init__(
        self, *, pipeline: str, project_path: str, settings: DagSettings, **arguments: Any
    ) -> None:
        super().__init__(**arguments)
        self.pipeline = pipeline
        self.project_path = project_path
        self.settings = settings

    def start(self, context: Context, mlflow_run_id: str | None = None) -> KedroRun:
        """Return the Kedro side of this DAG run, with its MLflow run in the log."""
        project_path = Path(self.project_path)
        # Before Kedro's import, which would take the log handlers away from Airflow.
        os.environ["KEDRO_LOGGING_CONFIG"] = str(project_path / "airflow" / "kedro_logging.yml")
        os.environ.setdefault("DO_NOT_TRACK", "1")
        from image_classification.orchestration.kedro_run import KedroRun  # noqa: PLC0415

        run_id = str(context["run_id"])
        run = KedroRun(
            project_path=project_path,
            pipeline=self.pipeline,
            dag_id=context["dag"].dag_id,
            dag_run_id=run_id,
            dag_run_url=locate_dag_run(context["dag"].dag_id, run_id),
            runtime_params=self.settings.runtime_params(context["params"]),
            mlflow_run_id=mlflow_run_id or self._pull_run_id(context),
        )
        if run.mlflow_run_id:
            self.log.info("MLflow run: %s", run.locate_mlflow_run())
        return run

    def _pull_run_id(self, context: Context) -> str | None:
        if self.task_id == OPEN_RUN:
            return None
        return context["ti"].xcom_pull(task_ids=OPEN_RUN)  # type: ignore[no-any-return]


class OpenRunOperator(PipelineOperator):
    """Find or create the MLflow run of this DAG run; its id is the task's result."""

    def execute(self, context: Context) -> str:
        """Open the run, and link it from the DAG run."""
        run = self.start(context)
        mlflow_run_id = run.open_mlflow_run()
        address = run.locate_mlflow_run()
        self.log.info("MLflow run: %s", address)
        write_note(context, f"MLflow run: {address}")
        return mlflow_run_id


class KedroNodeOperator(PipelineOperator):
    """Run one Kedro node."""

    def __init__(self, *, node_name: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.node_name = node_name

    def execute(self, context: Context) -> None:
        """Run the node, reading and writing through the catalog alone."""
        self.start(context).run_node(self.node_name)


class CheckNewImagesOperator(PipelineOperator, SkipMixin):
    """Skip the rest of the run when the images are those of the last trained model."""

    inherits_from_skipmixin = True

    def __init__(self, *, judges: bool, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.judges = judges

    def execute(self, context: Context) -> str:
        """Compare the data with that of the newest version; `force` trains anyway."""
        run = self.start(context)
        is_new, reason = run.check_new_images(self.judges)
        if context["params"].get("force") and not is_new:
            is_new, reason = True, f"{reason} Training anyway, as asked (force)."
        self.log.info(reason)
        if not is_new:
            outcome = f"skipped: {reason}"
            run.record_outcome(outcome)
            write_note(context, f"{outcome}\n\nMLflow run: {run.locate_mlflow_run()}")
            after = context["task"].get_flat_relatives(upstream=False)
            self.skip(context["ti"], [task for task in after if not task.is_teardown])
        return reason


class LogModelOperator(PipelineOperator):
    """Log the trained network as one MLflow model and register it as challenger, once."""

    def execute(self, context: Context) -> str:
        """Do what kedro-mlflow does after a whole run; the result is the version."""
        version = self.start(context).log_model()
        self.log.info("Challenger: version %s", version)
        return version


class ChooseChampionOperator(PipelineOperator, BaseBranchOperator):
    """Branch on the decision of `compare_models`."""

    inherits_from_skipmixin = True

    def choose_branch(self, context: Context) -> str:
        """Return the task to go on with."""
        decision = self.start(context).read_decision()
        self.log.info("Decision: %s", decision["reason"])
        return "promote_challenger" if decision["promote"] else "keep_champion"


class _RecordOperator(PipelineOperator):
    def execute(self, context: Context) -> str:
        """Carry the decision out, and write what was decided wherever people look."""
        run = self.start(context)
        outcome = run.apply_decision()
        self.log.info(outcome)
        write_note(context, f"{outcome}\n\nMLflow run: {run.locate_mlflow_run()}")
        return outcome


class PromoteChallengerOperator(_RecordOperator):
    """Move the alias `champion` to the challenger, and record why."""


class KeepChampionOperator(_RecordOperator):
    """Leave the champion, and record on the challenger why."""


class CloseRunOperator(PipelineOperator):
    """Set the MLflow run's final status: that of the DAG run."""

    def execute(self, context: Context) -> str:
        """Close the run; the result is its status."""
        dag_run_id = str(context["run_id"])
        states = context["ti"].get_task_states(dag_id=context["dag"].dag_id, run_ids=[dag_run_id])[
            dag_run_id
        ]
        failed = sorted(task for task, state in states.items() if state == "failed")
        succeeded = not any(state in FAILED_STATES for state in states.values())
        run = self.start(context)
        if not succeeded:
            outcome = f"failed: {', '.join(failed)}. The champion was not changed by this failure."
            if states.get("promote_challenger") == "success":
                outcome = f"failed: {', '.join(failed)}, after the challenger was promoted."
            run.record_outcome(outcome)
            write_note(
                context,
                f"{outcome} Read the log of the failed task; clear it to try again on the same "
                f"MLflow run.\n\nMLflow run: {run.locate_mlflow_run()}",
            )
        elif RECORDERS.isdisjoint(states) and "skipped" not in states.values():
            # No other task says what came of the run, or takes back an earlier failure.
            run.record_outcome("succeeded")
        status = run.close_mlflow_run(succeeded)
        self.log.info("MLflow run closed: %s", status)
        return status


def locate_dag_run(dag_id: str, run_id: str) -> str:
    """Return the address of a DAG run's page."""
    base = conf.get("api", "base_url", fallback="http://localhost:8080").rstrip("/")
    return f"{base}/dags/{dag_id}/runs/{quote(run_id)}"


def write_note(context: Context, note: str) -> None:
    """Set the note of the DAG run, where AIRFLOW_API_USERNAME and _PASSWORD are given.

    Tasks have no other way to write a note. A note is a convenience: without credentials, or
    when the API refuses, the task goes on and its log says so.
    """
    from image_classification.orchestration.note import write_dag_run_note  # noqa: PLC0415

    write_dag_run_note(context["dag"].dag_id, str(context["run_id"]), note)
