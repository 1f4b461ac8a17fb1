"""The notice of a DAG run that failed: what failed, why, what it means, what to do."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from image_classification.orchestration.address import locate_dag_run, locate_task
from image_classification.orchestration.notices.headline import head_failure
from image_classification.orchestration.notices.notification import (
    Notice,
    head_subject,
    send_notice,
)
from image_classification.orchestration.settings import NotificationSettings
from image_classification.orchestration.task_id import (
    CLOSE_RUN,
    PROMOTE_CHALLENGER,
    RESTORE_CHAMPION,
)
from image_classification.vendor.airflow.task import PlainNotifier

if TYPE_CHECKING:
    from airflow.sdk import Context

logger = logging.getLogger(__name__)

FAILED, FAILED_STATES = "failed", ("failed", "upstream_failed")
MOVERS = {
    PROMOTE_CHALLENGER: "The challenger was promoted before that: the champion is the new one.",
    RESTORE_CHAMPION: "The rollback was done before that: the champion is the restored one.",
}
"""The tasks that move the alias `champion`, and what their success means."""

ENDS = {
    "timed_out": "it took longer than it may",
    "all_tasks_deadlocked": "it got stuck, with no task that could run",
}
"""Airflow's reasons for a failed run that say more than the names of the failed tasks."""

REMEDY = "Read the log of the failed task; clear it to try again on the same MLflow run."
REMEDY_WITHOUT_TASK = (
    "Look at the DAG run for what was under way; clear that to try again on the same MLflow run."
)
MLFLOW_RUN = "MLflow run: "
MOST_NAMES = 3
LONGEST_ERROR = 1500
LONGEST_ERROR_IN_NOTE = 400


@dataclass(frozen=True)
class Failure:
    """What is known of a DAG run that failed.

    Attributes:
        dag_id: the DAG.
        run_id: its run.
        end: Airflow's reason: `task_failure`, or one of ENDS.
        tasks: the failed tasks.
        remark: what else to say of them, as a sentence; "" for nothing.
        champion: what became of the champion, as a sentence; "" where the DAG does not move it.
        error: the error of the last of these tasks; "" if unknown.
        note: of the DAG run; None if it cannot be read.
        closed: whether `close_run` has succeeded, and so has written the note; None if that is not
            known.
    """

    dag_id: str
    run_id: str
    end: str
    tasks: tuple[str, ...]
    remark: str
    champion: str
    error: str
    note: str | None
    closed: bool | None

    @property
    def what(self) -> str:
        """What failed, in a few words."""
        names = ", ".join(self.tasks[:MOST_NAMES])
        if len(self.tasks) > MOST_NAMES:
            names += f" and {len(self.tasks) - MOST_NAMES} more"
        parts = [part for part in (ENDS.get(self.end, ""), names) if part]
        return ", ".join(parts) or "see the DAG run"

    @property
    def told(self) -> str:
        """What `close_run` has written of this failure into the note; "" if it has not."""
        text = self._paragraphs[0]
        may_be = self.closed is not False and self.end not in ENDS
        return text if may_be and text.startswith("failed: ") else ""

    @property
    def headline(self) -> str:
        """What happened, and what to do: how the note begins."""
        return head_failure(self.error or self.what)

    @property
    def meaning(self) -> str:
        """What the failure means for the champion, and how to try again."""
        remedy = REMEDY if self.tasks else REMEDY_WITHOUT_TASK
        return " ".join(part for part in (self.remark, self.champion, remedy) if part)

    @property
    def outcome(self) -> str:
        """What happened, what to do, what it means."""
        names = f"{self.what}." if self.error else ""
        return " ".join(part for part in (self.headline, names, self.meaning) if part)

    @property
    def reason(self) -> str:
        """The error, what it means, what to do; the names of the tasks are in the subject."""
        # Where the error is known, what `close_run` wrote would only repeat it.
        outcome = self.meaning if self.error else self.told or self.meaning
        others = self._paragraphs[1:] if self.told else []
        return "\n\n".join(
            [
                *([self.error[:LONGEST_ERROR]] if self.error else []),
                outcome.removeprefix(f"{head_failure(self.what)} ").removeprefix(
                    f"failed: {self.what}. "  # as an earlier release began
                ),
                *(part for part in others if not part.startswith(MLFLOW_RUN)),
            ]
        )

    @property
    def new_note(self) -> str:
        """The note with this failure at its top, for a run that ended before a task wrote of it."""
        kept = [part for part in self._paragraphs if part and not part.startswith("failed: ")]
        error = " ".join(self.error.split())[:LONGEST_ERROR_IN_NOTE]
        # In one paragraph: the next failure of this run replaces it as a whole.
        return "\n\n".join([f"{self.outcome}\n{error}".strip(), *kept])

    def locate(self, known_tasks: Mapping[str, Any]) -> dict[str, str]:
        """Return what to open: the log, the DAG run, the MLflow run if it is known.

        Args:
            known_tasks: of the DAG, by id. A mapped task that failed has its index at the end of
                its name.
        """
        links = {}
        for name in self.tasks[:MOST_NAMES]:
            task_id, _, index = name.rpartition("_")
            mapped = name not in known_tasks and index.isdigit()
            place = (task_id, int(index)) if mapped else (name,)
            links[f"Log of {name}"] = locate_task(self.dag_id, self.run_id, *place)
        links["DAG run"] = locate_dag_run(self.dag_id, self.run_id)
        for part in self._paragraphs:
            if part.startswith(MLFLOW_RUN):
                links["MLflow run"] = part.removeprefix(MLFLOW_RUN)
        return links

    @property
    def _paragraphs(self) -> list[str]:
        return (self.note or "").split("\n\n")


