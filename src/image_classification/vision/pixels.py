"""Encoded image files to uint8 pixels."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from PIL import Image

Pixels = npt.NDArray[np.uint8]

TIFF_SIGNATURES = (b"II*\0", b"MM\0*")

FEW_IMAGES = 16
"""Up to so many are decoded one by one: making a tf.data pipeline takes as long as that."""

GROUP = 16
"""So many are decoded by one step of a tf.data pipeline, which costs a tenth of an image itself."""

_MARKS = re.compile(r"\{\{function_node [^}]*\}\}|\[Op:\w+\]")
"""What TensorFlow adds to a message for its own developers."""


def decode_images(contents: Sequence[bytes], size_px: int) -> Pixels:
    """Decode image files and resize each to a square.

    Training and inference both come through here, so that they see the same pixels. The
    aspect ratio is not kept: a cut-out cell fills its frame. Resizing averages over areas,
    which does not alias when a large original is made small.

    Args:
        contents: the bytes of PNG, JPEG, BMP or TIFF files.
        size_px: side of the square, in pixels.

    Returns:
        Array of shape ``(len(contents), size_px, size_px, 3)``, dtype uint8, RGB, 0 to 255.

    Raises:
        tensorflow.errors.InvalidArgumentError: a file is not a whole image of these formats.
    """
    if not len(contents):
        return np.empty((0, size_px, size_px, 3), np.uint8)
    readable = [_as_readable(file) for file in contents]
    with tf.device("/CPU:0"):  # a GPU has no kernels for strings
        if len(readable) <= FEW_IMAGES:
            return np.stack([_decode(file, size_px).numpy() for file in readable])
        files = tf.constant(readable, tf.string)
        pixels: Pixels = _decode_files(files, tf.constant(size_px)).numpy()
        return pixels


def _decode(content: tf.Tensor | bytes, size_px: tf.Tensor | int) -> tf.Tensor:
    image = tf.io.decode_image(content, channels=3, expand_animations=False)
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


def decode_sound_images(contents: Sequence[bytes], size_px: int) -> tuple[Pixels, list[str]]:
    """Decode as `decode_images`, and say of each file why it cannot be, "" where it can.

    Returns:
        Pixels ``(len(contents), size_px, size_px, 3)``, zeros where a file cannot be decoded, and
        the reasons.
    """
    try:
        return decode_images(contents, size_px), [""] * len(contents)
    except tf.errors.InvalidArgumentError:
        reasons = [find_decoding_error(content) for content in contents]
    pixels = np.zeros((len(contents), size_px, size_px, 3), np.uint8)
    sound = [number for number, reason in enumerate(reasons) if not reason]
    pixels[sound] = decode_images([contents[number] for number in sound], size_px)
    return pixels, reasons


def find_decoding_error(content: bytes) -> str:
    """Return why `decode_images` cannot decode a file, in one line; "" if it can."""
    try:
        with tf.device("/CPU:0"):
            tf.io.decode_image(_as_readable(content), channels=3, expand_animations=False)
    except tf.errors.InvalidArgumentError as error:
        said = _MARKS.sub("", error.message.splitlines()[0]).strip()
        return f"the file cannot be decoded: {said}"
    return ""


def _as_readable(content: bytes) -> bytes:
    """Return a file that TensorFlow reads: a TIFF as BMP, without loss; all others as they are."""
    if not content.startswith(TIFF_SIGNATURES):
        return content
    converted = io.BytesIO()
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.convert("RGB").save(converted, "BMP")
    except (OSError, ValueError, SyntaxError):
        return content  # left to TensorFlow to refuse
    return converted.getvalue()
