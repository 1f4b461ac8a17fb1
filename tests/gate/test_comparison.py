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
from image_classification.gate import comparison
from image_classification.gate.comparison import (
    bootstrap_gain,
    compare_predictions,
    measure_mcnemar,
    read_version,
)
from image_classification.gate.metrics import read_predictions

POLICY = make_policy(minimum_patient_images=3)
OURS = {"C1": "1111", "C2": "110", "C10": "01"}
THEIRS = {"C1": "1110", "C2": "101", "C10": "01"}


def compare(
    ours: pd.DataFrame | None = None, theirs: pd.DataFrame | None = None, fault: str = ""
) -> dict[str, Any]:
    ours = predict(OURS, "2") if ours is None else ours
    theirs = predict(THEIRS, "1") if theirs is None else theirs
    return compare_predictions(ours, theirs, CLASSES, POSITIVE, POLICY, fault)


def estimate(gains: list[float], images: Any = 20.0, confidence: float = 0.95) -> Any:
    counts = np.full(len(gains), images) if np.isscalar(images) else np.array(images, float)
    return bootstrap_gain(np.array(gains, float), counts, confidence, 999)


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


class TestBootstrap:
    def test_the_same_numbers_give_the_same_interval(self) -> None:
        gains = [3, 1, 0, -1, 2, 0, 1, 0, 0, 2]
        state = np.random.get_state()[1].tolist()
        assert estimate(gains) == estimate(gains)
        assert np.random.get_state()[1].tolist() == state

    @pytest.mark.parametrize("gain", [20.0, 0.0, -5.0])
    def test_one_patient_tells_nothing_of_others(self, gain: float) -> None:
        assert estimate([gain]) == (-1.0, 1.0)

    @pytest.mark.parametrize(
        ("gains", "images", "gain"),
        [
            ([2, 2, 2, 2], 20.0, 0.1),
            ([0, 0, 0], 20.0, 0.0),
            ([-3, -3], 20.0, -0.15),
            ([1, 2, 3], [3, 6, 9], 1 / 3),
        ],
    )
    def test_patients_with_the_same_share_leave_no_doubt(
        self, gains: list[float], images: Any, gain: float
    ) -> None:
        assert estimate(gains, images) == pytest.approx((gain, gain), abs=1e-15)

    def test_the_width_is_that_of_the_confidence_asked_for(self) -> None:
        gains = np.random.default_rng(1).normal(1, 2, 400).round().tolist()
        narrow, wide = estimate(gains, confidence=0.5), estimate(gains, confidence=0.95)
        # 0.674 and 1.960 standard errors
        ratio = (wide[1] - wide[0]) / (narrow[1] - narrow[0])
        assert ratio == pytest.approx(1.960 / 0.674, rel=0.15)

    @pytest.mark.parametrize("confidence", [0.5, 0.8, 0.95, 0.99])
    def test_the_gain_is_within_and_more_confidence_is_no_narrower(self, confidence: float) -> None:
        random = np.random.default_rng(0)
        for patients in (2, 3, 5, 12, 40):
            images = random.integers(1, 40, patients).astype(float)
            gains = np.round(images * random.uniform(-0.3, 0.4, patients))
            low, high = bootstrap_gain(gains, images, confidence, 200)
            wider = bootstrap_gain(gains, images, (1 + confidence) / 2, 200)
            assert -1 <= wider[0] <= low <= gains.sum() / images.sum() <= high <= wider[1] <= 1

    def test_an_interval_never_leaves_out_the_gain_by_a_rounding(self) -> None:
        gains, images = np.array([3.0, 2.0]), np.array([11.0, 36.0])
        for confidence in (0.5, 0.6, 0.7, 0.8):
            for resamples in range(100, 220, 10):
                low, high = bootstrap_gain(gains, images, confidence, resamples)
                assert low <= gains.sum() / images.sum() <= high

    def test_it_agrees_with_the_normal_interval_where_there_are_many_equal_patients(self) -> None:
        gains = np.random.default_rng(1).normal(1, 2, 400).round()
        low, high = estimate(gains.tolist())
        error = 1.96 * gains.std(ddof=1) / 20 / np.sqrt(400)
        assert low == pytest.approx(gains.mean() / 20 - error, abs=0.1 * error)
        assert high == pytest.approx(gains.mean() / 20 + error, abs=0.1 * error)

    def test_fewer_patients_give_a_wider_interval(self) -> None:
        gains = [4.0, 0.0, -1.0, 2.0, 1.0]
        few, many = estimate(gains), estimate(gains * 8)
        assert few[1] - few[0] > 2 * (many[1] - many[0])

    def test_cells_that_differ_together_are_less_sure_than_cells_by_themselves(self) -> None:
        # 12 patients of 20 cells; in three of them all cells are gained, in one all are lost.
        clustered = estimate([20, 20, 20, -20, *[0] * 8])
        naive = estimate([1] * 60 + [-1] * 20 + [0] * 160, 1.0)
        assert clustered[1] - clustered[0] > 3 * (naive[1] - naive[0])
        assert clustered[0] < 0 < naive[0]

    def test_a_large_patient_counts_by_its_images(self) -> None:
        # Ten patients lose a tenth of 100 images each, ten gain a tenth of 10 images each.
        low, high = estimate([-10] * 10 + [1] * 10, [100] * 10 + [10] * 10)
        assert low < -90 / 1100 < high < -0.03

    def test_a_patient_is_drawn_together_with_its_number_of_images(self) -> None:
        # About a tenth for each, however many images there are.
        low, high = estimate([1, 10, 2, 5, 9, 3], [11, 98, 19, 52, 91, 29])
        assert 0.09 < low < high < 0.11

    def test_equal_gains_on_different_numbers_of_images_leave_a_doubt(self) -> None:
        low, high = estimate([2, 2, 2, 2], [10, 20, 30, 40])
        assert low < 8 / 100 < high

    def test_where_the_correction_is_not_defined_the_percentiles_are_used(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sound = comparison.stats.bootstrap

        def fail(*data: Any, method: str, **options: Any) -> Any:
            result = sound(*data, method=method, **options)
            if method == "BCa":
                result.confidence_interval = type(result.confidence_interval)(np.nan, 0.5)
            return result

        monkeypatch.setattr(comparison.stats, "bootstrap", fail)
        low, high = estimate([3, 1, 0, -1, 2])
        assert -0.05 <= low < 0.05 < high <= 0.15


class TestComparison:
    def test_two_models_are_described_and_tested_on_their_images(self) -> None:
        found = compare()
        assert set(found) == {
            *("challenger", "champion", "champion_fault", "images", "patients"),
            *("validation_patients", "tests", "slices"),
        }
        assert (found["images"], found["patients"]) == (9, 3)
        assert found["validation_patients"] == ["C1", "C10", "C2"]
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
            *(classes, "smudge", POLICY),
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
