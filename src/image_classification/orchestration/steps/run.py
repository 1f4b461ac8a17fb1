"""Operators at both ends of a run, and the one that runs a node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from image_classification.orchestration.address import locate_dag
from image_classification.orchestration.notices.failure import FAILED_STATES, REMEDY
from image_classification.orchestration.notices.headline import head_failure
from image_classification.orchestration.steps.base import (
    EXPERIMENT,
    PipelineOperator,
    write_note,
    write_outcome,
)
from image_classification.orchestration.steps.ending import fail_at_once
from image_classification.orchestration.steps.intake import read_answer
from image_classification.orchestration.steps.step import StepOperator
from image_classification.orchestration.task_id import (
    ANNOUNCE_IMAGES,
    KEEP_CHAMPION,
    PROMOTE_CHALLENGER,
    RECORD_REVIEW,
    REQUEST_REVIEWS,
    RESTORE_CHAMPION,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context

    from image_classification.orchestration.kedro_run import KedroRun

RECORDERS = {PROMOTE_CHALLENGER, KEEP_CHAMPION, RESTORE_CHAMPION}
"""Tasks that write what came of the run. A DAG that has one of them leaves it to them."""

UNMAPPED = -1
"""The index of a task that is not mapped."""

MOVERS = {PROMOTE_CHALLENGER, RESTORE_CHAMPION}
"""Tasks that move the champion."""

ROLLBACK = "rollback"
"""The DAG that puts an earlier champion back."""

OPTIONAL = (REQUEST_REVIEWS, ANNOUNCE_IMAGES)
"""Tasks that a run skips where nobody is to be asked and nothing is to be announced. The run has
done all of its work without them."""


class OpenRunOperator(PipelineOperator):
    """Find or create the MLflow run of this DAG run; its id is the task's result."""

    def execute(self, context: Context) -> str:
        """Open the run, and link it from the DAG run.

        Raises:
            FailedForGood: the configuration is wrong, or the form loosens it; or this run
                has logged its model before, and its evidence is closed.
        """
        run = self.start(context)
        with fail_at_once():
            mlflow_run_id = run.open_mlflow_run()
        context["ti"].xcom_push(key=EXPERIMENT, value=run.experiment_id)
        address = run.locate_mlflow_run()
        self.log.info("MLflow run: %s", address)
        found = self._look_at_ledger(context, run)
        write_note(context, "\n\n".join([*found, f"MLflow run: {address}"]))
        return mlflow_run_id

    def _look_at_ledger(self, context: Context, run: KedroRun) -> list[str]:
        """Look at the ledger, where this run may move the champion; tell what must be mended."""
        if MOVERS.isdisjoint(context["dag"].task_dict):
            return []
        urgent, told = run.aftermath.look()
        if urgent:
            subject = "the ledger does not agree with MLflow, or with itself"
            advice = "What to do: docs/promotion.md, *The ledger*."
            reason = "\n\n".join([*urgent, *told, advice, run.account.describe_ledger()])
            self.notify(context, "alert", subject, reason, {"MLflow run": run.locate_mlflow_run()})
        return [*urgent, *told]


