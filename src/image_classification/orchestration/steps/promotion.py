"""Operators that judge the challenger and carry the decision out."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseBranchOperator

from image_classification.errors import ChampionMovedError, RegistryError, VerificationError
from image_classification.orchestration.settings import Event
from image_classification.orchestration.task_id import ASK_APPROVER

if TYPE_CHECKING:
    from airflow.sdk import Context

    from image_classification.champion.statement import Statement
    from image_classification.orchestration.kedro_run import KedroRun
from image_classification.orchestration.steps.base import (
    PipelineOperator,
    write_outcome,
)
from image_classification.orchestration.steps.ending import FailedForGood
from image_classification.orchestration.steps.step import StepOperator

ANSWER = "answer"
"""Key of what the approver answered, among the results of that task."""

APPROVE = "Approve"
"""The answer by which a challenger is promoted."""


class MeasurePackageOperator(StepOperator):
    """Load the packaged challenger in a fresh process: what it costs, and whether it answers."""

    def work(self, run: KedroRun, context: Context) -> None:  # noqa: ARG002
        """Measure, and keep what was found in the catalog."""
        measures = run.aftermath.measure()
        self.log.info("The packaged challenger: %s", measures)


class ChooseChampionOperator(StepOperator, BaseBranchOperator):
    """Judge the comparison, and branch on the verdict and the mode."""

    def execute(self, context: Context) -> Any:
        """Judge, and skip the branches that were not chosen."""
        return BaseBranchOperator.execute(self, context)

    def choose_branch(self, context: Context) -> str:
        """Return the task to go on with."""
        return str(self.perform(context))

    def work(self, run: KedroRun, context: Context) -> str:  # noqa: ARG002
        """Return the task to go on with."""
        action, reason = run.aftermath.decide()
        self.log.info("%s: %s", action.announcement, reason)
        return action.task


class _OutcomeOperator(PipelineOperator):
    """Base: carries something out, and writes what came of it wherever people look."""

    event: Event | None = None
    """What people are told of it as; None where nobody is told."""

    advice = ""
    """What people are told to do, after the reason."""

    def execute(self, context: Context) -> str:
        """Carry it out; the result is the outcome.

        Raises:
            FailedForGood: somebody else moved the champion, or the model does not answer
                as it should: another try would only meet the same.
        """
        run = self.start(context)
        try:
            outcome = self.carry_out(run, context)
        except (ChampionMovedError, VerificationError) as error:
            raise FailedForGood(error) from None
        self.log.info(outcome)
        run.write_page(outcome)
        write_outcome(context, run, outcome)
        if event := self.choose_event(run):
            what, _, why = outcome.partition(": ")
            subject = f"{context['dag'].dag_id}: {what}"
            reason = f"{why}.{self.advice}\n\n{run.account.describe_ledger()}"
            self.notify(context, event, subject, reason, run.account.locate_evidence())
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
        """Promote, in the name of who approved it.

        Raises:
            FailedForGood: the decision was another. A person may mark the task before this
                one as done, or clear this one where it was skipped.
        """
        action = run.aftermath.read_action().name
        if action != "promote" and not (action == "approve" and is_approved(context)):
            said = f"This run decided '{action}', and nobody approved a promotion."
            raise FailedForGood(RegistryError(f"The champion stays. {said}"))
        return run.aftermath.promote(read_approval(context))


class KeepChampionOperator(_OutcomeOperator):
    """Leave the champion, and record on the challenger why."""

    def carry_out(self, run: KedroRun, context: Context) -> str:
        """Record what the gate said, or the person who was asked."""
        return run.aftermath.keep(read_approval(context))


class RefuseChallengerOperator(_OutcomeOperator):
    """Leave the champion: the comparison was no fair one."""

    advice = (
        "\n\nThe champion stays. Mend the cause, and run the DAG `promotion` to judge this "
        "challenger again; docs/promotion.md tells what each guard asks for."
    )

    def carry_out(self, run: KedroRun, context: Context) -> str:  # noqa: ARG002
        """Record why."""
        from image_classification.champion.statement import Statement  # noqa: PLC0415

        return run.aftermath.keep(Statement())

    def choose_event(self, run: KedroRun) -> Event | None:
        """Return that a person must look, unless it is a backfill, which never promotes."""
        return None if run.backfill else "needs_you"


class RestoreChampionOperator(_OutcomeOperator):
    """Move the alias `champion` back, as `plan_rollback` says; verify it, and record why."""

    event = "promotion"

    def carry_out(self, run: KedroRun, context: Context) -> str:  # noqa: ARG002
        """Roll back."""
        return run.aftermath.roll_back()


def is_approved(context: Context) -> bool:
    """Tell whether a person was asked, and approved."""
    response = context["ti"].xcom_pull(task_ids=ASK_APPROVER, key=ANSWER)
    return bool(response) and list(response.get("chosen_options") or ()) == [APPROVE]


def read_approval(context: Context) -> Statement:
    """Return who approved or rejected the challenger; the policy where nobody was asked."""
    from image_classification.champion.statement import Statement  # noqa: PLC0415

    response = context["ti"].xcom_pull(task_ids=ASK_APPROVER, key=ANSWER)
    if not response:
        return Statement()
    user = response["responded_by_user"]
    if user is None:
        return Statement("nobody", comment="no answer in time")
    comment = str((response["params_input"] or {}).get("reason") or "")
    return Statement(str(user.get("name") or user.get("id")), comment=comment)
