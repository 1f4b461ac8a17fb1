"""A pipeline's nodes and edges to an Airflow DAG."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, BaseOperator, Label, TaskGroup, TriggerRule

from image_classification.configuration.scope import SHARED, Scope
from image_classification.configuration.tag import (
    DECIDES,
    PROCESSING,
    PROMOTION,
    REVIEW,
    ROLLBACK,
    ROLLS_BACK,
    SCREENS,
    SELECTION,
    TRAINING,
)
from image_classification.gate.verdict import ACTIONS
from image_classification.orchestration import task_id
from image_classification.orchestration.asset import NEW_CHAMPION, NEW_IMAGES, make_asset
from image_classification.orchestration.notices.failure import (
    CloseFailureNotifier,
    FailureNotifier,
)
from image_classification.orchestration.part import (
    NodeSpec,
    Part,
    check_parts,
    find_part,
    make_groups,
)
from image_classification.orchestration.resource import make_arguments
from image_classification.orchestration.settings import DagSettings, read_settings
from image_classification.orchestration.steps.base import PipelineOperator
from image_classification.orchestration.steps.ending import FAIL_FOR_GOOD, LastWords
from image_classification.orchestration.steps.intake import (
    AnnounceImagesOperator,
    FindBatchesOperator,
    ListHeldBatchesOperator,
    RequestReviewOperator,
)
from image_classification.orchestration.steps.promotion import (
    ChooseChampionOperator,
    KeepChampionOperator,
    MeasurePackageOperator,
    PromoteChallengerOperator,
    RefuseChallengerOperator,
    RestoreChampionOperator,
)
from image_classification.orchestration.steps.run import (
    CloseRunOperator,
    KedroNodeOperator,
    OpenRunOperator,
)
from image_classification.orchestration.steps.step import (
    BranchingGroupOperator,
    GroupOperator,
    StepOperator,
)
from image_classification.orchestration.steps.training import (
    CheckNewImagesOperator,
    LogModelOperator,
)

ASKED, ANSWERED = task_id.DESCRIBE_BATCH, task_id.RECORD_REVIEW
"""Nodes of the pipeline `review`, before and after the person's answer."""


RUN_DOCUMENTATION = (
    "`open_run` finds or creates the one MLflow run of this DAG run; its address is in the log of "
    "every task and in the note of the DAG run. `close_run` sets its status."
)


@dataclass(frozen=True)
class DagSpec:
    """All that a generated DAG file says.

    Attributes:
        pipeline: the registered pipeline.
        project_path: the folder that holds `conf/`.
        settings: of `airflow.yml`.
        nodes: in an order in which each comes after those it depends on.
        logs_model: the pipeline binds training to inference, so the run logs a model.
        scope: project and environment, which names in Airflow begin with.
        configuration: archive or folder that the tasks read; "" for that of the project.
    """

    pipeline: str
    project_path: Path
    settings: Mapping[str, Any]
    nodes: tuple[NodeSpec, ...]
    logs_model: bool = False
    scope: Scope = SHARED
    configuration: str = ""

    @property
    def dag_id(self) -> str:
        """The id of the DAG."""
        return self.scope.name(self.pipeline)


def build_dag(spec: DagSpec) -> DAG:
    """Build the DAG: a task per node, and around them what belongs to the run.

    ``open_run`` comes first and ``close_run`` last, whatever happened. Before training,
    ``check_new_images`` skips the rest of a run that has too little to train on. ``log_model``
    stands between training and promotion. After a comparison ``measure_package`` loads the packaged
    challenger, and ``choose_champion`` judges and branches: to the promotion, to ``ask_approver``,
    to the champion that is kept, or to a refusal. After the plan of a rollback,
    ``restore_champion`` carries it out. Each
    batch that screening holds, or whose labels contradict what is known, starts a run of the DAG
    `review`, where ``ask_reviewer`` waits for a person. An intake on its own begins with
    ``find_batches``, which skips it when there is nothing to do, and ends with ``announce_images``,
    which starts the retraining.

    Raises:
        ConfigurationError: the settings are wrong.
    """
    settings = read_settings(spec.pipeline, spec.settings)
    with DAG(
        dag_id=spec.dag_id,
        doc_md=_document(spec, settings),
        on_failure_callback=FailureNotifier(settings.notifications),
        **settings.dag_arguments(spec.scope),
    ) as dag:
        _Builder(spec, settings).build()
    return dag


