"""Challenger and champion on the same images: tests, intervals and slices."""

from __future__ import annotations

import io
import json
from math import comb
from typing import Any

import numpy as np
import pandas as pd
import pytest
from judgement import CLASSES, NEGATIVE, POSITIVE, make_policy, predict

from image_classification.errors import DataError
from image_classification.gate.bootstrap import bootstrap_patients
from image_classification.gate.comparison import (
    bootstrap_gain,
    compare_predictions,
    measure_mcnemar,
    read_version,
)
from image_classification.gate.prediction import read_predictions

POLICY = make_policy(minimum_patient_images=3)
OURS = {"C1": "1111", "C2": "110", "C10": "01"}
THEIRS = {"C1": "1110", "C2": "101", "C10": "01"}


def compare(
    ours: pd.DataFrame | None = None, theirs: pd.DataFrame | None = None, fault: str = ""
) -> dict[str, Any]:
    ours = predict(OURS, "2") if ours is None else ours
    theirs = predict(THEIRS, "1") if theirs is None else theirs
    return compare_predictions(ours, theirs, CLASSES, POSITIVE, POLICY, fault)


class TestMcNemar:
    @pytest.mark.parametrize(
        ("only_challenger", "only_champion", "p_value"),
        [
            (0, 0, 1),
            (1, 0, 1 / 2),
            (0, 1, 1),
            (1, 1, 3 / 4),
            (5, 0, 1 / 32),
            (0, 5, 1),
            (6, 1, 8 / 128),  # 7 + 1 of the 128 ways
            (10, 2, 79 / 4096),  # 66 + 12 + 1 of the 4096 ways
            (2, 10, 4083 / 4096),  # all but the 12 + 1 with fewer
            (100, 100, 0.5 + comb(200, 100) / 2**201),
        ],
    )
    def test_p_values_counted_by_hand(
        self, only_challenger: int, only_champion: int, p_value: float
    ) -> None:
        assert measure_mcnemar(only_challenger, only_champion) == pytest.approx(p_value, rel=1e-12)

    def test_it_is_the_upper_tail_of_a_fair_coin_for_every_small_table(self) -> None:
        for differing in range(1, 25):
            ways = [comb(differing, heads) for heads in range(differing + 1)]
            for heads in range(differing + 1):
                tail = sum(ways[heads:]) / 2**differing
                assert measure_mcnemar(heads, differing - heads) == pytest.approx(tail, rel=1e-12)


class TestInterval:
    @pytest.mark.parametrize("gain", [20.0, 0.0, -5.0])
    def test_one_patient_tells_nothing_of_others(self, gain: float) -> None:
        interval = bootstrap_gain(np.array([gain]), np.array([20.0]), 0.95, 999)
        assert interval == (-1.0, 1.0)

    def test_from_two_patients_on_it_is_drawn_over_patients(self) -> None:
        gains, images = np.array([3.0, -1.0]), np.array([20.0, 30.0])
        drawn = bootstrap_patients(gains, images, 0.95, 999)
        assert bootstrap_gain(gains, images, 0.95, 999) == drawn
        assert drawn != (-1.0, 1.0)


