"""Challenger and champion scored on the same images, and compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from judgement import CLASSES, NEGATIVE, POSITIVE, make_facts, make_policy, predict
from matplotlib.figure import Figure

from image_classification.datasets import RegisteredNetwork
from image_classification.errors import DataError, RegistryError
from image_classification.gate import judgement
from image_classification.gate.comparison import compare_predictions
from image_classification.gate.prediction import PREDICTION_NAMES, read_predictions
from image_classification.pipelines.promotion import nodes
from image_classification.pipelines.promotion.nodes import (
    compare_models,
    score_challenger,
    score_champion,
)

CATALOG = Path(__file__).resolve().parents[3] / "conf" / "base" / "catalog.yml"
POLICY = make_policy(minimum_patients=2, minimum_patient_images=3)
OURS = {"C1": "1111", "C2": "1110"}
THEIRS = {"C1": "1011", "C2": "1100"}
NO_CHAMPION = predict(THEIRS).iloc[:0]

IMAGES = pd.DataFrame(
    {
        "image_id": ["d", "a", "c", "b"],
        "image_name": ["4.png", "1.png", "3.png", "2.png"],
        "path": ["d.png", "a.png", "c.png", "b.png"],
        "patient": ["C2", "C1", "C3", "C1"],
        "label": [POSITIVE, POSITIVE, NEGATIVE, NEGATIVE],
        "split": ["validation", "validation", "train", "validation"],
    }
)


class Batches:
    """The image files: each holds its own path."""

    def read_images(self, images: pd.DataFrame) -> list[bytes]:
        return [path.encode() for path in images["path"]]


@pytest.fixture(autouse=True)
def scored(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, list[bytes]]]:
    """What was scored by which network; a network is the probability of its first class."""
    calls: list[tuple[Any, list[bytes]]] = []

    def score(network: Any, count: int, read: Any, name: Any) -> Any:
        calls.append((network, read(slice(0, count))))
        assert [name(number) for number in range(count)] == [
            content.decode() for content in calls[-1][1]
        ]
        return np.tile(np.array([network, 1 - network], np.float32), (count, 1))

    monkeypatch.setattr(nodes.vision, "score_images", score)
    return calls


def score_against(champion: Any, class_names: list[str] = CLASSES) -> Any:
    def open_champion() -> Any:
        if isinstance(champion, Exception):
            raise champion
        return champion

    return score_champion(open_champion, class_names, Batches(), IMAGES)  # type: ignore[arg-type]


def compare(
    ours: pd.DataFrame | None = None, theirs: pd.DataFrame | None = None, fault: str = ""
) -> tuple[dict[str, Any], Figure]:
    ours = predict(OURS, "2") if ours is None else ours
    theirs = predict(THEIRS, "1") if theirs is None else theirs
    return compare_models(ours, theirs, {"fault": fault}, CLASSES, POSITIVE, POLICY)


class TestScoring:
    def test_both_models_score_the_validation_images_in_the_same_order(
        self, scored: list[tuple[Any, list[bytes]]]
    ) -> None:
        challenger = score_challenger(0.9, CLASSES, Batches(), IMAGES)  # type: ignore[arg-type]
        champion, scoring = score_against(RegisteredNetwork(0.2, CLASSES, "7"))
        assert scored == [(0.9, [b"a.png", b"b.png", b"d.png"]), (0.2, scored[0][1])]
        assert scoring == {"fault": ""}
        for table, version, called in ((challenger, "", POSITIVE), (champion, "7", NEGATIVE)):
            assert table["image_id"].tolist() == ["a", "b", "d"]
            assert table["patient"].tolist() == ["C1", "C1", "C2"]
            assert table["label"].tolist() == [POSITIVE, NEGATIVE, POSITIVE]
            assert set(table["category"]) == {called}
            assert set(table["model_version"]) == {version}
        assert challenger.columns.tolist() == champion.columns.tolist()
        compare_predictions(challenger, champion, CLASSES, POSITIVE, POLICY)

    def test_a_registered_challenger_is_scored_by_its_own_classes_and_named(self) -> None:
        registered = RegisteredNetwork(0.9, CLASSES[::-1], "8")
        table = score_challenger(registered, CLASSES, Batches(), IMAGES)  # type: ignore[arg-type]
        assert set(table["category"]) == {NEGATIVE}
        assert set(table["model_version"]) == {"8"}

    def test_no_champion_is_no_fault(self, scored: list[Any]) -> None:
        table, scoring = score_against(None)
        assert scoring == {"fault": ""}
        assert len(table) == 0
        assert scored == []
        full, _ = score_against(RegisteredNetwork(0.9, CLASSES, "7"))
        assert table.columns.tolist() == full.columns.tolist()

    def test_a_champion_that_cannot_be_loaded_is_a_fault_and_the_night_goes_on(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        table, scoring = score_against(RegistryError("its files are gone"))
        assert scoring == {"fault": "its files are gone"}
        assert len(table) == 0
        assert "The champion cannot be scored: its files are gone" in caplog.text

    @pytest.mark.parametrize(
        "classes", [CLASSES[::-1], [POSITIVE], [*CLASSES, "smudge"], ["parasitized", NEGATIVE]]
    )
    def test_a_champion_of_other_classes_is_a_fault_that_names_both(
        self, classes: list[str], scored: list[Any]
    ) -> None:
        table, scoring = score_against(RegisteredNetwork(0.9, classes, "7"))
        assert scoring["fault"] == (
            f"version 7 knows the classes {', '.join(classes)}; today's are {', '.join(CLASSES)}"
        )
        assert len(table) == 0
        assert scored == []

    def test_a_store_that_does_not_answer_is_no_fault_of_the_champion(self) -> None:
        with pytest.raises(TimeoutError):
            score_against(TimeoutError("no answer"))


class TestComparison:
    def test_the_comparison_is_that_of_the_two_tables(self) -> None:
        comparison, figure = compare()
        assert comparison == compare_predictions(
            predict(OURS, "2"), predict(THEIRS, "1"), CLASSES, POSITIVE, POLICY
        )
        assert comparison["tests"]["gain"] == 0.25
        assert isinstance(figure, Figure)

    def test_the_fault_of_the_champion_refuses_the_challenger(self) -> None:
        comparison, figure = compare(theirs=NO_CHAMPION, fault="its files are gone")
        decision = judgement.judge(comparison, make_facts(), POLICY)
        assert decision["verdict"] == "refuse"
        assert "its files are gone" in decision["reason"]
        assert "its files are gone" in [text.get_text() for text in figure.axes[0].texts]

    def test_without_a_champion_the_challenger_stands_alone(self) -> None:
        comparison, figure = compare(theirs=NO_CHAMPION)
        assert comparison["champion"] is None
        assert comparison["challenger"]["metrics"]["accuracy"] == 7 / 8
        assert [text.get_text() for text in figure.axes[0].texts] == ["no champion yet"]

    def test_the_log_tells_the_gain_before_anything_is_decided(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        compare()
        assert "On the same images: challenger +25.0 points (95 % CI" in caplog.text

    def test_a_comparison_on_other_images_is_an_error(self) -> None:
        theirs = predict(THEIRS, "1")
        theirs.loc[3, "image_id"] = "id-elsewhere"
        with pytest.raises(DataError, match="not scored on the same images"):
            compare(theirs=theirs)


class TestFiles:
    """Between the tasks, the tables are files of the catalog."""

    def pass_on(self, table: pd.DataFrame, entry: str, folder: Path) -> pd.DataFrame:
        from kedro_datasets.pandas import CSVDataset

        described = yaml.safe_load(CATALOG.read_text())[entry]["dataset"]
        dataset = CSVDataset(
            filepath=str(folder / f"{entry}.csv"), load_args=described["load_args"]
        )
        dataset.save(table)
        pd.testing.assert_frame_equal(
            dataset.load(), read_predictions((folder / f"{entry}.csv").open("rb"))
        )
        return dataset.load()

    @pytest.mark.parametrize("version", ["", "7", "12"])
    @pytest.mark.parametrize("champion", [predict(THEIRS, "6"), NO_CHAMPION])
    def test_a_comparison_survives_them(
        self, tmp_path: Path, version: str, champion: pd.DataFrame
    ) -> None:
        ours = predict(OURS, version)
        comparison, _ = compare(
            self.pass_on(ours, "challenger_predictions", tmp_path),
            self.pass_on(champion, "champion_predictions", tmp_path),
        )
        assert comparison == compare(ours, champion)[0]
        assert comparison["challenger"]["version"] == version

    def test_a_patient_that_a_model_was_trained_on_is_recognised(self, tmp_path: Path) -> None:
        ours = predict({"007": "1111", "12": "1110"})
        comparison, _ = compare(self.pass_on(ours, "challenger_predictions", tmp_path), NO_CHAMPION)
        trained = pd.DataFrame({"patient": ["007"], "split": ["train"]})
        assert judgement.find_seen(trained, comparison["validation_patients"]) == ["007"]

    def test_the_catalog_reads_every_table_of_predictions_by_names(self) -> None:
        catalog = yaml.safe_load(CATALOG.read_text())
        for name in ("challenger", "champion", "validation", "test"):
            read = catalog[f"{name}_predictions"]["dataset"]["load_args"]
            assert read["dtype"] == dict.fromkeys(PREDICTION_NAMES, "str")
