"""The champion on the newest days: which images, when a fall is an alert, and what it means."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from image_classification.configuration.parameters import MonitoringParameters
from image_classification.gate import trend
from image_classification.gate.bootstrap import bootstrap_patients

RULE: MonitoringParameters = {
    "minimum_images": 4,
    "minimum_patients": 2,
    "maximum_days": 3,
    "maximum_accuracy_fall": 0.03,
    "confidence": 0.95,
    "resamples": 200,
}
FACTS: dict[str, Any] = {
    "version": "3",
    "reference": 0.957,
    "images": 240,
    "patients": 6,
    "from": "2015-11-01",
    "to": "2015-11-20",
    "fault": "",
    "broken": False,
}


def list_images(**patients_of_days: str) -> pd.DataFrame:
    """Return two images of each patient named, of days such as ``d01="C1 C2"``."""
    rows = [
        (f"{day}-{patient}-{number}", patient, f"2015-11-{day[1:]}", "2026-01-01T02:00:00+00:00")
        for day, patients in patients_of_days.items()
        for patient in patients.split()
        for number in range(2)
    ]
    return pd.DataFrame(rows, columns=["image_id", "patient", "captured_on", "first_seen"])


def choose(images: pd.DataFrame, *trained: str, **rule: Any) -> set[tuple[str, str]]:
    chosen = trend.choose_newest(images, trained, {**RULE, **rule})
    return set(zip(chosen["day"].str[8:], chosen["patient"], strict=True))


class TestChoiceOfDays:
    IMAGES = list_images(d01="C1 C2", d02="C3", d03="C4", d04="C5")

    def test_the_newest_days_are_taken_until_there_are_enough_images(self) -> None:
        assert choose(self.IMAGES) == {("04", "C5"), ("03", "C4")}

    @pytest.mark.parametrize(
        ("rule", "days"),
        [
            ({"minimum_images": 4}, {"04", "03"}),
            ({"minimum_images": 5}, {"04", "03", "02"}),
            ({"minimum_patients": 3}, {"04", "03", "02"}),
            ({"minimum_images": 1, "minimum_patients": 1}, {"04"}),
        ],
    )
    def test_one_image_or_patient_more_takes_one_day_more(
        self, rule: dict[str, int], days: set[str]
    ) -> None:
        assert {day for day, _ in choose(self.IMAGES, **rule)} == days

    def test_a_day_is_taken_whole(self) -> None:
        images = list_images(d01="C1", d02="C2 C3 C4 C5")
        assert choose(images) == {("02", name) for name in ("C2", "C3", "C4", "C5")}

    @pytest.mark.parametrize(("maximum_days", "days"), [(2, {"04", "03"}), (4, {*"1234"})])
    def test_no_more_days_than_the_maximum_are_taken(
        self, maximum_days: int, days: set[str]
    ) -> None:
        chosen = choose(self.IMAGES, minimum_images=99, maximum_days=maximum_days)
        assert {day.removeprefix("0") for day, _ in chosen} == {day[-1] for day in days}

    def test_a_patient_that_the_champion_was_trained_on_never_counts(self) -> None:
        assert choose(self.IMAGES, "C5", "C3", maximum_days=4) == {
            ("03", "C4"),
            ("01", "C1"),
            ("01", "C2"),
        }

    def test_days_of_trained_patients_alone_count_towards_the_maximum(self) -> None:
        assert choose(self.IMAGES, "C5", "C4", "C3", maximum_days=3) == set()

    def test_an_image_without_a_date_counts_for_the_day_it_was_first_seen(self) -> None:
        images = self.IMAGES.assign(captured_on=["2015-11-01"] * 8 + [""] * 2)
        chosen = trend.choose_newest(images, [], {**RULE, "minimum_patients": 1, "maximum_days": 1})
        assert set(chosen["patient"]) == {"C5"}
        assert set(chosen["day"]) == {"2026-01-01"}

    def test_an_empty_index_gives_no_images(self) -> None:
        nothing = self.IMAGES.head(0).astype(object)
        chosen = trend.choose_newest(nothing, [], RULE)
        assert len(chosen) == 0
        assert "0 images of 0 patients" in trend.find_shortage(chosen, RULE)

    def test_the_choice_does_not_depend_on_the_order_of_the_index(self) -> None:
        pd.testing.assert_frame_equal(
            trend.choose_newest(self.IMAGES, ["C4"], RULE),
            trend.choose_newest(self.IMAGES.sample(frac=1, random_state=3), ["C4"], RULE),
        )

    @pytest.mark.parametrize(
        ("rule", "is_short"),
        [
            ({}, False),
            ({"minimum_images": 5}, True),
            ({"minimum_patients": 3}, True),
        ],
    )
    def test_a_shortage_is_told_from_exactly_enough(
        self, rule: dict[str, int], is_short: bool
    ) -> None:
        images = list_images(d01="C1 C2")
        fault = trend.find_shortage(images, {**RULE, **rule})
        assert bool(fault) is is_short
        if is_short:
            required = {**RULE, **rule}
            assert fault == (
                "4 images of 2 patients that it was not trained on, in the newest 3 days of "
                f"images; required: {required['minimum_images']} of {required['minimum_patients']}"
            )


def predict(right: Mapping[str, int], images: int = 10, positive: str = "ring") -> pd.DataFrame:
    """Return predictions of `images` a patient, half of them positive, so many of them right."""
    rows = []
    for patient, count in right.items():
        for number in range(images):
            label = positive if number % 2 else "healthy"
            other = "healthy" if number % 2 else positive
            rows.append((patient, label, label if number < count else other))
    table = pd.DataFrame(rows, columns=["patient", "label", "category"])
    table["probability_ring"] = np.where(table["category"] == "ring", 0.9, 0.1)
    return table


class TestMeasures:
    def test_accuracy_counts_images_and_its_interval_patients(self) -> None:
        measures = trend.measure_newest(predict({"C1": 10, "C2": 6, "C3": 8}), "ring", RULE)
        assert measures["accuracy"] == pytest.approx(0.8)
        assert 0.6 <= measures["low"] < 0.8 < measures["high"] <= 1
        assert measures["sensitivity"] == pytest.approx(12 / 15)
        assert measures["auc"] == pytest.approx(0.8)

    def test_the_same_mistakes_in_one_patient_are_less_certain_than_spread_over_all(self) -> None:
        def width(**right: int) -> float:
            measures = trend.measure_newest(predict(right), "ring", RULE)
            return measures["high"] - measures["low"]

        assert width(a=10, b=10, c=10, d=2) > 2 * width(a=8, b=9, c=7, d=8)

    @pytest.mark.parametrize(
        ("label", "unknown"),
        [("healthy", {"sensitivity", "auc"}), ("ring", {"auc"})],
    )
    def test_days_of_one_class_alone_have_no_auc(self, label: str, unknown: set[str]) -> None:
        table = predict({"C1": 10, "C2": 6})
        table = table[table["label"] == label].reset_index(drop=True)
        measures = trend.measure_newest(table, "ring", RULE)
        assert {name for name, value in measures.items() if math.isnan(value)} == unknown

    def test_without_a_positive_class_both_are_means_over_the_classes_that_are_there(self) -> None:
        table = predict({"C1": 10, "C2": 6, "C3": 8})
        table["probability_healthy"] = 1 - table["probability_ring"]
        measures = trend.measure_newest(table, None, RULE)
        of_each = [trend.measure_newest(table, name, RULE) for name in ("ring", "healthy")]
        for name in ("sensitivity", "auc"):
            assert measures[name] == pytest.approx(sum(one[name] for one in of_each) / 2)
        one_class = trend.measure_newest(table[table["label"] == "ring"], None, RULE)
        assert one_class["sensitivity"] == of_each[0]["sensitivity"]
        assert math.isnan(one_class["auc"])

    def test_a_champion_that_does_not_know_the_positive_class_has_no_auc(self) -> None:
        table = predict({"C1": 10, "C2": 6}).drop(columns="probability_ring")
        assert math.isnan(trend.measure_newest(table, "ring", RULE)["auc"])

    def test_one_patient_tells_nothing_of_others(self) -> None:
        measures = trend.measure_newest(predict({"C1": 5}), "ring", RULE)
        assert (measures["low"], measures["high"]) == (0, 1)

    def test_from_two_patients_on_the_interval_is_drawn_over_them(self) -> None:
        right, images = np.array([9.0, 5.0]), np.array([10.0, 20.0])
        drawn = bootstrap_patients(right, images, 0.95, 200)
        assert trend.bootstrap_accuracy(right, images, 0.95, 200) == drawn
        assert drawn != (0, 1)

    def test_the_interval_is_of_the_confidence_and_the_resamples_of_the_rule(self) -> None:
        table = predict({"C1": 10, "C2": 6, "C3": 8})
        right, images = np.array([10.0, 6.0, 8.0]), np.full(3, 10.0)
        for confidence, resamples in ((0.95, 200), (0.6, 200), (0.95, 300)):
            rule: MonitoringParameters = {
                **RULE,
                "confidence": confidence,
                "resamples": resamples,
            }
            measures = trend.measure_newest(table, "ring", rule)
            drawn = bootstrap_patients(right, images, confidence, resamples)
            assert (measures["low"], measures["high"]) == drawn

    @pytest.mark.parametrize("right", [10, 8, 0])
    def test_patients_that_are_all_alike_leave_no_doubt(self, right: int) -> None:
        ends = trend.bootstrap_accuracy(np.full(5, float(right)), np.full(5, 10.0), 0.95, 200)
        assert ends == (right / 10, right / 10)

    def test_the_same_predictions_give_the_same_interval(self) -> None:
        table = predict({"C1": 10, "C2": 6, "C3": 8})
        assert trend.measure_newest(table, "ring", RULE) == trend.measure_newest(
            table.sample(frac=1, random_state=1).reset_index(drop=True), "ring", RULE
        )


def measure(accuracy: float, low: float, high: float) -> dict[str, float]:
    ends = {"low": low, "high": high}
    return {"accuracy": accuracy, **ends, "sensitivity": 0.9, "auc": math.nan}


def judge(accuracy: float, low: float, high: float, **facts: Any) -> dict[str, Any]:
    return trend.judge_newest({**FACTS, **facts}, measure(accuracy, low, high), RULE)


class TestAlert:
    @pytest.mark.parametrize(
        ("accuracy", "high", "alert"),
        [
            (0.926, 0.956, True),
            (0.927, 0.956, False),  # a fall of exactly what is allowed
            (0.926, 0.957, False),  # the interval reaches the reference
            (0.940, 0.950, False),  # certain, but small
            (0.880, 0.990, False),  # large, but not certain
            (0.990, 0.999, False),
        ],
    )
    def test_it_takes_a_fall_beyond_the_limit_and_an_interval_below_the_reference(
        self, accuracy: float, high: float, alert: bool
    ) -> None:
        assert judge(accuracy, accuracy - 0.02, high)["alert"] is alert

    @pytest.mark.parametrize("fall", [0.01, 0.02, 0.05, 0.07, 0.1])
    @pytest.mark.parametrize("reference", [0.9, 0.93, 0.957, 0.96])
    def test_a_fall_equal_to_the_limit_is_none_whatever_the_binary_numbers(
        self, fall: float, reference: float
    ) -> None:
        measures = measure(round(reference - fall, 9), 0.1, reference - 0.001)
        rule: MonitoringParameters = {**RULE, "maximum_accuracy_fall": fall}
        assert not trend.judge_newest({**FACTS, "reference": reference}, measures, rule)["alert"]
        measures["accuracy"] -= 1e-6
        assert trend.judge_newest({**FACTS, "reference": reference}, measures, rule)["alert"]

    def test_a_reference_that_was_measured_again_is_said_to_be(self) -> None:
        told = judge(0.95, 0.93, 0.97, corrected=3)["sentence"]
        assert told.endswith("(measured again: 3 of its validation labels were corrected since)")

    def test_a_changed_world_is_said_with_the_numbers(self) -> None:
        watch = judge(0.881, 0.85, 0.91)
        assert watch["sentence"] == (
            "the world changed: champion v3 has 0.881 (95 % CI 0.850 to 0.910) on 240 images of 6 "
            "patients of 2015-11-01 to 2015-11-20, 0.957 when it was promoted"
        )

    def test_a_champion_that_holds_is_said_with_the_numbers(self) -> None:
        watch = judge(0.951, 0.93, 0.97, **{"from": "2015-11-20"})
        assert watch["sentence"] == (
            "champion v3 holds its level on the newest days: 0.951 (95 % CI 0.930 to 0.970) on 240 "
            "images of 6 patients of 2015-11-20, 0.957 when it was promoted"
        )

    def test_a_fall_that_may_be_chance_is_said_to_be_so(self) -> None:
        watch = judge(0.9, 0.82, 0.96)
        assert not watch["alert"]
        assert watch["sentence"] == (
            "champion v3 may have fallen on the newest days, or the patients are unlucky: 0.900 "
            "(95 % CI 0.820 to 0.960) on 240 images of 6 patients of 2015-11-01 to 2015-11-20, "
            "0.957 when it was promoted"
        )

    def test_without_a_reference_there_is_no_alert(self) -> None:
        watch = judge(0.5, 0.4, 0.6, reference=None)
        assert not watch["alert"]
        assert watch["sentence"] == (
            "champion v3 has 0.500 (95 % CI 0.400 to 0.600) on 240 images of 6 patients of "
            "2015-11-01 to 2015-11-20; what it had when it was promoted is not known"
        )

    def test_the_confidence_is_told_as_it_is(self) -> None:
        rule: MonitoringParameters = {**RULE, "confidence": 0.975}
        watch = trend.judge_newest(FACTS, measure(0.951, 0.93, 0.97), rule)
        assert "(97.5 % CI 0.930" in watch["sentence"]

    def test_the_record_is_plain_and_names_all_numbers(self) -> None:
        watch = judge(0.881, 0.85, 0.91)
        assert json.loads(json.dumps(watch, allow_nan=False)) == watch
        assert watch["auc"] is None
        assert set(watch) == {
            "version",
            "accuracy",
            "low",
            "high",
            "reference",
            "images",
            "patients",
            "from",
            "to",
            "alert",
            "sentence",
            "sensitivity",
            "auc",
        }

    @pytest.mark.parametrize(
        ("version", "beginning"),
        [("3", "champion v3 was not measured"), (None, "no champion was measured")],
    )
    def test_a_night_without_a_number_has_the_same_keys_and_says_why(
        self, version: str | None, beginning: str
    ) -> None:
        nothing = trend.watch_nothing({**FACTS, "version": version, "fault": "too few"})
        assert set(nothing) == set(judge(0.881, 0.85, 0.91))
        assert nothing["accuracy"] is None
        assert nothing["alert"] is False
        assert nothing["sentence"] == f"{beginning} on the newest days: too few"

    def test_a_champion_that_cannot_be_loaded_alerts_and_the_world_has_not_changed(self) -> None:
        broken = trend.watch_nothing({**FACTS, "fault": "its files are gone", "broken": True})
        assert broken["alert"] is True
        assert trend.tell_apart(broken, compare(0.0, -0.1, 0.1)).startswith(trend.NEITHER)


CHANGED, STEADY = judge(0.881, 0.85, 0.91), judge(0.951, 0.93, 0.97)


def compare(gain: float, low: float, high: float) -> dict[str, Any]:
    return {"tests": {"gain": gain, "low": low, "high": high, "p_value": 0.5}}


class TestTellApart:
    @pytest.mark.parametrize(
        ("watch", "high", "begins"),
        [
            (CHANGED, 0.001, "the world changed: champion v3 has 0.881"),
            (STEADY, -0.001, "the challenger is worse: champion v3 holds its level"),
            (CHANGED, -0.001, "both the world changed and the challenger is worse: champion v3 h"),
            (STEADY, 0.001, "neither a changed world nor a worse challenger is shown: champion"),
        ],
    )
    def test_each_of_the_four_is_named(
        self, watch: dict[str, Any], high: float, begins: str
    ) -> None:
        assert trend.tell_apart(watch, compare(-0.012, -0.03, high)).startswith(begins)

    def test_an_interval_that_ends_at_zero_is_not_below_it(self) -> None:
        assert trend.tell_apart(STEADY, compare(-0.01, -0.02, 0.0)).startswith(trend.NEITHER)
        assert trend.tell_apart(STEADY, compare(-0.01, -0.02, -1e-6)).startswith(trend.CHALLENGER)

    def test_the_gain_is_said_in_points_with_its_interval(self) -> None:
        sentence = trend.tell_apart(CHANGED, compare(0.004, -0.006, 0.013))
        assert sentence.endswith(
            "0.957 when it was promoted; on the same validation images the challenger is +0.4 "
            "points from the champion (\N{MINUS SIGN}0.6 to 1.3)"
        )

    @pytest.mark.parametrize("decision", [{}, {"tests": None}])
    def test_without_a_comparison_the_challenger_is_not_worse(
        self, decision: dict[str, Any]
    ) -> None:
        sentence = trend.tell_apart(CHANGED, decision)
        assert sentence.startswith(trend.WORLD)
        assert sentence.endswith("the challenger was not compared with a champion")

    @pytest.mark.parametrize("watch", [None, trend.watch_nothing({**FACTS, "fault": "too few"})])
    def test_without_a_measure_the_world_has_not_changed(
        self, watch: dict[str, Any] | None
    ) -> None:
        assert trend.tell_apart(watch, compare(0.1, 0.0, 0.2)).startswith(trend.NEITHER)
        assert "not measured" in trend.tell_apart(watch, compare(0.1, 0.0, 0.2))


class TestDescription:
    def test_a_kept_champion_is_told_apart_and_any_other_only_described(self) -> None:
        kept = {**compare(0.0, -0.1, 0.1), "verdict": "keep"}
        assert trend.describe_watch(STEADY, kept) == trend.tell_apart(STEADY, kept)
        for decision in (None, {**kept, "verdict": "promote"}, {**kept, "verdict": "refuse"}):
            assert trend.describe_watch(STEADY, decision) == STEADY["sentence"]

    def test_without_a_champion_there_is_nothing_to_say(self) -> None:
        assert trend.describe_watch({**STEADY, "version": None}, None) == ""


def record(day: int = 1, ids: str = "ab", hour: int = 2, **watch: Any) -> pd.DataFrame:
    time = f"2026-03-{day:02d}T{hour:02d}:05:00+00:00"
    return trend.make_row({**STEADY, **watch}, list(ids), time)


class TestTable:
    def test_a_row_holds_the_columns_that_the_catalog_reads(self) -> None:
        row = record()
        assert list(row) == trend.TREND_COLUMNS
        assert row["days_from"].iloc[0] == "2015-11-01"
        assert row["sentence"].iloc[0] == STEADY["sentence"]
        assert math.isnan(row["auc"].iloc[0])

    def test_the_same_images_in_any_order_have_the_same_digest(self) -> None:
        assert record(ids="ab")["images_digest"][0] == record(ids="ba")["images_digest"][0]
        assert record(ids="ab")["images_digest"][0] != record(ids="ac")["images_digest"][0]

    def test_a_row_tells_who_was_measured_when_on_which_days_and_images(self) -> None:
        row = record(day=2).iloc[0].to_dict()
        assert {name: row[name] for name in ("recorded_at", "model_version", "days_to")} == {
            "recorded_at": "2026-03-02T02:05:00+00:00",
            "model_version": "3",
            "days_to": "2015-11-20",
        }
        assert row["images_digest"] == hashlib.sha256(b"a\nb").hexdigest()[:16]
        numbers = ("accuracy", "low", "high", "reference", "sensitivity", "auc")
        assert {str(record()[name].dtype) for name in numbers} == {"float64"}

    def test_each_curve_is_a_column_of_the_trend(self) -> None:
        log = record(1, auc=0.99, sensitivity=0.91)
        curves = trend.list_curves(log)
        assert {name: points[0]["value"] for name, points in curves.items()} == {
            "newest_accuracy": 0.951,
            "newest_accuracy_low": 0.93,
            "newest_accuracy_high": 0.97,
            "newest_sensitivity": 0.91,
            "newest_auc": 0.99,
            "reference_accuracy": 0.957,
        }
        assert curves["newest_auc"][0]["timestamp_ms"] == 1_772_330_700_000

    def test_the_same_champion_on_the_same_images_counts_once_a_day_and_every_day(self) -> None:
        log = pd.concat(
            [
                record(1),
                record(1, hour=3, accuracy=0.5),  # tried again
                record(1, hour=4, version="4"),
                record(1, hour=5, ids="abc"),
                record(2),
            ],
            ignore_index=True,
        )
        settled = trend.settle_trend(log)
        assert settled["recorded_at"].str[8:13].tolist() == ["01T02", "01T04", "01T05", "02T02"]
        assert settled["accuracy"].iloc[0] == STEADY["accuracy"]

    def test_curves_have_a_step_a_night_and_the_time_of_the_night(self) -> None:
        unmeasured = dict.fromkeys(("accuracy", "low", "high"))
        log = [record(1), record(2, **unmeasured), record(3, accuracy=0.9)]
        curves = trend.list_curves(pd.concat(log, ignore_index=True))
        assert set(curves) == set(trend.CURVES)
        points = curves["newest_accuracy"]
        assert [(point["step"], point["value"]) for point in points] == [(1, 0.951), (3, 0.9)]
        assert points[1]["timestamp_ms"] - points[0]["timestamp_ms"] == 2 * 86_400_000
        assert [point["value"] for point in curves["reference_accuracy"]] == [0.957] * 3
        assert curves["newest_auc"] == []
