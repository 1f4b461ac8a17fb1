"""The random forest on thumbnails: what it learns, and how little it reads."""

from __future__ import annotations

import numpy as np
import pytest

from image_classification.vision import forest
from image_classification.vision.forest import answer_by_forest
from image_classification.vision.source import HeldPixels


def draw(count: int, side: int, seed: int) -> tuple[HeldPixels, np.ndarray]:
    """Return images whose upper or left half is lit, and which."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, count)
    pixels = random.integers(0, 120, (count, side, side, 3), dtype=np.uint8)
    for image, label in zip(pixels, labels, strict=True):
        lit = image[: side // 2] if label else image[:, : side // 2]
        lit += 100
    return HeldPixels(pixels), labels


@pytest.mark.parametrize("side", [16, 8, 25])
def test_it_tells_apart_what_a_thumbnail_shows(side: int) -> None:
    train, labels = draw(80, side, 1)
    asked, expected = draw(40, side, 2)
    answers = answer_by_forest((train, labels), asked, seed=0)
    assert (answers == expected).mean() > 0.9
    assert (answers == answer_by_forest((train, labels), asked, seed=0)).all()


def test_it_reads_no_more_images_than_a_night_can_spare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forest, "MOST_IMAGES", 30)
    train, labels = draw(80, 16, 1)
    assert len(answer_by_forest((train, labels), draw(40, 16, 2)[0], seed=0)) == 30
    assert forest.MOST_IMAGES * forest.TREES <= 60_000
    assert forest._read_thumbnails(train).shape == (30, forest.THUMBNAIL_PX**2 * 3)


def test_a_thumbnail_holds_means() -> None:
    pixels = np.arange(25 * 3, dtype=np.uint8).reshape(1, 25, 1, 3)
    rows = forest._shrink(pixels, 1)
    assert rows.shape == (1, forest.THUMBNAIL_PX, 1, 3)
    assert rows[0, 0, 0].tolist() == [1.5, 2.5, 3.5]  # of the first two of 25 rows
    assert rows.mean() == pytest.approx(pixels.mean(), rel=0.05)
