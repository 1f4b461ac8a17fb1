"""The simulation that justifies the promotion policy: what it draws, and what it counts."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from shipped import read_shipped

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def simulation() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        yield importlib.import_module("promotion_simulation")


@pytest.fixture(scope="module")
def stored(simulation: ModuleType) -> Any:
    return importlib.import_module("stored_predictions").make_predictions()


def make_policy(simulation: ModuleType) -> Any:
    policy = simulation.choose_superiority(read_shipped("promotion"))
    return policy | {"improvement": policy["improvement"] | {"resamples": 200}}


@pytest.fixture
def policy(simulation: ModuleType) -> Any:
    return make_policy(simulation)


def measure(night: Any, answers: np.ndarray) -> float:
    return float((answers.argmax(axis=1) == night.targets).mean())


class TestNight:
    def test_has_all_images_of_as_many_patients_as_asked(
        self, simulation: ModuleType, stored: Any
    ) -> None:
        night = simulation.draw_night(stored, 20, np.random.default_rng(1))

        of_them = stored.images["patient"].isin(night.images["patient"].unique())
        assert night.images["image_id"].tolist() == stored.images["image_id"][of_them].tolist()
        assert night.images["patient"].nunique() == night.patient_count == 20
        np.testing.assert_array_equal(night.probabilities, stored.probabilities[:, of_them])

    def test_holds_no_more_cells_of_a_patient_than_asked_and_keeps_rows_together(
        self, simulation: ModuleType, stored: Any
    ) -> None:
        whole = simulation.draw_night(stored, 20, np.random.default_rng(1))
        night = simulation.draw_night(stored, 20, np.random.default_rng(1), 5)

        counts = night.images["patient"].value_counts()
        assert (counts == 5).all()
        assert len(counts) == 20
        place = {image: row for row, image in enumerate(whole.images["image_id"])}
        rows = [place[image] for image in night.images["image_id"]]
        assert rows == sorted(rows)
        np.testing.assert_array_equal(night.probabilities, whole.probabilities[:, rows])
        np.testing.assert_array_equal(night.targets, whole.targets[rows])

    def test_mixed_model_answers_a_patient_with_one_network(
        self, simulation: ModuleType, stored: Any
    ) -> None:
        night = simulation.draw_night(stored, 20, np.random.default_rng(1))

        mixed = simulation.mix_models(night, np.random.default_rng(2))

        same = (night.probabilities == mixed).all(axis=2)
        from_one = [
            max(of_model[night.patients == patient].all() for of_model in same)
            for patient in range(20)
        ]
        assert all(from_one)
        assert not same.all(axis=1).any(), "all patients came from one network"


class TestEqualPair:
    def test_difference_is_zero_on_average_for_models_that_differ(
        self, simulation: ModuleType, stored: Any
    ) -> None:
        random = np.random.default_rng(3)
        night = simulation.draw_night(stored, 20, random)
        worse = night.probabilities.copy()
        worse[1] = worse[1, :, ::-1]  # wrong where it was right: a difference of 90 points

        night = simulation.Night(night.images, night.patients, night.targets, worse[:2], None)
        gains = [
            measure(night, challenger) - measure(night, champion)
            for challenger, champion in (
                simulation.draw_equal_pair(night, random) for _ in range(2000)
            )
        ]

        assert np.std(gains) > 0.1
        assert abs(np.mean(gains)) < 4 * np.std(gains) / np.sqrt(len(gains))

    def test_a_patient_is_swapped_as_a_whole(self, simulation: ModuleType, stored: Any) -> None:
        random = np.random.default_rng(4)
        night = simulation.draw_night(stored, 20, random)

        challenger, champion = simulation.draw_equal_pair(night, random)

        for patient in range(20):
            rows = night.patients == patient
            pair = {answers[rows].tobytes() for answers in (challenger, champion)}
            assert len(pair) <= 2
            owners = [model[rows].tobytes() for model in night.probabilities]
            assert pair <= set(owners)


class TestMadeGain:
    @pytest.mark.parametrize("gain", [0.005, 0.02])
    def test_is_as_large_as_asked_on_average(
        self, simulation: ModuleType, stored: Any, gain: float
    ) -> None:
        random = np.random.default_rng(5)
        night = simulation.draw_night(stored, 100, random)
        share = simulation.find_share(stored, gain)

        seen = [
            measure(night, simulation.add_gain(model, night.targets, share, random))
            - measure(night, model)
            for model in night.probabilities
            for _ in range(20)
        ]

        assert np.mean(seen) == pytest.approx(gain, rel=0.05)
        assert min(seen) > 0

    def test_larger_than_all_that_is_wrong_is_refused(
        self, simulation: ModuleType, stored: Any
    ) -> None:
        with pytest.raises(ValueError, match=r"gain of 0\.5"):
            simulation.find_share(stored, 0.5)

    def test_leaves_a_calibrated_model_calibrated(self, simulation: ModuleType) -> None:
        random = np.random.default_rng(6)
        doubt = random.uniform(0, 0.5, 200_000)
        wrong = random.random(len(doubt)) < doubt
        targets = wrong.astype(int)  # the model always says 0
        answers = np.stack([1 - doubt, doubt], axis=1)

        better = simulation.add_gain(answers, targets, 0.5, random)

        right = better.argmax(axis=1) == targets
        assert right.mean() == pytest.approx(1 - 0.5 * wrong.mean(), abs=0.005)
        confidence = better.max(axis=1)
        for low, high in ((0.75, 0.85), (0.85, 0.95), (0.95, 1)):
            rows = (confidence >= low) & (confidence < high)
            assert right[rows].mean() == pytest.approx(confidence[rows].mean(), abs=0.01)
        np.testing.assert_allclose(better.sum(axis=1), 1)


class TestRules:
    def test_short_cut_is_the_gate(
        self, simulation: ModuleType, stored: Any, policy: dict[str, Any]
    ) -> None:
        random = np.random.default_rng(7)
        share = simulation.find_share(stored, 0.01)
        verdicts = []
        for _ in range(25):
            night = simulation.draw_night(stored, 12, random)
            better = simulation.add_gain(
                simulation.mix_models(night, random), night.targets, share, random
            )
            trial = simulation.Trial(night, better, simulation.mix_models(night, random), policy)
            verdicts.append((trial.passes(simulation.GATE), trial.decide()["promote"]))

        assert all(ours == theirs for ours, theirs in verdicts)
        assert {ours for ours, _ in verdicts} == {True, False}

    def test_an_equal_model_passes_only_at_least(
        self, simulation: ModuleType, stored: Any, policy: dict[str, Any]
    ) -> None:
        night = simulation.draw_night(stored, 12, np.random.default_rng(8))
        trial = simulation.Trial(night, night.probabilities[0], night.probabilities[0], policy)

        assert [rule for rule in simulation.RULES if trial.passes(rule)] == [simulation.AT_LEAST]


class TestYear:
    def run(self, simulation: ModuleType, stored: Any, policy: Any, rule: str) -> list[float]:
        random = np.random.default_rng(9)
        night = simulation.draw_night(stored, 10, random)
        accuracies: list[float] = simulation.run_nights(night, policy, rule, random, 200)
        return accuracies

    def test_counts_each_champion_that_beat_the_one_before(
        self, simulation: ModuleType, stored: Any, policy: dict[str, Any]
    ) -> None:
        accuracies = self.run(simulation, stored, policy, simulation.ABOVE)

        assert len(accuracies) > 1
        assert (np.diff(accuracies) > 0).all()

    def test_counts_as_many_as_there_are_records(
        self,
        simulation: ModuleType,
        stored: Any,
        policy: dict[str, Any],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        night = simulation.draw_night(stored, 10, np.random.default_rng(9))
        right = night.probabilities[0].copy()
        right[:] = np.eye(2)[night.targets]
        models = []
        for wrong in (50, 50, 60, 40, 40, 45, 10):
            models.append(right.copy())
            models[-1][:wrong] = right[:wrong, ::-1]
        promotions = {}
        for rule in (simulation.ABOVE, simulation.AT_LEAST):
            coming = iter(models)
            monkeypatch.setattr(simulation, "mix_models", lambda *_, coming=coming: next(coming))
            accuracies = simulation.run_nights(night, policy, rule, None, len(models) - 1)
            promotions[rule] = len(accuracies) - 1

        assert promotions == {simulation.ABOVE: 2, simulation.AT_LEAST: 4}

    def test_gate_promotes_less_noise_than_any_gain_does(
        self, simulation: ModuleType, stored: Any, policy: dict[str, Any]
    ) -> None:
        counts = {
            rule: len(self.run(simulation, stored, policy, rule))
            for rule in (simulation.ABOVE, simulation.GATE)
        }

        assert counts[simulation.GATE] < counts[simulation.ABOVE]


class TestComparedTests:
    @pytest.fixture(scope="class")
    def found(self, simulation: ModuleType, stored: Any) -> dict[float, dict[str, int]]:
        policy = make_policy(simulation)
        return {
            gain: simulation.compare_tests(stored, policy, gain, 12, None, 25)["promoted"]
            for gain in (-0.01, 0.01)
        }

    def test_both_tests_promote_no_more_than_either_and_more_confidence_no_more_than_less(
        self, found: dict[float, dict[str, int]]
    ) -> None:
        for promoted in found.values():
            assert promoted["both 0.98"] <= min(
                promoted["interval 0.98"], promoted["McNemar alone"]
            )
            assert promoted["interval 0.99"] <= promoted["interval 0.98"]
            assert promoted["default gate"] <= promoted["default gate without McNemar"]
            assert promoted["default gate without McNemar"] <= promoted["interval 0.98"]

    def test_a_better_challenger_is_promoted_more_often_than_a_worse_one(
        self, found: dict[float, dict[str, int]]
    ) -> None:
        assert found[0.01]["default gate"] > found[-0.01]["default gate"]

    def test_the_table_has_a_row_for_each_simulation(
        self, simulation: ModuleType, stored: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        report = importlib.import_module("promotion_report")
        promoted = {"interval 0.98": 4, "McNemar alone": 10}
        row = {"gain": -0.005, "patients": 10, "cells": None, "nights": 100}

        report.report_tests([{**row, "promoted": promoted}])

        lines = capsys.readouterr().out.splitlines()
        assert lines[-1].startswith("| -0.5 | 10 | all | 100 | 4.0 % (1.1")
        assert lines[-1].count("|") == lines[-2].count("|") == 7
