"""Every way a night can end, run by Airflow: task by task, on one Airflow and one MLflow store.

No network is trained and no fresh process started: `test_whole_night` does that.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from dag_nights import (
    PROJECT,
    Laboratory,
    Night,
    compare_with_kedro_run,
    failing,
    quick_work,
)

from image_classification.errors import SealedError
from image_classification.local.synthetic import make_cells

FIGURES = (
    "plot_confident_mistakes",
    "plot_evaluation",
    "plot_training_curves",
)
"""Nodes of the training that no other needs; the first night and that of a failure draw them."""

WATCHING = ("score_newest_days", "watch_champion", "plot_trend")
LOOKING_BACK = ("choose_later_images", "score_past_versions", "judge_past_decisions")

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("airflow_database")]


# The nights, each after the one it asks for.


@pytest.fixture(scope="module")
def first_night(laboratory: Laboratory) -> Night:
    with quick_work():
        return laboratory.spend_night()


@pytest.fixture(scope="module")
def quiet_night(laboratory: Laboratory, first_night: Night) -> Night:
    """No new image has come."""
    with quick_work():
        return laboratory.spend_night()


@pytest.fixture(scope="module")
def night_of_a_worse_challenger(laboratory: Laboratory, quiet_night: Night) -> Night:
    """No gain suffices. No new images either, and training is asked for all the same."""
    with quick_work(without=FIGURES):
        return laboratory.spend_night(force=True, minimum_gain=1.0)


@pytest.fixture(scope="module")
def night_of_a_better_challenger(
    laboratory: Laboratory, night_of_a_worse_challenger: Night
) -> Night:
    """New images, and any gain suffices. Training and registration fail once each."""
    second = laboratory.storage / "incoming" / "second"
    make_cells(second, range(31, 34), 8, captured_on="20150602")
    (second / "_READY").touch()
    with (
        quick_work(without=FIGURES),
        failing("image_classification.vision.fit_network"),
        failing("image_classification.champion.registry.register_challenger"),
    ):
        return laboratory.spend_night(retries=1, minimum_gain=-1.0, seed=2)


@pytest.fixture(scope="module")
def night_of_a_failure(laboratory: Laboratory, night_of_a_better_challenger: Night) -> Night:
    """One figure fails for good while another, beside it, waits for its second try."""
    from airflow.sdk.exceptions import AirflowFailException

    with (
        quick_work(),
        failing("image_classification.figures.plot_roc", AirflowFailException),
        failing("image_classification.figures.plot_contact_sheet"),
    ):
        return laboratory.spend_night(retries=1, retry_delay_s=2, force=True)


# First night


def test_first_night_makes_the_first_champion(first_night: Night) -> None:
    assert first_night.state == "success"
    skipped = {"keep_champion", "ask_approver", "refuse_challenger", "request_reviews"}
    assert first_night.tasks_that_are("skipped") == skipped
    assert first_night.tasks_that_are("success") == set(first_night.tasks) - skipped
    assert first_night.aliases == {"champion": "1", "challenger": "1"}
    assert first_night.outcome.startswith("promoted v1: first champion")


def test_version_carries_the_decision_its_reason_and_its_data(first_night: Night) -> None:
    version = first_night.versions["1"]
    decision = first_night.decision
    assert decision is not None
    assert version.tags["decision"] == "promoted"
    assert version.tags["decision_reason"] == decision["reason"]
    assert len(version.tags["images_digest"]) >= 16
    accuracy = decision["challenger"]["metrics"]["accuracy"]
    assert version.tags["validation_accuracy"] == f"{accuracy:.4f}"
    assert len(version.tags) <= 8
    assert min(version.tags) == "decision"
    assert decision["reason"] in version.description
    assert f"on {decision['images']} validation images of " in version.description


def test_dag_run_and_mlflow_run_name_each_other(first_night: Night) -> None:
    tags = first_night.mlflow_run.data.tags
    quoted = first_night.dag_run_id.replace(":", "%3A").replace("+", "%2B")
    assert tags["airflow.url"].endswith(f"/dags/retraining/runs/{quoted}")
    assert str(first_night.mlflow_run.info.run_name).startswith("retraining ")
    assert f"[DAG run]({tags['airflow.url']})" in first_night.versions["1"].description
    assert tags["kedro_command"] == "kedro run --pipelines retraining"


def test_note_of_the_dag_run_tells_the_mlflow_run_and_then_the_outcome(first_night: Night) -> None:
    begin, end = first_night.notes
    assert first_night.mlflow_run.info.run_id in begin
    assert end.startswith(first_night.outcome)
    assert first_night.mlflow_run.info.run_id in end


def test_all_tasks_write_to_the_one_mlflow_run(first_night: Night) -> None:
    run = first_night.mlflow_run
    assert run.data.params["training.epochs"] == "1"  # train_network
    assert run.data.params["data_processing.split_salt"]  # index_images
    assert run.data.params["promotion.floors.accuracy"] == "0.0"  # compare_models
    assert {"training_accuracy", "validation_loss", "test_accuracy"} <= set(run.data.metrics)


def test_artifacts_of_all_tasks_are_in_the_one_mlflow_run(
    laboratory: Laboratory, first_night: Night
) -> None:
    run_id = first_night.mlflow_run.info.run_id
    folders = {item.path for item in laboratory.client.list_artifacts(run_id)}
    assert folders == {
        "data",
        "evaluation",
        "hindsight",
        "intake",
        "monitoring",
        "night.html",
        "plots",
        "predictions",
        "profile",
        "promotion",
        "training",
    }


NIGHTS = (
    "first_night",
    "quiet_night",
    "night_of_a_worse_challenger",
    "night_of_a_better_challenger",
    "night_of_a_failure",
)


@pytest.mark.parametrize("name", NIGHTS)
def test_one_dag_run_is_one_mlflow_run_and_ends_with_its_status(
    name: str, request: pytest.FixtureRequest
) -> None:
    night: Night = request.getfixturevalue(name)
    assert night.mlflow_runs == 1
    status = {"success": "FINISHED", "failed": "FAILED"}[night.state]
    assert night.mlflow_run.info.status == status
    assert night.mlflow_run.info.end_time is not None


def test_no_other_mlflow_run_is_ever_made(
    night_of_a_failure: Night, request: pytest.FixtureRequest
) -> None:
    nights: list[Night] = [request.getfixturevalue(name) for name in NIGHTS]
    assert [night.mlflow_runs_of_all for night in nights] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("name", NIGHTS)
def test_no_run_is_left_active_for_the_process_to_finish(
    name: str, request: pytest.FixtureRequest
) -> None:
    night: Night = request.getfixturevalue(name)
    assert night.active_run_id is None


@pytest.mark.parametrize(
    ("name", "models"),
    [
        ("first_night", 1),
        ("quiet_night", 0),
        ("night_of_a_worse_challenger", 1),
        ("night_of_a_better_challenger", 1),
        ("night_of_a_failure", 0),
    ],
)
def test_a_night_logs_one_model_and_registers_it_once_if_it_gets_so_far(
    name: str, models: int, request: pytest.FixtureRequest
) -> None:
    night: Night = request.getfixturevalue(name)
    assert night.logged_models == models
    assert len(night.own_versions) == models


# A night without new images


def test_night_without_new_images_skips_training_and_succeeds(quiet_night: Night) -> None:
    ran = {
        "open_run",
        "collect_batches",
        "inspect_images",
        "screen_batches",
        "index_images",
        "pack_images",
        "check_contract",
        "select_images",
        "check_new_images",
        *("list_held_batches", *WATCHING, *LOOKING_BACK),
    }
    assert quiet_night.state == "success"
    assert quiet_night.tasks_that_are("success") == ran | {"close_run"}
    assert quiet_night.tasks_that_are("skipped") == set(quiet_night.tasks) - ran - {"close_run"}


def test_night_without_new_images_says_so_and_changes_no_model(
    first_night: Night, quiet_night: Night
) -> None:
    assert quiet_night.outcome.startswith("skipped: No new images: version 1 was trained on these")
    assert quiet_night.mlflow_run.data.tags["mlflow.note.content"] == quiet_night.outcome
    assert quiet_night.aliases == first_night.aliases
    assert set(quiet_night.versions) == {"1"}
    assert quiet_night.notes[-1].startswith(quiet_night.outcome)


# The champion, watched


def test_first_night_finds_no_champion_to_watch_and_says_so(
    laboratory: Laboratory, first_night: Night
) -> None:
    watch = laboratory.read_watch(first_night)
    assert watch["version"] is None
    assert watch["sentence"] == "no champion was measured on the newest days: there is none yet"
    assert "champion_watch" not in first_night.mlflow_run.data.tags
    assert not [name for name in first_night.mlflow_run.data.metrics if "newest" in name]


def test_night_without_new_images_measures_the_champion_on_patients_it_does_not_know(
    laboratory: Laboratory, quiet_night: Night
) -> None:
    watch = laboratory.read_watch(quiet_night)
    assert watch["version"] == "1"
    assert watch["reference"] == float(quiet_night.versions["1"].tags["validation_accuracy"])
    unknown = quiet_night.index[quiet_night.index["split"] != "train"]
    assert (watch["images"], watch["patients"]) == (len(unknown), unknown["patient"].nunique())
    assert quiet_night.mlflow_run.data.metrics["champion.newest_accuracy"] == watch["accuracy"]
    artifacts = laboratory.client.list_artifacts(quiet_night.mlflow_run.info.run_id, "monitoring")
    assert [item.path for item in artifacts] == [
        "monitoring/champion_trend.png",
        "monitoring/champion_watch.json",
    ]


def test_how_the_champion_does_is_in_the_note_and_a_tag_beside_what_came_of_the_night(
    laboratory: Laboratory, quiet_night: Night
) -> None:
    sentence = laboratory.read_watch(quiet_night)["sentence"]
    assert quiet_night.mlflow_run.data.tags["champion_watch"] == sentence
    assert quiet_night.notes[-1].startswith(f"{quiet_night.outcome}\n\n{sentence}\n\n")
    assert "champion v1 " in sentence


def test_a_night_that_promotes_has_watched_the_champion_before_it(
    laboratory: Laboratory, night_of_a_better_challenger: Night
) -> None:
    watch = laboratory.read_watch(night_of_a_better_challenger)
    assert watch["version"] == "1"
    # Of the patients of this night's batch, those of any split: the champion knows none of them.
    assert watch["to"] == "2015-06-02"
    assert watch["sentence"] in night_of_a_better_challenger.notes[-1]


def test_the_curve_of_a_night_holds_the_nights_before_it_each_once(
    laboratory: Laboratory, night_of_a_better_challenger: Night
) -> None:
    run_id = night_of_a_better_challenger.mlflow_run.info.run_id
    points = laboratory.client.get_metric_history(run_id, "champion.newest_accuracy")
    # The quiet night and the one after it measured the same champion on the same images.
    assert sorted(point.step for point in points) == [1, 2]


# A worse challenger


def test_force_trains_without_new_images(night_of_a_worse_challenger: Night) -> None:
    assert night_of_a_worse_challenger.tasks["train_network"] == "success"
    assert set(night_of_a_worse_challenger.versions) == {"1", "2"}


def test_worse_challenger_is_kept_out(night_of_a_worse_challenger: Night) -> None:
    night = night_of_a_worse_challenger
    assert night.state == "success"
    assert night.tasks_that_are("skipped") == {
        "promote_challenger",
        "ask_approver",
        "refuse_challenger",
        "request_reviews",
    }
    assert night.aliases == {"champion": "1", "challenger": "2"}
    assert night.outcome.startswith("kept v1: challenger ")
    assert "required: at least 100.0 points" in night.outcome
    assert night.notes[-1].startswith(night.outcome)
    assert night.versions["2"].tags["decision"] == "kept champion"
    assert "| this version | champion v1 |" in night.versions["2"].description


def test_fields_of_the_form_are_in_the_command_that_repeats_the_run(
    night_of_a_worse_challenger: Night,
) -> None:
    assert night_of_a_worse_challenger.mlflow_run.data.tags["kedro_command"] == (
        "kedro run --pipelines retraining "
        "--params promotion.improvement.minimum_gain=1.0,training.force=True"
    )


# A better challenger, and tasks that fail once


def test_new_images_are_trained_on_without_force(night_of_a_better_challenger: Night) -> None:
    assert len(night_of_a_better_challenger.index) == 240 + 24
    assert night_of_a_better_challenger.tasks["train_network"] == "success"


def test_better_challenger_becomes_champion(
    night_of_a_worse_challenger: Night, night_of_a_better_challenger: Night
) -> None:
    night = night_of_a_better_challenger
    assert night.state == "success"
    assert night.tasks_that_are("skipped") == {
        "keep_champion",
        "ask_approver",
        "refuse_challenger",
        "request_reviews",
    }
    assert night.aliases == {"champion": "3", "challenger": "3"}
    assert night.outcome.startswith("promoted v3: challenger ")
    first, second = (night_of_a_worse_challenger.versions[number].tags for number in "12")
    assert night.versions["2"].tags == second
    former = night.versions["1"].tags
    assert {key for key in former if former[key] != first[key]} == {"in_use"}
    assert former["in_use"].endswith(", then version 3")


def test_retry_goes_on_with_the_same_mlflow_run(night_of_a_better_challenger: Night) -> None:
    night = night_of_a_better_challenger
    assert night.tries["train_network"] == 2
    assert night.tasks["train_network"] == "success"
    assert night.mlflow_runs == 1
    assert night.mlflow_run.data.params["training.seed"] == "2"


def test_log_model_interrupted_before_registering_logs_no_second_model(
    night_of_a_better_challenger: Night,
) -> None:
    night = night_of_a_better_challenger
    assert night.tries["log_model"] == 2
    assert night.logged_models == 1
    assert night.own_versions == ["3"]


# A task that fails for good


def test_failure_leaves_the_champion_and_fails_the_dag_run(
    night_of_a_better_challenger: Night, night_of_a_failure: Night
) -> None:
    assert night_of_a_failure.state == "failed"
    assert night_of_a_failure.tasks_that_are("failed") == {"plot_evaluation"}
    assert night_of_a_failure.aliases == night_of_a_better_challenger.aliases
    assert set(night_of_a_failure.versions) == set(night_of_a_better_challenger.versions)


def test_failure_names_the_task_in_the_mlflow_run(night_of_a_failure: Night) -> None:
    assert night_of_a_failure.outcome == (
        "failed: plot_evaluation. To do: read the log, clear the task. "
        "The champion was not changed by this failure: it is v3."
    )
    assert night_of_a_failure.notes[-1].startswith(night_of_a_failure.outcome)
    assert "clear it to try again" in night_of_a_failure.notes[-1]


def test_mlflow_run_is_closed_after_the_last_retry_of_a_task_beside_the_failed_one(
    night_of_a_failure: Night,
) -> None:
    assert night_of_a_failure.tries["plot_confident_mistakes"] == 2
    assert night_of_a_failure.tasks["plot_confident_mistakes"] == "success"
    assert night_of_a_failure.mlflow_run.info.status == "FAILED"


# An intake on its own, and a batch that is held


def test_an_intake_that_finds_nothing_is_skipped_before_it_opens_an_mlflow_run(
    laboratory: Laboratory, night_of_a_failure: Night
) -> None:
    dag_run = laboratory.run_dag("data_processing")
    states = {ti.task_id: str(ti.state) for ti in dag_run.get_task_instances()}
    assert states.pop("find_batches") == "success"
    assert set(states.values()) == {"skipped"}
    assert len(laboratory.client.search_runs(["1"])) == night_of_a_failure.mlflow_runs_of_all


def test_a_batch_that_breaks_the_contract_stops_nothing_and_is_asked_about(
    laboratory: Laboratory, night_of_a_failure: Night
) -> None:
    bad = laboratory.storage / "incoming" / "typo"
    make_cells(bad, range(60, 62), 4)
    (bad / "Parasitized").rename(bad / "Parasitised")
    (bad / "_READY").touch()

    with quick_work():
        night = laboratory.spend_night()

    assert night.state == "success"
    assert night.outcome.startswith("skipped: No new images")
    assert night.tasks["check_contract"] == "success"
    assert night.aliases == night_of_a_failure.aliases
    assert "- Batch 'typo' is quarantined: " in night.notes[-1]
    assert "Held for a review: typo." in night.notes[-1]
    assert night.tasks["request_reviews"] == "success"
    assert {night.tasks[name] for name in WATCHING} == {"success"}


# Scoring


def test_scoring_says_how_many_images_of_which_category_by_which_version(
    laboratory: Laboratory,
    night_of_a_failure: Night,
    cells: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = sorted(str(path) for path in cells.rglob("*.png"))[:3]
    listed = laboratory.storage / "cells.txt"
    listed.write_text("\n".join([*images, "gone.png"]))
    (tmp_path / "cells.txt").write_text("\n".join(images))
    refused = laboratory.spend_night("inference", images=str(tmp_path / "cells.txt"))
    assert refused.outcome.startswith("failed: list_images. To do: ")
    monkeypatch.setenv("IMAGE_CLASSIFICATION_INFERENCE", str(cells))
    night = laboratory.spend_night("inference", images=str(listed))
    assert night.state == "success"
    assert night.mlflow_runs == 1
    version = night.aliases["champion"]
    assert night.outcome.startswith(f"scored 3 images with v{version}: ")
    assert night.outcome.endswith(" Uninfected; 1 could not be read")
    assert night.notes[-1].startswith(night.outcome)
    scores = laboratory.client.list_artifacts(night.mlflow_run.info.run_id, "scores")
    assert "scores/scores.parquet" in {entry.path for entry in scores}
    (table,) = laboratory.storage.glob("runs/inference/*/scores.parquet")
    assert pd.read_parquet(table)["model_version"].tolist() == [version] * 4
    assert night.mlflow_run.data.tags["kedro_command"] == (
        f"kedro run --pipelines inference --params inference.images={listed}"
    )
    assert night.aliases == night_of_a_failure.aliases


# Without promotion, and again


def test_the_champion_is_not_judged_against_itself(
    laboratory: Laboratory, night_of_a_failure: Night
) -> None:
    with quick_work():
        night = laboratory.spend_night("promotion", minimum_gain=-1.0)
    assert night.state == "success"
    assert night.tasks["refuse_challenger"] == "success"
    assert night.aliases == night_of_a_failure.aliases
    assert night.versions["3"].tags["decision"] == "promoted"
    assert night.outcome == (
        "refused v3, kept v3: the challenger, version 3, is the champion already"
    )


def test_the_champion_can_be_watched_by_hand(
    laboratory: Laboratory, night_of_a_failure: Night
) -> None:
    with quick_work():
        night = laboratory.spend_night("monitoring")
    assert night.state == "success"
    assert night.tasks == dict.fromkeys(["open_run", *WATCHING, "close_run"], "success")
    assert night.outcome == laboratory.read_watch(night)["sentence"]
    assert night.outcome.startswith("champion v3 ") or night.outcome.startswith("the world changed")
    assert night.notes[-1].count(night.outcome) == 1


def test_clearing_a_failed_run_goes_on_with_its_mlflow_run_and_takes_the_failure_back(
    laboratory: Laboratory, first_night: Night
) -> None:
    now = datetime.now(UTC)
    third = laboratory.storage / "incoming" / "third"
    make_cells(third, range(34, 36), 8, captured_on="20150603")
    (third / "_READY").touch()
    with failing("image_classification.pipelines.data_processing.nodes.join_batches"):
        failed = laboratory.spend_night("data_processing", at=now)
    assert failed.outcome.startswith("failed: index_images. To do: ")
    cleared = laboratory.spend_night("data_processing", at=now)
    assert cleared.mlflow_run.info.run_id == failed.mlflow_run.info.run_id
    assert cleared.mlflow_run.info.status == "FINISHED"
    assert cleared.outcome == (
        "took in third: 16 images accepted, 0 held, 0 rejected; 0 files in quarantine"
    )


def test_the_evidence_of_a_finished_night_cannot_be_written_over(
    laboratory: Laboratory, night_of_a_worse_challenger: Night
) -> None:
    """Whichever task is cleared: it refuses, before anything is written."""
    from image_classification.champion.aftermath import BEFORE_MODEL
    from image_classification.orchestration.kedro_run import KedroRun
    from image_classification.vendor.kedro import find_pipeline

    night = night_of_a_worse_challenger
    dag_id = night.mlflow_run.data.tags["airflow.run"].partition("/")[0]

    def make_run(**known: Any) -> KedroRun:
        return KedroRun(PROJECT, dag_id, dag_id, night.dag_run_id, "http://airflow", {}, **known)

    before = digest_evidence(laboratory, night)
    run_id = night.mlflow_run.info.run_id
    run = make_run(mlflow_run_id=run_id)
    run.context  # noqa: B018 - it knows the pipelines
    nodes = find_pipeline(dag_id).nodes
    closed = [node.name for node in nodes if node.tags & {*BEFORE_MODEL, "promotion"}]
    assert {"collect_batches", "train_network", "evaluate_network", "compare_models"} < {*closed}
    for name in closed:
        with pytest.raises(SealedError, match="Nothing was written"):
            run.run_node(name)
    for again in (make_run().open_mlflow_run, run.aftermath.measure, run.aftermath.decide):
        with pytest.raises(SealedError):
            again()
    assert run.log_model() == night.own_versions[0]
    assert run.is_settled()
    assert digest_evidence(laboratory, night) == before


def digest_evidence(laboratory: Laboratory, night: Night) -> dict[str, Any]:
    """Return what a run has left: its files, its artifacts, what MLflow knows of it."""
    run = laboratory.client.get_run(night.mlflow_run.info.run_id)
    folders = (laboratory.folder_of(night), Path(run.info.artifact_uri.removeprefix("file://")))
    files = {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    history = {
        key: [point.value for point in laboratory.client.get_metric_history(run.info.run_id, key)]
        for key in run.data.metrics
    }
    tags = {
        name: dict(version.tags)
        for name, version in night.versions.items()
        if version.run_id == run.info.run_id
    }
    assert files
    return {"files": files, "history": history, "status": run.info.status, "tags": tags}


def test_store_that_does_not_answer_stops_the_run_before_any_work(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    dag_run = laboratory.run_dag("inference")
    assert str(dag_run.state) == "failed"
    assert {ti.task_id: str(ti.state) for ti in dag_run.get_task_instances()} == {
        "open_run": "failed",
        "list_images": "upstream_failed",
        "score_images": "upstream_failed",
        "report_scores": "upstream_failed",
        "close_run": "upstream_failed",
    }


# Without Airflow


def test_kedro_run_gives_the_same_data_measures_and_decision_as_the_dag(
    first_night: Night, storage: Path
) -> None:
    with quick_work():
        compare_with_kedro_run(first_night, storage)
