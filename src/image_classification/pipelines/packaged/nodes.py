"""From images and a network to a table of predictions."""

from __future__ import annotations

from pathlib import Path

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
        images: one row per image. `image` holds the bytes of an image file (docs/images.md), or
            the path of one (str). The column `image_name` (str) is optional and returned unchanged;
            without it, images are named by the number of their row.
        network: takes ``(n, size, size, 3)``, values 0 to 255.
        class_names: the classes, in the order of the network's outputs.
        batch_size: images per step.

    Returns:
        One row per image, in order: `image_name`, ``probability_<class>`` of each class (float,
        summing to 1), and `category`, the class of the highest.

    Raises:
        DataError: the column `image` is missing, or an image cannot be decoded, or
            means nothing certain in RGB: the message names it, and says why.
    """
    if "image" not in images:
        raise DataError(
            "The table of images has no column 'image' (bytes of an image file, base64 in JSON). "
            f"Received columns: {', '.join(map(str, images.columns)) or 'none'}."
        )
    contents = images["image"].tolist()
    names = [str(name) for name in images.get("image_name", range(len(images)))]
    probabilities = vision.score_images(
        network,
        len(contents),
        lambda rows: [_read_content(content) for content in contents[rows]],
        batch_size,
        name=names.__getitem__,
    )
    table = pd.DataFrame({"image_name": names})
    return tabulate_predictions(table, probabilities, class_names)


def _read_content(content: bytes | str) -> bytes:
    return Path(content).read_bytes() if isinstance(content, str) else content
