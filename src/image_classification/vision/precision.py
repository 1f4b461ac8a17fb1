"""In which number format a network computes while it is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


def build_in_precision(
    build: Callable[[], keras.Model], precision: Precision
) -> tuple[keras.Model, keras.Model]:
    """Build the network that is kept, and the one that is trained, with the same weights.

    Built twice, not copied layer by layer: operators between the layers of a network, such as the
    sum of a residual block, cannot be given another precision afterwards.

    Args:
        build: builds a network under the dtype policy in force.
        precision: what the trained one is to compute in.

    Returns:
        A network that computes in float32, and one that computes in `precision`: the very same
        one where that is float32. The weights are float32 in both.
    """
    with _compute_in("float32"):
        kept = build()
    if precision == "float32":
        return kept, kept
    with _compute_in(precision):
        trained = build()
    trained.set_weights(kept.get_weights())
    return kept, trained


@contextmanager
def _compute_in(precision: Precision) -> Iterator[None]:
    """Let what is built here compute in a precision."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
