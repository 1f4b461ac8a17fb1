"""Every path of the branch after a comparison, and the rollback, run by Airflow task by task."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from dag_nights import MODEL, Consumer, Laboratory, Night, quick_work
from storage_root import STORE, copy_database

from image_classification.gate.verdict import EVENTS

if TYPE_CHECKING:
    from airflow.sdk import DAG

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("airflow_database")]

PATHS = {"promote_challenger", "keep_champion", "refuse_challenger", "ask_approver"}


@pytest.fixture(scope="module")
def consumer() -> Consumer:
    return Consumer()


@pytest.fixture(scope="module")
def champion_and_challenger(laboratory: Laboratory) -> None:
    """Version 1 is champion; version 2 was trained after it, and has moved nothing."""
    with quick_work():
        laboratory.run_pipeline("retraining")
        laboratory.run_pipeline(
            "retraining",
            training={"force": True, "seed": 2},
            promotion={"mode": "dry_run", "improvement": {"minimum_gain": -1.0}},
        )
    kept = keep_folder(laboratory)
    shutil.copytree(laboratory.storage / "ledger", kept / "ledger")
    copy_database(laboratory.storage / STORE, kept / "mlflow.db")


def keep_folder(laboratory: Laboratory) -> Path:
    """Return where the ledger and MLflow's store of the beginning are kept."""
    kept = laboratory.storage.with_name("kept")
    kept.mkdir(exist_ok=True)
    return kept


ledgers: list[dict[str, Any]] = []
"""The entries that the tests of this module have made."""


def begin_again(laboratory: Laboratory) -> None:
    """Let ledger and registry be as they were before the first test."""
    ledgers.extend(read_ledger(laboratory))
    shutil.rmtree(laboratory.storage / "ledger")
    shutil.copytree(keep_folder(laboratory) / "ledger", laboratory.storage / "ledger")
    copy_database(keep_folder(laboratory) / "mlflow.db", laboratory.storage / STORE)


@pytest.fixture(scope="module")
def compared() -> list[Night]:
    """The first night of this module in which version 2 was compared with version 1."""
    return []


