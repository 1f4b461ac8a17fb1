"""What a run has to tell, out of a catalog that is filled by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from judgement import make_decision
from kedro.io import DataCatalog, MemoryDataset

from image_classification import tracking
from image_classification.champion import registry
from image_classification.configuration.scope import SHARED
from image_classification.orchestration import account as account_module
from image_classification.orchestration.account import Account

COUNTS = {
    "accepted": 5,
    "held": 2,
    "rejected": 1,
    "quarantined_files": 3,
    "batches": ["first", "second"],
}
ANSWERS = {
    "1": {"batch": "first", "answer": "reject", "by": "Ada", "reason": "stale", "at": "monday"},
    "2": {"batch": "first", "answer": "accept", "by": "Ada", "reason": "mended", "at": "friday"},
    "3": {"batch": "other", "answer": "reject", "by": "Bob", "reason": "blank", "at": "friday"},
}
WATCH = {"version": "3", "sentence": "champion v3 holds its level", "alert": False, "accuracy": 1.0}


REGRET = {"version": "5", "sentence": "promoted v5 over v3", "is_new": True}
HINDSIGHT = {"summary": "looked back on 1 decision: 1 wrong promotion", "regret": REGRET}


class Batch:
    """A batch in the incoming folder."""

    is_left = False

    def __init__(self, name: str, is_whole: bool, *, is_stuck: bool = False) -> None:
        self.delivered_as, self.is_whole, self.is_stuck = name, is_whole, is_stuck

    def describe_stay(self) -> str:
        return "It could not be taken in."

    def is_complete(self, settle_minutes: float, now: Any) -> bool:
        assert settle_minutes == 30
        return self.is_whole


def open_account(
    pipeline: str = "retraining", batch: str = "first", about: str = "batch", **entries: Any
) -> Account:
    known = {name: MemoryDataset(value, copy_mode="assign") for name, value in entries.items()}
    missing = {
        "champion_watch",
        "decision",
        "hindsight_report",
        "intake_report",
        "incoming_batches",
    } - set(known)
    catalog = DataCatalog(known | {name: MemoryDataset() for name in missing})
    review = {"batch": batch, "about": about}
    params = {"data_processing": {"settle_minutes": 30}, "review": review}
    said: list[str] = []
    run: Any = SimpleNamespace(
        pipeline=pipeline,
        catalog=catalog,
        context=SimpleNamespace(params=params),
        required_run_id="run",
        has_page=True,
        scope=SHARED,
        model_name="cells",
        aftermath=SimpleNamespace(find_candidate=lambda: "4", challenger="4"),
        locate_mlflow_run=lambda: "http://mlflow/run",
        record_outcome=said.append,
        said=said,
    )
    return Account(run)


def test_an_intake_is_told_what_is_due_and_what_is_held() -> None:
    account = open_account(
        incoming_batches=SimpleNamespace(
            batches=[
                Batch("new.zip", True),
                Batch("slow", False),
                Batch("stuck", True, is_stuck=True),
            ]
        ),
        image_batches=SimpleNamespace(names=lambda: ["begun", "done"]),
        batch_screenings={"done": {"verdict": "held", "images": 3}},
        batch_reviews={},
        label_corrections={},
        image_index=make_log(("done", "1", "P", "accepted")),
    )
    assert account.find_batches() == ["begun", "new.zip"]
    assert account.list_held_batches() == ["done"]
    assert account.list_label_questions() == []


def make_log(*rows: tuple[str, str, str, str]) -> pd.DataFrame:
    """Return a log: batch, content, label and status of each file."""
    log = pd.DataFrame(rows, columns=["batch", "image_id", "label", "status"])
    return log.assign(path=log["batch"] + "/" + log["image_id"], first_seen="", reviewed_at="")


CORRECTED = {
    "at": "monday",
    "by": "Ada",
    "reason": "looked",
    "how": "review",
    "batch": "second",
    "labels": [
        {"image_id": "1", "path": "second/1", "before": "P", "after": "U"},
        {"image_id": "2", "path": "second/2", "before": "P", "after": "P"},
    ],
}


def test_labels_that_were_corrected_are_due_and_those_that_contradict_are_asked_about() -> None:
    log = make_log(("first", "1", "P", "accepted"), ("second", "1", "U", "proposed"))
    known: Any = {
        "incoming_batches": SimpleNamespace(batches=[]),
        "image_batches": SimpleNamespace(names=list),
        "batch_screenings": {},
        "batch_reviews": {},
        "image_index": log,
    }
    account = open_account(**known, label_corrections={})
    assert account.find_batches() == []
    assert account.list_label_questions() == ["second"]
    account = open_account(**known, label_corrections={"x": CORRECTED})
    assert account.find_batches() == ["2 corrected labels"]
    assert account.list_label_questions() == []


def test_an_answer_about_labels_is_told_with_how_many_it_changes() -> None:
    said = {"label_corrections": {"x": CORRECTED}}
    account = open_account("review", "second", "labels", **said)
    assert account.is_about_labels
    assert account.count_new_images() == 1
    assert account.describe_outcome() == ("1 of 2 labels corrected as in 'second', by Ada: looked")
    other = open_account("review", "first", "labels", **said)
    assert other.count_new_images() == 0
    assert other.describe_outcome() == "no label of the batch was to be answered any more"


def test_new_images_are_those_that_an_intake_accepted() -> None:
    assert open_account("data_processing", intake_counts=COUNTS).count_new_images() == 5
    corrected = {**COUNTS, "corrected": 2, "proposed": 3}
    account = open_account("data_processing", intake_counts=corrected, contract_report={})
    assert account.count_new_images() == 7
    assert account.describe_outcome().endswith(
        "in quarantine; another label for 3 known images; 2 labels corrected"
    )


@pytest.mark.parametrize(("batch", "images"), [("first", 7), ("other", 0), ("none", 0)])
def test_after_a_review_they_are_those_of_a_batch_whose_last_answer_accepts_it(
    batch: str, images: int
) -> None:
    account = open_account(
        "review", batch, batch_reviews=ANSWERS, batch_screenings={"first": {"images": 7}}
    )
    assert account.count_new_images() == images


@pytest.mark.parametrize(
    ("pipeline", "outcome"),
    [
        (
            "data_processing",
            "took in first, second: 5 images accepted, 2 held, 1 rejected; 3 files in quarantine",
        ),
        ("review", "accepted 'first', by Ada: mended"),
        ("inference", "scored 3 images with v1"),
        ("monitoring", "champion v3 holds its level"),
        ("hindsight", "looked back on 1 decision: 1 wrong promotion"),
        ("retention", "nothing is old enough to be let go"),
        ("retraining", ""),
    ],
)
def test_the_outcome_is_said_by_the_pipeline(pipeline: str, outcome: str) -> None:
    account = open_account(
        pipeline,
        intake_counts=COUNTS,
        batch_reviews=ANSWERS,
        score_summary={"outcome": "scored 3 images with v1"},
        champion_watch=WATCH,
        contract_report={"waiting": ""},
        hindsight_report=HINDSIGHT,
        retention_plan={"outcome": "nothing is old enough to be let go"},
    )
    assert account.describe_outcome() == outcome


@pytest.mark.parametrize(("champion", "regret"), [("5", REGRET), ("6", None), (None, None)])
def test_a_promotion_is_regretted_as_long_as_its_version_is_champion(
    champion: str | None, regret: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "find_champion", lambda _: champion)
    assert open_account(hindsight_report=HINDSIGHT).read_regret() == regret


def test_nothing_is_regretted_where_nobody_looked_back_or_nothing_was_wrong() -> None:
    assert open_account().read_regret() is None
    assert open_account(hindsight_report={**HINDSIGHT, "regret": None}).read_regret() is None


def test_an_intake_of_nothing_says_so() -> None:
    account = open_account(
        "data_processing",
        intake_counts={**COUNTS, "batches": []},
        contract_report={"waiting": "Waiting for more: one."},
    )
    assert account.describe_outcome().startswith("took in no batch: 5 images")
    assert account.describe_outcome().endswith(" in quarantine. Waiting for more: one.")


def test_an_intake_of_an_earlier_release_says_nothing_of_waiting() -> None:
    account = open_account("data_processing", intake_counts=COUNTS, contract_report={})
    assert account.describe_outcome().endswith(" in quarantine")


def test_the_watch_is_said_with_the_decision_where_there_is_one() -> None:
    assert open_account().read_watch() == ""
    assert open_account(champion_watch=WATCH).read_watch() == WATCH["sentence"]
    kept = make_decision(tests={"low": -0.02, "gain": -0.01, "high": -0.005})
    said = open_account(champion_watch=WATCH, decision=kept).read_watch()
    assert said.startswith("the challenger is worse: champion v3 holds its level; on the same")


@pytest.mark.parametrize("key", ["set_aside", "stops"])
def test_batches_that_were_set_aside_are_told(key: str) -> None:
    account = open_account(intake_report={key: ["Batch 'a' is held"]})
    assert account.list_set_aside() == ["Batch 'a' is held"]


def test_what_stays_in_the_incoming_folder_is_told() -> None:
    batches = [Batch("new", True), Batch("stuck", True, is_stuck=True)]
    inbox = SimpleNamespace(aside={"x": "it is a link"}, batches=batches)
    account = open_account(intake_report={}, incoming_batches=inbox)
    assert account.list_left_alone() == [
        "'x' stays in the incoming folder: it is a link.",
        "'stuck' stays in the incoming folder. It could not be taken in.",
    ]
    assert account.list_set_aside() == []


def test_no_note_fails_for_an_incoming_folder_that_cannot_be_looked_at() -> None:
    # The dataset is empty: to load it is an error.
    account = open_account(intake_report={})
    assert account.list_left_alone() == []


def test_a_run_without_an_intake_set_nothing_aside() -> None:
    assert open_account().list_set_aside() == open_account().list_left_alone() == []


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Artifacts lie where the catalog says: here, at their own names."""
    monkeypatch.setattr(account_module, "locate_artifact_path", lambda _, name: f"{name}.png")