class TestComparison:
    def test_two_models_are_described_and_tested_on_their_images(self) -> None:
        found = compare()
        assert set(found) == {
            "challenger",
            "champion",
            "champion_fault",
            "positive_class",
            "images",
            "patients",
            "validation_patients",
            "majority",
            "tests",
            "slices",
        }
        assert (found["images"], found["patients"]) == (9, 3)
        assert found["validation_patients"] == ["C1", "C10", "C2"]
        labels = predict(OURS, "2")["label"].value_counts()
        assert found["majority"] == {"class": labels.index[0], "share": labels.iloc[0] / 9}
        assert found["positive_class"] == POSITIVE
        for role in ("challenger", "champion"):
            assert set(found[role]["classes"]) == set(CLASSES)
            recalls = {name: one["recall"] for name, one in found[role]["classes"].items()}
            assert recalls[POSITIVE] == pytest.approx(found[role]["metrics"]["sensitivity"])
        assert found["challenger"]["version"] == "2"
        assert found["champion"]["version"] == "1"
        assert found["challenger"]["metrics"]["accuracy"] == pytest.approx(7 / 9)
        assert found["champion"]["metrics"]["accuracy"] == pytest.approx(6 / 9)
        tests = found["tests"]
        assert tests["gain"] == pytest.approx(1 / 9)
        assert (tests["only_challenger_right"], tests["only_champion_right"]) == (2, 1)
        assert tests["p_value"] == 0.5
        assert (tests["confidence"], tests["patients"]) == (0.95, 3)
        assert tests["low"] <= 1 / 9 <= tests["high"]
        assert json.loads(json.dumps(found, allow_nan=False)) == found

    def test_the_interval_is_drawn_over_the_patients(self) -> None:
        tests = compare()["tests"]
        # By name: C1 gains one of four, C10 none of two, C2 none of three.
        assert (tests["low"], tests["high"]) == bootstrap_gain(
            np.array([1.0, 0.0, 0.0]), np.array([4.0, 2.0, 3.0]), 0.95, 100
        )

    def test_a_patient_with_just_enough_images_is_a_slice_and_one_with_fewer_is_not(self) -> None:
        assert compare()["slices"] == [
            {"patient": "C1", "images": 4, "challenger": 1.0, "champion": 0.75},
            {"patient": "C2", "images": 3, "challenger": 2 / 3, "champion": 2 / 3},
        ]

    def test_without_a_champion_there_is_nothing_to_test(self) -> None:
        found = compare(theirs=predict(THEIRS).iloc[:0])
        assert (found["champion"], found["tests"], found["champion_fault"]) == (None, None, "")
        assert [row["champion"] for row in found["slices"]] == [None, None]
        assert found["challenger"]["metrics"]["accuracy"] == pytest.approx(7 / 9)

    @pytest.mark.parametrize("rows", [0, 5, 9])
    def test_a_champion_with_a_fault_is_not_compared_whatever_it_left_behind(
        self, rows: int
    ) -> None:
        found = compare(theirs=predict(THEIRS).iloc[:rows], fault="out of memory")
        assert (found["champion"], found["tests"]) == (None, None)
        assert found["champion_fault"] == "out of memory"

    def test_no_validation_image_is_an_error(self) -> None:
        with pytest.raises(DataError, match="no validation image to judge"):
            compare(ours=predict(OURS).iloc[:0])

    @pytest.mark.parametrize("column", ["image_id", "patient", "label"])
    def test_another_image_patient_or_label_is_an_error(self, column: str) -> None:
        theirs = predict(THEIRS)
        theirs.loc[3, column] = {"image_id": "id-9", "patient": "C9", "label": POSITIVE}[column]
        assert theirs.loc[3, column] != predict(THEIRS).loc[3, column]
        with pytest.raises(DataError, match=r"not scored on the same images.*9 and 9 rows"):
            compare(theirs=theirs)

    @pytest.mark.parametrize("rows", [slice(0, 8), slice(None, None, -1)])
    def test_fewer_images_or_another_order_are_an_error(self, rows: slice) -> None:
        with pytest.raises(DataError, match=r"same order: 9 and \d rows. Run score_challenger"):
            compare(theirs=predict(THEIRS).iloc[rows])

    def test_other_row_labels_are_no_other_images(self) -> None:
        theirs = predict(THEIRS, "1")
        theirs.index = pd.Index(range(100, 109))
        assert compare(theirs=theirs) == compare()

    def test_three_classes_are_right_or_wrong_too(self) -> None:
        classes = ["gametocyte", "ring", "smudge"]

        def call(*called: str) -> pd.DataFrame:
            table = pd.DataFrame({"label": [*classes, *classes], "category": called})
            for name in classes:
                table[f"probability_{name}"] = np.where(table["category"] == name, 0.8, 0.1)
            table["image_id"] = [f"id-{row}" for row in range(6)]
            return table.assign(patient=["C1", "C2"] * 3, model_version="1")

        found = compare_predictions(
            call("gametocyte", "ring", "smudge", "gametocyte", "ring", "smudge"),
            # A smudge called another wrong name is as wrong.
            call("gametocyte", "ring", "gametocyte", "gametocyte", "ring", "ring"),
            classes,
            "smudge",
            POLICY,
        )
        assert found["tests"]["only_challenger_right"] == 2
        assert found["champion"]["metrics"]["sensitivity"] == 0.0
        assert found["champion"]["metrics"]["specificity"] == 1.0


def pass_through_csv(table: pd.DataFrame) -> pd.DataFrame:
    return read_predictions(io.BytesIO(table.to_csv(index=False).encode()))


class TestFiles:
    """Between the tasks a table of predictions is a CSV file."""

    @pytest.mark.parametrize("version", ["", "7", "12", "30"])
    def test_a_version_survives(self, version: str) -> None:
        table = predict(OURS, version)
        assert read_version(pass_through_csv(table)) == version
        # As pandas would read it by itself.
        assert read_version(pd.read_csv(io.StringIO(table.to_csv()))) == version

    def test_a_comparison_is_the_same(self) -> None:
        ours, theirs = predict(OURS), predict(THEIRS)
        assert compare(pass_through_csv(ours), pass_through_csv(theirs)) == compare(ours, theirs)
        assert compare(ours, pass_through_csv(theirs.iloc[:0]))["champion"] is None

    @pytest.mark.parametrize("name", ["007", "7", "1e3", "NA", "None", "nan", "True", "2026-11"])
    def test_a_patient_keeps_its_name(self, name: str) -> None:
        """Else a patient that was trained on would not be found among those of validation."""
        ours = pass_through_csv(predict({name: "1110", "8": "110"}))
        found = compare(ours, pass_through_csv(predict({name: "1010", "8": "110"})))
        assert found["validation_patients"] == sorted([name, "8"])
        assert found["tests"]["patients"] == 2
        assert {row["patient"] for row in found["slices"]} == {name, "8"}

    @pytest.mark.parametrize("classes", [["0", "1"], ["01", "1"], ["NA", "positive"]])
    def test_a_class_keeps_its_name(self, classes: list[str]) -> None:
        names = dict(zip([POSITIVE, NEGATIVE], classes, strict=True))
        table = predict(OURS).replace({"label": names, "category": names})
        table = table.rename(
            columns={f"probability_{old}": f"probability_{new}" for old, new in names.items()}
        )
        read = pass_through_csv(table)
        found = compare_predictions(read, read, classes, classes[0], POLICY)
        assert found["challenger"]["metrics"] == compare()["challenger"]["metrics"]
