"""The table of predictions: a row per image, what it is and what a model answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from image_classification.text import restore_cell

if TYPE_CHECKING:
    import pandas as pd

PROBABILITY_PREFIX = "probability_"
PREDICTION_NAMES = ("image_id", "image_name", "patient", "label", "category", "model_version")
"""Columns of a table of predictions that hold names. A CSV reader must not take them for numbers:
patient 007 is not patient 7, and a class may be called NA. The catalog says the same."""


def tabulate_predictions(
    images: pd.DataFrame,
    probabilities: npt.NDArray[np.floating],
    class_names: Sequence[str],
) -> pd.DataFrame:
    """Return `images` with a probability column per class and the predicted `category`.

    Args:
        images: one row per image, ``n`` rows.
        probabilities: shape ``(n, classes)``, each 0 to 1.
        class_names: the classes in the order of the columns of `probabilities`.
    """
    table = images.reset_index(drop=True).copy()
    for column, name in enumerate(class_names):
        table[f"{PROBABILITY_PREFIX}{name}"] = probabilities[:, column].astype(float)
    categories = np.asarray(class_names, dtype=object)
    table["category"] = categories[probabilities.argmax(axis=1)] if len(table) else []
    return table


def find_right(labelled: pd.DataFrame, column: str = "category") -> npt.NDArray[np.int64]:
    """Return which images were called by their label, 0 or 1, ``(n,)``.

    Args:
        labelled: `label`, and what each image was called.
        column: the one that holds what it was called.
    """
    right = labelled["label"].to_numpy(object) == labelled[column].to_numpy(object)
    return np.asarray(right, dtype=np.int64)


def read_predictions(file: IO[bytes]) -> pd.DataFrame:
    """Read a table of predictions from CSV; every name stays as it was written."""
    import pandas as pd  # noqa: PLC0415

    table = pd.read_csv(
        file, dtype=dict.fromkeys(PREDICTION_NAMES, str), keep_default_na=False, na_values=[""]
    )
    named = table.columns.intersection(list(PREDICTION_NAMES))
    return table.assign(
        **{
            name: table[name].map(restore_cell, na_action="ignore").astype(table[name].dtype)
            for name in named
        }
    )
