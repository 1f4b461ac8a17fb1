"""`medium`: the plain network, half as wide again as `small`, and wider at its end."""

from __future__ import annotations

import keras

from image_classification.vision.plain import build_plain

SMALLEST_IMAGE_PX = 16
CHANNELS = (48, 96, 192)


def build(image_size_px: int, class_count: int, dropout: float) -> keras.Model:
    """Build the plain network with the channels `CHANNELS`."""
    return build_plain(CHANNELS, image_size_px, class_count, dropout, name="medium_network")
