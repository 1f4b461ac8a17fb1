"""Which images a page shows, and how they lie in it: small, bounded in number, inside the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from image_classification.gate.prediction import PROBABILITY_PREFIX, find_right

MOST_SHOWN = 12
"""Images of a group that are shown, so that a page stays below its size."""

DOUBTFUL = 0.9
"""Where every model is as sure as this that a label is wrong, somebody should look at the label."""

LONGEST_SIDE_PX = 96
JPEG_QUALITY = 88


@dataclass(frozen=True)
class Answer:
    """What one model called an image.

    Attributes:
        category: the class that it called.
        probability: of that class, 0 to 1.
        right: whether it is the label.
    """

    category: str
    probability: float
    right: bool


@dataclass
class Cell:
    """An image on the page: whose it is, its label, and what the models call it."""

    image_id: str
    name: str
    patient: str
    label: str
    challenger: Answer
    champion: Answer | None
    picture: str = ""


@dataclass
class CellGroup:
    """Images with something in common: the first few, and how many there are in all."""

    count: int = 0
    cells: list[Cell] = field(default_factory=list)


@dataclass
class ChosenCells:
    """The images that a page shows.

    Attributes:
        doubtful: every model is sure that the label is wrong.
        repaired: the challenger alone has them right.
        broken: the champion alone has them right.
        mistakes: the challenger has them wrong; only where there is no champion.
        fault: why there are no pictures; "" if there are.
    """

    doubtful: CellGroup
    repaired: CellGroup = field(default_factory=CellGroup)
    broken: CellGroup = field(default_factory=CellGroup)
    mistakes: CellGroup = field(default_factory=CellGroup)
    fault: str = ""

    @property
    def cells(self) -> list[Cell]:
        """All images that are shown."""
        groups = (self.doubtful, self.repaired, self.broken, self.mistakes)
        return [cell for group in groups for cell in group.cells]


def choose_cells(challenger: pd.DataFrame, champion: pd.DataFrame) -> ChosenCells:
    """Choose the images to look at, in each group those first whose label is doubted most.

    Args:
        challenger: a table of predictions: `image_id`, `image_name`, `patient`, `label`,
            ``probability_<class>`` of each class, `category`.
        champion: the same rows in the same order; no rows where there is no champion.
    """
    tables = [challenger, champion] if len(champion) else [challenger]
    right = [find_right(table).astype(bool) for table in tables]
    doubts = np.stack([1 - _pick(table, table["label"]) for table in tables])
    doubtful = np.asarray((doubts >= DOUBTFUL).all(axis=0), dtype=bool)
    order = np.argsort(-doubts.mean(axis=0), kind="stable")

    def gather(rows: npt.NDArray[np.bool_]) -> CellGroup:
        return _gather(tables, order[rows[order]])

    if len(tables) == 1:
        return ChosenCells(gather(doubtful), mistakes=gather(~right[0] & ~doubtful))
    return ChosenCells(
        gather(doubtful),
        repaired=gather(right[0] & ~right[1]),
        broken=gather(~right[0] & right[1]),
    )


def _pick(table: pd.DataFrame, names: pd.Series) -> npt.NDArray[np.floating]:
    """Return the probability that each row gives to the class named for it, ``(n,)``."""
    columns = [str(column) for column in table if str(column).startswith(PROBABILITY_PREFIX)]
    number = {name.removeprefix(PROBABILITY_PREFIX): place for place, name in enumerate(columns)}
    places = np.array([number[str(name)] for name in names], dtype=np.intp)
    probabilities: npt.NDArray[np.floating] = table[columns].to_numpy(float)
    return probabilities[np.arange(len(table)), places]


def _gather(tables: Sequence[pd.DataFrame], rows: npt.NDArray[np.intp]) -> CellGroup:
    shown = [table.iloc[rows[:MOST_SHOWN]] for table in tables]
    answers = [_read_answers(table) for table in shown]
    theirs: Sequence[Answer | None] = answers[1] if len(answers) == 2 else [None] * len(answers[0])
    named = shown[0][["image_id", "image_name", "patient", "label"]].astype(str).to_numpy()
    cells = [
        Cell(image_id, name, patient, label, ours, other)
        for (image_id, name, patient, label), ours, other in zip(
            named.tolist(), answers[0], theirs, strict=True
        )
    ]
    return CellGroup(len(rows), cells)


def _read_answers(table: pd.DataFrame) -> list[Answer]:
    given, right = _pick(table, table["category"]), find_right(table)
    return [
        Answer(str(category), float(probability), bool(hit))
        for category, probability, hit in zip(table["category"], given, right, strict=True)
    ]


def add_pictures(cells: Iterable[Cell], pixels: Mapping[str, npt.NDArray[np.uint8]]) -> None:
    """Put the picture of each image into it.

    Args:
        cells: the images.
        pixels: of each image by its id, ``(side, side, 3)`` uint8.
    """
    for cell in cells:
        if cell.image_id in pixels:
            cell.picture = encode_picture(pixels[cell.image_id])


def encode_picture(pixels: npt.NDArray[np.uint8]) -> str:
    """Return an image as a `data:` address, at most `LONGEST_SIDE_PX` wide and high."""
    picture: Any = Image.fromarray(pixels)
    picture.thumbnail((LONGEST_SIDE_PX, LONGEST_SIDE_PX))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
