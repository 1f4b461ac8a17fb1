"""Images for the benchmarks: of a zip or folder, or made; split by patient as the project does."""

from __future__ import annotations

import re
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from stored_predictions import read_parameters

from image_classification import vision
from image_classification.intake.split import draw_splits
from image_classification.local.synthetic import make_cells

MADE_PATIENTS, MADE_CELLS = 120, 20


@dataclass(frozen=True)
class Cells:
    """Labelled images in memory.

    Attributes:
        files: where they lie.
        targets: 0 for Parasitized, 1 for Uninfected, ``(n,)``.
        split: train, validation or test, ``(n,)``.
    """

    files: list[Path]
    targets: np.ndarray
    split: np.ndarray

    def read(self, split: str) -> list[bytes]:
        """Return the files of a split."""
        return [self.files[row].read_bytes() for row in np.flatnonzero(self.split == split)]

    def decode(self, split: str, size_px: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the pixels and targets of a split, decoded as the project does."""
        return vision.decode_images(self.read(split), size_px), self.targets[self.split == split]


def lay_out(data: Path | None, folder: Path) -> Cells:
    """Lay the images out as files below a folder, a sub-folder per class.

    Args:
        data: a zip or a folder of class folders; None to make cells.
        folder: is filled.
    """
    if data is None:
        make_cells(folder, range(1, MADE_PATIENTS + 1), MADE_CELLS)
    elif data.is_dir():
        shutil.copytree(data, folder, dirs_exist_ok=True)
    else:
        with zipfile.ZipFile(data) as archive:
            archive.extractall(folder)
    parameters = read_parameters()["data_processing"]
    pattern = re.compile(parameters["name_pattern"])
    found = {path: pattern.search(path.name) for path in sorted(folder.rglob("*.png"))}
    patients = {path: match["patient"] for path, match in found.items() if match}
    splits = draw_splits(patients.values(), parameters)
    return Cells(
        list(patients),
        np.array([int(path.parent.name == "Uninfected") for path in patients]),
        np.array([splits[patient] for patient in patients.values()]),
    )
