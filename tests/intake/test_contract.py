"""The data contract: each rule at its edge, and a sentence for each breach."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from image_classification.intake.contract import (
    REDELIVER,
    Findings,
    check_batch,
    check_images,
    check_rows,
    scale_class_share,
)

CLASSES = ["healthy", "ring"]
CONTRACT: Any = {
    "maximum_refused_share": 0.1,
    "minimum_class_share": 0.25,
    "minimum_patients": 2,
}


NOTHING = Findings([], [])
NEEDED = "at least 2 of each class are needed (contract.minimum_patients)"


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
    assert check_images(tabulate_images(), CLASSES, CONTRACT) == NOTHING
    assert check_rows(tabulate_images(), CLASSES) == []


def test_the_share_of_refused_files_may_be_as_high_as_the_limit() -> None:
    assert check_batch(tabulate_files(9, 1), CLASSES, CONTRACT) == []
    assert check_batch(tabulate_files(8, 1), CLASSES, CONTRACT) == [
        (
            "1 of 9 files: empty. 11.1% of the 9 files are no usable images; at most 10.0% is "
            f"allowed (contract.maximum_refused_share). {REDELIVER}"
        )
    ]


def test_a_batch_without_a_file_is_no_batch() -> None:
    (breach,) = check_batch(tabulate_files(0, 0), CLASSES, CONTRACT)
    assert breach.startswith("There is no image in it: expected <class>/<image> files. Deliver")


def test_files_in_no_class_folder_are_refused_and_no_label() -> None:
    files = pd.concat([tabulate_files(19, 0), tabulate_files(0, 1, label="")])
    assert check_batch(files, CLASSES, CONTRACT) == []
    assert check_batch(files.head(0), None, CONTRACT | {"maximum_refused_share": 1.0}) == []


def test_a_label_that_is_no_class_is_named_with_the_one_it_resembles() -> None:
    (breach,) = check_batch(tabulate_files(9, 0, "rings"), CLASSES, CONTRACT)
    assert breach == (
        "Label folder 'rings' is not a class; allowed: healthy, ring (data_processing.classes). "
        "Did you mean 'ring'? Rename the folder and deliver it again, or add the class."
    )
    assert check_batch(tabulate_files(9, 0, "rings"), None, CONTRACT) == []


@pytest.mark.parametrize(("patients", "enough"), [(2, True), (1, False)])
def test_a_set_waits_for_patients_of_each_class_in_each_split(patients: int, enough: bool) -> None:
    breaches, missing = check_images(tabulate_images(patients), CLASSES, CONTRACT)
    assert breaches == []
    few = [
        f"the split {split} has 1 patient of healthy, 1 patient of ring"
        for split in ("train", "validation", "test")
    ]
    assert missing == ([] if enough else [*few, NEEDED])


def test_only_what_is_missing_is_told() -> None:
    images = tabulate_images()
    few = images[(images["split"] != "validation") | (images["label"] == "healthy")]
    lacks = "the split validation has 0 patients of ring"
    assert check_images(few, CLASSES, CONTRACT) == Findings([], [lacks, NEEDED])
    named = check_images(images.head(0), [f"c{number}" for number in range(30)], CONTRACT).missing
    assert named == ["no image is accepted yet"]
    many = check_images(images, [f"c{number}" for number in range(30)], CONTRACT).missing
    assert [clause.count("patients of") for clause in many] == [20, 20, 20, 0]


def test_a_class_needs_its_share() -> None:
    images = tabulate_images(8)
    few = images[(images["label"] == "ring") | images["patient"].str.contains("[02468]$")]
    assert check_images(few, CLASSES, CONTRACT | {"minimum_class_share": 1 / 3}) == NOTHING
    breach = (
        "Class 'healthy' has 33.3% of the images; at least 34.0% is required "
        "(contract.minimum_class_share). Deliver more of it, or less of the others."
    )
    strict = CONTRACT | {"minimum_class_share": 0.34}
    assert check_images(few, CLASSES, strict) == Findings([breach], [])


@pytest.mark.parametrize(("count", "needed"), [(1, 0.25), (2, 0.25), (3, 0.5 / 3), (10, 0.05)])
def test_a_share_is_a_part_of_an_equal_share_however_many_classes_there_are(
    count: int, needed: float
) -> None:
    assert scale_class_share(0.25, count) == pytest.approx(needed)


def test_ten_classes_do_not_stop_at_one_image_that_is_missing() -> None:
    names = [f"class{number}" for number in range(10)]
    images = pd.concat(
        tabulate_images().assign(label=name) for name in names for _ in range(2)
    ).iloc[1:]
    contract = CONTRACT | {"minimum_class_share": 0.1}
    assert check_images(images, names, contract) == NOTHING
    rare = pd.concat([images[images["label"] != "class3"]] * 5 + [tabulate_images()])
    rare = rare.assign(label=rare["label"].replace({"ring": "class3", "healthy": "class3"}))
    (breach,) = check_images(rare, names, contract).breaches
    assert breach.endswith(
        "at least 2.0% is required (contract.minimum_class_share, which counts as for two classes)."
        " Deliver more of it, or less of the others."
    )


def test_a_share_is_not_judged_before_there_are_enough_patients() -> None:
    few = tabulate_images()
    few = few[few["label"] == "ring"]
    breaches, missing = check_images(few, CLASSES, CONTRACT)
    assert breaches == []
    assert missing[0] == "the split train has 0 patients of healthy"


def test_a_class_has_its_share_of_the_images_not_of_the_patients() -> None:
    images = tabulate_images()
    rings = images[images["label"] == "ring"]
    many = pd.concat([images, *[rings] * 2])
    assert check_images(many, CLASSES, CONTRACT) == NOTHING
    (breach,) = check_images(pd.concat([many, rings]), CLASSES, CONTRACT).breaches
    assert breach.startswith("Class 'healthy' has 20.0% of the images")


def test_a_patient_is_in_one_split() -> None:
    images = tabulate_images()
    images.loc[1, "split"] = "test"
    told = (
        "Patient 'train0' is in 2 splits; one is allowed. Reject all but one of the batches that "
        "brought images of it."
    )
    assert told in check_images(images, CLASSES, CONTRACT).breaches
    # However few patients there are: more would not mend it.
    assert check_images(images.head(2), CLASSES, CONTRACT).breaches == [told]


def test_a_content_is_counted_once() -> None:
    images = pd.concat([tabulate_images(), tabulate_images().head(1)])
    breaches = check_rows(images, CLASSES)
    assert all(breach.startswith("image_id of an image: '0000") for breach in breaches)
    assert breaches


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("label", "rings", "isin(['healthy', 'ring'])"),
        ("split", "holdout", "isin(['train', 'validation', 'test'])"),
        ("patient", "", "str_matches('.')"),
        ("width", 0, "greater_than_or_equal_to(1)"),
        ("height", 0, "greater_than_or_equal_to(1)"),
        ("image_id", "x", "str_matches('^[0-9a-f]{64}$')"),
        ("image_id", "A" * 64, "str_matches('^[0-9a-f]{64}$')"),
        ("image_id", "0" * 65, "str_matches('^[0-9a-f]{64}$')"),
    ],
)
def test_every_column_is_checked(column: str, value: Any, rule: str) -> None:
    images = tabulate_images()
    images.loc[0, column] = value
    near = " Did you mean 'ring'?" if value == "rings" else ""
    assert check_rows(images, CLASSES) == [f"{column} of an image: {value!r} breaks {rule}.{near}"]


def test_an_image_of_one_pixel_is_one_and_its_size_may_be_written_otherwise() -> None:
    assert check_rows(tabulate_images(width=1, height=1), CLASSES) == []
    assert check_rows(tabulate_images(width="1", height=1.0), CLASSES) == []
    breaches = check_rows(tabulate_images(width="wide").head(1), CLASSES)
    assert breaches[0].startswith("width of an image: ")


def test_where_every_folder_is_a_class_a_set_waits_for_the_second_one() -> None:
    images = tabulate_images()
    found = check_images(images[images["label"] == "ring"], ["ring"], CONTRACT)
    assert found == Findings([], ["there is one class (ring), two are needed"])
    assert check_images(images.head(0), [], CONTRACT).missing == ["no image is accepted yet"]


def test_three_classes_are_as_good_as_two() -> None:
    images = tabulate_images()
    more = images[images["label"] == "ring"].assign(label="gametocyte")
    assert check_images(pd.concat([images, more]), [*CLASSES, "gametocyte"], CONTRACT) == NOTHING


def test_no_more_cases_are_told_than_can_be_read() -> None:
    images = tabulate_images(30, width=0)
    assert len(check_rows(images, CLASSES)) == 20
    labels = pd.DataFrame({"label": [f"c{number}" for number in range(30)], "refusal": ""})
    assert len(check_batch(labels, CLASSES, CONTRACT)) == 20
