"""Encoded images to pixels."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from samples import draw_bomb

from image_classification import vision
from image_classification.errors import DataError
from image_classification.vision import pixels as decoding
from image_classification.vision.pixels import FEW_IMAGES, _decode_files


def draw(seed: int = 0, size: tuple[int, int] = (16, 16), kind: str = "PNG") -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    content = io.BytesIO()
    Image.fromarray(noise).save(content, kind)
    return content.getvalue()


def open_pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


@pytest.mark.parametrize("kind", ["PNG", "BMP"])
def test_an_image_of_the_size_asked_for_keeps_each_pixel(kind: str) -> None:
    contents = [draw(seed, kind=kind) for seed in range(3)]

    pixels = vision.decode_images(contents, 16)

    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, [open_pixels(content) for content in contents])


def test_an_image_twice_as_large_is_averaged_over_areas() -> None:
    content = draw(size=(32, 32))

    pixels = vision.decode_images([content], 16)[0]

    means = open_pixels(content).reshape(16, 2, 16, 2, 3).mean(axis=(1, 3))
    assert np.abs(pixels - means).max() <= 0.5


def test_images_of_any_shape_become_squares_in_their_order() -> None:
    sizes = [(10, 20), (33, 7), (16, 16), (100, 90)]
    contents = [draw(seed, size) for seed, size in enumerate(sizes)]

    together = vision.decode_images(contents, 24)

    assert together.shape == (4, 24, 24, 3)
    for row, content in enumerate(contents):
        np.testing.assert_array_equal(together[row], vision.decode_images([content], 24)[0])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF"])
def test_an_image_alone_and_one_of_many_have_the_same_pixels(kind: str) -> None:
    contents = [draw(seed, (40 + seed, 61 - seed), kind) for seed in range(decoding.FEW_IMAGES + 1)]

    together = vision.decode_images(contents, 16)

    alone = [vision.decode_images([content], 16)[0] for content in contents]
    np.testing.assert_array_equal(together, alone)


def test_more_images_than_a_batch_keep_their_order() -> None:
    contents = [draw(seed) for seed in range(300)]

    pixels = vision.decode_images(contents, 16)

    np.testing.assert_array_equal(pixels, [open_pixels(content) for content in contents])


def test_another_number_or_size_of_images_is_decoded_by_the_same_graph() -> None:
    many = [draw()] * (FEW_IMAGES + 1)
    vision.decode_images(many, 16)
    traces = _decode_files.experimental_get_tracing_count()

    assert vision.decode_images([*many, draw(1)], 24).shape == (len(many) + 1, 24, 24, 3)
    assert _decode_files.experimental_get_tracing_count() == traces == 1


def test_no_images_give_an_empty_array() -> None:
    pixels = vision.decode_images([], 16)

    assert pixels.shape == (0, 16, 16, 3)
    assert pixels.dtype == np.uint8


BROKEN = {
    "empty": b"",
    "text": b"no image",
    "truncated PNG": draw()[:200],
    "truncated JPEG": draw(size=(64, 64), kind="JPEG")[:500],
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_a_file_that_cannot_be_decoded_is_told_and_refused(content: bytes) -> None:
    (reason,) = vision.decode_sound_images([content], 16)[1]

    assert reason.startswith("the file cannot be decoded: ")
    assert "{{" not in reason
    assert "[Op:" not in reason
    assert "\n" not in reason
    for others in (1, FEW_IMAGES):  # one by one, and in a graph
        contents = [draw()] * others + [content]
        with pytest.raises(DataError, match=f"The first is number {others + 1}: the file cannot"):
            vision.decode_images(contents, 16)
        pixels, reasons = vision.decode_sound_images(contents, 16)
        assert reasons == [""] * others + [reason]
        np.testing.assert_array_equal(pixels[:-1], [open_pixels(draw())] * others)
        assert not pixels[-1].any()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "GIF"])
def test_a_whole_image_has_no_reason_against_it(kind: str) -> None:
    assert vision.decode_sound_images([draw(kind=kind)], 16)[1] == [""]


def test_a_large_image_and_one_for_pillow_have_the_pixels_that_they_have_among_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    contents = [draw(seed, (40, 61), kind) for seed, kind in enumerate(("PNG", "TIFF", "JPEG"))]
    together = vision.decode_images(contents, 16)

    for name in ("LARGE_PIXELS", "SMALL_PIXELS"):
        monkeypatch.setattr(decoding, name, 40 * 60)

    np.testing.assert_array_equal(vision.decode_images(contents, 16), together)
    same = [draw(1, (40, 61), kind) for kind in ("PNG", "TIFF")]
    first, second = vision.decode_images(same, 16)
    np.testing.assert_array_equal(first, second)


def test_damaged_files_are_told_one_by_one_and_leave_the_others_as_they_are() -> None:
    random = np.random.default_rng(0)
    kinds = ("PNG", "JPEG", "BMP", "TIFF", "GIF")
    contents = []
    for number in range(200):
        content = bytearray(draw(number, kind=kinds[number % 5]))
        for place in random.integers(0, len(content), random.integers(0, 4)):
            content[place] = random.integers(0, 256)
        contents.append(bytes(content))

    pixels, reasons = vision.decode_sound_images(contents, 16)

    assert 0 < sum(reason == "" for reason in reasons) < len(contents)
    for content, image, reason in zip(contents, pixels, reasons, strict=True):
        (alone,), told = vision.decode_sound_images([content], 16)
        assert told == [reason]
        np.testing.assert_array_equal(image, alone)


def test_an_image_too_large_to_be_decoded_is_told_and_not_decoded() -> None:
    pixels, reasons = vision.decode_sound_images([draw(), draw_bomb(2**13, 2**13 + 1)], 16)

    assert reasons == ["", "8192 x 8193 pixels: at most 67108864 can be read"]
    np.testing.assert_array_equal(pixels[0], open_pixels(draw()))
