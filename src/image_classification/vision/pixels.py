"""Encoded image files to uint8 pixels."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from PIL import Image

from image_classification.errors import DataError
from image_classification.intake.picture import UnclearImageError, read_header, read_rgb

Pixels = npt.NDArray[np.uint8]

FEW_IMAGES = 16
"""Up to so many are decoded one by one: making a tf.data pipeline takes as long as that."""

GROUP = 16
"""So many are decoded by one step of a tf.data pipeline, which costs a tenth of an image itself."""

SMALL_PIXELS = 2**18
"""Images of no more pixels that TensorFlow does not read are handed to it as bitmaps."""

LARGE_PIXELS = 2**22
"""Images of more pixels are decoded one at a time, which bounds memory."""

_MARKS = re.compile(r"\{\{function_node [^}]*\}\}|\[Op:\w+\]")
"""What TensorFlow adds to a message for its own developers."""


def decode_images(contents: Sequence[bytes], size_px: int) -> Pixels:
    """Decode image files and resize each to a square.

    Intake, training, scoring and the packaged model come through here, so that they see the same
    pixels. The aspect ratio is not kept: a cut-out cell fills its frame. Resizing averages over
    areas, which does not alias when a large original is made small.

    Args:
        contents: the bytes of image files, of `picture.FORMATS`.
        size_px: side of the square, in pixels.

    Returns:
        Array of shape ``(len(contents), size_px, size_px, 3)``, dtype uint8, RGB, 0 to 255.

    Raises:
        DataError: a file is not a whole image of these formats, or means nothing certain in RGB.
    """
    pixels, reasons = decode_sound_images(contents, size_px)
    refused = [number for number, reason in enumerate(reasons) if reason]
    if refused:
        raise DataError(
            f"{len(refused)} of {len(contents)} images cannot be decoded. The first is number "
            f"{refused[0] + 1}: {reasons[refused[0]]}."
        )
    return pixels


def decode_sound_images(contents: Sequence[bytes], size_px: int) -> tuple[Pixels, list[str]]:
    """Decode as `decode_images`, and say of each file why it cannot be, "" where it can.

    Returns:
        Pixels ``(len(contents), size_px, size_px, 3)``, zeros where a file cannot be decoded, and
        the reasons.
    """
    reasons = [""] * len(contents)
    together: dict[int, bytes] = {}
    alone: list[int] = []
    for number, content in enumerate(contents):
        file, reasons[number] = _prepare(content)
        if file is not None:
            together[number] = file
        elif not reasons[number]:
            alone.append(number)
    if len(together) == len(contents):  # nearly always, and then nothing is copied
        with contextlib.suppress(tf.errors.OpError):
            return _decode_together(list(together.values()), size_px), reasons
        together, alone = {}, list(together)
    pixels = np.zeros((len(contents), size_px, size_px, 3), np.uint8)
    try:
        if together:
            pixels[list(together)] = _decode_together(list(together.values()), size_px)
    except tf.errors.OpError:
        alone += together
    for number in alone:
        reasons[number] = _decode_alone(contents[number], pixels[number])
    return pixels, reasons


def _prepare(content: bytes) -> tuple[bytes | None, str]:
    """Return a file to decode with others, None where it is decoded alone or not; and why not."""
    try:
        header = read_header(content)
        size = header.width * header.height
        if not header.refusal and header.plain and size <= LARGE_PIXELS:
            return content, ""
        if not header.refusal and not header.plain and size <= SMALL_PIXELS:
            return _as_bitmap(read_rgb(content)), ""
    except UnclearImageError as error:
        return None, str(error)
    except ValueError as error:
        return None, f"the file cannot be decoded: {error}"
    return None, header.refusal


def _as_bitmap(pixels: Pixels) -> bytes:
    """Return pixels as a file that is decoded together with plain ones, without loss."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "BMP")
    return content.getvalue()


def _decode_together(files: Sequence[bytes], size_px: int) -> Pixels:
    """Decode plain files."""
    if not len(files):
        return np.empty((0, size_px, size_px, 3), np.uint8)
    with tf.device("/CPU:0"):  # a GPU has no kernels for strings
        if len(files) <= FEW_IMAGES:
            return np.stack([_decode(file, size_px).numpy() for file in files])
        tensor = tf.constant(files, tf.string)
        pixels: Pixels = _decode_files(tensor, tf.constant(size_px)).numpy()
        return pixels


def _decode_alone(content: bytes, pixels: Pixels) -> str:
    """Decode a file into `pixels` ``(size, size, 3)``; return why it cannot be, "" if it can."""
    try:
        with tf.device("/CPU:0"):
            plain = read_header(content).plain
            size_px = len(pixels)
            image = _decode(content, size_px) if plain else _resize(read_rgb(content), size_px)
    except UnclearImageError as error:
        return str(error)
    except ValueError as error:
        return f"the file cannot be decoded: {error}"
    except tf.errors.OpError as error:
        said = _MARKS.sub("", error.message.splitlines()[0]).strip()
        return f"the file cannot be decoded: {said}"
    pixels[:] = image.numpy()
    return ""


def _decode(content: tf.Tensor | bytes, size_px: tf.Tensor | int) -> tf.Tensor:
    image = tf.io.decode_image(content, channels=3, expand_animations=False)
    return _resize(image, size_px)


def _resize(image: tf.Tensor | Pixels, size_px: tf.Tensor | int) -> tf.Tensor:
    return tf.cast(tf.round(tf.image.resize(image, (size_px, size_px), "area")), tf.uint8)


def _decode_each(files: tf.Tensor, size_px: tf.Tensor) -> tf.Tensor:
    """Decode as many files as there are, `GROUP` by `GROUP`, the last one repeated to fill up."""
    count = tf.size(files)
    filling = tf.repeat(files[-1:], -count % GROUP)
    groups = tf.reshape(tf.concat([files, filling], 0), (-1, GROUP))

    def decode_group(group: tf.Tensor) -> tf.Tensor:
        return tf.stack([_decode(file, size_px) for file in tf.unstack(group)])

    images = tf.data.Dataset.from_tensor_slices(groups)
    images = images.map(decode_group, os.cpu_count(), deterministic=True)
    images = without_tuning(images.batch(tf.size(groups, tf.int64)))
    pixels = images.get_single_element()
    return tf.reshape(pixels, (-1, size_px, size_px, 3))[:count]


# Traced once for every size and number of files: tracing takes as long as decoding fifty cells.
_decode_files = tf.function(
    _decode_each,
    input_signature=[tf.TensorSpec([None], tf.string), tf.TensorSpec([], tf.int32)],
)


def without_tuning(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Leave the parallelism of a dataset as it was set.

    Its tuner sleeps twice as long each time (2.5 s, 5.1 s, ...), and sometimes the end of an
    epoch waits for it to wake.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