def test_a_question_about_a_batch_shows_what_was_found(
    monkeypatch: pytest.MonkeyPatch, pictures: None
) -> None:
    monkeypatch.setattr(tracking, "locate_artifact", lambda *place: "/".join(place))
    monkeypatch.setattr(tracking, "locate_artifact_file", lambda *_: None)
    account = open_account(review_summary="it is blank")
    assert account.describe_review() == (
        "first",
        "it is blank",
        "run/review_sheet.png",
        None,
    )
    assert account._run.said == ["waits for an answer about batch 'first'"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("picture", [None, "http://mlflow/comparison.png"])
def test_a_question_about_a_challenger_shows_the_evidence(
    monkeypatch: pytest.MonkeyPatch, pictures: None, picture: str | None
) -> None:
    monkeypatch.setattr(tracking, "locate_artifact_file", lambda *_: picture)
    monkeypatch.setattr(registry, "locate_version", lambda *_: "http://mlflow/4")
    reason, evidence = open_account(decision=make_decision()).describe_decision()
    assert reason.startswith("v4: challenger +1.0 points")
    assert "[The night on one page](http://" in evidence
    assert "[Model version 4](http://mlflow/4) · [MLflow run](http://mlflow/run)" in evidence
    assert ("](http://mlflow/comparison.png)" in evidence) is bool(picture)


@pytest.mark.parametrize(
    ("champion", "said"),
    [
        ("4", "The champion is v4 now, the version that this run was about."),
        ("3", "The champion was not changed by this failure: it is v3."),
        (None, "The champion was not changed by this failure."),
    ],
)
def test_a_failure_says_what_it_did_to_the_champion(
    monkeypatch: pytest.MonkeyPatch, champion: str | None, said: str
) -> None:
    monkeypatch.setattr(registry, "find_champion", lambda _: champion)
    assert open_account().describe_champion() == said


def test_pages_lead_to_the_version_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://airflow/")
    monkeypatch.setattr(registry, "locate_version", lambda _name, version: f"page of {version}")
    account = open_account(champion_watch=WATCH)
    night = {"The night on one page": "http://airflow/nights/run.html"}
    run = {"MLflow run": "http://mlflow/run"}
    assert account.locate_evidence() == {**night, "Model version 4": "page of 4", **run}
    assert account.locate_watched() == {"Model version 3": "page of 3", **run}
    account._run.aftermath.find_candidate = lambda: None  # type: ignore[method-assign]
    assert account.locate_evidence() == {**night, **run}
    account._run.has_page = False
    assert account.locate_evidence() == run