class FailureNotifier(PlainNotifier):
    """Tell that a DAG run failed, once; the `on_failure_callback` of every DAG.

    Airflow calls it when the run has ended, also where no task could tell of it: a worker was
    killed, the run took too long, the MLflow run could not be opened. It runs in the dag processor,
    which stops it after `[dag_processor] dag_file_processor_timeout` (50 s). Airflow hands it at
    least the DAG, the id of the run and the reason. It asks Airflow for the rest, and leaves out
    what it gets no answer about.
    """

    remark = ""

    def __init__(self, settings: NotificationSettings) -> None:
        super().__init__()
        self.settings = settings

    def notify(self, context: Context) -> None:
        """Send the notice."""
        states = read_states(context)
        self.tell(context, list_failed(context, states), states)

    def tell(self, context: Context, tasks: list[str], states: dict[str, Any] | None) -> None:
        """Send the notice of these failed tasks; write it into the note where no task has."""
        # Here, not above: a DAG file is parsed without it.
        from image_classification.orchestration.notices.note import write_dag_run_note  # noqa: PLC0415

        failure = examine_failure(context, tasks, states, self.remark)
        links = failure.locate(context["dag"].task_dict)
        subject = head_subject(f"{failure.dag_id} failed: {failure.what}", context["dag"])
        send_notice(Notice("failure", subject, failure.reason, links), self.settings)
        if failure.note is not None and not failure.told:
            write_dag_run_note(failure.dag_id, failure.run_id, failure.new_note)


class CloseFailureNotifier(FailureNotifier):
    """Tell that `close_run` failed, where nothing else did.

    That task is a teardown: its failure alone does not fail the DAG run, so that nothing else would
    tell of it.
    """

    remark = "Airflow may show the run as a success, but its MLflow run was not closed."

    def notify(self, context: Context) -> None:
        """Send the notice, unless another task failed: then the notice of the DAG run is sent."""
        own, states = context["ti"].task_id, read_states(context)
        others = [state for task, state in (states or {}).items() if task != own]
        if not any(state in FAILED_STATES for state in others):
            self.tell(context, [own], states)


