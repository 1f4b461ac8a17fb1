"""Operators: each runs one step of a DAG run. Heavy imports happen in `execute`."""

from __future__ import annotations

import os
from abc import abstractmethod
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseBranchOperator, BaseOperator, SkipMixin
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowSkipException,
    DagRunTriggerException,
)

from image_classification.orchestration.address import locate_airflow, locate_dag_run
from image_classification.orchestration.failure import FAILED_STATES, REMEDY
from image_classification.orchestration.notification import make_notice, send_notice
from image_classification.orchestration.settings import DagSettings, Event

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context

    from image_classification.orchestration.kedro_run import KedroRun
    from image_classification.record import Statement

OPEN_RUN = "open_run"
EXPERIMENT = "experiment_id"
"""Key of the MLflow experiment, among the results of that task."""
ASK_REVIEWER = "ask_reviewer"
REVIEW = "review"
ASK_APPROVER = "ask_approver"
ANSWER = "answer"
"""Key of what the approver answered, among the results of that task."""
RECORDERS = {"promote_challenger", "keep_champion", "restore_champion"}
BRANCHES = {
    "promote": "promote_challenger",
    "approve": ASK_APPROVER,
    "keep": "keep_champion",
    "dry_run": "keep_champion",
    "refuse": "refuse_challenger",
}
ANNOUNCED = {
    "promote": "The challenger is promoted",
    "approve": "A person is asked whether the challenger is promoted",
    "keep": "The champion is kept",
    "dry_run": "Dry run: the challenger would be promoted",
    "refuse": "The comparison is refused",
}
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
        # Its log names the run above; MLflow would ask for the run once more to print that.
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        from image_classification.orchestration.kedro_run import KedroRun  # noqa: PLC0415

        run_id = str(context["run_id"])
        run = KedroRun(
            project_path=project_path,
            pipeline=self.pipeline,
            dag_id=context["dag"].dag_id,
            dag_run_id=run_id,
            dag_run_url=locate_dag_run(context["dag"].dag_id, run_id),
            runtime_params=self.settings.runtime_params(context["params"]),
            mlflow_run_id=mlflow_run_id or self._pull_id(context),
            experiment_id=self._pull_id(context, EXPERIMENT),
            backfill=str(getattr(context["dag_run"].run_type, "value", "")) == "backfill",
            age_hours=measure_age(context),
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

    def _pull_id(self, context: Context, key: str = "return_value") -> str | None:
        """Return an id that `open_run` has handed on: of the run, or of its experiment."""
        if self.task_id == OPEN_RUN:
            return None
        return context["ti"].xcom_pull(task_ids=OPEN_RUN, key=key)  # type: ignore[no-any-return]


class OpenRunOperator(PipelineOperator):
    """Find or create the MLflow run of this DAG run; its id is the task's result."""

    def execute(self, context: Context) -> str:
        """Open the run, and link it from the DAG run."""
        run = self.start(context)
        mlflow_run_id = run.open_mlflow_run()
        context["ti"].xcom_push(key=EXPERIMENT, value=run.experiment_id)
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
            RegistryError,
        )

        run = self.start(context)
        if self.node_name == "record_review":
            run.answer_review(read_answer(context))
        if self.node_name == "plan_rollback":
            run.name_requester(read_requester(context))
        try:
            run.run_node(self.node_name)
        except (ConfigurationError, ContractError, RegistryError) as error:
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


class MeasurePackageOperator(PipelineOperator):
    """Load the packaged challenger in a fresh process: what it costs, and whether it answers."""

    def execute(self, context: Context) -> None:
        """Measure, and keep what was found in the catalog."""
        self.log.info("The packaged challenger: %s", self.start(context).measure_package())


class ChooseChampionOperator(PipelineOperator, BaseBranchOperator):
    """Judge the comparison, and branch on the verdict and the mode."""

    inherits_from_skipmixin = True

    def choose_branch(self, context: Context) -> str:
        """Return the task to go on with."""
        action, reason = self.start(context).decide()
        self.log.info("%s: %s", ANNOUNCED[action], reason)
        return BRANCHES[action]


class _OutcomeOperator(PipelineOperator):
    """Base: carries something out, and writes what came of it wherever people look."""

    event: Event | None = None
    """What people are told of it as; None where nobody is told."""

    advice = ""
    """What people are told to do, after the reason."""

    def execute(self, context: Context) -> str:
        """Carry it out; the result is the outcome.

        Raises:
            AirflowFailException: somebody else moved the champion, or the model does not answer
                as it should: another try would only meet the same.
        """
        from image_classification.errors import (  # noqa: PLC0415
            ChampionMovedError,
            VerificationError,
        )

        run = self.start(context)
        try:
            outcome = self.carry_out(run, context)
        except (ChampionMovedError, VerificationError) as error:
            raise AirflowFailException(str(error)) from error
        self.log.info(outcome)
        write_outcome(context, run, outcome)
        if event := self.choose_event(run):
            what, _, why = outcome.partition(": ")
            subject = f"{context['dag'].dag_id}: {what}"
            self.notify(context, event, subject, f"{why}.{self.advice}", run.locate_evidence())
        return outcome

    @abstractmethod
    def carry_out(self, run: KedroRun, context: Context) -> str:
        """Return the outcome."""

    def choose_event(self, run: KedroRun) -> Event | None:  # noqa: ARG002
        """Return what people are told of this run as."""
        return self.event


