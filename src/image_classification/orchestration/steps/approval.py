"""The question to a person: may the challenger become champion?"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLBranchOperator

from image_classification.gate.verdict import ACTIONS
from image_classification.orchestration.address import locate_question
from image_classification.orchestration.notices.notification import NeedsYouNotifier
from image_classification.orchestration.steps.base import PipelineOperator, write_note
from image_classification.orchestration.steps.promotion import ANSWER, APPROVE
from image_classification.orchestration.steps.question import ask_why

if TYPE_CHECKING:
    from airflow.sdk import Context

    from image_classification.orchestration.settings import DagSettings

REJECT = "Reject"


class AskApproverOperator(PipelineOperator, HITLBranchOperator):
    """Show the evidence, ask, and branch on the answer; without one in time, the champion stays."""

    def __init__(self, *, settings: DagSettings, **arguments: Any) -> None:
        arguments = ask_why(arguments, "Kept in the ledger for ever, together with your name.")
        users = settings.approval.approvers
        super().__init__(
            settings=settings,
            subject="May the challenger become champion?",
            options=[APPROVE, REJECT],
            options_mapping={APPROVE: ACTIONS["promote"].task, REJECT: ACTIONS["keep"].task},
            defaults=REJECT,
            response_timeout=timedelta(hours=settings.approval.timeout_hours),
            assigned_users=[{"id": user, "name": user} for user in users] or None,
            **arguments,
        )

    def execute(self, context: Context) -> Any:
        """Show how the models compare, and wait."""
        run = self.start(context)
        run.write_page("")
        reason, self.body = run.account.describe_decision()
        question = locate_question(context["dag"].dag_id, str(context["run_id"]), self.task_id)
        hours = self.settings.approval.timeout_hours
        self.log.info("Waiting up to %g hours for an answer: %s", hours, question)
        write_note(
            context,
            f"A challenger is better, and waits up to {hours:g} hours for an answer: {question}",
        )
        self.notifiers = [
            NeedsYouNotifier(
                self.settings.notifications,
                "a better challenger needs you",
                f"{reason}\n\nApprove or reject it within {hours:g} hours: after that the champion "
                f"stays.\n\n{run.account.describe_ledger()}",
                run.account.locate_evidence(),
            )
        ]
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Keep who answered, and why; then branch on the answer."""
        # Not as the result of the task: a branch ends by an exception, and so has none.
        kept = ("chosen_options", "params_input", "responded_by_user")
        answer = {name: event[name] for name in kept}
        context["ti"].xcom_push(key=ANSWER, value=answer)
        return super().execute_complete(context, event)
