"""Operators: each runs one step of a DAG run. Heavy imports happen in `execute`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseBranchOperator, BaseOperator, SkipMixin
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowSkipException,
    DagRunTriggerException,
)

from image_classification.orchestration.address import locate_airflow, locate_dag_run
from image_classification.orchestration.failure import FAILED_STATES, REMEDY, describe_champion
from image_classification.orchestration.notification import make_notice, send_notice
from image_classification.orchestration.settings import DagSettings, Event

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context

    from image_classification.orchestration.kedro_run import KedroRun

OPEN_RUN = "open_run"
ASK_REVIEWER = "ask_reviewer"
REVIEW = "review"
RECORDERS = {"promote_challenger", "keep_champion"}
ASIDE = ("request_reviews", "announce_images")
"""Tasks whose being skipped says nothing of the run."""


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

    def notify(
        self,
        context: Context,
        event: Event,
        subject: str,
        reason: str,
        links: Mapping[str, str] | None = None,
    ) -> None:
        """Tell people, over the channels that `airflow.yml` names for the event.

        A channel that fails is a warning in the log, and the task goes on.

        Args:
            context: of this task.
            event: what kind of thing happened.
            subject: what happened, in a few words, as ``retraining promoted v3``.
            reason: why, with numbers, and what to do: plain text or Markdown.
            links: what to open first, by name; the DAG run and this task's log are added.
        """
        notice = make_notice(context, event, subject, reason, links)
        send_notice(notice, self.settings.notifications)

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
        """Run the node, reading and writing through the catalog alone.

        Raises:
            AirflowFailException: what another try would only meet again.
        """
        from image_classification.errors import (  # noqa: PLC0415
            ConfigurationError,
            ContractError,
        )

        run = self.start(context)
        if self.node_name == "record_review":
            run.answer_review(read_answer(context))
        try:
            run.run_node(self.node_name)
        except (ConfigurationError, ContractError) as error:
            raise AirflowFailException(str(error)) from error


class FindBatchesOperator(PipelineOperator, SkipMixin):
    """Skip the whole run when there is nothing to take in."""

    inherits_from_skipmixin = True

    def execute(self, context: Context) -> list[str]:
        """Look for batches that have arrived, and for what an earlier run left undone."""
        batches = self.start(context).find_batches()
        if batches:
            self.log.info("To take in: %s", ", ".join(batches))
        else:
            self.log.info("Nothing has arrived.")
            write_note(context, "skipped: nothing has arrived")
            self.skip(context["ti"], context["task"].get_flat_relatives(upstream=False))
        return batches


class ListHeldBatchesOperator(PipelineOperator):
    """List the batches that wait for a person: a run of `review` is started for each."""

    def execute(self, context: Context) -> list[str]:
        """Return their names."""
        held = self.start(context).list_held_batches()
        for batch in held:
            self.log.warning("Batch '%s' is held: see the DAG '%s'", batch, REVIEW)
        return held


class RequestReviewOperator(BaseOperator):
    """Start a run of the DAG `review` for one batch, unless there is one.

    What TriggerDagRunOperator does; importing that one takes longer than all of a DAG file may.
    """

    def __init__(self, *, batch: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.batch = batch

    def execute(self, context: Context) -> None:  # noqa: ARG002
        """Ask Airflow for the run."""
        raise DagRunTriggerException(
            trigger_dag_id=REVIEW,
            dag_run_id=f"review__{self.batch}",
            conf={"batch": self.batch},
            reset_dag_run=False,
            skip_when_already_exists=True,
            wait_for_completion=False,
            allowed_states=[],
            failed_states=[],
            poke_interval=60,
            deferrable=False,
            note=f"Batch '{self.batch}' is held.",
        )


class AnnounceImagesOperator(PipelineOperator):
    """Tell Airflow that images have joined the training set: what waits for them starts."""

    def execute(self, context: Context) -> str:
        """Succeed where there are new images; being skipped announces nothing."""
        images = self.start(context).count_new_images()
        if not images:
            raise AirflowSkipException("No image has joined the training set.")
        return f"{images} images"


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
            write_outcome(context, run, outcome)
            subject = f"{context['dag'].dag_id} skipped: {reason.partition(':')[0]}"
            self.notify(
                context, "skipped", subject, reason, {"MLflow run": run.locate_mlflow_run()}
            )
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
        write_outcome(context, run, outcome)
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
        skipped = [task for task, state in states.items() if state == "skipped"]
        run = self.start(context)
        if not succeeded:
            self._explain_failure(context, run, failed, states)
        elif RECORDERS.isdisjoint(states) and all(task.startswith(ASIDE) for task in skipped):
            # No other task says what came of the run, or takes back an earlier failure.
            outcome = run.describe_outcome() or "succeeded"
            run.record_outcome(outcome)
            write_outcome(context, run, outcome)
        status = run.close_mlflow_run(succeeded)
        self.log.info("MLflow run closed: %s", status)
        return status

    def _explain_failure(
        self, context: Context, run: KedroRun, failed: list[str], states: dict[str, Any]
    ) -> None:
        outcome = f"failed: {', '.join(failed)}. {describe_champion(states)}"
        if "check_contract" in failed:
            outcome = " ".join([outcome, *run.read_stops()])
        run.record_outcome(outcome)
        write_outcome(context, run, f"{outcome} {REMEDY}")


def read_answer(context: Context) -> dict[str, str]:
    """Return what the person answered: the keys of the Kedro parameter `review`, but the batch."""
    response = context["ti"].xcom_pull(task_ids=ASK_REVIEWER)
    user = response["responded_by_user"] or {}
    return {
        "answer": response["chosen_options"][0].lower(),
        "by": str(user.get("name") or user.get("id") or "unknown"),
        "reason": str(response["params_input"].get("reason") or ""),
    }


def write_outcome(context: Context, run: KedroRun, outcome: str) -> None:
    """Write what came of the run, and which batches wait for a person, into its note."""
    lines = [outcome]
    if held := run.list_held_batches():
        page = f"{locate_airflow()}/dags/{REVIEW}/required_actions"
        lines.append(f"Held for a review: {', '.join(held)}. Answer at {page}")
    lines.append(f"MLflow run: {run.locate_mlflow_run()}")
    write_note(context, "\n\n".join(lines))


def write_note(context: Context, note: str) -> None:
    """Set the note of the DAG run, where AIRFLOW_API_USERNAME and _PASSWORD are given.

    Tasks have no other way to write a note. A note is a convenience: without credentials, or
    when the API refuses, the task goes on and its log says so.
    """
    from image_classification.orchestration.note import write_dag_run_note  # noqa: PLC0415

    write_dag_run_note(context["dag"].dag_id, str(context["run_id"]), note)