@pytest.fixture
def judge(
    laboratory: Laboratory,
    champion_and_challenger: None,
    consumer: Consumer,
    compared: list[Night],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[..., Night]]:
    """Let version 2 be judged against version 1 again, by the DAG `promotion`.

    The models and the images are the same each time: after the first time, the nodes of the
    pipeline hand on what they wrote then.
    """
    from image_classification.orchestration.kedro_run import KedroRun

    run_node = KedroRun.run_node

    def start() -> None:
        begin_again(laboratory)
        consumer.fault, consumer.on_ask = "", lambda: None

    def run_or_take_over(self: KedroRun, node_name: str) -> None:
        if not compared or self.pipeline != "promotion":
            run_node(self, node_name)
        elif node_name == "compare_models":
            folder = laboratory.storage / "runs" / self.key
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(laboratory.folder_of(compared[0]) / "comparison.json", folder)

    def spend(**form: Any) -> Night:
        night = laboratory.spend_night("promotion", **{"minimum_gain": -1.0, **form})
        compared.append(night)
        return night

    monkeypatch.setattr(KedroRun, "run_node", run_or_take_over)
    start()
    with quick_work(consumer):
        yield spend
    start()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What people were told: event and subject of each notice but those of a failure."""
    from image_classification.orchestration.notices.notification import Notice

    notices: list[tuple[str, str]] = []

    def send(notice: Notice, _: Any) -> None:
        # The page of the version that the run is about, whoever is champion.
        about = "1" if "rolled back" in notice.subject else "2"
        assert set(notice.links) >= {f"Model version {about}", "MLflow run", "DAG run"}
        subject = notice.subject.removeprefix("[image-classification] ")
        notices.append((notice.event, subject))

    for module in ("steps.base", "notices.notification"):
        monkeypatch.setattr(f"image_classification.orchestration.{module}.send_notice", send)
    return notices


@contextmanager
def answering(
    option: str | None, reason: str = "looked at the plots", names: tuple[str, ...] = ("Ada",)
) -> Iterator[list[Any]]:
    """Answer the question of `ask_approver` as Airflow's page does, once it is asked.

    Args:
        option: None lets the time run out instead.
        reason: typed into the form.
        names: who tries to answer, one after the other, until one may.
    """
    from airflow.api_fastapi.app import init_auth_manager
    from airflow.api_fastapi.core_api.datamodels.hitl import UpdateHITLDetailPayload
    from airflow.api_fastapi.core_api.routes.public.hitl import update_hitl_detail
    from airflow.jobs.job import Job
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
    from airflow.models.hitl import HITLDetail
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from airflow.utils.state import TaskInstanceState
    from fastapi import HTTPException
    from sqlalchemy import select

    init_auth_manager()
    asked: list[Any] = []
    over = threading.Event()

    def answer() -> None:
        while not over.wait(0.1):
            with create_session() as session:
                waiting = session.scalars(
                    select(TaskInstance).where(
                        TaskInstance.state == TaskInstanceState.AWAITING_INPUT
                    )
                ).first()
                if waiting is None:
                    continue
                detail = session.scalars(
                    select(HITLDetail).where(HITLDetail.ti_id == waiting.id)
                ).one()
                question = SimpleNamespace(body=detail.body, subject=detail.subject, turned_away=[])
                asked.append(question)
                if option is None:
                    waiting.trigger_timeout = datetime.now(UTC) - timedelta(seconds=1)
                    session.commit()
                    SchedulerJobRunner(Job()).check_awaiting_input_timeouts(session=session)
                    return
                place = (waiting.dag_id, waiting.run_id, waiting.task_id)
                payload = UpdateHITLDetailPayload(
                    chosen_options=[option], params_input={"reason": reason}
                )
                for name in names:
                    user = SimpleNamespace(get_id=name.lower, get_name=partial(str, name))
                    try:
                        update_hitl_detail(*place, payload, user, session)
                    except HTTPException as error:
                        question.turned_away.append((name, error.status_code))
                    else:
                        return

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield asked
    finally:
        over.set()
        thread.join()


def ledger_entry(laboratory: Laboratory, night: Night) -> dict[str, Any]:
    """Return the last entry that a run has made."""
    run_id = night.mlflow_run.info.run_id
    own = [entry for entry in read_ledger(laboratory) if entry["mlflow_run_id"] == run_id]
    return own[-1]


def taken(night: Night) -> set[str]:
    return PATHS & night.tasks_that_are("success")


def assert_recorded_everywhere(laboratory: Laboratory, night: Night, event: str) -> None:
    """Check that ledger, MLflow run, version and note tell the same."""
    entry = ledger_entry(laboratory, night)
    assert entry["event"] == event
    assert entry["airflow_run"].startswith("promotion/")
    assert entry["decision"]["verdict"] == night.decision["verdict"]
    version = laboratory.client.get_model_version(MODEL, "2")
    assert version.tags["decision"] == event
    assert entry["reason"] in version.tags["decision_reason"]
    assert night.notes[-1].startswith(night.outcome)


def test_a_dry_run_records_what_it_would_do_and_moves_nothing(
    laboratory: Laboratory, judge: Callable[..., Night], told: list[tuple[str, str]]
) -> None:
    night = judge(mode="dry_run")
    assert night.state == "success"
    assert taken(night) == {"keep_champion"}
    assert night.aliases == {"champion": "1", "challenger": "2"}
    assert night.outcome.startswith("dry run, kept v1; v2 would have been promoted: challenger ")
    assert told == []
    assert_recorded_everywhere(laboratory, night, "dry run")
    assert night.decision is not None
    assert night.decision["verdict"] == "promote"


def test_a_better_challenger_is_promoted(
    laboratory: Laboratory, judge: Callable[..., Night], told: list[tuple[str, str]]
) -> None:
    night = judge()
    assert night.state == "success"
    assert taken(night) == {"promote_challenger"}
    assert night.aliases["champion"] == "2"
    assert night.outcome.startswith("promoted v2: challenger ")
    assert told == [("promotion", "promotion: promoted v2")]
    assert_recorded_everywhere(laboratory, night, "promoted")


def test_a_challenger_that_is_not_better_is_kept_out_with_the_numbers(
    laboratory: Laboratory, judge: Callable[..., Night], told: list[tuple[str, str]]
) -> None:
    night = judge(minimum_gain=1.0)
    assert night.state == "success"
    assert taken(night) == {"keep_champion"}
    assert night.aliases["champion"] == "1"
    assert night.outcome.startswith("kept v1: challenger ")
    assert "% CI" in night.outcome
    assert "required: at least 100.0 points" in night.outcome
    assert told == []
    assert_recorded_everywhere(laboratory, night, "kept champion")


def test_a_run_for_an_old_date_is_refused(
    laboratory: Laboratory, judge: Callable[..., Night], told: list[tuple[str, str]]
) -> None:
    night = judge(at=datetime.now(UTC) - timedelta(days=3))
    assert night.state == "success"
    assert taken(night) == {"refuse_challenger"}
    assert night.aliases["champion"] == "1"
    assert "the run is for a date 72.0 hours ago, allowed: 36" in night.outcome
    assert night.outcome.startswith("refused v2, kept v1: ")
    assert told == [("needs_you", "promotion: refused v2, kept v1")]
    assert_recorded_everywhere(laboratory, night, "refused")


def test_a_backfill_is_refused_whatever_its_date(
    laboratory: Laboratory,
    judge: Callable[..., Night],
    monkeypatch: pytest.MonkeyPatch,
    told: list[tuple[str, str]],
) -> None:
    from airflow.models import dagrun

    sound = dagrun.get_or_create_dagrun

    def as_backfill(*, session: Any, **how: Any) -> Any:
        run = sound(session=session, **how)
        run.run_type = dagrun.DagRunType.BACKFILL_JOB
        session.commit()
        return run

    monkeypatch.setattr(dagrun, "get_or_create_dagrun", as_backfill)
    night = judge()
    assert taken(night) == {"refuse_challenger"}
    assert "the run is a backfill: it may train, and never promotes" in night.outcome
    assert told == []
    assert night.aliases["champion"] == "1"


def test_an_approved_challenger_is_promoted_in_the_name_of_who_approved_it(
    laboratory: Laboratory, judge: Callable[..., Night], told: list[tuple[str, str]]
) -> None:
    with answering("Approve") as asked:
        night = judge(mode="approve")
    assert night.state == "success"
    assert taken(night) == {"ask_approver", "promote_challenger"}
    assert night.aliases["champion"] == "2"
    assert night.outcome.startswith("promoted v2, approved by Ada: challenger ")
    entry = ledger_entry(laboratory, night)
    assert (entry["by"], entry["comment"]) == ("Ada", "looked at the plots")
    assert told == [
        ("needs_you", "a better challenger needs you"),
        ("promotion", "promotion: promoted v2, approved by Ada"),
    ]
    (question,) = asked
    assert "**v2: challenger " in question.body
    assert "[Model version 2](" in question.body
    assert "| measure | this version | champion v1 | difference |" in question.body
    assert "| improvement | believed gain |" in question.body
    waiting = [note for note in night.notes if "required_actions" in note]
    assert len(waiting) == 1
    assert f"/runs/{night.dag_run_id[:6]}" in waiting[0]


def test_nobody_but_the_assigned_users_may_answer(
    laboratory: Laboratory, judge: Callable[..., Night], monkeypatch: pytest.MonkeyPatch
) -> None:
    from image_classification.orchestration import graph

    sound = graph.read_settings

    def read_with_approvers(pipeline: str, settings: Any) -> Any:
        return sound(pipeline, {**settings, "approval": {"approvers": ["grace"]}})

    monkeypatch.setattr(graph, "read_settings", read_with_approvers)
    with answering("Approve", names=("Ada", "Grace")) as asked:
        night = judge(mode="approve")
    assert asked[0].turned_away == [("Ada", 403)]
    assert night.outcome.startswith("promoted v2, approved by Grace: challenger ")
    assert ledger_entry(laboratory, night)["by"] == "Grace"


def test_a_rejected_challenger_leaves_the_champion_and_the_reason_is_kept(
    laboratory: Laboratory, judge: Callable[..., Night]
) -> None:
    with answering("Reject", reason="not in the holidays"):
        night = judge(mode="approve")
    assert night.state == "success"
    assert taken(night) == {"ask_approver", "keep_champion"}
    assert night.aliases["champion"] == "1"
    assert "kept v1, v2 was rejected by Ada (not in the holidays); the gate: " in night.outcome
    assert_recorded_everywhere(laboratory, night, "rejected")


def test_without_an_answer_in_time_the_champion_stays(
    laboratory: Laboratory, judge: Callable[..., Night]
) -> None:
    with answering(None):
        night = judge(mode="approve")
    assert night.state == "success"
    assert taken(night) == {"ask_approver", "keep_champion"}
    assert night.aliases["champion"] == "1"
    assert "v2 was rejected by nobody (no answer in time)" in night.outcome
    assert ledger_entry(laboratory, night)["by"] == "nobody"


def test_a_champion_moved_while_a_person_thinks_is_not_overwritten(
    laboratory: Laboratory, judge: Callable[..., Night]
) -> None:
    import mlflow

    client, moved, over = laboratory.client, [], threading.Event()
    # A third version, the network of the second.
    mlflow.set_tracking_uri(client.tracking_uri)
    second = client.get_model_version(MODEL, "2")
    client.create_model_version(MODEL, second.source, second.run_id)

    def move() -> None:
        while not moved and not over.wait(0.1):
            if list((laboratory.storage / "runs" / "promotion").glob("*/decision.json")):
                moved.append(client.set_registered_model_alias(MODEL, "champion", "3"))

    for file in (laboratory.storage / "runs" / "promotion").glob("*/decision.json"):
        file.unlink()
    thread = threading.Thread(target=move)
    thread.start()
    with answering("Approve"):
        night = judge(mode="approve")
    over.set()
    thread.join()
    assert night.state == "failed"
    assert night.tasks["promote_challenger"] == "failed"
    assert night.tries["promote_challenger"] == 1
    assert night.aliases["champion"] == "3"
    assert "expected version 1, found version 3. Nothing was moved." in night.outcome
    assert ledger_entry(laboratory, night)["event"] == "lost race"


def test_a_champion_that_does_not_answer_as_stored_is_moved_back_and_fails_the_run(
    laboratory: Laboratory, judge: Callable[..., Night], consumer: Consumer
) -> None:
    consumer.fault = "Version 2 does not answer its golden images."
    moved_to: list[str] = []
    consumer.on_ask = lambda: moved_to.append(
        str(laboratory.client.get_model_version_by_alias(MODEL, "champion").version)
    )
    night = judge(retries=2)
    assert moved_to == ["2"]
    assert night.state == "failed"
    assert night.tries["promote_challenger"] == 1
    assert night.aliases["champion"] == "1"
    assert "does not answer its golden images. The champion is version 1 again." in night.outcome
    assert ledger_entry(laboratory, night)["event"] == "failed verification"
    assert night.mlflow_run.info.status == "FAILED"


def test_a_rollback_restores_the_champion_before_and_says_who_asked(
    laboratory: Laboratory, judge: Callable[..., Night], told: list[tuple[str, str]]
) -> None:
    promoted = judge()
    assert promoted.aliases["champion"] == "2"
    night = laboratory.spend_night("rollback", version="previous", reason="misses rings")
    assert night.state == "success"
    assert night.aliases["champion"] == "1"
    assert night.outcome.startswith("rolled back to v1 from v2, by ")
    assert night.outcome.endswith(": misses rings")
    assert ledger_entry(laboratory, night)["event"] == "rolled back"
    assert told[-1][0] == "promotion"
    assert told[-1][1].startswith("rollback: rolled back to v1 from v2, by ")

    again = judge()
    assert again.decision is not None
    assert again.decision["champion"]["version"] == "1"
    assert taken(again) == {"refuse_challenger"}
    assert "the challenger was champion before and was rolled back: by " in again.outcome


def test_a_rollback_that_fails_after_the_move_says_that_the_champion_has_moved(
    laboratory: Laboratory, judge: Callable[..., Night], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        # Version 2 was rolled back before: what was decided about it is another test's.
        patch.setattr("image_classification.champion.ledger.find_rollback", lambda *_: "")
        assert judge().aliases["champion"] == "2"

    def fail(*_: Any) -> None:
        raise RuntimeError("the store is gone")

    monkeypatch.setattr("image_classification.champion.record.Recorder.publish", fail)
    night = laboratory.spend_night("rollback", version="previous", reason="misses rings")
    assert night.state == "failed"
    assert night.aliases["champion"] == "1"
    assert night.outcome == (
        "failed: restore_champion. To do: read the log, clear the task. "
        "The champion is v1 now, the version that this run was about."
    )


def test_a_rollback_without_a_reason_moves_nothing_and_says_what_is_missing(
    laboratory: Laboratory, judge: Callable[..., Night]
) -> None:
    night = laboratory.spend_night("rollback", version="2", retries=2)
    assert night.state == "failed"
    assert night.tasks["plan_rollback"] == "failed"
    assert night.tries["plan_rollback"] == 1
    assert night.aliases["champion"] == "1"


def test_a_promotion_announces_the_new_champion_and_nothing_else_does(
    load_dag: Callable[[str], DAG],
) -> None:
    for name, expected in (
        ("retraining", {"promote_challenger"}),
        ("promotion", {"promote_challenger"}),
        ("rollback", {"restore_champion"}),
    ):
        announcing = {
            task.task_id
            for task in load_dag(name).tasks
            if any(asset.name == "champion" for asset in task.outlets)
        }
        assert announcing == expected


# After all other tests of this module.

LEDGER = {
    "test_a_dry_run_records_what_it_would_do_and_moves_nothing": "dry run",
    "test_a_better_challenger_is_promoted": "promoted",
    "test_a_challenger_that_is_not_better_is_kept_out_with_the_numbers": "kept champion",
    "test_a_run_for_an_old_date_is_refused": "refused",
    "test_a_rejected_challenger_leaves_the_champion_and_the_reason_is_kept": "rejected",
    "test_a_champion_moved_while_a_person_thinks_is_not_overwritten": "lost race",
    "test_a_champion_that_does_not_answer_as_stored_is_moved_back_and_fails_the_run": (
        "failed verification"
    ),
    "test_a_rollback_restores_the_champion_before_and_says_who_asked": "rolled back",
}
"""Tests of this module, some of them slow, and what each leaves in the ledger."""


def read_ledger(laboratory: Laboratory) -> list[dict[str, Any]]:
    files = sorted((laboratory.storage / "ledger").glob("*.json"))
    records = {record["number"]: record for record in map(json.loads, map(Path.read_text, files))}
    return [
        {**records.get(record.get("of"), {}), **record}  # how an intention ended
        for record in records.values()
        if "event" in record
    ]


def test_every_entry_of_the_ledger_is_complete(
    laboratory: Laboratory, champion_and_challenger: None
) -> None:
    entries = [*ledgers, *read_ledger(laboratory)]
    assert {entry["event"] for entry in entries} <= set(EVENTS)
    for entry in entries:
        assert entry["at"]
        assert entry["by"]
        assert entry["reason"]
        assert entry["mlflow_run_id"]
        assert entry["data"]["data_digest"]


def test_the_ledger_tells_what_came_of_each_night(
    laboratory: Laboratory, request: pytest.FixtureRequest
) -> None:
    ran = {item.originalname for item in request.session.items if item.module is request.module}
    told = {entry["event"] for entry in [*ledgers, *read_ledger(laboratory)]}
    expected = {event for test, event in LEDGER.items() if test in ran}
    assert expected <= told
    # No run of this module is cut off between intention and move, and a version goes from one
    # environment to another by a command.
    assert set(LEDGER.values()) == set(EVENTS) - {"interrupted", "brought in", "handed on"}


def test_a_form_that_loosens_a_rule_is_refused_by_the_first_task_and_not_tried_again(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEDRO_ENV", "local")  # which allows nothing
    dag_run = laboratory.run_dag("promotion", retries=2, minimum_gain=-0.5)
    tasks = {task.task_id: task for task in dag_run.get_task_instances()}
    assert str(tasks["open_run"].state) == "failed"
    assert tasks["open_run"].try_number == 1
    assert {str(task.state) for name, task in tasks.items() if name != "open_run"} <= {
        "upstream_failed",
        "failed",
    }