class _Builder:
    def __init__(self, spec: DagSpec, settings: DagSettings) -> None:
        self.spec = spec
        self.settings = settings
        self.nodes = {node.name: node for node in spec.nodes}
        self.joined: dict[str, GroupOperator] = {}
        tags = {tag for node in spec.nodes for tag in node.tags}
        if settings.group_by:
            check_parts(spec.nodes)
            tags = set()  # a box of the graph is a task itself
        self.groups = make_groups(tags)
        self.tasks = {
            node.name: self._make(KedroNodeOperator, node.name, *node.tags, node_name=node.name)
            for node in spec.nodes
        }

    def build(self) -> None:
        self._connect_nodes()
        work: list[BaseOperator] = list(self.tasks.values())
        if self._tagged(SCREENS):
            work += self._append_reviews()
        if self._tagged(REVIEW):
            work.append(self._insert_question())
        if self._tagged(TRAINING) and (self._tagged(PROCESSING) or self._tagged(SELECTION)):
            work.append(self._insert_check())
        elif self._tagged(PROCESSING) or self._tagged(REVIEW):
            work.append(self._append_announcement())
        if self.spec.logs_model:
            work.append(self._insert_log_model())
        if self._tagged(DECIDES):
            work += self._append_decision()
        if self._tagged(ROLLS_BACK):
            work.append(self._append_restoration())
        self._enclose(work)

    def _make(
        self, operator: type[PipelineOperator], name: str, *tags: str, **arguments: Any
    ) -> Any:
        """Make a task, in the group of the part that one of these tags is of.

        Where the DAG is grouped, what can be a step of a task is one; the task is returned.
        """
        part = find_part(tags)
        shared: dict[str, Any] = {
            "pipeline": self.spec.pipeline,
            "project_path": str(self.spec.project_path),
            "settings": self.settings,
            "scope": self.spec.scope,
            "configuration": self.spec.configuration,
        }
        if self.settings.group_by and part and issubclass(operator, StepOperator):
            aside: dict[str, Any] = {"dag": self.aside, "task_group": self.aside.task_group}
            return self._join(part, operator(task_id=name, **shared, **aside, **arguments))
        arguments |= self._read_arguments(name, part)
        return operator(
            task_id=name,
            task_group=self._find_group(*tags),
            retry_policy=FAIL_FOR_GOOD,
            on_retry_callback=LastWords(),
            **shared,
            **{"on_failure_callback": LastWords(), **arguments},
        )

    def _join(self, part: Part, step: StepOperator) -> GroupOperator:
        """Let the task of a part do one step more; return the task."""
        if part.name not in self.joined:
            branches = PROMOTION in part.tags and bool(self._tagged(DECIDES))
            operator = BranchingGroupOperator if branches else GroupOperator
            name = task_id.CHOOSE_CHAMPION if branches else part.name
            self.joined[part.name] = self._make(operator, name, *part.tags)
        steps = self.joined[part.name].steps
        steps.insert(0 if step.is_first else len(steps), step)
        return self.joined[part.name]

    @cached_property
    def aside(self) -> DAG:
        """A DAG that nobody schedules: an operator that is the step of a task must be in one."""
        return DAG(f"{self.spec.pipeline}_steps")

    def _find_group(self, *tags: str) -> TaskGroup | None:
        return next((self.groups[tag] for tag in tags if tag in self.groups), None)

    def _read_arguments(self, name: str, part: Part | None = None) -> dict[str, Any]:
        """Return what `airflow.yml` says of a task: its own, or that of all nodes it runs."""
        nodes = [self.nodes[name]] if name in self.nodes else []
        if part and self.settings.group_by and name in (part.name, task_id.CHOOSE_CHAMPION):
            nodes = [node for node in self.spec.nodes if find_part(node.tags) == part]
        names = dict.fromkeys([*(node.name for node in nodes), name])
        tags = {tag for node in nodes for tag in node.tags}
        return make_arguments(self.settings.tasks, names, tags, self.spec.scope)

    def _connect_nodes(self) -> None:
        for node in self.spec.nodes:
            follow([self.tasks[name] for name in node.after], [self.tasks[node.name]])

    def _insert_check(self) -> BaseOperator:
        check: BaseOperator = self._make(
            CheckNewImagesOperator,
            task_id.CHECK_NEW_IMAGES,
            TRAINING,
            judges=bool(self._tagged(DECIDES)),
            always=not self._tagged(PROCESSING),
        )
        follow([*self._last(PROCESSING), *self._last(SELECTION)], [check])
        follow([check], self._first(TRAINING))
        return check

    def _append_reviews(self) -> list[BaseOperator]:
        held = self._make(ListHeldBatchesOperator, task_id.LIST_HELD_BATCHES, PROCESSING)
        ask = RequestReviewOperator.partial(
            task_id=task_id.REQUEST_REVIEWS,
            task_group=self._find_group(PROCESSING),
            review=self.spec.scope.name(REVIEW),
            **self._read_arguments(task_id.REQUEST_REVIEWS),
        ).expand_kwargs(held.output)
        follow(self._last(SCREENS), [held])
        return [held, ask]

    def _insert_question(self) -> BaseOperator:
        # Here, not above: no other DAG needs it.
        from image_classification.orchestration.steps.review import (  # noqa: PLC0415
            AskReviewerOperator,
        )

        ask: BaseOperator = self._make(AskReviewerOperator, task_id.ASK_REVIEWER)
        self.tasks[ASKED] >> ask >> self.tasks[ANSWERED]
        return ask

    def _append_announcement(self) -> BaseOperator:
        announce: BaseOperator = self._make(
            AnnounceImagesOperator,
            task_id.ANNOUNCE_IMAGES,
            outlets=[make_asset(NEW_IMAGES, self.spec.scope)],
        )
        [*self._last(PROCESSING), *self._last(REVIEW)] >> announce
        return announce

    def _insert_log_model(self) -> BaseOperator:
        log_model: BaseOperator = self._make(LogModelOperator, task_id.LOG_MODEL, TRAINING)
        follow(self._last(TRAINING), [log_model])
        follow([log_model], self._first(PROMOTION))
        return log_model

    def _append_decision(self) -> list[BaseOperator]:
        # Here, not above: no other DAG needs it.
        from image_classification.orchestration.steps.approval import (  # noqa: PLC0415
            AskApproverOperator,
        )

        measure = self._make(MeasurePackageOperator, task_id.MEASURE_PACKAGE, PROMOTION)
        choose = self._make(ChooseChampionOperator, task_id.CHOOSE_CHAMPION, PROMOTION)
        ask = self._make(AskApproverOperator, task_id.ASK_APPROVER, PROMOTION)
        # Each follows one of two branches: the other is skipped.
        either = {"trigger_rule": TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS}
        promote = self._make(
            PromoteChallengerOperator,
            ACTIONS["promote"].task,
            PROMOTION,
            outlets=[make_asset(NEW_CHAMPION, self.spec.scope)],
            **either,
        )
        keep = self._make(KeepChampionOperator, ACTIONS["keep"].task, PROMOTION, **either)
        refuse = self._make(RefuseChallengerOperator, ACTIONS["refuse"].task, PROMOTION)
        follow(self._last(PROMOTION), [measure])
        follow([measure], [choose])
        choose >> Label("better") >> promote
        choose >> Label("better: ask a person") >> ask
        choose >> Label("not better, or dry run") >> keep
        choose >> Label("not a fair comparison") >> refuse
        ask >> Label("approved") >> promote
        ask >> Label("rejected, or no answer") >> keep
        return [measure, choose, ask, promote, keep, refuse]

    def _append_restoration(self) -> BaseOperator:
        restore: BaseOperator = self._make(
            RestoreChampionOperator,
            task_id.RESTORE_CHAMPION,
            outlets=[make_asset(NEW_CHAMPION, self.spec.scope)],
        )
        self._last(ROLLBACK) >> restore
        return restore

    def _enclose(self, work: Iterable[BaseOperator]) -> None:
        open_run = self._make(OpenRunOperator, task_id.OPEN_RUN)
        if self._tagged(PROCESSING) and not self._tagged(TRAINING):
            self._make(FindBatchesOperator, task_id.FIND_BATCHES) >> open_run
        close_run = self._make(
            CloseRunOperator,
            task_id.CLOSE_RUN,
            on_failure_callback=[
                CloseFailureNotifier(self.settings.notifications),
                LastWords(),
            ],
        )
        work = list(dict.fromkeys(work))
        for task in work:
            if not task.upstream_task_ids:
                open_run >> task
        for task in work:
            if not task.downstream_task_ids:
                task >> close_run
        # A teardown runs whatever failed, once every task since its setup has ended, and does not
        # hide the failure from the DAG run.
        close_run.as_teardown(setups=open_run)

    def _tagged(self, tag: str) -> set[str]:
        return {node.name for node in self.spec.nodes if tag in node.tags}

    def _first(self, tag: str) -> list[BaseOperator]:
        names = self._tagged(tag)
        return [self.tasks[name] for name in sorted(names) if not names & {*self.nodes[name].after}]

    def _last(self, tag: str) -> list[BaseOperator]:
        names = self._tagged(tag)
        depended_on = {before for name in names for before in self.nodes[name].after}
        return [self.tasks[name] for name in sorted(names - depended_on)]


def follow(before: Iterable[BaseOperator], after: Iterable[BaseOperator]) -> None:
    """Let tasks run after others; one that does the work of several does not follow itself."""
    for first in dict.fromkeys(before):
        for then in dict.fromkeys(after):
            if then is not first and then.task_id not in first.downstream_task_ids:
                first >> then


def _document(spec: DagSpec, settings: DagSettings) -> str:
    how = "One task for each part" if settings.group_by else "One task per node"
    steps = "\n".join(f"1. `{node.name}`" for node in spec.nodes)
    changes = "\n".join(
        f"- **{param.title}** (`{name}`): {param.description}"
        for name, param in settings.params.items()
    )
    return "\n".join(
        [
            settings.description,
            "",
            *([f"{spec.scope.describe()}.", ""] if spec.scope.prefix else []),
            f"{how} of the Kedro pipeline `{spec.pipeline}`:",
            "",
            steps,
            "",
            RUN_DOCUMENTATION,
            "",
            *(["A run may change:", "", changes] if changes else []),
        ]
    )