class PromoteChallengerOperator(_OutcomeOperator):
    """Move the alias `champion` to the challenger, verify it, and record why."""

    event = "promotion"

    def carry_out(self, run: KedroRun, context: Context) -> str:
        """Promote, in the name of who approved it."""
        return run.promote(read_approval(context))


class KeepChampionOperator(_OutcomeOperator):
    """Leave the champion, and record on the challenger why."""

    def carry_out(self, run: KedroRun, context: Context) -> str:
        """Record what the gate said, or the person who was asked."""
        from image_classification import ledger  # noqa: PLC0415

        event = {"approve": ledger.REJECTED, "dry_run": ledger.DRY_RUN}.get(run.read_action())
        return run.keep(event or ledger.KEPT, read_approval(context))


class RefuseChallengerOperator(_OutcomeOperator):
    """Leave the champion: the comparison was no fair one."""

    advice = (
        "\n\nThe champion stays. Mend the cause, and run the DAG `promotion` to judge this "
        "challenger again; docs/promotion.md tells what each guard asks for."
    )

    def carry_out(self, run: KedroRun, context: Context) -> str:  # noqa: ARG002
        """Record why."""
        from image_classification import ledger, record  # noqa: PLC0415

        return run.keep(ledger.REFUSED, record.Statement())

    def choose_event(self, run: KedroRun) -> Event | None:
        """Return that a person must look, unless it is a backfill, which never promotes."""
        return None if run.backfill else "needs_you"


class RestoreChampionOperator(_OutcomeOperator):
    """Move the alias `champion` back, as `plan_rollback` says; verify it, and record why."""

    event = "promotion"

    def carry_out(self, run: KedroRun, context: Context) -> str:  # noqa: ARG002
        """Roll back."""
        return run.roll_back()


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
        watch, alerts = run.record_watch()
        if alerts:
            subject = "the champion is worse on the newest images, or does not answer"
            reason = f"{watch}.\n\nWhat to look at: docs/monitoring.md."
            self.notify(context, "alert", subject, reason, run.locate_watched())
        if not succeeded:
            self._explain_failure(context, run, failed)
        elif RECORDERS.isdisjoint(states) and all(task.startswith(ASIDE) for task in skipped):
            # No other task says what came of the run, or takes back an earlier failure.
            outcome = run.describe_outcome() or "succeeded"
            run.record_outcome(outcome)
            write_outcome(context, run, outcome)
        elif watch:
            # What came of the run was written while the champion was still being measured.
            write_outcome(context, run, run.read_outcome())
        status = run.close_mlflow_run(succeeded)
        self.log.info("MLflow run closed: %s", status)
        self._keep_profile(context, run)
        return status

    def _keep_profile(self, context: Context, run: KedroRun) -> None:
        """Keep where the seconds went: a convenience, for which no run fails."""
        try:
            run.log_profile(read_tasks(context))
        except Exception as error:  # noqa: BLE001 - the run is closed, measured or not
            self.log.warning("Where the seconds of this run went is not kept: %s", error)

    def _explain_failure(self, context: Context, run: KedroRun, failed: list[str]) -> None:
        outcome = f"failed: {', '.join(failed)}. {run.describe_champion()}"
        if refusal := run.read_refusal():
            outcome = f"failed: {', '.join(failed)}. {refusal}"
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


def read_approval(context: Context) -> Statement:
    """Return who approved or rejected the challenger; the policy where nobody was asked."""
    from image_classification.record import Statement  # noqa: PLC0415

    response = context["ti"].xcom_pull(task_ids=ASK_APPROVER, key=ANSWER)
    if not response:
        return Statement()
    user = response["responded_by_user"]
    if user is None:
        return Statement("nobody", comment="no answer in time")
    comment = str((response["params_input"] or {}).get("reason") or "")
    return Statement(str(user.get("name") or user.get("id")), comment=comment)


def read_requester(context: Context) -> str:
    """Return who triggered the DAG run."""
    name = getattr(context["dag_run"], "triggering_user_name", None)
    return str(name or "unknown, through Airflow")


def measure_age(context: Context) -> float:
    """Return the hours since the date that the DAG run is for."""
    run = context["dag_run"]
    date = run.logical_date or run.run_after
    return (datetime.now(UTC) - date).total_seconds() / 3600


def write_outcome(context: Context, run: KedroRun, outcome: str) -> None:
    """Write what came of the run, the champion's watch and who waits for a person into its note."""
    lines = [outcome]
    if (watch := run.read_watch()) not in outcome:
        lines.append(watch)
    if held := run.list_held_batches():
        page = f"{locate_airflow()}/dags/{REVIEW}/required_actions"
        lines.append(f"Held for a review: {', '.join(held)}. Answer at {page}")
    lines.append(f"MLflow run: {run.locate_mlflow_run()}")
    write_note(context, "\n\n".join(lines))


def read_tasks(context: Context) -> list[dict[str, Any]]:
    """Return when each task of the DAG run was queued, began and ended, as far as is known."""
    from image_classification.orchestration import note  # noqa: PLC0415

    return note.read_tasks(context["dag"].dag_id, str(context["run_id"]))


def write_note(context: Context, note: str) -> None:
    """Set the note of the DAG run, where AIRFLOW_API_USERNAME and _PASSWORD are given.

    Tasks have no other way to write a note. A note is a convenience: without credentials, or
    when the API refuses, the task goes on and its log says so.
    """
    from image_classification.orchestration.note import write_dag_run_note  # noqa: PLC0415

    write_dag_run_note(context["dag"].dag_id, str(context["run_id"]), note)
