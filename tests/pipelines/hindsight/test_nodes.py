"""The pipeline `hindsight` over the project's catalog: past decisions, judged by later images."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from judgement import make_entry
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner
from laboratory import Laboratory
from ledger_store import write_earlier
from samples import NEGATIVE, POSITIVE, draw_image, name_cell

from image_classification.errors import RegistryError
from image_classification.gate.finding import FINDING_COLUMNS
from image_classification.intake.index import select_accepted
from image_classification.pipelines import hindsight
from image_classification.pipelines.hindsight import nodes

CLASSES = [NEGATIVE, POSITIVE]
RULE: dict[str, Any] = {
    "maximum_decisions": 5,
    "maximum_decision_images": 100,
    "maximum_images": 1000,
    "minimum_images": 8,
    "minimum_patients": 4,
    "confidence": 0.95,
    "resamples": 200,
    "tolerated_loss": 0.01,
}
LATER_PATIENTS = {f"C{number}" for number in range(4, 12)}


@pytest.fixture(scope="module")
def taken_in(tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    """An image of each class of each of 12 patients."""
    laboratory = Laboratory(tmp_path_factory.mktemp("laboratory"))
    files = {
        f"{label}/{name_cell(patient, number)}": draw_image(2 * patient + number)
        for patient in range(12)
        for number, label in enumerate(CLASSES)
    }
    laboratory.deliver("b", files)
    laboratory.take_in()
    return laboratory


class Registry:
    """Stands for the registered model: who was made from what, and what is gone."""

    name = "test-classifier"

    def __init__(self, images: pd.DataFrame) -> None:
        self.images = images
        self.champion: str | None = "1"
        self.trained = {"1": {"C0"}, "4": {"C0", "C1"}, "5": {"C0", "C1"}}
        self.gone: dict[str, str] = {}
        self.opened: list[str] = []

    def find_champion(self) -> str | None:
        return self.champion

    def identify(self, version: str) -> str:
        return f"v{version}-run"

    def read_images(self, version: str) -> pd.DataFrame:
        if self.gone.get(version) == "table":
            raise RegistryError(f"Version {version} keeps no table of its images")
        # Every version has C0 to C2 in its table; C3 is whom the decisions were made by.
        known = self.images[self.images["patient"].isin(["C0", "C1", "C2"])]
        is_trained = known["patient"].isin(self.trained[version])
        return known.assign(split=np.where(is_trained, "train", "validation"))

    def open_network(self, version: str) -> Any:
        self.opened.append(version)
        if self.gone.get(version) == "model":
            raise RegistryError(f"The files of version {version} are gone")
        return SimpleNamespace(network=version, class_names=CLASSES)


class Past:
    """The pipeline over a storage root, with versions that are wrong as often as they are told."""

    def __init__(self, laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch) -> None:
        self.laboratory = laboratory
        self.rule = dict(RULE)
        self.registry = Registry(select_accepted(laboratory.log()))
        self.wrong = {"1": 8, "4": 0, "5": 16}
        self.unreadable: set[str] = set()
        self.scored: list[tuple[str, str]] = []
        self.catalog: DataCatalog
        monkeypatch.setattr(nodes.vision, "score_sound_images", self._score)

    def decide(self, event: str, version: str, before: str, after: str, day: int = 12) -> None:
        decision = {
            "facts": {"challenger_data_until": "2026-03-01T02:00:00+00:00"},
            "validation_patients": ["C3"],
        }
        entry = make_entry(event, version, before, after, decision=decision)
        entry |= {
            "model": "test-classifier",
            "mlflow_run_id": f"r{day}",
            "at": f"2026-03-{day}T02:30:00+00:00",
        }
        write_earlier(self.laboratory.storage / "ledger", f"r{day}", entry)

    def _score(self, network: str, count: int, read: Any) -> tuple[np.ndarray, list[str]]:
        contents = read(slice(0, count))
        assert len(contents) == count
        rows = self.catalog.load("hindsight_scoring").query("version == @network")
        self.scored += [(network, image) for image in rows["image_id"]]
        labels = [path.split("/")[1] for path in rows["path"]]
        right = np.array([[label == other for other in CLASSES] for label in labels], float)
        right[: self.wrong[network]] = 1 - right[: self.wrong[network]]
        reasons = [content if isinstance(content, str) else "" for content in contents]
        return right, reasons

    def run(self, *names: str) -> dict[str, Any]:
        """Look back; return the report."""
        self.catalog = self.laboratory.catalog(
            registered_model=MemoryDataset(self.registry, copy_mode="assign"),
            params_hindsight=self.rule,
        )
        pipeline = hindsight.create_pipeline()
        SequentialRunner().run(pipeline.only_nodes(*names) if names else pipeline, self.catalog)
        report: dict[str, Any] = self.catalog.load("hindsight_report")
        return report

    def findings(self) -> pd.DataFrame:
        table: pd.DataFrame = self.catalog.load("hindsight_findings")
        return table


@pytest.fixture
def past(taken_in: Laboratory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Past]:
    yield Past(taken_in, monkeypatch)
    for folder in ("hindsight", "ledger", "runs"):
        shutil.rmtree(taken_in.storage / folder, ignore_errors=True)


def test_images_that_hindsight_uses_were_seen_by_neither_model(past: Past) -> None:
    past.decide("kept champion", "4", "1", "1")
    past.run()

    used = past.catalog.load("hindsight_images")
    assert set(used["patient"]) == LATER_PATIENTS
    for version in ("4", "1"):
        table = past.registry.read_images(version)
        assert not set(used["image_id"]) & set(table["image_id"])
        assert not set(used["patient"]) & set(table.query("split == 'train'")["patient"])
    assert {image for _, image in past.scored} == set(used["image_id"])


def test_a_champion_that_was_kept_against_a_better_one_is_a_missed_promotion(past: Past) -> None:
    past.decide("kept champion", "4", "1", "1")
    (found,) = past.run()["findings"]

    assert (found["images"], found["patients"]) == (16, 8)
    assert (found["gain"], found["outcome"]) == (0.5, "missed promotion")
    # All 24 images came after the decision, and half of what came is misread.
    assert found["misread"] == 12
    assert "on 16 images of 8 patients that came later v4 was better by 50.0" in found["sentence"]
    assert past.findings()["sentence"].tolist() == [found["sentence"]]
    assert list(past.findings()) == FINDING_COLUMNS


def test_a_wrong_promotion_of_the_champion_asks_for_a_rollback(
    past: Past, caplog: pytest.LogCaptureFixture
) -> None:
    past.decide("promoted", "5", "1", "5")
    past.registry.champion = "5"
    with caplog.at_level("INFO"):
        regret = past.run()["regret"]

    assert (regret["version"], regret["against"], regret["is_new"]) == ("5", "1", True)
    assert "`image-classification rollback 1 --reason" in regret["advice"]
    warned = [entry.message for entry in caplog.records if entry.levelname == "WARNING"]
    assert f"{regret['sentence']}. {regret['advice']}" in warned
    assert past.registry.champion == "5"


def test_a_wrong_promotion_that_was_undone_asks_for_nothing(past: Past) -> None:
    past.decide("promoted", "5", "1", "5")
    past.decide("rolled back", "1", "5", "1", day=13)
    report = past.run()
    assert [one["outcome"] for one in report["findings"]] == ["wrong promotion", "right rollback"]
    assert report["regret"] is None


def test_what_was_scored_is_kept_and_never_asked_again(past: Past) -> None:
    past.decide("kept champion", "4", "1", "1")
    past.run()
    assert len(past.scored) == len(set(past.scored)) == 32
    past.scored.clear()
    past.registry.opened.clear()

    past.run()
    assert past.scored == past.registry.opened == []
    assert len(past.findings()) == 1


def test_a_version_of_two_decisions_answers_once(past: Past) -> None:
    past.decide("kept champion", "4", "1", "1")
    past.decide("kept champion", "5", "1", "1", day=13)
    report = past.run()
    assert sorted({version for version, _ in past.scored}) == ["1", "4", "5"]
    assert len(past.scored) == len(set(past.scored)) == 48
    assert [one["outcome"] for one in report["findings"]] == ["missed promotion", "right to keep"]


def test_the_cost_of_a_night_is_bounded_and_the_next_goes_on(past: Past) -> None:
    past.wrong = dict.fromkeys(past.wrong, 0)
    past.decide("kept champion", "4", "1", "1")
    past.rule["maximum_images"] = 20
    (found,) = past.run()["findings"]
    assert (len(past.scored), found["images"]) == (20, 10)
    (found,) = past.run()["findings"]
    assert (len(past.scored), found["images"]) == (32, 16)


def test_only_the_last_decisions_are_looked_at(past: Past) -> None:
    past.decide("kept champion", "4", "1", "1")
    past.decide("kept champion", "5", "1", "1", day=13)
    past.rule["maximum_decisions"] = 1
    report = past.run()
    assert [one["version"] for one in report["findings"]] == ["5"]


def test_of_one_decision_only_the_first_images_are_looked_at(past: Past) -> None:
    past.decide("kept champion", "4", "1", "1")
    past.rule["maximum_decision_images"] = 10
    assert past.run()["findings"][0]["images"] == 10


def test_a_model_that_is_gone_is_told_and_the_others_are_judged(past: Past) -> None:
    past.decide("kept champion", "4", "1", "1")
    past.decide("kept champion", "5", "1", "1", day=13)
    past.registry.gone = {"5": "model"}
    first, second = past.run()["findings"]
    assert first["outcome"] == "missed promotion"
    assert second["outcome"] == "cannot be told"
    assert second["sentence"].endswith("cannot be told: The files of version 5 are gone")


def test_a_model_that_went_after_it_had_answered_is_judged_by_its_answers(past: Past) -> None:
    past.decide("kept champion", "4", "1", "1")
    past.rule["maximum_images"] = 20
    past.run()
    past.registry.gone = {"4": "model"}
    assert past.run()["findings"][0]["images"] == 10


def test_a_table_that_is_gone_is_told_and_the_others_are_judged(past: Past) -> None:
    past.decide("kept champion", "4", "1", "1")
    past.decide("kept champion", "5", "1", "1", day=13)
    past.registry.gone = {"4": "table"}
    first, second = past.run()["findings"]
    assert first["sentence"].endswith("cannot be told: Version 4 keeps no table of its images")
    assert second["outcome"] == "right to keep"


def test_an_image_that_cannot_be_read_is_left_out_and_not_tried_again(
    past: Past, taken_in: Laboratory
) -> None:
    log = taken_in.log()
    path = taken_in.storage / "images" / log.loc[log["patient"] == "C7", "path"].iloc[0]
    content = path.read_bytes()
    path.unlink()
    try:
        past.decide("kept champion", "4", "1", "1")
        assert past.run()["findings"][0]["images"] == 15
        past.scored.clear()
        past.run()
        assert past.scored == []
    finally:
        path.write_bytes(content)


@pytest.mark.parametrize("champion", [None, "1"])
def test_the_first_nights_have_nothing_to_look_back_on(past: Past, champion: str | None) -> None:
    past.registry.champion = champion
    if champion:
        past.decide("promoted", "1", "", "1")
    report = past.run()
    assert report == {
        "summary": "no decision between two versions to look back on",
        "findings": [],
        "regret": None,
    }
    assert past.registry.opened == []
    assert len(past.findings()) == 0


def test_the_ledger_of_another_model_is_left_alone(past: Past) -> None:
    past.decide("kept champion", "4", "1", "1")
    past.registry.name = "another"
    assert past.run()["findings"] == []


def test_a_decision_of_tonight_has_no_later_images(past: Past) -> None:
    past.decide("kept champion", "4", "1", "1")
    (entry,) = past.laboratory.catalog().load("ledger").values()
    entry["decision"] = {"facts": {"challenger_data_until": "2099-01-01T00:00:00+00:00"}}
    write_earlier(past.laboratory.storage / "ledger", "r12", entry)
    (found,) = past.run()["findings"]
    assert (found["images"], found["outcome"]) == (0, "not clear yet")
    assert past.registry.opened == []


def test_nothing_else_is_written_and_the_champion_stays(past: Past) -> None:
    past.decide("promoted", "5", "1", "5")
    past.registry.champion = "5"

    def rest() -> dict[str, bytes]:
        found = past.laboratory.snapshot()
        return {name: found[name] for name in found if Path(name).parts[0] != "hindsight"}

    before = rest()
    past.run()
    assert rest() == before
    assert past.registry.champion == "5"


def test_a_scoring_that_is_killed_keeps_the_versions_that_have_answered(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    past.decide("kept champion", "4", "1", "1")
    open_network = past.registry.open_network

    def open_or_die(version: str) -> Any:
        if version == "1":
            raise KeyboardInterrupt
        return open_network(version)

    monkeypatch.setattr(past.registry, "open_network", open_or_die)
    with pytest.raises(KeyboardInterrupt):
        past.run()
    assert {version for version, _ in past.scored} == {"4"}
    monkeypatch.undo()
    monkeypatch.setattr(nodes.vision, "score_sound_images", past._score)
    past.run()
    assert len(past.scored) == len(set(past.scored)) == 32


def test_the_table_of_the_findings_has_the_columns_that_the_code_writes(
    taken_in: Laboratory,
) -> None:
    for name in ("known_findings", "hindsight_findings"):
        assert taken_in.catalog()[name]._columns == FINDING_COLUMNS
