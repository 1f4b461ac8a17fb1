"""Nights that wait for more: under Airflow and in a `kedro run` they are skipped, not failed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from dag_nights import PROJECT, Laboratory, quick_work
from kedro.framework.startup import bootstrap_project

from image_classification.hooks import NightSession
from image_classification.local.synthetic import make_cells
from image_classification.orchestration.notices.notification import LogNotifier, Notice

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.sdk import DAG

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("airflow_database")]

NO_IMAGE = "Waiting for more: no image is accepted yet. 0 patients are known."


@pytest.fixture(scope="module")
def new_laboratory(
    laboratory: Laboratory, tmp_path_factory: pytest.TempPathFactory, load_dag: Callable[[str], DAG]
) -> Iterator[Laboratory]:
    """A storage root where nothing has arrived; notes go where those of `laboratory` go."""
    storage = tmp_path_factory.mktemp("new") / "storage"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMAGE_CLASSIFICATION_STORAGE", str(storage))
        yield Laboratory(storage, load_dag, laboratory.notes)


@pytest.fixture
def notices(monkeypatch: pytest.MonkeyPatch) -> list[Notice]:
    sent: list[Notice] = []
    monkeypatch.setattr(LogNotifier, "notify", lambda self, _: sent.append(self.notice))
    return sent


def deliver_one_class(laboratory: Laboratory) -> int:
    """Let cells of 30 patients arrive, of which none is infected; return how many they are."""
    batch = laboratory.storage / "incoming" / "uninfected"
    make_cells(batch, range(1, 31), 4, captured_on="20150601")
    for path in sorted((batch / "Parasitized").iterdir()):
        path.unlink()
    (batch / "_READY").touch()
    return len(list(batch.rglob("*.png")))


def test_a_night_that_waits_is_skipped_and_says_what_is_missing(
    new_laboratory: Laboratory, notices: list[Notice]
) -> None:
    with quick_work():
        night = new_laboratory.spend_night()
    assert (night.state, night.mlflow_run.info.status) == ("success", "FINISHED")
    assert night.tasks["select_images"] == "success"
    assert night.tasks["train_network"] == night.tasks["keep_champion"] == "skipped"
    assert not night.tasks_that_are("failed") | night.tasks_that_are("upstream_failed")
    assert night.outcome == f"skipped: {NO_IMAGE}"
    assert night.notes[-1].startswith(night.outcome)
    (notice,) = notices
    assert notice.event == "skipped"
    assert notice.subject == "[image-classification] retraining skipped: Waiting for more"
    assert notice.reason.partition("\n\n")[0] == NO_IMAGE


def test_what_was_taken_in_stays_taken_in_however_often_a_night_waits(
    new_laboratory: Laboratory,
) -> None:
    images = deliver_one_class(new_laboratory)
    with quick_work():
        nights = [new_laboratory.spend_night(force=force) for force in (False, True)]
    for night in nights:
        assert night.state == "success"
        assert night.tasks["train_network"] == "skipped"
        assert len(night.index) == images
        assert set(night.index["status"]) == {"accepted"}
        assert "the split validation has 0 patients of Parasitized" in night.outcome
        assert night.outcome.endswith(" 30 patients are known.")
        assert night.versions == {}


def test_training_alone_waits_too(new_laboratory: Laboratory) -> None:
    with quick_work():
        night = new_laboratory.spend_night("training")
    assert night.state == "success"
    assert night.tasks_that_are("success") == {
        "open_run",
        "select_images",
        "check_new_images",
        "close_run",
    }
    assert night.outcome.startswith("skipped: Waiting for more: the split train has 0 patients")


@pytest.mark.parametrize("pipeline", ["retraining", "training", "__default__"])
def test_a_kedro_run_waits_as_airflow_does(new_laboratory: Laboratory, pipeline: str) -> None:
    bootstrap_project(PROJECT)
    with quick_work(), NightSession.create(project_path=PROJECT) as session:
        session.run(pipeline_names=[pipeline])
    newest: Any = new_laboratory.client.search_runs(["1"], max_results=1)[0]
    assert newest.info.status == "FINISHED"
    assert newest.data.tags["outcome"].startswith("skipped: Waiting for more: the split train has")


def test_an_intake_alone_says_what_is_missing(
    new_laboratory: Laboratory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = Laboratory(tmp_path / "storage", new_laboratory.load_dag, new_laboratory.notes)
    monkeypatch.setenv("IMAGE_CLASSIFICATION_STORAGE", str(alone.storage))
    images = deliver_one_class(alone)
    with quick_work():
        night = alone.spend_night("data_processing")
    assert night.state == "success"
    assert night.tasks["announce_images"] == "success"
    assert night.outcome.startswith(f"took in uninfected: {images} images accepted")
    assert "Waiting for more: the split train has 0 patients of Parasitized" in night.outcome
