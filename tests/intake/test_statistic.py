"""Image statistics: what is measured of a cell, and what is left out of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from image_classification.intake import statistic
from image_classification.intake.statistic import LIT_LEVEL, STATISTICS, describe_pixels


def draw_block(height: int, width: int, *levels: int) -> np.ndarray:
    """Return one black image with a lit block, its columns of these levels in turn."""
    pixels = np.zeros((1, 16, 16, 3), np.uint8)
    row = np.resize(np.array(levels, np.uint8), width)
    pixels[0, 4 : 4 + height, 4 : 4 + width] = row[None, :, None]
    return pixels


@settings(max_examples=30, deadline=None)
@given(
    size=st.integers(4, 70),
    count=st.integers(0, 5),
    seed=st.integers(0, 9),
    top=st.integers(1, 256),
)
def test_they_are_finite_for_any_pixels(size: int, count: int, seed: int, top: int) -> None:
    random = np.random.default_rng(seed)

    statistics = describe_pixels(random.integers(0, top, (count, size, size, 3), np.uint8))

    assert list(statistics.columns) == list(STATISTICS)
    assert statistics.shape == (count, len(STATISTICS))
    assert np.isfinite(statistics.to_numpy()).all()
    assert set(statistics.dtypes) == {np.dtype(np.float64)}


def test_twice_the_light_changes_the_brightness_alone() -> None:
    random = np.random.default_rng(0)
    pixels = np.full((1, 64, 64, 3), [90, 60, 70], np.uint8)
    pixels += random.integers(0, 20, (1, 64, 64, 1), np.uint8)

    dim, bright = describe_pixels(pixels).iloc[0], describe_pixels(pixels * 2).iloc[0]

    assert bright["brightness"] - dim["brightness"] == pytest.approx(0.85, abs=0.1)
    assert bright["lit_share"] == dim["lit_share"] == 1
    assert bright["red_over_green"] == pytest.approx(dim["red_over_green"], abs=0.1)


@pytest.mark.parametrize(("size", "step"), [(32, 1), (64, 2), (96, 3)])
def test_they_are_those_of_exact_sums_over_every_so_many_pixels(size: int, step: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, size, size, 3), np.uint8)
    pixels[:, :, :7] = 0
    bright = pixels.max(3) > LIT_LEVEL
    lit = np.pad(bright, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    inner = lit[:, 1:-1, 1:-1] & lit[:, 2:, 1:-1] & lit[:, :-2, 1:-1]
    inner &= lit[:, 1:-1, 2:] & lit[:, 1:-1, :-2]
    inner, seen = inner[:, ::step, ::step], pixels[:, ::step, ::step]
    for number, statistics in describe_pixels(pixels).iterrows():
        stops = np.log2(seen[number].astype(np.float64) + LIT_LEVEL)
        away = stops[inner[number]] - stops[inner[number]].mean(0)
        red, green, blue = stops[inner[number]].mean(0)
        shade = away.mean(1)
        slopes = away.T @ shade / (shade @ shade)
        both = inner[number][:, 1:] & inner[number][:, :-1]
        steps = np.abs(np.diff(stops.mean(2) - np.mean([red, green, blue]), axis=1))[both]
        expected = {
            "lit_share": bright[number].mean(),
            "brightness": np.mean([red, green, blue]),
            "contrast": np.sqrt((shade**2).mean()),
            "texture": steps.mean(),
            "red_over_green": red - green,
            "blue_over_green": blue - green,
            "red_slope": slopes[0] - slopes[1],
            "blue_slope": slopes[2] - slopes[1],
        }
        assert statistics.to_dict() == pytest.approx(expected, abs=1e-4)


def test_the_outermost_lit_pixels_do_not_count() -> None:
    rim = draw_block(4, 4, 100)
    rim[0, 5:7, 5:7] = 200
    assert describe_pixels(rim)["brightness"].iloc[0] == pytest.approx(np.log2(200 + LIT_LEVEL))
    assert describe_pixels(rim)["lit_share"].iloc[0] == 16 / 256


def test_a_cell_of_one_or_two_inner_pixels_is_measured_as_any() -> None:
    one = describe_pixels(draw_block(3, 3, 100)).iloc[0]
    assert one["brightness"] == pytest.approx(np.log2(100 + LIT_LEVEL), abs=1e-5)
    two = describe_pixels(draw_block(3, 4, 0xFF, 84, 20, 0xFF)).iloc[0]
    stops = np.log2([84 + LIT_LEVEL, 20 + LIT_LEVEL])
    assert two["brightness"] == pytest.approx(stops.mean(), abs=1e-5)
    assert two["texture"] == pytest.approx(stops[0] - stops[1], abs=1e-5)
    assert two["contrast"] == pytest.approx(np.diff(stops).item() / -2, abs=1e-5)


def test_a_pixel_as_dark_as_the_mask_is_not_lit() -> None:
    assert describe_pixels(draw_block(3, 3, LIT_LEVEL))["lit_share"].iloc[0] == 0
    assert describe_pixels(draw_block(3, 3, LIT_LEVEL + 1))["lit_share"].iloc[0] == 9 / 256
    assert LIT_LEVEL == 16


def test_a_pixel_is_lit_by_its_brightest_channel() -> None:
    for channel in range(3):
        pixels = np.zeros((1, 8, 8, 3), np.uint8)
        pixels[..., channel] = 200
        assert describe_pixels(pixels)["lit_share"].iloc[0] == 1


def test_an_image_without_contrast_has_no_slope() -> None:
    flat = np.full((1, 16, 16, 3), [200, 100, 50], np.uint8)
    statistics = describe_pixels(flat).iloc[0]
    assert statistics[["contrast", "texture", "red_slope", "blue_slope"]].abs().max() < 1e-4


def test_they_do_not_depend_on_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), np.uint8)
    whole = describe_pixels(pixels)
    monkeypatch.setattr(statistic, "CHUNK_IMAGES", 8)
    pd.testing.assert_frame_equal(whole, describe_pixels(pixels), rtol=1e-5)
    assert len(describe_pixels(pixels[:16])) == 16
