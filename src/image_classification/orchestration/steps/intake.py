"""Operators around the intake: what has arrived, who is asked, what is announced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from image_classification.orchestration.steps.base import (
    REVIEW,
    PipelineOperator,
    write_note,
)
from image_classification.orchestration.steps.ending import fail_at_once
from image_classification.orchestration.steps.step import StepOperator
from image_classification.orchestration.task_id import ASK_REVIEWER
from image_classification.vendor.airflow.task import SkippingOperator, request_dag_run

if TYPE_CHECKING:
    from airflow.sdk import Context

    from image_classification.orchestration.kedro_run import KedroRun

WAITS = "' is waiting: "
"""Said of a batch that no person is asked about."""

REMEDY = (
    "It is judged again by each intake; image-classification review shows it, and rejects it. All "
    "other batches were taken in."
)


class FindBatchesOperator(PipelineOperator, SkippingOperator):
    """Skip the whole run when there is nothing to take in."""

    checks_code = False  # it comes before the run begins, and changes nothing

    def execute(self, context: Context) -> list[str]:
        """Return the batches that have arrived, and those that an earlier run left undone."""
        with fail_at_once():
            batches = self.start(context).account.find_batches()
        if batches:
            self.log.info("To take in: %s", ", ".join(batches))
        else:
            self.log.info("Nothing has arrived.")
            write_note(context, "skipped: nothing has arrived")
            self.skip(context["ti"], context["task"].get_flat_relatives(upstream=False))
        return batches


class ListHeldBatchesOperator(StepOperator):
    """List the batches, and the labels, that wait for a person: each starts a run of `review`.

    Nobody is asked about a batch that waits for others, or that could not be judged: people are
    told of it, once.
    """

    def work(self, run: KedroRun, context: Context) -> list[dict[str, str]]:
        """Return their names, and what is asked: the arguments of `RequestReviewOperator`."""
        account = run.account
        if waiting := [said for said in account.list_set_aside() if WAITS in said]:
            subject = f"{context['dag'].dag_id}: a batch waits"
            reason = "\n".join([*waiting, "", REMEDY])
            self.notify(context, "alert", subject, reason)
        review = self.scope.name(REVIEW)
        held = account.list_held_batches()
        for batch in held:
            self.log.warning("Batch '%s' is held: see the DAG '%s'", batch, review)
        corrected = account.list_label_questions()
        for batch in corrected:
            self.log.warning("Batch '%s' corrects labels: see the DAG '%s'", batch, review)
        return [
            *({"batch": batch, "about": "batch"} for batch in held),
            *({"batch": batch, "about": "labels"} for batch in corrected),
        ]


class RequestReviewOperator(BaseOperator):
    """Start a run of the DAG `review` for one question, unless there is one already."""

    def __init__(
        self, *, batch: str, about: str = "batch", review: str = REVIEW, **arguments: Any
    ) -> None:
        super().__init__(**arguments)
        self.review = review
        self.batch = batch
        self.about = about

    def execute(self, context: Context) -> None:  # noqa: ARG002
        """Ask Airflow for the run."""
        if self.about == "labels":
            request_dag_run(
                dag_id=self.review,
                run_id=f"labels__{self.batch}",
                conf={"batch": self.batch, "about": self.about},
                note=f"Batch '{self.batch}' has another label for known images.",
            )
        request_dag_run(
            dag_id=self.review,
            run_id=f"review__{self.batch}",
            conf={"batch": self.batch},
            note=f"Batch '{self.batch}' is held.",
        )


class AnnounceImagesOperator(PipelineOperator):
    """Tell Airflow that images have joined the training set: DAGs that wait for them start."""

    def execute(self, context: Context) -> str:
        """Return how many images are new.

        Raises:
            AirflowSkipException: none is. A task that is skipped announces nothing.
        """
        images = self.start(context).account.count_new_images()
        if not images:
            raise AirflowSkipException("No image has joined the training set.")
        return f"{images} images"


def read_answer(context: Context) -> dict[str, str]:
    """Return the answer, who gave it and why, as the Kedro parameter `review` names them."""
    response = context["ti"].xcom_pull(task_ids=ASK_REVIEWER)
    user = response["responded_by_user"] or {}
    return {
        "answer": response["chosen_options"][0].lower(),
        "by": str(user.get("name") or user.get("id") or "unknown"),
        "reason": str(response["params_input"].get("reason") or ""),
    }
