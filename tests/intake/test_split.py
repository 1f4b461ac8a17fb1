"""A patient is drawn once: by a hash, in shares that fall when there are enough."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from image_classification.intake import split
from image_classification.intake.split import SPLIT_RULE, assign_splits, draw_splits

RULE: dict[str, Any] = {
    "split_salt": "salt",
    "validation_share": 0.2,
    "test_share": 0.15,
    "enough_validation_patients": 60,
    "enough_test_patients": 40,
}
NEVER = {"enough_validation_patients": 10**9, "enough_test_patients": 10**9}
PATIENTS = [f"C{number}" for number in range(200)]


def draw_full(patient: str) -> str:
    """Return the split in the full shares, as every release before drew it."""
    digest = hashlib.sha256(f"salt/{patient}".encode()).digest()
    place = int.from_bytes(digest[:8]) / 2**64
    return "test" if place < 0.15 else "validation" if place < 0.35 else "train"


def tabulate(*rows: tuple[str, str, str]) -> pd.DataFrame:
    """Return the log of an index: the batch, patient and split of each row."""
    return pd.DataFrame(rows, columns=["batch", "patient", "split"])


NOTHING = tabulate()


class TestDraw:
    def test_few_patients_are_drawn_in_the_full_shares(self) -> None:
        drawn = draw_splits(PATIENTS, RULE)
        assert drawn == {patient: draw_full(patient) for patient in PATIENTS}
        assert set(drawn.values()) == {"train", "validation", "test"}
        assert drawn != draw_splits(PATIENTS, RULE | {"split_salt": "other"})
        assert draw_splits([], RULE) == {}
        assert set(RULE) == set(SPLIT_RULE)

    def test_the_order_and_repetition_of_the_patients_change_nothing(self) -> None:
        few = RULE | {"enough_validation_patients": 3, "enough_test_patients": 2}
        assert draw_splits([*reversed(PATIENTS), *PATIENTS], few) == draw_splits(PATIENTS, few)

    @pytest.mark.parametrize(
        ("place", "known", "name"),
        [
            (0.0, {}, "test"),
            (0.2499, {"test": 40}, "test"),
            (0.2499, {"test": 41}, "train"),
            (0.1249, {"test": 80}, "test"),
            (0.125, {"test": 80}, "train"),
            (0.25, {"test": 1000}, "validation"),
            (0.4999, {"validation": 60}, "validation"),
            (0.4999, {"validation": 61}, "train"),
            (0.3749, {"validation": 120}, "validation"),
            (0.375, {"validation": 120}, "train"),
            (0.2499, {"validation": 1000, "train": 1000}, "test"),
            (0.5, {}, "train"),
        ],
    )
    def test_a_share_is_full_up_to_enough_and_falls_at_its_upper_end(
        self, place: float, known: dict[str, int], name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        digest = int(place * 2**64).to_bytes(8) + b"\xff" * 24
        monkeypatch.setattr(split, "_digest", lambda *_: digest)
        shares = {"validation_share": 0.25, "test_share": 0.25}
        assert draw_splits(["C1"], RULE | shares, known) == {"C1": name}

    def test_the_number_never_stops_growing_and_grows_slowly(self) -> None:
        counts = {
            patients: Counter(draw_splits([f"C{n}" for n in range(patients)], RULE).values())
            for patients in (1000, 10_000)
        }
        # The root of: enough² + 2·enough·(those who belong there, beyond enough)
        assert counts[1000]["validation"] == pytest.approx(143, abs=15)
        assert counts[1000]["test"] == pytest.approx(102, abs=15)
        assert counts[10_000]["validation"] == pytest.approx(486, abs=30)
        assert counts[10_000]["test"] == pytest.approx(345, abs=30)

    def test_who_comes_in_small_batches_is_drawn_as_in_a_large_one(self) -> None:
        log = NOTHING
        for number in range(100):
            new = [f"C{10 * number + place}" for place in range(10)]
            drawn = assign_splits(log, {f"b{number}": new}, {*log["batch"], f"b{number}"}, RULE)
            rows = [(f"b{number}", patient, drawn[patient]) for patient in new]
            log = pd.concat([log, tabulate(*rows)])
        assert log["split"].value_counts()["validation"] == pytest.approx(143, abs=15)

    def test_images_without_a_patient_keep_the_full_shares_and_are_not_counted(self) -> None:
        images = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(400)]
        few = RULE | {"enough_validation_patients": 1, "enough_test_patients": 1}
        drawn = draw_splits([*images, *PATIENTS], few)
        assert all(drawn[image] == draw_full(image) for image in images)
        assert {name: drawn[name] for name in PATIENTS} == draw_splits(PATIENTS, few)


class TestAssign:
    def test_a_known_patient_stays_whatever_the_parameters_are(self) -> None:
        log = tabulate(("a", "C1", "test"), ("a", "C2", "elsewhere"), ("b", "C1", "train"))
        for change in ({}, {"split_salt": "x"}, {"validation_share": 0.9}, NEVER):
            splits = assign_splits(log, {"c": ["C1", "C2", "C1"]}, {"a"}, RULE | change)
            assert splits == {"C1": "test", "C2": "elsewhere"}  # what was given first

    def test_only_the_patients_of_the_batches_are_returned(self) -> None:
        log = tabulate(("a", "C1", "test"), ("a", "C2", "train"))
        assert assign_splits(log, {"b": ["C2"], "c": []}, {"a"}, RULE) == {"C2": "train"}
        assert assign_splits(log, {}, {"a"}, RULE) == {}

    @pytest.mark.parametrize("count", [1, 2])
    def test_those_of_accepted_batches_count_once_each(self, count: int) -> None:
        rows = [("a", f"A{number}", "validation") for number in range(30)]
        log = tabulate(*rows * count, *[("h", f"H{n}", "validation") for n in range(1000)])
        few = RULE | {"enough_validation_patients": 30}
        assert assign_splits(log, {"b": PATIENTS}, {"a", "b"}, few) == draw_splits(
            PATIENTS, few, {"validation": 30}
        )

    def test_a_batch_that_is_not_accepted_changes_nothing_for_the_others(self) -> None:
        few = RULE | {"enough_validation_patients": 2, "enough_test_patients": 2}
        alone = assign_splits(NOTHING, {"a": PATIENTS}, {"a"}, few)
        strange = {"h": [f"H{number}" for number in range(1000)], "a": PATIENTS}
        together = assign_splits(NOTHING, strange, {"a"}, few)
        assert {name: together[name] for name in PATIENTS} == alone
        assert Counter(together.values())["train"] > 1000  # and it gets no more than what is left

    @settings(max_examples=50, deadline=None)
    @given(
        cuts=st.lists(st.integers(0, 200), min_size=1, max_size=4),
        accepted=st.sets(st.sampled_from("abcd")),
        data=st.data(),
    )
    def test_the_order_of_batches_that_join_together_changes_nothing(
        self, cuts: list[int], accepted: set[str], data: st.DataObject
    ) -> None:
        few = RULE | {"enough_validation_patients": 3, "enough_test_patients": 2}
        # They share patients, too.
        batches = {name: PATIENTS[cut : cut + 60] for name, cut in zip("abcd", cuts, strict=False)}
        order = data.draw(st.permutations(list(batches)))
        log = tabulate(("z", "C7", "test"), ("z", "C90", "validation"))
        splits = assign_splits(log, batches, {*accepted, "z"}, few)
        again = {name: list(reversed(batches[name])) for name in order}
        assert assign_splits(log, again, {*accepted, "z"}, few) == splits
        assert splits.keys() == set().union(*batches.values())
