"""`residual`: a small ResNet."""

from __future__ import annotations

import keras
from keras import layers

from image_classification.vision import blocks

SMALLEST_IMAGE_PX = 16

STEM_CHANNELS = 32
STAGE_CHANNELS = (32, 64, 128)
BLOCKS_PER_STAGE = 2


def build(image_size_px: int, class_count: int, dropout: float) -> keras.Model:
    """Build 14 layers of weights: a stem, three stages of two residual blocks, the answer.

    He et al., 2016, "Deep residual learning for image recognition" (CVPR, arXiv:1512.03385),
    figure 5 on the left, with the projection of section 3.3 (B) where a stage halves the side. As
    in the plain networks the stem has stride 4, which suits a CPU.
    """
    inputs, features = blocks.read_pixels(image_size_px)
    features = blocks.activate(blocks.convolve(features, STEM_CHANNELS, kernel_size=7, strides=4))
    for stage, channels in enumerate(STAGE_CHANNELS):
        for block in range(BLOCKS_PER_STAGE):
            halves = stage > 0 and block == 0
            features = _add_block(features, channels, strides=2 if halves else 1)
    features = layers.GlobalAveragePooling2D()(features)
    outputs = blocks.answer(features, class_count, dropout)
    return keras.Model(inputs, outputs, name="residual_network")


def _add_block(features: keras.KerasTensor, channels: int, strides: int) -> keras.KerasTensor:
    """Add two convolutions to what they are given."""
    shortcut = features
    if strides > 1 or features.shape[-1] != channels:
        shortcut = blocks.normalise(blocks.convolve(features, channels, 1, strides))
    change = blocks.activate(blocks.convolve(features, channels, 3, strides))
    change = blocks.normalise(blocks.convolve(change, channels, 3))
    return layers.ReLU()(change + shortcut)
