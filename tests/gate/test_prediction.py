"""The table of predictions: what it holds, and that it survives its file."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

from image_classification.gate.prediction import (
    PREDICTION_NAMES,
    find_right,
    read_predictions,
    tabulate_predictions,
)

CLASSES = ["ring", "healthy", "smudge"]


def tabulate(probabilities: list[list[float]]) -> pd.DataFrame:
    images = pd.DataFrame({"image_id": [f"id-{row}" for row in range(len(probabilities))]})
    images.index = pd.Index(range(7, 7 + len(probabilities)))
    return tabulate_predictions(images, np.array(probabilities, np.float32), CLASSES)


def test_each_class_has_a_column_and_the_category_is_the_most_probable() -> None:
    table = tabulate([[0.25, 0.5, 0.25], [0.125, 0.125, 0.75], [0.5, 0.25, 0.25]])
    assert table["category"].tolist() == ["healthy", "smudge", "ring"]
    assert table["probability_ring"].tolist() == [0.25, 0.125, 0.5]
    assert table["probability_healthy"].tolist() == [0.5, 0.125, 0.25]
    assert table["probability_smudge"].tolist() == [0.25, 0.75, 0.25]
    assert table["image_id"].tolist() == ["id-0", "id-1", "id-2"]
    assert table.index.tolist() == [0, 1, 2]
    assert table["probability_ring"].dtype == np.float64


def test_of_two_equally_probable_classes_the_first_is_called() -> None:
    assert tabulate([[0.25, 0.375, 0.375]])["category"].tolist() == ["healthy"]


def test_the_images_given_are_left_as_they_are() -> None:
    images = pd.DataFrame({"image_id": ["a"]}, index=[3])
    tabulate_predictions(images, np.array([[1.0, 0.0, 0.0]]), CLASSES)
    assert list(images) == ["image_id"]
    assert images.index.tolist() == [3]


def test_a_table_of_no_images_has_all_columns() -> None:
    nothing = tabulate_predictions(pd.DataFrame({"image_id": []}), np.zeros((0, 3)), CLASSES)
    assert len(nothing) == 0
    assert list(nothing) == ["image_id", *(f"probability_{name}" for name in CLASSES), "category"]


@pytest.mark.parametrize("column", PREDICTION_NAMES)
@pytest.mark.parametrize("name", ["007", "1e3", "NA", "None", "nan", "True", "2026-11"])
def test_a_name_is_read_as_it_was_written(column: str, name: str) -> None:
    table = pd.DataFrame({column: [name, "x"], "probability_ring": [0.1, 0.9]})
    read = read_predictions(io.BytesIO(table.to_csv(index=False).encode()))
    assert read[column].tolist() == [name, "x"]
    assert read["probability_ring"].tolist() == [0.1, 0.9]


def test_an_empty_cell_is_read_as_missing() -> None:
    read = read_predictions(io.BytesIO(b"image_id,model_version\nid-1,\n"))
    assert read["model_version"].isna().tolist() == [True]


def test_an_image_is_right_where_it_was_called_by_its_label() -> None:
    table = pd.DataFrame({"label": ["a", "b"], "category": ["a", "a"], "version": ["b", "b"]})
    assert find_right(table).tolist() == [1, 0]
    assert find_right(table, "version").tolist() == [0, 1]
