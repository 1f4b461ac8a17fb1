"""The question to a person, in Airflow's page of required actions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator

from image_classification.orchestration.address import locate_question
from image_classification.orchestration.notices.notification import NeedsYouNotifier
from image_classification.orchestration.steps.base import PipelineOperator, write_note
from image_classification.orchestration.steps.question import ask_why

if TYPE_CHECKING:
    from airflow.sdk import Context

ACCEPT, REJECT = "Accept", "Reject"


class AskReviewerOperator(PipelineOperator, HITLOperator):
    """Ask whether a batch that is held may join the training set; wait as long as it takes."""

    def __init__(self, **arguments: Any) -> None:
        arguments = ask_why(arguments, "Kept with the images for ever, together with your name.")
        super().__init__(
            subject="May this batch join the training set?", options=[ACCEPT, REJECT], **arguments
        )

    def execute(self, context: Context) -> Any:
        """Show what the screening found, and wait."""
        run = self.start(context)
        batch, summary, sheet, picture = run.account.describe_review()
        self.subject = f"May batch '{batch}' join the training set?"
        shown = f"\n\n![the most suspicious images]({picture})" if picture else ""
        evidence = f"[Contact sheet of the most suspicious images]({sheet}){shown}"
        question = locate_question(context["dag"].dag_id, str(context["run_id"]), self.task_id)
        write_note(context, f"Batch '{batch}' is held and waits for an answer: {question}")
        reasons, table, numbers = summary.partition("\n| measure")
        self.body = f"{reasons}\n{evidence}\n{table}{numbers}"
        self.notifiers = [
            NeedsYouNotifier(
                self.settings.notifications,
                f"batch '{batch}' is held and needs you",
                f"{reasons.strip()}\n\nAccept or reject it: until then its images wait.",
                {"Most suspicious images": sheet, "MLflow run": run.locate_mlflow_run()},
            )
        ]
        return super().execute(context)
