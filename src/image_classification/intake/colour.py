"""Whether the colours of an image are those of sRGB, by its ICC profile."""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

TOLERANCE = 9
"""Levels of 256. A profile that moves no colour further is one of sRGB, or of a grey like it: one
with a gamma of 2.2 moves dark shades by 9."""

MAXIMUM_BYTES = 2**22
STEPS = 9
"""The levels of each channel that are tried together: their distance is 32 levels."""


def describe_foreign_colours(profile: object) -> str:
    """Return why the ICC profile of an image forbids to read it as sRGB, "" where it does not."""
    if not profile:
        return ""
    if not isinstance(profile, bytes) or len(profile) > MAXIMUM_BYTES:
        return "its colour profile cannot be read: save it as sRGB"
    return _judge(profile)


@lru_cache(maxsize=16)
def _judge(profile: bytes) -> str:
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        distance = _measure(opened)
        name = ImageCms.getProfileDescription(opened).strip()
    except Exception:  # noqa: BLE001 - whatever a damaged profile makes the library raise
        return "its colour profile cannot be read: save it as sRGB"
    if distance <= TOLERANCE:
        return ""
    shown = "".join(letter for letter in name if letter.isprintable())[:60]
    return f"its colours are those of the profile '{shown}', not of sRGB: convert it to sRGB"


def _measure(profile: ImageCms.ImageCmsProfile) -> int:
    """Return by how many levels a profile moves the colour that it moves furthest from sRGB."""
    if profile.profile.xcolor_space.strip() == "GRAY":
        tried = np.arange(256, dtype=np.uint8)[None]
        mode = "L"
        plain = np.repeat(tried[..., None], 3, axis=2)
    else:
        levels = np.linspace(0, 255, STEPS).round().astype(np.uint8)
        tried = plain = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
        mode = "RGB"
    transform = ImageCms.buildTransform(
        profile,
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )
    moved = ImageCms.applyTransform(Image.fromarray(tried), transform)
    return int(np.abs(np.asarray(moved).astype(int) - plain).max())
