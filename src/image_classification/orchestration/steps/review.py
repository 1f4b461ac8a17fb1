"""The question to a person, in Airflow's page of required actions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.providers.standard.operators.hitl import HITLOperator

from image_classification.intake.measure import HEADINGS
from image_classification.orchestration.address import locate_question
from image_classification.orchestration.notices.notification import NeedsYouNotifier
from image_classification.orchestration.steps.base import PipelineOperator, write_note
from image_classification.orchestration.steps.question import ask_why

if TYPE_CHECKING:
    from airflow.sdk import Context

ACCEPT, REJECT = "Accept", "Reject"


class About(NamedTuple):
    """How a question is put.

    Attributes:
        question: with a place for the name of the batch.
        held: why it is put.
        pictures: what is on the contact sheet,
        sheet: and what the link to it is called.
        table: how the table of the summary begins.
        until: what holds until it is answered.
    """

    question: str
    held: str
    pictures: str
    sheet: str
    table: str
    until: str


BATCH = About(
    "May batch '{}' join the training set?",
    "Batch '{}' is held",
    "the most suspicious images",
    "Most suspicious images",
    f"\n| {HEADINGS[0]}",
    "Accept or reject it: until then its images wait.",
)
LABELS = About(
    "May the labels of batch '{}' hold for images that are known under others?",
    "Batch '{}' corrects labels",
    "the images with another label",
    "Images with another label",
    "\n| image",
    "Accept or reject the new labels: until then the images keep the labels that they have.",
)


class AskReviewerOperator(PipelineOperator, HITLOperator):
    """Ask whether a batch may join, or whether its labels hold; wait as long as it takes."""

    def __init__(self, **arguments: Any) -> None:
        arguments = ask_why(arguments, "Kept with the images for ever, together with your name.")
        super().__init__(
            subject="May this batch join the training set?", options=[ACCEPT, REJECT], **arguments
        )

    def execute(self, context: Context) -> Any:
        """Show what was found, and wait."""
        run = self.start(context)
        batch, summary, sheet, picture = run.account.describe_review()
        about = LABELS if run.account.is_about_labels else BATCH
        self.subject = about.question.format(batch)
        shown = f"\n\n![{about.pictures}]({picture})" if picture else ""
        evidence = f"[Contact sheet of {about.pictures}]({sheet}){shown}"
        question = locate_question(context["dag"].dag_id, str(context["run_id"]), self.task_id)
        write_note(context, f"{about.held.format(batch)} and waits for an answer: {question}")
        reasons, table, numbers = summary.partition(about.table)
        self.body = f"{reasons}\n{evidence}\n{table}{numbers}"
        notice = about.held.format(batch)
        self.notifiers = [
            NeedsYouNotifier(
                self.settings.notifications,
                f"{notice[0].lower()}{notice[1:]} and needs you",
                f"{reasons.strip()}\n\n{about.until}\n\n{run.account.describe_ledger()}",
                {about.sheet: sheet, "MLflow run": run.locate_mlflow_run()},
            )
        ]
        return super().execute(context)