class KedroNodeOperator(StepOperator):
    """Run one Kedro node."""

    def __init__(self, *, node_name: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.node_name = node_name
        # A question about a batch may wait for weeks, and its answer is not to be lost.
        self.checks_code = node_name != RECORD_REVIEW

    def work(self, run: KedroRun, context: Context) -> None:
        """Run the node; all that it reads and writes is in the catalog."""
        if self.node_name == RECORD_REVIEW:
            run.answer_review(read_answer(context))
        run.run_node(self.node_name)


class CloseRunOperator(PipelineOperator):
    """Set the MLflow run's final status: that of the DAG run.

    By whatever code: a run that ends for another one must be told of, too.
    """

    checks_code = False

    def execute(self, context: Context) -> str:
        """Tell what came of the run, and close it; the result is its status."""
        run_id = str(context["run_id"])
        dag_id = context["dag"].dag_id
        states = context["ti"].get_task_states(dag_id=dag_id, run_ids=[run_id])[run_id]
        run = self.start(context)
        if _has_failed(states) and run.is_settled():
            self.log.info("This run had ended well before, and stays as it was recorded then")
            return "FINISHED"
        later = self._tell_watch(context, run)
        later |= self._tell_regret(context, run)
        self._tell_outcome(context, run, states, later=later)
        if run.has_page:  # once more, since the champion may have been measured meanwhile
            run.write_page(run.read_outcome())
        status = run.close_mlflow_run(not _has_failed(states))
        self.log.info("MLflow run closed: %s", status)
        self._keep_profile(context, run)
        return status

    def _tell_watch(self, context: Context, run: KedroRun) -> bool:
        """Record how the champion does, alert where it does badly; return whether it is known."""
        watch = run.account.read_watch()
        if watch and run.record_watch(watch):
            subject = "the champion is worse on the newest images, or does not answer"
            reason = (
                f"{watch}.\n\nWhat to look at: docs/monitoring.md.\n\n"
                f"{run.account.describe_ledger()}"
            )
            self.notify(context, "alert", subject, reason, run.account.locate_watched())
        return bool(watch)

    def _tell_regret(self, context: Context, run: KedroRun) -> bool:
        """Ask for a rollback, once, where the champion's promotion proved wrong; return if so."""
        regret = run.account.read_regret()
        if regret and regret["is_new"]:
            subject = f"the promotion of v{regret['version']} proved wrong: roll back?"
            reason = (
                f"{regret['sentence']}.\n\n{regret['advice']} Nothing moves by itself. "
                f"What it rests on: docs/hindsight.md.\n\n{run.account.describe_ledger()}"
            )
            links = {
                "Roll back": locate_dag(self.scope.name(ROLLBACK)),
                **run.account.locate_version(regret["version"]),
            }
            self.notify(context, "needs_you", subject, reason, links)
        return regret is not None

    def _tell_outcome(
        self, context: Context, run: KedroRun, states: Mapping[str, Any], *, later: bool
    ) -> None:
        skipped = [task for task, state in states.items() if state == "skipped"]
        if _has_failed(states):
            self._explain_failure(context, run, states)
        elif RECORDERS.isdisjoint(states) and all(task.startswith(OPTIONAL) for task in skipped):
            # No other task says what came of the run. An earlier try may have failed and said so:
            # that is replaced.
            outcome = run.account.describe_outcome() or "succeeded"
            run.record_outcome(outcome)
            write_outcome(context, run, outcome)
        elif later:
            # Another task wrote the note, while the champion was still being measured.
            write_outcome(context, run, run.read_outcome())

    def _keep_profile(self, context: Context, run: KedroRun) -> None:
        """Keep where the seconds went. No run fails because that could not be kept."""
        try:
            run.log_profile(read_tasks(context))
        except Exception as error:  # noqa: BLE001 - the run is closed, measured or not
            self.log.warning("Where the seconds of this run went is not kept: %s", error)

    def _explain_failure(self, context: Context, run: KedroRun, states: Mapping[str, Any]) -> None:
        failed = sorted(task for task, state in states.items() if state == "failed")
        names, error = ", ".join(failed), find_first_error(context)
        refusal = run.aftermath.release.read_refusal()
        error = error or (f"{names}: {refusal}" if refusal else "")
        headline = f"{head_failure(error)} {names}." if error else head_failure(names)
        outcome = f"{headline} {refusal or run.account.describe_champion()}"
        run.record_outcome(outcome)
        # The notice of the failure tells what the note says.
        write_outcome(context, run, f"{outcome} {REMEDY}\n\n{run.account.describe_ledger()}")


def find_first_error(context: Context) -> str:
    """Return the error of the task that failed first, ``<task>: <error>``; "" if it is not known.

    A task cannot hand it on: what it raises ends it. Airflow has it in the log.
    """
    from image_classification.orchestration.notices import note  # noqa: PLC0415

    failed = [task for task in read_tasks(context) if task["state"] == "failed"]
    for task in sorted(failed, key=lambda task: str(task["end_date"]))[:1]:
        dag_id, run_id = context["dag"].dag_id, str(context["run_id"])
        name, tries = task["task_id"], task["try_number"]
        if error := note.read_error(dag_id, run_id, name, UNMAPPED, tries):
            return f"{name}: {error}"
    return ""


def _has_failed(states: Mapping[str, Any]) -> bool:
    return any(state in FAILED_STATES for state in states.values())


def read_tasks(context: Context) -> list[dict[str, Any]]:
    """Return when each task of the DAG run was queued, began and ended, as far as is known."""
    from image_classification.orchestration.notices import note  # noqa: PLC0415

    return note.read_tasks(context["dag"].dag_id, str(context["run_id"]))
