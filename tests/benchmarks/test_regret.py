"""Nights that are played to weigh both errors of the gate."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
CLASSES = ["Parasitized", "Uninfected"]


@pytest.fixture(scope="module")
def load() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        yield importlib.import_module


@pytest.fixture(scope="module")
def sequences(load: Any) -> ModuleType:
    module: ModuleType = load("regret_sequences")
    return module


@pytest.fixture(scope="module")
def policies(load: Any) -> ModuleType:
    module: ModuleType = load("regret_policies")
    return module


@pytest.fixture(scope="module")
def pool(sequences: ModuleType) -> Any:
    random = np.random.default_rng(0)
    patients = [f"C{number}" for number in range(60) for _ in range(6)]
    images = pd.DataFrame(
        {
            "image_id": [f"i{number}" for number in range(len(patients))],
            "image_name": "n",
            "patient": patients,
            "label": CLASSES * (len(patients) // 2),
            "captured_on": [f"2015{int(name[1:]):04d}" for name in patients],
        }
    )
    pixels = random.integers(0, 255, (len(patients), 8, 8, 3), np.uint8)
    return sequences.Pool("real", images, pixels, np.zeros((len(patients), 1)))


def make_sequence(sequences: ModuleType, **changes: Any) -> Any:
    usual = {"order": "random", "first": 0.4, "faults": "none", "screened": False, "seed": 3}
    return sequences.Sequence("real", **{**usual, **changes})


class TestLayOut:
    def test_patients_kept_back_arrive_on_no_night_and_all_others_once(
        self, sequences: ModuleType, pool: Any
    ) -> None:
        plan = sequences.lay_out(make_sequence(sequences), pool)
        arrived = np.concatenate([batch.rows for batch in plan.batches])
        assert len(set(arrived)) == len(arrived)
        assert sorted([*arrived, *plan.kept_back]) == list(range(len(pool.images)))
        names = pool.images["patient"]
        assert not set(names[arrived]) & set(names[plan.kept_back])
        assert names[plan.kept_back].nunique() == 20

    @pytest.mark.parametrize(("order", "rising"), [("date", True), ("reversed", False)])
    def test_patients_arrive_by_date_or_the_other_way(
        self, sequences: ModuleType, pool: Any, order: str, rising: bool
    ) -> None:
        plan = sequences.lay_out(make_sequence(sequences, order=order), pool)
        days = [pool.images["captured_on"][batch.rows] for batch in plan.batches]
        for before, after in pairwise(days):
            assert (before.max() < after.min()) if rising else (before.min() > after.max())

    def test_half_of_the_nights_after_the_first_are_bad_and_the_truth_is_not(
        self, sequences: ModuleType, pool: Any
    ) -> None:
        plan = sequences.lay_out(make_sequence(sequences, faults="mixed", seed=100), pool)
        bad = [batch.fault for batch in plan.batches]
        assert bad[0] == ""
        assert sum(map(bool, bad)) == round(7 * sequences.FAULT_SHARE)
        truth = pool.images["label"].to_numpy(object)
        for batch in plan.batches:
            wrong = (batch.labels != truth[batch.rows]).mean()
            assert (wrong > 0) == ("labels swapped" in batch.fault or "labelled" in batch.fault)

    def test_the_same_sequence_is_the_same_again(self, sequences: ModuleType, pool: Any) -> None:
        one, two = (
            sequences.lay_out(make_sequence(sequences, faults="decay", seed=101), pool)
            for _ in range(2)
        )
        for first, second in zip(one.batches, two.batches, strict=True):
            assert first.labels.tolist() == second.labels.tolist()
            assert first.rows.tolist() == second.rows.tolist()

    def test_there_are_as_many_sequences_as_the_docs_tell(self, sequences: ModuleType) -> None:
        kinds = [one.source for one in sequences.list_sequences(quick=False, real=True)]
        assert (kinds.count("real"), kinds.count("made")) == (24, 36)
        orders = {
            one.seed
            for one in sequences.list_sequences(quick=False, real=True)
            if (one.source, one.order) == ("real", "random")
        }
        assert len(orders) >= 10


def play(load: Any, sequences: ModuleType, rights: list[float]) -> Any:
    """Return a sequence of versions, each right on a share of the images of every patient."""
    table = pd.DataFrame(
        {
            "image_id": [f"i{number}" for number in range(400)],
            "image_name": "n",
            "patient": [f"C{number // 20}" for number in range(400)],
            "label": CLASSES * 200,
        }
    )
    truth = (table["label"] == CLASSES[0]).to_numpy()
    place = np.arange(400) % 20 / 20
    answers = np.stack([np.where(place < right, truth, ~truth) * 0.8 + 0.1 for right in rights])
    nights = [
        {"fault": "", "state": "trained", "version": number, "batches": [0]}
        for number in range(len(rights))
    ]
    return load("regret_training").Played(
        make_sequence(sequences), nights, table, table.assign(batch=0), answers, answers
    )


class TestLiving:
    def test_regret_is_what_the_champion_is_worse_than_the_best_so_far(
        self, load: Any, sequences: ModuleType, policies: ModuleType
    ) -> None:
        nights = policies.Nights(play(load, sequences, [0.95, 1.0, 0.9]))
        never = policies.live(nights, policies.Policy("", {"custom": policies.NEVER}, None))
        assert never.champions == [0, 0, 0]
        assert never.regrets == pytest.approx([0, 0.05, 0.05])
        newest = policies.live(nights, policies.Policy("", {"custom": policies.NEWEST}, None))
        assert newest.champions == [0, 1, 2]
        assert newest.regrets == pytest.approx([0, 0, 0.1])
        assert newest.losses == pytest.approx([-0.05, 0.1])

    def test_the_rule_in_force_promotes_what_is_better_on_every_patient_and_nothing_worse(
        self, load: Any, sequences: ModuleType, policies: ModuleType
    ) -> None:
        nights = policies.Nights(play(load, sequences, [0.95, 0.9, 1.0, 0.95]))
        shipped = policies.Policy("", policies.SHIPPED["improvement"])
        assert policies.live(nights, shipped).champions == [0, 0, 2, 2]

    def test_before_the_first_champion_nothing_counts(
        self, load: Any, sequences: ModuleType, policies: ModuleType
    ) -> None:
        nights = policies.Nights(play(load, sequences, [0.6, 0.95, 1.0]))
        best = policies.live(nights, policies.Policy("", {"custom": policies.BEST}, None))
        assert best.champions == [1, 2]

    def test_the_short_cut_is_the_gate(
        self, load: Any, sequences: ModuleType, policies: ModuleType
    ) -> None:
        from image_classification.gate.judgement import decide
        from image_classification.gate.prediction import tabulate_predictions

        played = play(load, sequences, [0.9, 0.95, 0.9, 0.85])
        nights = policies.Nights(played)
        for policy in policies.list_policies():
            if "custom" in policy.improvement:
                continue
            whole = policies.SHIPPED | {"improvement": dict(policy.improvement)}
            for ours, theirs in ((1, 0), (2, 0), (3, 0)):
                tables = [
                    tabulate_predictions(
                        played.validation,
                        np.stack([answers, 1 - answers], axis=1),
                        CLASSES,
                    ).assign(model_version=str(version))
                    for version in (ours, theirs)
                    for answers in [played.validation_answers[version]]
                ]
                told = decide(*tables, CLASSES, CLASSES[0], whole)["promote"]
                assert policies.decide(nights, policy, (ours, ours, theirs), {}) == told, policy
