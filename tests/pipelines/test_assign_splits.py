"""`assign_splits`: a patient belongs to one split, for ever."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import pandas as pd
import pytest
from samples import DATA_PROCESSING, NEGATIVE, POSITIVE, tabulate_index

from image_classification.errors import ConfigurationError, DataError
from image_classification.pipelines.data_processing.nodes import assign_splits

SPLITS = ("train", "validation", "test")


def split_index(
    index: pd.DataFrame, positive_class: str = POSITIVE, **changes: Any
) -> tuple[pd.DataFrame, list[str], dict[str, Any]]:
    return assign_splits(index, positive_class, {**DATA_PROCESSING, **changes})


def of_both_classes(patients: Iterable[int]) -> pd.DataFrame:
    return tabulate_index({f"C{number}": (POSITIVE, NEGATIVE) for number in patients})


def find_splits(index: pd.DataFrame, **changes: Any) -> dict[str, str]:
    """Return the split of each patient, after a check that there is only one."""
    splits, _, _ = split_index(index, **changes)
    by_patient = splits.groupby("patient")["split"]
    assert (by_patient.nunique() == 1).all()
    return by_patient.first().to_dict()


@pytest.fixture(scope="module")
def index() -> pd.DataFrame:
    return of_both_classes(range(200))


def test_a_patient_keeps_its_split_whatever_other_patients_there_are(index: pd.DataFrame) -> None:
    settled = find_splits(index)
    chance = random.Random(0)  # noqa: S311 - not for secrets
    for _ in range(50):
        patients = chance.sample(range(200), chance.randint(60, 200))
        rows = of_both_classes(patients).sample(frac=1, random_state=chance.randint(0, 10**6))

        assert find_splits(rows).items() <= settled.items()


def test_each_image_of_a_patient_follows_the_patient(index: pd.DataFrame) -> None:
    splits, _, _ = split_index(index)

    assert splits["split"].isin(SPLITS).all()
    assert splits.groupby("patient")["split"].nunique().eq(1).all()
    pd.testing.assert_frame_equal(splits.drop(columns="split"), index)


def test_splits_are_of_about_the_size_asked_for() -> None:
    splits = pd.Series(find_splits(of_both_classes(range(4000))))

    shares = splits.value_counts(normalize=True)
    assert shares["test"] == pytest.approx(0.15, abs=0.02)
    assert shares["validation"] == pytest.approx(0.20, abs=0.02)
    assert shares["train"] == pytest.approx(0.65, abs=0.02)


def test_a_larger_test_share_only_adds_patients_to_the_test_split(index: pd.DataFrame) -> None:
    small = {name for name, split in find_splits(index).items() if split == "test"}
    large = {name for name, split in find_splits(index, test_share=0.3).items() if split == "test"}

    assert small < large


def test_another_salt_gives_another_split(index: pd.DataFrame) -> None:
    assert find_splits(index) != find_splits(index, split_salt="other")


def test_summary_counts_images_and_patients_of_each_split_and_class(index: pd.DataFrame) -> None:
    splits, class_names, summary = split_index(index)

    assert class_names == [POSITIVE, NEGATIVE]
    assert (summary["images"], summary["patients"]) == (400, 200)
    assert summary["captured_until"] == "2015-09-18"
    assert set(summary["splits"]) == set(SPLITS)
    for split, counts in summary["splits"].items():
        patients = splits.loc[splits["split"] == split, "patient"].nunique()
        assert counts == {
            "images": 2 * patients,
            "patients": patients,
            "classes": {POSITIVE: patients, NEGATIVE: patients},
        }


def test_digest_does_not_change_with_the_order_of_the_images(index: pd.DataFrame) -> None:
    shuffled = index.sample(frac=1, random_state=1)

    assert split_index(shuffled)[2]["data_digest"] == split_index(index)[2]["data_digest"]


def test_digest_changes_with_an_image_a_label_or_a_split(index: pd.DataFrame) -> None:
    another_image, another_label = index.copy(), index.copy()
    another_image.loc[0, "image_id"] = "id-other"
    another_label.loc[0, "label"] = NEGATIVE
    digests = [
        split_index(table)[2]["data_digest"]
        for table in (index, another_image, another_label, index.iloc[1:])
    ]
    digests.append(split_index(index, test_share=0.3)[2]["data_digest"])

    assert len(set(digests)) == 5


def test_digest_ignores_where_the_files_lie(index: pd.DataFrame) -> None:
    moved = index.assign(path="elsewhere/" + index["path"], image_name="x")

    assert split_index(moved)[2]["data_digest"] == split_index(index)[2]["data_digest"]


def test_a_class_of_one_patient_is_refused_with_what_is_missing(index: pd.DataFrame) -> None:
    healthy = tabulate_index({f"C{number}": (NEGATIVE,) for number in range(200)})
    one = pd.concat([healthy, tabulate_index({"C500": (POSITIVE,)})], ignore_index=True)

    with pytest.raises(DataError, match=f"Class '{POSITIVE}' has no image in the split") as refused:
        split_index(one)

    assert "its 1 images are of 1 patients" in str(refused.value)
    assert " and " in str(refused.value)


@pytest.mark.parametrize("split", SPLITS)
def test_a_class_that_one_split_lacks_is_refused(index: pd.DataFrame, split: str) -> None:
    splits, _, _ = split_index(index)
    lacks = splits[(splits["split"] != split) | (splits["label"] == NEGATIVE)]

    with pytest.raises(
        DataError, match=f"Class '{POSITIVE}' has no image in the split {split}: its"
    ):
        split_index(lacks.drop(columns="split"))


def test_a_class_named_in_the_parameters_that_has_no_image_is_refused(index: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="Class 'Smudge' has no image"):
        split_index(index, classes=[POSITIVE, NEGATIVE, "Smudge"])


def test_a_positive_class_that_is_no_class_is_refused_with_the_name_it_resembles(
    index: pd.DataFrame,
) -> None:
    with pytest.raises(
        ConfigurationError, match=r"positive_class 'parasitized' is not a class.*Did you mean"
    ):
        split_index(index, positive_class="parasitized")


def test_classes_come_from_the_folders_where_none_are_named() -> None:
    labels = ("ring", "healthy", "gametocyte")
    index = tabulate_index({f"C{number}": labels for number in range(100)})

    _, class_names, summary = split_index(index, positive_class="ring", classes=None)

    assert class_names == ["gametocyte", "healthy", "ring"]
    assert set(summary["splits"]["train"]["classes"]) == set(labels)
