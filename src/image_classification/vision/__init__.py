"""The only code that imports TensorFlow: images to pixels, network, training, scoring.

TensorFlow takes seconds to import, and most nodes need none of it: the names below are
imported at their first use, so that ``from image_classification import vision`` is free.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

from image_classification.vendor.tensorflow import quiet_import

Network: TypeAlias = Any
"""A Keras model: pixels ``(n, size, size, 3)``, 0 to 255, to probabilities ``(n, classes)``."""

if TYPE_CHECKING:
    from image_classification.vision.colour import ColourWatch
    from image_classification.vision.dataset import NetworkDataset
    from image_classification.vision.forest import MOST_IMAGES, answer_by_forest
    from image_classification.vision.networks import build_network
    from image_classification.vision.pixels import (
        decode_images,
        decode_sound_images,
    )
    from image_classification.vision.scoring import (
        embed_pixels,
        load_network,
        score_images,
        score_pixels,
        score_sound_images,
        share_network,
    )
    from image_classification.vision.source import HeldPixels, PixelSource, read_chunks
    from image_classification.vision.training import History, fit_network, set_seed

_HOMES = {
    "ColourWatch": "colour",
    "NetworkDataset": "dataset",
    "MOST_IMAGES": "forest",
    "answer_by_forest": "forest",
    "build_network": "networks",
    "decode_images": "pixels",
    "decode_sound_images": "pixels",
    "embed_pixels": "scoring",
    "load_network": "scoring",
    "score_images": "scoring",
    "score_pixels": "scoring",
    "score_sound_images": "scoring",
    "share_network": "scoring",
    "HeldPixels": "source",
    "PixelSource": "source",
    "read_chunks": "source",
    "History": "training",
    "fit_network": "training",
    "set_seed": "training",
}

__all__ = [
    "MOST_IMAGES",
    "ColourWatch",
    "HeldPixels",
    "History",
    "Network",
    "NetworkDataset",
    "PixelSource",
    "answer_by_forest",
    "build_network",
    "decode_images",
    "decode_sound_images",
    "embed_pixels",
    "fit_network",
    "load_network",
    "read_chunks",
    "score_images",
    "score_pixels",
    "score_sound_images",
    "set_seed",
    "share_network",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = f"{__name__}.{_HOMES[name]}"
    if "tensorflow" in sys.modules:
        return getattr(import_module(home), name)
    with quiet_import():
        return getattr(import_module(home), name)
