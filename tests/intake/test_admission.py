"""Admission: which batches may join together, and what keeps one back."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from shipped import read_shipped

from image_classification.intake.admission import admit_together, sample_patients
from image_classification.intake.contract import Findings, check_images

SPLITS = ("train", "validation", "test")
PARAMETERS: dict[str, Any] = {
    "classes": ["P", "U"],
    "contract": {
        "maximum_refused_share": 1.0,
        "minimum_class_share": 0.2,
        "minimum_patients": 1,
    },
}


def tabulate(
    first: int, labels: str, splits: tuple[str, ...] = SPLITS, status: str = "accepted"
) -> pd.DataFrame:
    """Return an image of each of these labels in each split, each of a patient of its own."""
    rows = [(label, split) for split in splits for label in labels]
    return pd.DataFrame(rows, columns=["label", "split"]).assign(
        image_id=[str(first + place) for place in range(len(rows))],
        patient=[f"C{first + place}" for place in range(len(rows))],
        status=status,
    )


NOTHING = tabulate(0, "PU").head(0)
KNOWN = tabulate(0, "PU")


def test_batches_with_which_the_set_keeps_the_contract_join() -> None:
    assert admit_together(KNOWN, {"b": tabulate(100, "PU")}, PARAMETERS) == {}
    assert admit_together(KNOWN, {}, PARAMETERS) == {}


def test_nothing_has_to_wait_where_nothing_came_though_the_set_is_bad() -> None:
    assert admit_together(NOTHING, {}, PARAMETERS) == {}


def test_two_batches_join_together_that_could_not_join_alone() -> None:
    halves = {"a": tabulate(100, "P" * 5), "b": tabulate(200, "U" * 4)}
    assert admit_together(KNOWN, halves, PARAMETERS) == {}
    strict = PARAMETERS | {"contract": PARAMETERS["contract"] | {"minimum_class_share": 0.4}}
    assert admit_together(KNOWN, halves, strict) == {}
    for name, half in halves.items():
        assert list(admit_together(KNOWN, {name: half}, strict)) == [name]


@pytest.mark.parametrize(
    "batch",
    [
        tabulate(100, "P"),
        tabulate(100, "PU", ("train",)),
        tabulate(100, "U", ("test",)),
        tabulate(100, "PU", ()),
    ],
    ids=["one class", "one split", "one image", "none"],
)
def test_a_batch_that_brings_too_few_joins_and_waits_for_nobody(batch: pd.DataFrame) -> None:
    assert admit_together(NOTHING, {"b": batch}, PARAMETERS) == {}


def test_labels_that_a_batch_corrects_count_and_those_that_it_only_proposes_do_not() -> None:
    # The same contents, all of them under one label.
    other = KNOWN.assign(label="P")
    corrects = {"b": other.assign(corrects=True), "c": tabulate(100, "P")}
    waiting = admit_together(KNOWN, corrects, PARAMETERS)
    assert list(waiting) == ["b"]
    assert any("0 patients of U" in breach for breach in waiting["b"])
    assert admit_together(KNOWN, {"b": other.assign(corrects=False)}, PARAMETERS) == {}
    assert admit_together(KNOWN, {"b": other}, PARAMETERS) == {}


def test_what_was_too_little_before_is_not_held_against_a_batch_that_corrects_labels() -> None:
    few = KNOWN[KNOWN["split"] != "test"]
    other = few.assign(label="P", corrects=True)
    assert admit_together(few, {"b": other}, PARAMETERS) == {}


def test_the_batch_at_fault_waits_and_the_others_join() -> None:
    candidates = {
        "tipping": tabulate(100, "P" * 12),
        "well": tabulate(200, "PU"),
        "also": tabulate(300, "PU"),
    }
    waiting = admit_together(KNOWN, candidates, PARAMETERS)
    assert list(waiting) == ["tipping"]
    assert waiting["tipping"] == [
        (
            "Class 'U' has 7.1% of the images; at least 20.0% is required "
            "(contract.minimum_class_share). Deliver more of it, or less of the others."
        )
    ]


def test_a_folder_that_resembles_a_class_is_named_with_it() -> None:
    known = KNOWN.assign(label=KNOWN["label"].map({"P": "infected", "U": "healthy"}))
    joining = {"b": tabulate(100, "P", ("train",)).assign(label="infekted")}
    free = PARAMETERS | {"classes": None}
    first, *_ = admit_together(known, joining, free)["b"]
    assert first.startswith("Folder 'infekted' would be a new class. Did you mean 'infected'?")


def test_what_a_batch_brings_counts_for_the_next_one() -> None:
    candidates = {"a": tabulate(100, "PPU"), "b": tabulate(200, "P" * 6), "c": tabulate(300, "PP")}
    # With `a`, two of five are U; with `b` too it would be 2 of 11, and with `c` 2 of 7.
    assert list(admit_together(KNOWN, candidates, PARAMETERS)) == ["b"]
    strict = PARAMETERS | {"contract": PARAMETERS["contract"] | {"minimum_class_share": 0.35}}
    assert list(admit_together(KNOWN, candidates, strict)) == ["b", "c"]


def test_of_ten_classes_one_may_lack_images_with_what_is_shipped() -> None:
    """A project that names no more than its classes trains: nothing was proposed for it."""
    shipped = {**read_shipped("data_processing"), "classes": None}
    letters = "abcdefghij"
    known = pd.concat(tabulate(1000 * at, letters, status="accepted") for at in range(33))
    lacking = pd.concat([known[known["label"] != "c"], known[known["label"] == "c"].iloc[12:]])
    names = list(letters)
    assert check_images(lacking, names, shipped["contract"]) == Findings([], [])
    assert admit_together(NOTHING, {"b": lacking}, shipped) == {}
    assert admit_together(lacking, {"b": known[known["label"] != "c"]}, shipped) == {}
    # What counts as a tenth of two classes counts as a fiftieth of ten.
    rare = pd.concat([known[known["label"] != "c"], known[known["label"] == "c"].iloc[:17]])
    (breach,) = check_images(rare, names, shipped["contract"]).breaches
    assert "at least 2.0% is required" in breach


@pytest.mark.parametrize("status", ["held", "rejected", "conflict"])
def test_images_that_are_not_accepted_help_no_batch_in(status: str) -> None:
    known = tabulate(0, "PU", status=status)
    tipping = {"b": tabulate(100, "P" * 12)}
    assert admit_together(known, tipping, PARAMETERS) == {}  # too few are accepted to judge it
    assert list(admit_together(KNOWN, tipping, PARAMETERS)) == ["b"]
    assert admit_together(KNOWN, {"b": tabulate(100, "P")}, PARAMETERS) == {}


def test_a_content_that_comes_again_counts_once() -> None:
    again = pd.concat([tabulate(100, "PU"), *[KNOWN[KNOWN["label"] == "P"]] * 9])
    assert admit_together(KNOWN, {"b": again}, PARAMETERS) == {}


def test_a_content_that_comes_again_under_another_patients_name_counts_once() -> None:
    again = KNOWN.assign(patient="C" + KNOWN["image_id"] + "0")
    assert admit_together(KNOWN, {"b": again}, PARAMETERS) == {}


def test_classes_are_those_found_where_none_are_named() -> None:
    free = PARAMETERS | {"classes": None}
    assert admit_together(NOTHING, {"b": tabulate(0, "PUX")}, free) == {}
    assert admit_together(NOTHING, {"b": tabulate(0, "X")}, free) == {}
    rare = {"b": tabulate(100, "PPUU"), "c": tabulate(200, "X", ("train",))}
    assert list(admit_together(KNOWN, rare, free)) == ["c"]


class TestSample:
    IMAGES = pd.DataFrame(
        {"image_id": list("iafcbghde"), "patient": ["C1"] * 6 + ["C2"] * 2 + ["C3"]}
    )

    def test_it_takes_the_same_images_of_each_patient_whatever_their_order(self) -> None:
        sample = sample_patients(self.IMAGES, 5)

        assert sample["image_id"].tolist() == ["a", "b", "d", "e", "h"]
        pd.testing.assert_frame_equal(sample, sample_patients(self.IMAGES.sample(frac=1), 5))

    def test_few_images_are_all_taken(self) -> None:
        assert sample_patients(self.IMAGES, 9) is self.IMAGES
        assert len(sample_patients(self.IMAGES, 8)) == 6  # up to three of each of three patients
        assert len(sample_patients(self.IMAGES, 3)) == 3
