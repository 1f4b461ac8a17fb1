"""The handwritten digits that scikit-learn ships, as a folder of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

WRITERS = 43
"""Who wrote them is not kept: groups are made up, so that there are some."""


def write_digits(folder: Path, count: int) -> Path:
    """Write so many digits, grey PNGs of 8 by 8 pixels, in a folder per class; return it."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    for number in range(count):
        place = folder / f"digit{digits.target[number]}"
        place.mkdir(parents=True, exist_ok=True)
        pixels = (digits.images[number] * (255 / 16)).astype(np.uint8)
        Image.fromarray(pixels).save(place / f"writer{number % WRITERS:02d}_{number:04d}.png")
    return folder
