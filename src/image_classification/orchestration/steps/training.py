"""Operators around the training: is there something new, and the logged model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import Context

    from image_classification.orchestration.kedro_run import KedroRun

from image_classification.configuration import names
from image_classification.orchestration.steps.base import write_outcome
from image_classification.orchestration.steps.step import RestSkipped, StepOperator
from image_classification.vendor.airflow.task import SkippingOperator


class CheckNewImagesOperator(StepOperator, SkippingOperator):
    """Skip the rest of the run when there are too few images, or too few new ones.

    Args:
        judges: the run compares the challenger with the champion.
        always: the run takes nothing in: it trains whatever is new.
    """

    is_first = True

    def __init__(self, *, judges: bool, always: bool = False, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.judges = judges
        self.always = always

    def work(self, run: KedroRun, context: Context) -> str:
        """Compare the data with the contract, and with that of the newest version."""
        from image_classification.champion.novelty import check_new_images  # noqa: PLC0415

        is_new, reason = check_new_images(
            run.model_name,
            run.catalog.load(names.IMAGE_SPLITS),
            run.catalog.load(names.DATA_SUMMARY),
            run.context.params["training"],
            judges=self.judges,
            always=self.always,
        )
        self.log.info(reason)
        if not is_new:
            self._skip_rest(context, run, reason)
            raise RestSkipped(reason)
        return reason

    def _skip_rest(self, context: Context, run: KedroRun, reason: str) -> None:
        outcome = f"skipped: {reason}"
        run.record_outcome(outcome)
        write_outcome(context, run, outcome)
        subject = f"{context['dag'].dag_id} skipped: {reason.partition(':')[0]}"
        reason = f"{reason}\n\n{run.account.describe_ledger()}"
        self.notify(context, "skipped", subject, reason, run.account.locate_evidence())
        after = context["task"].get_flat_relatives(upstream=False)
        self.skip(context["ti"], [task for task in after if not task.is_teardown])


class LogModelOperator(StepOperator):
    """Log the trained network as one MLflow model and register it as challenger, once."""

    closes = True

    def work(self, run: KedroRun, context: Context) -> str:  # noqa: ARG002
        """Do what kedro-mlflow does after a whole run; the result is the version."""
        version = run.log_model()
        self.log.info("Challenger: version %s", version)
        return version
