"""The data contract: each rule at its edge, and a sentence for each breach."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from image_classification.intake.contract import check_batch, check_images, check_rows

CLASSES = ["healthy", "ring"]
CONTRACT: Any = {
    "maximum_refused_share": 0.1,
    "minimum_class_share": 0.25,
    "minimum_patients": 2,
}


def tabulate_images(patients: int = 2, **changes: Any) -> pd.DataFrame:
    """Return a set that keeps the contract: an image of each class of each patient."""
    rows = [
        {
            "image_id": f"{number:02x}{label[0].encode().hex()}".rjust(64, "0"),
            "label": label,
            "patient": f"{split}{number}",
            "split": split,
            "width": 10,
            "height": 10,
        }
        for number, split in enumerate(
            s for s in ("train", "validation", "test") for _ in range(patients)
        )
        for label in CLASSES
    ]
    return pd.DataFrame(rows).assign(**changes)


def tabulate_files(usable: int, refused: int, label: str = "ring") -> pd.DataFrame:
    return pd.DataFrame({"label": label, "refusal": [""] * usable + ["empty"] * refused})


def test_a_set_that_keeps_the_contract_has_no_breach() -> None:
    assert check_images(tabulate_images(), CLASSES, CONTRACT) == []
    assert check_rows(tabulate_images(), CLASSES) == []


def test_the_share_of_refused_files_may_be_as_high_as_the_limit() -> None:
    assert check_batch(tabulate_files(9, 1), CLASSES, CONTRACT) == []
    (breach,) = check_batch(tabulate_files(8, 1), CLASSES, CONTRACT)
    assert breach.startswith("11.1% of the 9 files are no usable images; at most 10.0% is allowed")


def test_a_batch_without_a_file_is_no_batch() -> None:
    (breach,) = check_batch(tabulate_files(0, 0), CLASSES, CONTRACT)
    assert breach.startswith("100.0% of the 0 files")


def test_a_label_that_is_no_class_is_named_with_the_one_it_resembles() -> None:
    (breach,) = check_batch(tabulate_files(9, 0, "rings"), CLASSES, CONTRACT)
    assert "'rings' is not a class" in breach
    assert "Did you mean 'ring'?" in breach
    assert check_batch(tabulate_files(9, 0, "rings"), None, CONTRACT) == []


@pytest.mark.parametrize(("patients", "kept"), [(2, True), (1, False)])
def test_each_class_needs_patients_in_each_split(patients: int, kept: bool) -> None:
    breaches = check_images(tabulate_images(patients), CLASSES, CONTRACT)
    assert (breaches == []) is kept
    if not kept:
        assert len(breaches) == 6
        assert breaches[0] == (
            "Class 'healthy' in the split train: 1 patients; at least 2 are required "
            "(contract.minimum_patients)."
        )


def test_a_class_needs_its_share() -> None:
    images = tabulate_images(8)
    few = images[(images["label"] == "ring") | images["patient"].str.contains("[02468]$")]
    assert check_images(few, CLASSES, CONTRACT | {"minimum_class_share": 1 / 3}) == []
    (breach,) = check_images(few, CLASSES, CONTRACT | {"minimum_class_share": 0.34})
    assert breach.startswith("Class 'healthy' has 33.3% of the images; at least 34.0% is required")


def test_a_patient_is_in_one_split() -> None:
    images = tabulate_images()
    images.loc[1, "split"] = "test"
    assert "Patient 'train0' is in 2 splits; one is allowed." in check_images(
        images, CLASSES, CONTRACT
    )


def test_a_content_is_counted_once() -> None:
    images = pd.concat([tabulate_images(), tabulate_images().head(1)])
    breaches = check_rows(images, CLASSES)
    assert all(breach.startswith("image_id of an image: '0000") for breach in breaches)
    assert breaches


@pytest.mark.parametrize(
    ("column", "value"),
    [("label", "rings"), ("split", "holdout"), ("patient", ""), ("width", 0), ("image_id", "x")],
)
def test_every_column_is_checked(column: str, value: Any) -> None:
    images = tabulate_images()
    images.loc[0, column] = value
    breaches = check_rows(images, CLASSES)
    assert any(breach.startswith(f"{column} of an image: {value!r}") for breach in breaches)


def test_one_class_is_no_classification() -> None:
    images = tabulate_images()
    breaches = check_images(images[images["label"] == "ring"], ["ring"], CONTRACT)
    assert breaches == ["There are 1 classes (ring); a classifier needs two."]


def test_no_more_cases_are_told_than_can_be_read() -> None:
    images = tabulate_images(30, width=0)
    assert len(check_rows(images, CLASSES)) == 20
