"""How a task ends that cannot go on: with what it has to say, and no traceback of an error of ours.

Airflow logs the traceback of every exception but `SystemExit`. An error that we raise on purpose
says what happened and what to do; where in the code it was raised helps nobody at night.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from image_classification.errors import (
    ConfigurationError,
    ContractError,
    ImageClassificationError,
    RegistryError,
)
from image_classification.orchestration.notices.failure import (
    MOVERS,
    describe_champion,
    read_states,
    split_error,
)
from image_classification.orchestration.notices.headline import (
    BECAME,
    HAPPENED,
    REMAINS,
    find_remedy,
)
from image_classification.vendor.airflow.task import PlainNotifier

if TYPE_CHECKING:
    from airflow.sdk import Context

logger = logging.getLogger(__name__)

IN_THE_LEDGER = "see `image-classification ledger`: each change of champion is an entry"


class TaskFailed(SystemExit):
    """A task has failed by an error of ours; another try may do better."""

    def __init__(self, error: Exception) -> None:
        super().__init__(1)
        self.error = error

    def __str__(self) -> str:
        return str(self.error)


class FailedForGood(TaskFailed):
    """A task has failed by an error of ours that another try would only meet again."""


FAIL_FOR_GOOD = ExceptionRetryPolicy([RetryRule(FailedForGood, RetryAction.FAIL)])
"""Of every task: the retries are left out where they are of no use."""


@contextmanager
def fail_at_once() -> Iterator[None]:
    """Let a task fail without a traceback by an error of ours.

    It is not tried again where the configuration, the data or the registry is at fault.
    """
    try:
        yield
    except (ConfigurationError, ContractError, RegistryError) as error:
        logger.debug("The traceback of what ends this task:", exc_info=True)
        raise FailedForGood(error) from None
    except ImageClassificationError as error:
        logger.debug("The traceback of what ends this task:", exc_info=True)
        raise TaskFailed(error) from None


class LastWords(PlainNotifier):
    """End the log of a task that has failed with what happened, the champion, and what to do."""

    def notify(self, context: Context) -> None:
        """Write three lines into the log."""
        # Airflow folds what it writes after a task into a group, and this is to be read.
        logger.info("::endgroup::")
        kind, message = split_error(context.get("exception"))
        logger.error("%s%s", HAPPENED, f"{kind}: {message}" if message else kind)
        logger.info("%s%s.", BECAME, _describe_champion(context))
        again = "" if _is_last(context) else "; or wait: Airflow tries it again"
        logger.info("%s%s%s.", REMAINS, find_remedy(kind, message), again)


def _describe_champion(context: Context) -> str:
    if context["ti"].task_id in MOVERS:
        return IN_THE_LEDGER
    said = describe_champion(context["dag"].task_dict, read_states(context))
    if not said:
        return "nothing was changed, since this DAG never moves it"
    return IN_THE_LEDGER if said.startswith("Whether") else said[:1].lower() + said[1:].rstrip(".")


def _is_last(context: Context) -> bool:
    return str(getattr(context["ti"], "state", "failed")) != "up_for_retry"
