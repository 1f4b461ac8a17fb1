"""What all operators share: the Kedro side of the DAG run, notes and notices."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from image_classification.configuration.scope import SHARED, Scope
from image_classification.orchestration.address import locate_dag, locate_dag_run
from image_classification.orchestration.notices.note import LONGEST_NOTE
from image_classification.orchestration.notices.notification import make_notice, send_notice
from image_classification.orchestration.project import enter_project
from image_classification.orchestration.settings import DagSettings, Event
from image_classification.orchestration.steps.ending import fail_at_once
from image_classification.orchestration.task_id import KEEP_CHAMPION, OPEN_RUN
from image_classification.orchestration.task_log import keep_log_handlers
from image_classification.text import escape_markdown
from image_classification.vendor.quiet import silence_libraries

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from image_classification.orchestration.kedro_run import KedroRun


EXPERIMENT = "experiment_id"
"""Key under which `open_run` hands on the id of the MLflow experiment."""

REVIEW = "review"

LONGEST_REASON = 100
"""Characters of a reason in a note, which Airflow cuts at `LONGEST_NOTE`."""


class PipelineOperator(BaseOperator):
    """Base: turns the Airflow context into a `KedroRun`, the Kedro side of this DAG run."""

    checks_code = True
    """Whether it works only with the package and the configuration that the run began with."""

    def __init__(
        self,
        *,
        pipeline: str,
        project_path: str,
        settings: DagSettings,
        scope: Scope = SHARED,
        configuration: str = "",
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self.scope = scope
        self.configuration = configuration
        self.pipeline = pipeline
        self.project_path = project_path
        self.settings = settings

    def start(self, context: Context, mlflow_run_id: str | None = None) -> KedroRun:
        """Return the Kedro side of this DAG run; the log says where its MLflow run is."""
        enter_project(self.project_path, self.configuration, self.scope.environment)
        # Before Kedro's import, which would take the log handlers away from Airflow.
        keep_log_handlers()
        # Among others: to print the address of the run, MLflow would ask for the run again.
        silence_libraries()
        from image_classification.orchestration.kedro_run import KedroRun  # noqa: PLC0415

        run_id = str(context["run_id"])
        run = KedroRun(
            project_path=Path(self.project_path),
            pipeline=self.pipeline,
            dag_id=context["dag"].dag_id,
            dag_run_id=run_id,
            dag_run_url=locate_dag_run(context["dag"].dag_id, run_id),
            runtime_params=self.settings.runtime_params(context["params"]),
            mlflow_run_id=mlflow_run_id or self._pull_id(context),
            experiment_id=self._pull_id(context, EXPERIMENT),
            backfill=str(getattr(context["dag_run"].run_type, "value", "")) == "backfill",
            age_hours=measure_age(context),
            identity=read_requester(context),
            has_page=KEEP_CHAMPION in context["dag"].task_dict,
            scope=self.scope,
        )
        if run.mlflow_run_id:
            if self.checks_code:
                with fail_at_once():
                    run.check_code()
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

        Where a channel fails, the log warns of it and the task goes on.

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


def measure_age(context: Context) -> float:
    """Return the hours since the date that the DAG run is for."""
    run = context["dag_run"]
    date = run.logical_date or run.run_after
    return (datetime.now(UTC) - date).total_seconds() / 3600


def read_requester(context: Context) -> str:
    """Return who triggered the DAG run."""
    name = getattr(context["dag_run"], "triggering_user_name", None)
    return str(name or "unknown, through Airflow")


def write_outcome(context: Context, run: KedroRun, outcome: str) -> None:
    """Write into the note what came of the run, how the champion does, and what waits for a person.

    That is a promotion that proved wrong, and batches that are set aside.
    """
    lines = [escape_markdown(outcome)]
    if (watch := run.account.read_watch()) not in outcome:
        lines.append(escape_markdown(watch))
    if regret := run.account.read_regret():
        # Without the advice, which the notice gives: a note is short.
        lines.append(f"{regret['sentence']}. Roll back to v{regret['against']}?")
    questions = run.account.list_held_batches()
    questions += [f"labels of {batch}" for batch in run.account.list_label_questions()]
    if questions:
        page = f"{locate_dag(run.scope.name(REVIEW))}/required_actions"
        lines.append(f"Held for a review: {', '.join(questions)}. Answer at {page}")
    lines += [f"{title}: {address}" for title, address in run.account.locate_night().items()]
    lines.append(f"MLflow run: {run.locate_mlflow_run()}")
    aside = [*run.account.list_set_aside(), *run.account.list_left_alone()]
    if listed := _list_shortly(aside, LONGEST_NOTE - len("\n\n".join([*lines, ""]))):
        lines.insert(1, listed)
    write_note(context, "\n\n".join(lines))


def _list_shortly(sentences: Sequence[str], room: int) -> str:
    """Return as many sentences as fit into so many characters, as a list, each cut."""
    listed = ""
    for number, each in enumerate(sentences):
        cut = each if len(each) <= LONGEST_REASON else f"{each[:LONGEST_REASON]} …"
        line = f"- {escape_markdown(cut)}\n"
        rest = f"- … and {len(sentences) - number} more: image-classification batches"
        if len(listed) + len(line) + len(rest) > room:
            return f"{listed}{rest}" if len(listed) + len(rest) <= room else ""
        listed += line
    return listed.rstrip("\n")


def write_note(context: Context, note: str) -> None:
    """Set the note of the DAG run, where AIRFLOW_API_USERNAME and _PASSWORD are given.

    A task can write a note only through Airflow's API, and does not fail for it: without
    credentials, or where the API refuses, the log says so and the task goes on.
    """
    from image_classification.machine.stack import describe_restarts  # noqa: PLC0415
    from image_classification.orchestration.notices.note import write_dag_run_note  # noqa: PLC0415

    began = getattr(context["dag_run"], "start_date", None)
    if began and (restarts := describe_restarts(began)):
        note = f"{note[: LONGEST_NOTE - len(restarts) - 2]}\n\n{restarts}"
    write_dag_run_note(context["dag"].dag_id, str(context["run_id"]), note)