def examine_failure(
    context: Context, tasks: list[str], states: dict[str, Any] | None, remark: str
) -> Failure:
    """Gather what is known of the failure of these tasks."""
    from image_classification.orchestration.notices.note import read_dag_run_note  # noqa: PLC0415

    dag, run_id = context["dag"], str(context["run_id"])
    end = str(context.get("reason") or "task_failure")
    note = read_dag_run_note(dag.dag_id, run_id)
    return Failure(
        dag_id=dag.dag_id,
        run_id=run_id,
        end=end,
        tasks=tuple(tasks),
        remark=remark,
        champion=describe_champion(dag.task_dict, states, end),
        error=find_error(context, tasks, ask=note is not None),
        note=note,
        closed=None if states is None else states.get(CLOSE_RUN) == "success",
    )


def read_states(context: Context) -> dict[str, Any] | None:
    """Return the state of each task of the DAG run by its name, or None if they are not known."""
    run_id = str(context["run_id"])
    try:
        states = context["ti"].get_task_states(dag_id=context["dag"].dag_id, run_ids=[run_id])
        return dict(states[run_id])
    except Exception as error:  # noqa: BLE001 - a notice that says less is better than none
        logger.info("The states of the tasks are not known: %s: %s", type(error).__name__, error)
        return None


def list_failed(context: Context, states: dict[str, Any] | None) -> list[str]:
    """Return the names of the tasks that failed, as far as they are known."""
    if states is not None:
        return sorted(name for name, state in states.items() if state == FAILED)
    is_of_a_task = context.get("reason") == "task_failure" and "ti" in context
    return [context["ti"].task_id] if is_of_a_task else []


def describe_champion(
    tasks: Iterable[str], states: Mapping[str, Any] | None, end: str = "task_failure"
) -> str:
    """Return what a failed run did to the champion: a sentence that claims no more than is known.

    Args:
        tasks: of the DAG. Where none of them moves the champion, the sentence is "".
        states: of the tasks by name; None if not known.
        end: Airflow's reason. When a run takes too long, Airflow marks its unfinished tasks as
            skipped, also a task that was in the middle of its work.
    """
    mover = next((task for task in MOVERS if task in tasks), None)
    if mover is None:
        return ""
    state = None if states is None else states.get(mover)
    if state == "success":
        return MOVERS[mover]
    untouched = state in (None, "upstream_failed", "skipped", "removed")
    if states is None or not untouched or (end == "timed_out" and state == "skipped"):
        return f"Whether the champion was moved: see the log of {mover}."
    return "The champion was not changed by this failure."


def find_error(context: Context, tasks: list[str], ask: bool) -> str:
    """Return the error of the failed task that the context is of, "" if it is not known.

    Args:
        context: of the callback.
        tasks: the failed ones.
        ask: whether Airflow's API answers. The log is then read where the context has no error.
    """
    ti = context.get("ti")
    if ti is None or ti.task_id not in {*tasks, *(name.rpartition("_")[0] for name in tasks)}:
        return ""
    error = context.get("exception")
    if isinstance(error, BaseException):
        error = ": ".join(split_error(error))
    elif not error and ask:
        error = _read_error(context)
    return f"{ti.task_id}: {error}" if error else ""


def split_error(error: Any) -> tuple[str, str]:
    """Return the name of an error's class and what it says, of the one that a task ended with."""
    error = getattr(error, "error", error)
    if not isinstance(error, BaseException):
        return str(error or "the task was ended from outside"), ""
    return type(error).__name__, str(error)


def _read_error(context: Context) -> str:
    from image_classification.orchestration.notices.note import read_error  # noqa: PLC0415

    ti = context["ti"]
    index = -1 if ti.map_index is None else ti.map_index
    return read_error(
        context["dag"].dag_id, str(context["run_id"]), ti.task_id, index, ti.try_number
    )
