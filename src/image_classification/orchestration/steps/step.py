"""Work of a task that may share the task with other work, where a DAG is grouped by tag."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseBranchOperator

from image_classification.errors import SealedError
from image_classification.orchestration.steps.base import PipelineOperator
from image_classification.orchestration.steps.ending import fail_at_once
from image_classification.vendor.airflow.task import SkippingOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from image_classification.orchestration.kedro_run import KedroRun


class RestSkipped(Exception):  # noqa: N818 - nothing has failed
    """What follows has nothing to do, and Airflow has been told so."""


class StepOperator(PipelineOperator):
    """Base of a task that may be a step of a larger one."""

    is_first = False
    """Of all steps of a task, whenever it is added."""

    closes = False
    """It closes the evidence of the steps before it."""

    def execute(self, context: Context) -> Any:
        """Do the work alone; what it returns is the task's result."""
        return self.perform(context)

    def perform(self, context: Context) -> Any:
        """Do the work, in a task of its own."""
        with fail_at_once():
            try:
                return self.work(self.start(context), context)
            except RestSkipped as said:
                return str(said)

    @abstractmethod
    def work(self, run: KedroRun, context: Context) -> Any:
        """Do the work.

        Args:
            run: the Kedro side of the DAG run, of which nothing was asked yet.
            context: of the task.

        Raises:
            RestSkipped: the steps after this one have nothing to do.
            ImageClassificationError: the task fails.
        """


class GroupOperator(PipelineOperator, SkippingOperator):
    """Do the work of several tasks in one, one after the other.

    A try after one that failed does all of it again, but for what is closed: the network of a
    version that is logged is not trained a second time.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.steps: list[StepOperator] = []

    def execute(self, context: Context) -> Any:
        """Do the steps; what the last one returns is the task's result."""
        return self.perform(context)

    def perform(self, context: Context) -> Any:
        """Do the steps in turn."""
        result = None
        with fail_at_once():
            for number, step in enumerate(self.steps, 1):
                self.log.info("Step %d of %d: %s", number, len(self.steps), step.task_id)
                try:
                    # Each begins as a task does, with nothing that an earlier one has read.
                    result = step.work(self.start(context), context)
                except RestSkipped as said:
                    return str(said)
                except SealedError as error:
                    if not any(later.closes for later in self.steps[number:]):
                        raise
                    self.log.warning("An earlier try did this, and more. %s", error)
        return result


class BranchingGroupOperator(GroupOperator, BaseBranchOperator):
    """A group whose last step says which task follows."""

    def execute(self, context: Context) -> Any:
        """Do the steps, and skip the branches that were not chosen."""
        return BaseBranchOperator.execute(self, context)

    def choose_branch(self, context: Context) -> str:
        """Do the steps; return the task to go on with."""
        return str(self.perform(context))
