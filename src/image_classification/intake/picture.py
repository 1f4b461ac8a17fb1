"""What an image file means in RGB, and why it is refused where that would be a guess."""

from __future__ import annotations

import io
import zlib
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from image_classification.errors import DataError
from image_classification.intake.colour import describe_foreign_colours

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "GIF")

NAMED = ("WEBP", "AVIF", "JPEG2000", "PPM", "PSD", "EPS", "ICO", "ICNS", "DDS", "SGI", "QOI")
"""Other formats, of which the first bytes leave no doubt."""

PNG_START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
"""The signature of a PNG, and the length and name of its first chunk, the header."""

PNG_RGB = b"\x08\x02\0\0"
"""Bit depth, colour type, compression and filter of 8 bits of RGB, in the header of a PNG."""

MAXIMUM_PIXELS = 2**26
"""An image of more pixels is not decoded, whatever the parameters allow."""

MAXIMUM_SCANS = 32
"""A JPEG of more scans is not decoded: each goes over all of its pixels, and takes a few bytes."""

GREY_16 = ("I;16", "I;16B", "I;16L")
WITH_ALPHA = ("LA", "PA", "RGBA")
READABLE_MODES = ("RGB", "RGBX", "L", "1", "P", *GREY_16, *WITH_ALPHA)

WHITE_IS_ZERO = 0
BITS_PER_SAMPLE, PHOTOMETRIC, MIN_SAMPLE, MAX_SAMPLE = 258, 262, 280, 281
"""Tags of a TIFF."""

TRANSPARENT = (
    "the image has pixels that are not opaque, and nothing tells what lies behind them: save it "
    "as RGB, without transparency"
)
NO_RANGE = (
    "the image has 16 bits a channel and does not tell its range, and cameras store 12 bits in "
    "16: save it with 8 bits, or as PNG, whose range is 0 to 65535"
)

