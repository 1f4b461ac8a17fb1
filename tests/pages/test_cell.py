"""Which images a page shows, in which order, and how many."""

from __future__ import annotations

import base64
import io

import numpy as np
import pandas as pd
import pytest
from judgement import predict
from PIL import Image

from image_classification.pages.cell import (
    DOUBTFUL,
    LONGEST_SIDE_PX,
    MOST_SHOWN,
    add_pictures,
    choose_cells,
    encode_picture,
)


def list_names(group: object) -> list[str]:
    return [cell.name for cell in group.cells]  # type: ignore[attr-defined]


def test_repaired_and_broken_are_those_that_one_model_alone_has_right() -> None:
    chosen = choose_cells(predict({"C1": "1100"}), predict({"C1": "1010"}))
    assert list_names(chosen.repaired) == ["1.png"]
    assert list_names(chosen.broken) == ["2.png"]
    (cell,) = chosen.repaired.cells
    assert (cell.challenger.right, cell.champion and cell.champion.right) == (True, False)
    assert cell.challenger.category == cell.label
    assert cell.challenger.probability == pytest.approx(0.9)


def test_a_label_is_doubtful_where_every_model_is_sure_that_it_is_wrong() -> None:
    sure, unsure = (
        predict({"C1": "00"}, confidences=[0.95]),
        predict({"C1": "00"}, confidences=[0.8]),
    )
    assert choose_cells(sure, sure).doubtful.count == 2
    assert choose_cells(sure, unsure).doubtful.count == 0
    assert choose_cells(sure, predict({"C1": "11"}, confidences=[0.95])).doubtful.count == 0
    edge = predict({"C1": "00"}, confidences=[DOUBTFUL])
    assert choose_cells(edge, edge).doubtful.count == 2


def test_the_most_doubted_label_comes_first() -> None:
    champion = predict({"C1": "0000"}, confidences=[0.6, 0.99, 0.7, 0.8])
    chosen = choose_cells(predict({"C1": "1111"}, confidences=[0.6]), champion)
    assert list_names(chosen.repaired) == ["1.png", "3.png", "2.png", "0.png"]


def test_so_many_are_shown_and_all_are_counted() -> None:
    chosen = choose_cells(predict({"C1": "1" * 40}), predict({"C1": "0" * 40}))
    assert chosen.repaired.count == 40
    assert len(chosen.repaired.cells) == MOST_SHOWN


def test_without_a_champion_the_mistakes_are_shown_but_for_the_doubtful_ones() -> None:
    table = predict({"C1": "001"}, confidences=[0.95, 0.6, 0.9])
    chosen = choose_cells(table, pd.DataFrame())
    assert list_names(chosen.doubtful) == ["0.png"]
    assert list_names(chosen.mistakes) == ["1.png"]
    assert chosen.mistakes.cells[0].champion is None


def test_a_picture_is_small_and_lies_in_the_page() -> None:
    address = encode_picture(np.full((300, 200, 3), 7, np.uint8))
    kind, content = address.split(",")
    assert kind == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(content))) as picture:
        assert max(picture.size) == LONGEST_SIDE_PX


def test_an_image_without_pixels_stays_without_a_picture() -> None:
    chosen = choose_cells(predict({"C1": "11"}), predict({"C1": "00"}))
    add_pictures(chosen.cells, {"id-0": np.zeros((8, 8, 3), np.uint8)})
    assert [bool(cell.picture) for cell in chosen.cells] == [True, False]
