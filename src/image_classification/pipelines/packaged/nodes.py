"""From images and a network to a table of predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from image_classification import vision
from image_classification.errors import DataError
from image_classification.gate.prediction import tabulate_predictions
from image_classification.vision import Network


def classify_images(
    images: pd.DataFrame, network: Network, class_names: list[str], batch_size: int
) -> pd.DataFrame:
    """Classify encoded images. The packaged model calls this function.

    Args:
        images: one row per image. `image` holds the bytes of an image file (docs/image-files.md):
            no path and no URL, since whoever asks over HTTP must not have files of the server read.
            The column `image_name` (str) is optional and returned unchanged; without it, or where
            it is empty, an image is named by the number of its row.
        network: takes ``(n, size, size, 3)``, values 0 to 255.
        class_names: the classes, in the order of the network's outputs.
        batch_size: images per step.

    Returns:
        One row per image, in order: `image_name`, ``probability_<class>`` of each class (float,
        summing to 1), and `category`, the class of the highest. Where an answer cannot be relied
        on, there is a column `warning` that says why, "" in other rows.

    Raises:
        DataError: the column `image` is missing, or an image is no bytes, cannot be decoded, or
            means nothing certain in RGB: the message names it, and says why.
    """
    if "image" not in images:
        raise DataError(
            "The table of images has no column 'image' (bytes of an image file, base64 in JSON). "
            f"Received columns: {', '.join(map(str, images.columns)) or 'none'}."
        )
    names = _name_images(images)
    contents = _take_contents(images["image"].tolist(), names)
    watch = vision.ColourWatch(network, len(contents))
    probabilities = vision.score_images(
        network,
        len(contents),
        contents.__getitem__,
        batch_size,
        name=names.__getitem__,
        look=watch,
    )
    table = pd.DataFrame({"image_name": names})
    table = tabulate_predictions(table, probabilities, class_names)
    return table.assign(warning=watch.warnings) if any(watch.warnings) else table


def _name_images(images: pd.DataFrame) -> list[str]:
    numbers = [str(row) for row in range(len(images))]
    if "image_name" not in images:
        return numbers
    given = images["image_name"].fillna("").astype(str)
    return [name or number for name, number in zip(given, numbers, strict=True)]


def _take_contents(values: Sequence[Any], names: Sequence[str]) -> list[bytes]:
    for name, value in zip(names, values, strict=True):
        if not isinstance(value, bytes | bytearray | memoryview):
            raise DataError(
                f"Image {name}: the column 'image' takes the bytes of an image file (base64 in "
                "JSON), no path and no URL. "
                f"Received: {type(value).__name__}."
            )
    return [bytes(value) for value in values]
