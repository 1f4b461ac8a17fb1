"""In which number format a network computes while it is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, cast

import keras
import tensorflow as tf

Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]

BFLOAT16_FLAGS = {"amx_bf16", "avx512_bf16"}
"""Of a processor that multiplies bfloat16 itself; others would emulate it, slowly."""

BFLOAT16_CAPABILITY, FLOAT16_CAPABILITY = (8, 0), (7, 0)
"""Compute capability from which an NVIDIA card has tensor cores for the format."""


def choose_precision(asked: str) -> Precision:
    """Return the precision to train in: the one asked for, or the device's fast one for `auto`.

    Weights and their updates stay float32 in any case (Micikevicius et al., 2018,
    arXiv:1710.03740; Kalamkar et al., 2019, arXiv:1905.12322).
    """
    if asked != "auto":
        return cast("Precision", asked)
    cards = tf.config.list_physical_devices("GPU")
    if cards:
        details = tf.config.experimental.get_device_details(cards[0])
        return _choose_for_card(details.get("compute_capability", (0, 0)))
    return "mixed_bfloat16" if _read_cpu_flags() & BFLOAT16_FLAGS else "float32"


def _choose_for_card(capability: tuple[int, int]) -> Precision:
    if capability >= BFLOAT16_CAPABILITY:
        return "mixed_bfloat16"
    return "mixed_float16" if capability >= FLOAT16_CAPABILITY else "float32"


def _read_cpu_flags(path: Path = Path("/proc/cpuinfo")) -> set[str]:
    """Return what the processor can do; nothing where the system does not tell."""
    if not path.exists():
        return set()
    lines = path.read_text().splitlines()
    return next((set(line.split()) for line in lines if line.startswith("flags")), set())


def copy_in_precision(network: keras.Model, precision: Precision) -> keras.Model:
    """Return a copy that computes in another precision, with the same weights.

    The last layer stays as it is: probabilities are float32.
    """

    def copy(layer: keras.Layer) -> keras.Layer:
        config = layer.get_config()
        if layer is not network.layers[-1]:
            config["dtype"] = precision
        return type(layer).from_config(config)

    copied = keras.models.clone_model(network, clone_function=copy)
    copied.set_weights(network.get_weights())
    return copied
