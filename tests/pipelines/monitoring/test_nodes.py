"""The pipeline `monitoring` over the project's catalog: the champion on the newest days."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner
from laboratory import Laboratory
from samples import NEGATIVE, POSITIVE, draw_image, name_cell

from image_classification.datasets import RegisteredImages, RegisteredNetwork
from image_classification.errors import RegistryError
from image_classification.gate import trend
from image_classification.gate.reference import REFERENCE_COLUMNS
from image_classification.intake.index import select_accepted
from image_classification.pipelines import monitoring
from image_classification.pipelines.monitoring import nodes

CLASSES = [NEGATIVE, POSITIVE]
RULE: dict[str, Any] = {
    "minimum_images": 8,
    "minimum_patients": 4,
    "maximum_days": 5,
    "maximum_accuracy_fall": 0.03,
    "confidence": 0.95,
    "resamples": 200,
}
NO_REFERENCES = pd.DataFrame(columns=REFERENCE_COLUMNS)
DAYS = ("20150901", "20150902", "20150903")


class Clock:
    """Stands for `datetime` in the nodes."""

    time = datetime(2026, 3, 1, 2, 5, tzinfo=UTC)

    @classmethod
    def now(cls, zone: tzinfo) -> datetime:
        return cls.time.astimezone(zone)


@pytest.fixture(scope="module")
def taken_in(tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    """An image of each class of each of 12 patients, four a day."""
    laboratory = Laboratory(tmp_path_factory.mktemp("laboratory"))
    files = {
        f"{label}/{name_cell(patient, number, DAYS[patient // 4])}": draw_image(
            2 * patient + number
        )
        for patient in range(12)
        for number, label in enumerate(CLASSES)
    }
    laboratory.deliver("b", files)
    laboratory.take_in()
    return laboratory


class Watch:
    """The pipeline over a storage root, with a champion that is right as often as it is told."""

    def __init__(self, laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch) -> None:
        self.laboratory = laboratory
        self.rule = dict(RULE)
        self.version = "3"
        self.loaded_version = "3"
        self.reference: str | None = "0.9500"
        self.trained = {"C8"}
        self.table: pd.DataFrame | None = self._split(self.trained)
        self.wrong = 0
        self.curves: Any = None
        self.opened = 0
        self.scored: list[int] = []
        self.catalog: DataCatalog
        monkeypatch.setattr(nodes.vision, "score_images", self._score)
        monkeypatch.setattr(nodes, "datetime", Clock)
        monkeypatch.setattr(Clock, "time", Clock.time)

    def _split(self, trained: set[str]) -> pd.DataFrame:
        table = select_accepted(self.laboratory.log())
        # `split` of the index is a hash of the name: what counts is what the champion was made of.
        return table.assign(split=np.where(table["patient"].isin(trained), "train", "test"))

    def train_on(self, *patients: str) -> None:
        self.table = self._split(set(patients))

    def _score(self, network: object, count: int, read: Any, name: Any) -> np.ndarray:
        self.scored.append(count)
        assert len(read(slice(0, count))) == count
        labels = [name(row).split("/")[1] for row in range(count)]
        right = np.array([[label == other for other in CLASSES] for label in labels], float)
        right[: self.wrong] = 1 - right[: self.wrong]
        return 0.9 * right + 0.05

    def _open(self) -> RegisteredNetwork | None:
        self.opened += 1
        return RegisteredNetwork(None, CLASSES, self.loaded_version)

    def _describe_champion(self) -> RegisteredImages | None:
        tags = {} if self.reference is None else {"validation_accuracy": self.reference}
        return RegisteredImages(self.version, self.table, tags, "abc") if self.version else None

    def run(self) -> dict[str, Any]:
        """Let a night pass; return the watch record."""
        self.catalog = self.laboratory.catalog(
            open_champion=MemoryDataset(self._open, copy_mode="assign"),
            champion_images=_Given(self._describe_champion()),
            champion_curves=MemoryDataset(),
            params_monitoring=self.rule,
            params_positive_class=POSITIVE,
        )
        self.plot.unlink(missing_ok=True)
        Clock.time += timedelta(seconds=1)
        SequentialRunner().run(monitoring.create_pipeline(), self.catalog)
        self.curves = self.catalog.load("champion_curves")
        watch: dict[str, Any] = self.catalog.load("champion_watch")
        return watch

    def trend(self) -> pd.DataFrame:
        table: pd.DataFrame = self.catalog.load("champion_trend")
        return table

    @property
    def plot(self) -> Path:
        return self.laboratory.storage / "runs" / "local" / "champion_trend.png"

    def predictions(self) -> pd.DataFrame:
        table: pd.DataFrame = self.catalog.load("newest_predictions")
        return table


class _Given(MemoryDataset):  # type: ignore[misc]
    """A value that may be None, which a MemoryDataset takes for none at all."""

    def __init__(self, value: object) -> None:
        super().__init__(copy_mode="assign")
        self._value = value

    def load(self) -> object:
        return self._value


@pytest.fixture
def watch(taken_in: Laboratory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    import shutil

    yield Watch(taken_in, monkeypatch)
    for folder in ("trend", "references"):
        shutil.rmtree(taken_in.storage / folder, ignore_errors=True)


def test_the_newest_images_of_unknown_patients_are_scored_and_no_others(watch: Watch) -> None:
    found = watch.run()

    predictions = watch.predictions()
    # The newest day brings C9 to C11: C8 was trained on. The day before makes them enough.
    assert set(predictions["patient"]) == {f"C{number}" for number in (4, 5, 6, 7, 9, 10, 11)}
    assert set(predictions["model_version"]) == {"3"}
    assert (found["images"], found["patients"]) == (14, 7)
    assert (found["from"], found["to"]) == ("2015-09-02", "2015-09-03")
    assert (found["version"], found["accuracy"], found["reference"]) == ("3", 1.0, 0.95)
    assert found["alert"] is False
    assert found["sentence"].startswith("champion v3 holds its level on the newest days: 1.000")


def test_a_night_adds_a_row_the_curves_and_a_figure(watch: Watch) -> None:
    found = watch.run()

    (row,) = watch.trend().to_dict("records")
    assert row["recorded_at"] == "2026-03-01T02:05:01+00:00"
    assert (row["model_version"], row["images"], row["accuracy"]) == ("3", 14, 1.0)
    assert row["sentence"] == found["sentence"]
    assert [point["value"] for point in watch.curves["newest_accuracy"]] == [1.0]
    assert watch.plot.read_bytes().startswith(b"\x89PNG")


def test_a_task_that_is_tried_again_adds_no_row_and_the_next_night_does(watch: Watch) -> None:
    watch.run()
    Clock.time = datetime(2026, 3, 1, 3, 5, tzinfo=UTC)
    again = watch.run()
    assert again["accuracy"] == 1.0
    assert len(watch.trend()) == 1
    assert len(watch.curves["newest_accuracy"]) == 1

    Clock.time = datetime(2026, 3, 2, 2, 5, tzinfo=UTC)
    watch.run()
    assert watch.trend()["recorded_at"].str[:10].tolist() == ["2026-03-01", "2026-03-02"]
    assert [point["step"] for point in watch.curves["newest_accuracy"]] == [1, 2]


def test_another_champion_or_other_images_of_the_same_day_are_another_row(watch: Watch) -> None:
    watch.run()
    watch.version = watch.loaded_version = "4"
    watch.run()
    watch.train_on("C9")
    watch.run()

    assert watch.trend()["model_version"].tolist() == ["3", "4", "4"]


def test_a_fall_alerts_and_the_log_warns_of_it(
    watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    watch.wrong = 7
    with caplog.at_level("INFO"):
        found = watch.run()

    assert found["accuracy"] == 0.5
    assert found["alert"] is True
    assert watch.trend()["alert"].tolist() == [True]
    warned = [entry.message for entry in caplog.records if entry.levelname == "WARNING"]
    assert found["sentence"] in warned
    assert found["sentence"].startswith("the world changed: champion v3 has 0.500")


def test_without_a_champion_nothing_is_recorded_and_the_record_says_so(watch: Watch) -> None:
    watch.version = ""
    found = watch.run()

    assert found["version"] is None
    assert found["sentence"] == "no champion was measured on the newest days: there is none yet"
    assert watch.opened == 0
    assert len(watch.trend()) == 0
    assert watch.curves == {}
    assert not watch.plot.exists()


def test_too_few_images_give_no_number_and_a_row_that_says_so(watch: Watch) -> None:
    watch.rule["minimum_images"] = 99
    found = watch.run()

    assert found["accuracy"] is None
    assert found["alert"] is False
    assert "22 images of 11 patients that it was not trained on" in found["sentence"]
    assert watch.opened == 0
    assert watch.trend()["accuracy"].isna().tolist() == [True]
    assert watch.trend()["sentence"].tolist() == [found["sentence"]]
    assert watch.curves["newest_accuracy"] == []
    assert not watch.plot.exists()

    watch.rule["minimum_images"] = 8
    watch.run()
    assert watch.trend()["accuracy"].isna().tolist() == [True, False]
    assert [point["step"] for point in watch.curves["newest_accuracy"]] == [2]
    assert watch.plot.exists()


def test_a_champion_trained_on_everybody_is_not_measured(watch: Watch) -> None:
    watch.train_on(*(f"C{number}" for number in range(12)))
    assert "0 images of 0 patients" in watch.run()["sentence"]


def test_a_champion_of_unknown_patients_is_not_measured(watch: Watch) -> None:
    watch.table = None
    found = watch.run()

    assert found["version"] == "3"
    assert found["accuracy"] is None
    assert found["sentence"].endswith("it is not known which patients it was trained on")


def test_a_champion_that_was_never_judged_is_measured_without_an_alert(watch: Watch) -> None:
    watch.reference, watch.wrong = None, 14
    found = watch.run()

    assert (found["accuracy"], found["reference"], found["alert"]) == (0.0, None, False)


def test_images_that_are_held_are_not_scored(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    log = watch.laboratory.log()
    log.loc[log["patient"] == "C11", "status"] = "held"
    facts = nodes.score_newest_days(
        watch._open,
        watch._describe_champion(),
        log,
        watch.laboratory.catalog().load("image_batches"),
        NO_REFERENCES,
        watch.rule,
    )
    assert "C11" not in set(facts[0]["patient"])


def test_a_champion_that_changes_between_two_looks_is_not_measured_by_half(watch: Watch) -> None:
    watch.loaded_version = "4"
    found = watch.run()
    assert found["accuracy"] is None
    assert "was version 3 and is now 4" in found["sentence"]


def test_a_champion_that_cannot_be_loaded_is_an_alert_and_no_failure(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone() -> RegisteredNetwork:
        raise RegistryError("the files of version 3 are gone")

    monkeypatch.setattr(watch, "_open", gone)
    found = watch.run()
    assert (found["accuracy"], found["alert"]) == (None, True)
    assert "it cannot be loaded: the files of version 3 are gone" in found["sentence"]


def test_scores_are_those_of_the_comparison(
    taken_in: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    from image_classification.pipelines.promotion.nodes import score_champion
    from image_classification.vision import build_network

    champion = RegisteredNetwork(build_network("small", 16, 2, 0.0), CLASSES, "3")
    log = taken_in.log()
    batches = taken_in.catalog().load("image_batches")
    images = RegisteredImages("3", select_accepted(log).assign(split="validation"), {})

    newest, facts, _ = nodes.score_newest_days(
        lambda: champion, images, log, batches, NO_REFERENCES, {**RULE, "minimum_images": 24}
    )

    splits = select_accepted(log).assign(split="validation")
    compared, scoring = score_champion(lambda: champion, CLASSES, batches, splits)
    assert facts["fault"] == scoring["fault"] == ""
    pd.testing.assert_frame_equal(newest.drop(columns="day"), compared, check_dtype=False)


def test_the_table_of_the_trend_has_the_columns_that_the_code_writes(
    taken_in: Laboratory,
) -> None:
    for name in ("known_trend", "champion_trend"):
        assert taken_in.catalog()[name]._columns == trend.TREND_COLUMNS


class TestCorrectedLabels:
    """Of the champion's validation images, since it was judged."""

    @pytest.fixture
    def corrected(self, watch: Watch) -> Watch:
        """Four validation images of two patients; one of them had another label."""
        table = select_accepted(watch.laboratory.log())
        splits = table["patient"].map({"C8": "train", "C0": "validation", "C1": "validation"})
        wrong = (table["patient"] == "C0") & (table["label"] == POSITIVE)
        watch.table = table.assign(
            split=splits.fillna("test"), label=table["label"].mask(wrong, NEGATIVE)
        )
        return watch

    def test_the_reference_is_measured_again_with_the_labels_that_hold_now(
        self, corrected: Watch
    ) -> None:
        found = corrected.run()
        assert found["reference"] == 1.0
        assert "1.000 when it was promoted (measured again: 1 of its" in found["sentence"]
        (row,) = corrected.catalog.load("champion_references").to_dict("records")
        assert (row["model_version"], row["run_id"], row["images"]) == ("3", "abc", 4)
        assert (row["corrected"], row["accuracy"], row["before"]) == (1, 1.0, 0.95)

    def test_it_is_measured_once(self, corrected: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
        corrected.run()
        assert len(corrected.scored) == 2
        assert corrected.run()["reference"] == 1.0
        assert len(corrected.scored) == 3
        assert len(corrected.catalog.load("champion_references")) == 1

    def test_other_labels_and_other_versions_are_measured_anew(self, corrected: Watch) -> None:
        corrected.run()
        assert corrected.table is not None
        corrected.table.loc[corrected.table["patient"] == "C2", "split"] = "validation"
        corrected.run()
        assert corrected.catalog.load("champion_references")["images"].tolist() == [4, 6]

    def test_it_is_measured_where_the_newest_days_are_too_few(self, corrected: Watch) -> None:
        corrected.rule["minimum_images"] = 99
        found = corrected.run()
        assert (found["accuracy"], found["reference"]) == (None, 1.0)
        assert corrected.opened == 1

    def test_a_corrected_training_image_changes_no_reference(self, corrected: Watch) -> None:
        assert corrected.table is not None
        corrected.table["split"] = np.where(corrected.table["patient"] == "C0", "train", "test")
        found = corrected.run()
        assert found["reference"] == 0.95
        assert "measured again" not in found["sentence"]
        assert corrected.catalog.load("champion_references").empty

    def test_a_champion_that_was_never_judged_has_no_reference_to_measure(
        self, corrected: Watch
    ) -> None:
        corrected.reference = None
        assert corrected.run()["reference"] is None
        assert corrected.catalog.load("champion_references").empty

    def test_a_champion_that_cannot_be_loaded_keeps_the_old_one(self, corrected: Watch) -> None:
        corrected.loaded_version = "4"
        assert corrected.run()["reference"] == 0.95
        assert corrected.catalog.load("champion_references").empty


def test_the_table_of_the_references_has_the_columns_that_the_code_writes(
    taken_in: Laboratory,
) -> None:
    for name in ("known_references", "champion_references"):
        assert taken_in.catalog()[name]._columns == REFERENCE_COLUMNS