UNDO_ORIENTATION = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""What brings the pixels back to where they are stored, by the orientation that Pillow applied."""


class UnclearImageError(DataError):
    """An image has no single meaning in RGB."""


class Header(NamedTuple):
    """What the header of an image file tells.

    Attributes:
        width: in pixels.
        height: in pixels.
        kind: the format, one of `FORMATS`.
        plain: TensorFlow reads the file as it is meant; else `read_rgb` does.
        refusal: why the file is not read, and what to do; "" where the header tells no reason.
    """

    width: int
    height: int
    kind: str
    plain: bool
    refusal: str = ""


def read_header(content: bytes) -> Header:
    """Read the header of an image file. Here alone is decided who decodes it.

    Raises:
        ValueError: it is no image of `FORMATS`; the reason is one line.
    """
    if not content:
        raise ValueError("it is empty (0 bytes)")
    if found := _read_plain_png(content):
        return found
    try:
        with _open(content) as image:
            return _describe(image, content)
    except UnidentifiedImageError:  # Pillow's words name an object in memory
        raise ValueError(_name_format(content)) from None
    except Exception as error:  # noqa: BLE001 - Pillow lets all kinds escape from damaged files
        raise ValueError(_one_line(error)) from None


def read_rgb(content: bytes) -> npt.NDArray[np.uint8]:
    """Decode a file that is not plain, `read_header` having told no reason against it.

    Returns:
        Array ``(height, width, 3)``, dtype uint8, as the pixels are stored: the orientation that
        EXIF tells is applied to no image.

    Raises:
        UnclearImageError: it has pixels that are not opaque, or that its palette does not name.
        ValueError: the file is damaged; the reason is one line.
    """
    try:
        with _open(content) as image:
            _check_frame(image)
            _check_parts(image)
            stored = _load_as_stored(image)
            return _convert(stored, image, content)
    except UnclearImageError:
        raise
    except Exception as error:  # noqa: BLE001 - Pillow lets all kinds escape from damaged files
        raise ValueError(_one_line(error)) from None


def _open(content: bytes) -> ImageFile.ImageFile:
    return Image.open(io.BytesIO(content), formats=FORMATS)


def _describe(image: Image.Image, content: bytes) -> Header:
    kind = "JPEG" if image.format == "MPO" else str(image.format)
    width, height = image.size
    return Header(
        width, height, kind, _is_plain(image, kind, content), _refuse(image, kind, content)
    )


def _is_plain(image: Image.Image, kind: str, content: bytes) -> bool:
    """Return whether TensorFlow reads the pixels that are meant.

    It takes the palette of a BMP for levels of grey, and what lies below a transparent pixel.
    """
    if kind == "JPEG":
        return image.mode in ("RGB", "L")
    if kind == "BMP":  # a header of Windows, 24 bits a pixel, not packed
        header = int.from_bytes(content[14:18], "little")
        return image.mode == "RGB" and header >= 40 and content[28:34] == b"\x18\0\0\0\0\0"
    if kind != "PNG" or "transparency" in image.info or content[:16] != PNG_START:
        return False
    return content[24:26] in (b"\x08\x02", b"\x10\x02", b"\x08\x00")  # depth, and RGB or grey


def _refuse(image: Image.Image, kind: str, content: bytes) -> str:
    """Return why the header alone says that an image has no single meaning in RGB, "" if not."""
    pixels = image.width * image.height
    if pixels > MAXIMUM_PIXELS:
        return f"{image.width} x {image.height} pixels: at most {MAXIMUM_PIXELS} can be read"
    if kind != "JPEG" and getattr(image, "is_animated", False):
        return "the file holds several pictures: save the one that is meant in a file of its own"
    if image.mode not in READABLE_MODES:
        return f"the colour mode is {image.mode}, which is no RGB: save it as RGB"
    if kind == "JPEG" and (scans := content.count(b"\xff\xda")) > MAXIMUM_SCANS:
        return f"the JPEG has {scans} scans: at most {MAXIMUM_SCANS} can be read"
    if kind == "TIFF" and _count_bits(image) > 8 and _find_range(image) is None:
        return NO_RANGE
    return describe_foreign_colours(image.info.get("icc_profile"))


def _check_frame(image: ImageFile.ImageFile) -> None:
    """Refuse a GIF whose picture leaves a part of the screen that it names without colours."""
    if image.format == "GIF" and image.tile and image.tile[0].extents != (0, 0, *image.size):
        raise UnclearImageError("the picture does not fill its frame: save it as PNG")


def _check_parts(image: ImageFile.ImageFile) -> None:
    """Refuse an image of which parts are missing: Pillow would leave them black, without a word.

    Raises:
        ValueError: the strips of a TIFF, or of one of its channels, cover less than the image.
    """
    covered: dict[object, int] = {}
    for part in image.tile:
        channel = part.args[0] if isinstance(part.args, tuple) else part.args
        left, upper, right, lower = part.extents or (0, 0, *image.size)
        covered[channel] = covered.get(channel, 0) + (right - left) * (lower - upper)
    if not covered or min(covered.values()) < image.width * image.height:
        raise ValueError("image file is truncated (parts of its pixels are missing)")


def _load_as_stored(image: Image.Image) -> Image.Image:
    """Load the pixels; Pillow turns those of a TIFF as its orientation says, and no others."""
    orientation = image.getexif().get(ExifTags.Base.Orientation) if _is_tiff(image) else None
    image.load()
    undo = UNDO_ORIENTATION.get(orientation) if isinstance(orientation, int) else None
    return image if undo is None else image.transpose(undo)


def _convert(stored: Image.Image, image: Image.Image, content: bytes) -> npt.NDArray[np.uint8]:
    if stored.mode in GREY_16:
        _check_key(stored, image, content)
        grey = _scale_grey(stored, image)
        return np.repeat(grey[..., None], 3, axis=2)
    if stored.mode in WITH_ALPHA:
        if np.asarray(stored.getchannel("A")).min() < 255:
            raise UnclearImageError(TRANSPARENT)
    elif stored.mode == "P":
        _check_palette(stored, image)
    else:
        _check_key(stored, image, content)
        _check_spare_bytes(image, content)
    if stored.mode == "RGBX":
        return np.asarray(stored)[..., :3]
    return np.asarray(stored.convert("RGB"))


def _check_palette(stored: Image.Image, image: Image.Image) -> None:
    """Refuse indices that the palette does not name, or does not name as opaque."""
    used = np.unique(np.asarray(stored))
    if used.max() >= len(stored.getpalette() or ()) // 3:
        raise UnclearImageError("its palette lacks colours that its pixels use: save it as RGB")
    clear = image.info.get("transparency")
    if isinstance(clear, int) and clear in used:
        raise UnclearImageError(TRANSPARENT)
    if isinstance(clear, bytes):
        opacity = np.full(256, 255, np.uint8)
        opacity[: len(clear)] = np.frombuffer(clear[:256], np.uint8)
        if opacity[used].min() < 255:
            raise UnclearImageError(TRANSPARENT)


def _check_key(stored: Image.Image, image: Image.Image, content: bytes) -> None:
    """Refuse pixels of the one colour that a PNG or GIF without alpha calls transparent."""
    key = image.info.get("transparency")
    if key is None:
        return
    # Levels of other depths are not those that Pillow hands on, so they cannot be compared.
    whole = image.format == "GIF" or content[24:25] == b"\x08"
    if not whole or (np.asarray(stored).reshape(-1, len(stored.getbands())) == key).all(1).any():
        raise UnclearImageError(TRANSPARENT)


def _check_spare_bytes(image: Image.Image, content: bytes) -> None:
    """Refuse a BMP of 32 bits whose fourth bytes, to which its format gives no meaning, have one.

    Some programs, Pillow among them, write there how opaque a pixel is.
    """
    if image.format == "BMP" and content[28:34] == b"\x20\0\0\0\0\0":
        start = int.from_bytes(content[10:14], "little")
        spare = np.frombuffer(content[start : start + 4 * image.width * image.height], np.uint8)
        if spare[3::4].max() != spare[3::4].min() or spare[3] not in (0, 255):
            raise UnclearImageError(TRANSPARENT)


def _scale_grey(stored: Image.Image, image: Image.Image) -> npt.NDArray[np.uint8]:
    """Return the upper 8 bits of the declared range; Pillow would clip all above 255."""
    levels = np.asarray(stored).astype(np.int64)
    low, high = (_find_range(image) or (0, 65535)) if _is_tiff(image) else (0, 65535)
    if _is_tiff(image) and _read_tag(image, PHOTOMETRIC) == WHITE_IS_ZERO:
        levels = low + high - levels
    scaled = (levels - low) * 256 // (high - low + 1)
    return np.clip(scaled, 0, 255).astype(np.uint8)


def _find_range(image: Image.Image) -> tuple[int, int] | None:
    """Return the least and the greatest level of a TIFF of more than 8 bits, None if not told.

    Fewer than 16 bits are packed, and tell it by their number. Colours are only read at the full
    range, since Pillow hands on their upper 8 bits.
    """
    bits = _count_bits(image)
    low, high = _read_tag(image, MIN_SAMPLE) or 0, _read_tag(image, MAX_SAMPLE)
    if high is None:
        return (0, 2**bits - 1) if bits < 16 else None
    if image.mode in GREY_16:
        return (low, high) if low < high else None
    return (low, high) if (low, high) == (0, 65535) else None


def _count_bits(image: Image.Image) -> int:
    return _read_tag(image, BITS_PER_SAMPLE) or 1


def _read_tag(image: Image.Image, tag: int) -> int | None:
    """Return a tag of a TIFF as a number, the greatest of several."""
    value = image.tag_v2.get(tag)  # type: ignore[attr-defined]
    values = value if isinstance(value, tuple) else (value,)
    numbers = [int(number) for number in values if number is not None]
    return max(numbers, default=None)


def _is_tiff(image: Image.Image) -> bool:
    return image.format == "TIFF"


def _read_plain_png(content: bytes) -> Header | None:
    """Read the header of the most usual kind of PNG, at a fifth of the cost of Pillow.

    This kind has 8 bits of RGB, and nothing but a time between its header and its pixels.

    Returns:
        What `read_header` returns; None for a file of any other kind.
    """
    if content[:16] != PNG_START or content[24:28] != PNG_RGB or not _is_sound(content, 8):
        return None
    pixels_at = 33
    if content[37:41] == b"tIME" and _is_sound(content, 33):
        pixels_at = 33 + 12 + int.from_bytes(content[33:37])
    width, height = int.from_bytes(content[16:20]), int.from_bytes(content[20:24])
    if content[pixels_at + 4 : pixels_at + 8] != b"IDAT":
        return None
    if not 0 < width * height <= MAXIMUM_PIXELS:
        return None
    return Header(width, height, "PNG", plain=True)


def _is_sound(png: bytes, start: int) -> bool:
    """Return whether the checksum of the PNG chunk at `start` is right."""
    end = start + 8 + int.from_bytes(png[start : start + 4])
    return zlib.crc32(png[start + 4 : end]).to_bytes(4) == png[end : end + 4]


def _name_format(content: bytes) -> str:
    """Return what the first bytes say that a file is, which is not opened any further."""
    allowed = f"{', '.join(FORMATS)} are allowed"
    Image.init()
    for name in NAMED:
        _, accept = Image.OPEN.get(name, (None, None))
        if accept and accept(content[:16]) is True:
            return f"the format is {name}: {allowed}"
    return f"it has no known format; {allowed}"


def _one_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
