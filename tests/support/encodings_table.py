"""One picture in every encoding: the file, and the pixels that it means, or why it is refused."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from PIL import Image, ImageCms, PngImagePlugin, TiffImagePlugin

Pixels = npt.NDArray[np.uint8]

SIDE = 5
COLOURS: Pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
FEW_COLOURS: Pixels = COLOURS // 86 * 100
GREY: Pixels = COLOURS[..., 0]
OPAQUE = np.full((SIDE, SIDE, 1), 255, np.uint8)
DEEP = np.random.default_rng(1).integers(0, 65536, (SIDE, SIDE), np.uint16)
NEARLY_OPAQUE = OPAQUE.copy()
NEARLY_OPAQUE[3, 4] = 254

UNCLEAR = "the image has pixels that are not opaque"
SEVERAL = "the file holds several pictures"
NO_RANGE = "the image has 16 bits a channel and does not tell its range"


class Encoding(NamedTuple):
    """A file, and the pixels it means ``(5, 5, 3)``, or how the reason against it begins."""

    content: bytes
    meant: Pixels | str


def save(image: Image.Image, kind: str, **options: Any) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def spread(grey: npt.NDArray[Any]) -> Pixels:
    """Return grey levels as RGB."""
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)


def index(colours: Pixels) -> Image.Image:
    """Return an image with a palette, without any change of colour."""
    known, numbers = np.unique(colours.reshape(-1, 3), axis=0, return_inverse=True)
    image = Image.fromarray(numbers.reshape(SIDE, SIDE).astype(np.uint8), "P")
    image.putpalette(known.astype(np.uint8).tobytes())
    return image


def decode_jpeg(content: bytes) -> Pixels:
    return np.asarray(tf.io.decode_jpeg(content, channels=3))


def add_tags(**tags: int) -> dict[str, Any]:
    numbers = {"low": 280, "high": 281, "orientation": 274, "photometric": 262}
    info = TiffImagePlugin.ImageFileDirectory_v2()
    for name, value in tags.items():
        info[numbers[name]] = value
    return {"tiffinfo": info}


def draw_deep_png(colours: npt.NDArray[np.uint16]) -> bytes:
    """Return a PNG of 16 bits a channel, which Pillow cannot write in RGB."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + zlib.crc32(name + data).to_bytes(4)

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in colours)
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 16, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def make_profile(red: tuple[float, float]) -> bytes:
    """Return an ICC profile like sRGB, but for the colour of its red."""
    content = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = int.from_bytes(content[128:132])
    for start in range(132, 132 + 12 * tags, 12):
        if content[start : start + 4] == b"rXYZ":
            at = int.from_bytes(content[start + 4 : start + 8]) + 8
            content[at : at + 8] = struct.pack(">ii", *(round(value * 65536) for value in red))
    return bytes(content)


def make_grey_profile(gamma: float) -> bytes:
    """Return a profile of one channel, as scanners write them: version 2, a gamma and a white."""
    white = b"XYZ \0\0\0\0" + struct.pack(">iii", 0xF6D6, 0x10000, 0xD32D)
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    name = b"a scanner\0"
    told = b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + bytes(78)
    tags = {b"desc": told + bytes(-len(told) % 4), b"wtpt": white, b"kTRC": curve}
    at, table, content = 132 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for tag, data in tags.items():
        table += tag + struct.pack(">II", at + len(content), len(data))
        content += data
    head = struct.pack(
        ">I4sI4s4s4s", at + len(content), b"\0\0\0\0", 0x02100000, b"scnr", b"GRAY", b"XYZ "
    )
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">iii", 0xF6D6, 0x10000, 0xD32D)
    return head.ljust(128, b"\0") + table + content


SRGB = make_profile((0.4361, 0.2225))
OTHER_RED = make_profile((0.6097, 0.3111))
"""The red of Adobe RGB."""


def _encode_lossless(kind: str) -> dict[str, Encoding]:
    """Return what PNG and TIFF say alike."""
    rgb, grey, bit = Image.fromarray(COLOURS), Image.fromarray(GREY), GREY > 127
    opaque = Image.fromarray(np.dstack([COLOURS, OPAQUE]))
    clear = Image.fromarray(np.dstack([COLOURS, NEARLY_OPAQUE]))
    found = {
        "RGB": Encoding(save(rgb, kind), COLOURS),
        "L": Encoding(save(grey, kind), spread(GREY)),
        "1": Encoding(save(Image.fromarray(bit), kind), spread(bit * 255)),
        "P": Encoding(save(index(FEW_COLOURS), kind), FEW_COLOURS),
        "P, grey": Encoding(save(index(spread(GREY)), kind), spread(GREY)),
        "RGBA, opaque": Encoding(save(opaque, kind), COLOURS),
        "RGBA": Encoding(save(clear, kind), UNCLEAR),
        "LA, opaque": Encoding(
            save(Image.fromarray(np.dstack([GREY, OPAQUE]), "LA"), kind), spread(GREY)
        ),
        "LA": Encoding(
            save(Image.fromarray(np.dstack([GREY, NEARLY_OPAQUE]), "LA"), kind), UNCLEAR
        ),
        "RGB, sRGB": Encoding(save(rgb, kind, icc_profile=SRGB), COLOURS),
        "L, sRGB": Encoding(save(grey, kind, icc_profile=SRGB), spread(GREY)),
        "L, gamma 2.2": Encoding(
            save(grey, kind, icc_profile=make_grey_profile(2.2)), spread(GREY)
        ),
        "L, linear": Encoding(
            save(grey, kind, icc_profile=make_grey_profile(1.0)), "its colours are those"
        ),
        "RGB, other red": Encoding(save(rgb, kind, icc_profile=OTHER_RED), "its colours are those"),
        "RGB, broken profile": Encoding(
            save(rgb, kind, icc_profile=b"no profile" * 20), "its colour profile cannot be read"
        ),
        "several": Encoding(save(rgb, kind, save_all=True, append_images=[opaque]), SEVERAL),
    }
    return {f"{kind} {name}": encoding for name, encoding in found.items()}


def _encode_png() -> dict[str, Encoding]:
    rgb, few = Image.fromarray(COLOURS), index(FEW_COLOURS)
    turned = Image.Exif()
    turned[274] = 6
    dated = PngImagePlugin.PngInfo()
    dated.add_text("Comment", "a cell")
    absent = next(level for level in range(256) if level not in GREY)
    deep = np.stack([DEEP, DEEP.T, DEEP[::-1]], axis=-1)
    clear = bytes([255] * (len(few.getpalette() or ()) // 3 - 1) + [128])
    return {
        "PNG RGB, 16 bits": Encoding(draw_deep_png(deep), (deep >> 8).astype(np.uint8)),
        "PNG I;16": Encoding(save(Image.fromarray(DEEP), "PNG"), spread(DEEP >> 8)),
        "PNG I;16B": Encoding(
            save(Image.fromarray(DEEP).convert("I").convert("I;16B"), "PNG"), spread(DEEP >> 8)
        ),
        "PNG RGB, with a text": Encoding(save(rgb, "PNG", pnginfo=dated), COLOURS),
        "PNG RGB, turned by EXIF": Encoding(save(rgb, "PNG", exif=turned), COLOURS),
        "PNG RGB, a colour is clear": Encoding(
            save(rgb, "PNG", transparency=tuple(COLOURS[2, 2].tolist())), UNCLEAR
        ),
        "PNG L, a level is clear": Encoding(
            save(Image.fromarray(GREY), "PNG", transparency=int(GREY[1, 1])), UNCLEAR
        ),
        "PNG L, a level that it lacks is clear": Encoding(
            save(Image.fromarray(GREY), "PNG", transparency=absent), spread(GREY)
        ),
        "PNG P, a colour is clear": Encoding(save(few, "PNG", transparency=clear), UNCLEAR),
        "PNG P, opaque": Encoding(save(few, "PNG", transparency=b"\xff" * len(clear)), FEW_COLOURS),
    }


def _encode_tiff() -> dict[str, Encoding]:
    rgb, deep = Image.fromarray(COLOURS), Image.fromarray(DEEP)
    twelve, raised = Image.fromarray(DEEP >> 4), Image.fromarray(GREY.astype(np.uint16) + 1000)
    found = {
        "RGB, LZW": (save(rgb, "TIFF", compression="tiff_lzw"), COLOURS),
        "RGB, deflate": (save(rgb, "TIFF", compression="tiff_adobe_deflate"), COLOURS),
        "RGBX": (save(rgb.convert("RGBX"), "TIFF"), COLOURS),
        "I;16, white is 0": (
            save(deep, "TIFF", **add_tags(high=65535, photometric=0)),
            spread((65535 - DEEP) >> 8),
        ),
        "I;16": (save(deep, "TIFF"), NO_RANGE),
        "I;16, 0 to 65535": (save(deep, "TIFF", **add_tags(high=65535)), spread(DEEP >> 8)),
        "I;16, 0 to 4095": (save(twelve, "TIFF", **add_tags(high=4095)), spread(DEEP >> 8)),
        "I;16, 1000 to 1255": (
            save(raised, "TIFF", **add_tags(low=1000, high=1255)),
            spread(GREY),
        ),
        "I;16L": (save(deep.convert("I").convert("I;16L"), "TIFF"), NO_RANGE),
        "I;16B": (save(deep.convert("I").convert("I;16B"), "TIFF"), NO_RANGE),
        "PA, opaque": (save(_make_pa(255), "TIFF"), FEW_COLOURS),
        "PA": (save(_make_pa(254), "TIFF"), UNCLEAR),
        "I": (save(deep.convert("I"), "TIFF"), "the colour mode is I,"),
        "F": (save(deep.convert("F"), "TIFF"), "the colour mode is F,"),
        "CMYK": (save(rgb.convert("CMYK"), "TIFF"), "the colour mode is CMYK"),
        "YCbCr": (save(rgb.convert("YCbCr"), "TIFF"), "the colour mode is YCbCr"),
        "LAB": (
            save(Image.frombytes("LAB", (SIDE, SIDE), COLOURS.tobytes()), "TIFF"),
            "the colour mode is LAB",
        ),
    }
    for orientation in range(2, 9):
        content = save(rgb, "TIFF", **add_tags(orientation=orientation))
        found[f"RGB, turned {orientation}"] = (content, COLOURS)
    return {f"TIFF {name}": Encoding(*encoding) for name, encoding in found.items()}


def _make_pa(opacity: int) -> Image.Image:
    """Return an image with a palette, of which one pixel has this opacity."""
    image = index(FEW_COLOURS).convert("PA")
    image.putpixel((4, 3), (image.getpixel((4, 3))[0], opacity))  # type: ignore[index]
    return image


def _encode_jpeg() -> dict[str, Encoding]:
    rgb, turned = Image.fromarray(COLOURS), Image.Exif()
    turned[274] = 6
    plain, grey = save(rgb, "JPEG"), save(Image.fromarray(GREY), "JPEG")
    phone = save(rgb, "MPO", save_all=True, append_images=[Image.fromarray(255 - COLOURS)])
    return {
        "JPEG RGB": Encoding(plain, decode_jpeg(plain)),
        "JPEG RGB, progressive": Encoding(
            content := save(rgb, "JPEG", progressive=True), decode_jpeg(content)
        ),
        "JPEG L": Encoding(grey, decode_jpeg(grey)),
        "JPEG RGB, turned by EXIF": Encoding(save(rgb, "JPEG", exif=turned), decode_jpeg(plain)),
        "JPEG RGB, sRGB": Encoding(save(rgb, "JPEG", icc_profile=SRGB), decode_jpeg(plain)),
        "JPEG RGB, other red": Encoding(
            save(rgb, "JPEG", icc_profile=OTHER_RED), "its colours are those of the profile"
        ),
        **{
            f"{kind} {mode}": Encoding(
                content := save(rgb.convert(mode), kind), decode_jpeg(content)
            )
            for kind in ("JPEG", "MPO")
            for mode in ("1", "RGBX", "YCbCr")
        },
        "MPO RGB": Encoding(content := save(rgb, "MPO"), decode_jpeg(content)),
        "MPO L": Encoding(content := save(Image.fromarray(GREY), "MPO"), decode_jpeg(content)),
        "MPO CMYK": Encoding(save(rgb.convert("CMYK"), "MPO"), "the colour mode is CMYK"),
        "JPEG CMYK": Encoding(save(rgb.convert("CMYK"), "JPEG"), "the colour mode is CMYK"),
        "MPO RGB, two pictures": Encoding(phone, decode_jpeg(plain)),
    }


def _encode_bmp_and_gif() -> dict[str, Encoding]:
    rgb, few, bit = Image.fromarray(COLOURS), index(FEW_COLOURS), GREY > 127
    clear = Image.fromarray(np.dstack([COLOURS, NEARLY_OPAQUE]))
    one = int(np.asarray(few)[2, 2])
    return {
        "BMP RGB": Encoding(save(rgb, "BMP"), COLOURS),
        "BMP L": Encoding(save(Image.fromarray(GREY), "BMP"), spread(GREY)),
        "BMP P": Encoding(save(few, "BMP"), FEW_COLOURS),
        "BMP 1": Encoding(save(Image.fromarray(bit), "BMP"), spread(bit * 255)),
        "BMP RGBA, opaque": Encoding(save(rgb.convert("RGBA"), "BMP"), COLOURS),
        "BMP RGBA": Encoding(save(clear, "BMP"), UNCLEAR),
        "GIF P": Encoding(save(few, "GIF"), FEW_COLOURS),
        "GIF L": Encoding(save(Image.fromarray(GREY), "GIF"), spread(GREY)),
        "GIF 1": Encoding(save(Image.fromarray(bit), "GIF"), spread(bit * 255)),
        "GIF RGB": Encoding(save(Image.fromarray(FEW_COLOURS), "GIF"), FEW_COLOURS),
        "GIF RGBA, opaque": Encoding(
            save(Image.fromarray(np.dstack([FEW_COLOURS, OPAQUE])), "GIF"), FEW_COLOURS
        ),
        "GIF RGBA": Encoding(save(_clear(FEW_COLOURS), "GIF"), UNCLEAR),
        # Pillow leaves out of the file how opaque its pixels are.
        "GIF LA": Encoding(save(_clear(spread(GREY)).convert("LA"), "GIF"), spread(GREY)),
        **{
            f"GIF {mode}": Encoding(save(_deepen(mode), "GIF"), spread(GREY))
            for mode in ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
        },
        "GIF P, a colour is clear": Encoding(save(few, "GIF", transparency=one), UNCLEAR),
        "GIF P, several": Encoding(
            save(few, "GIF", save_all=True, append_images=[index(255 - FEW_COLOURS)]), SEVERAL
        ),
    }


def _clear(colours: Pixels) -> Image.Image:
    """Return an image with a pixel through which one sees everything."""
    opacity = OPAQUE.copy()
    opacity[3, 4] = 0
    return Image.fromarray(np.dstack([colours, opacity]))


def _deepen(mode: str) -> Image.Image:
    """Return the grey levels in a mode of more than 8 bits."""
    return Image.fromarray(GREY.astype(np.int32)).convert(mode)


def _encode_others() -> dict[str, Encoding]:
    rgb = Image.fromarray(COLOURS)
    kinds = ("WEBP", "AVIF", "JPEG2000", "PPM", "ICO", "ICNS", "DDS", "SGI", "QOI", "EPS")
    unknown = ("DIB", "IM", "PCX", "PDF", "SPIDER", "TGA", "BLP", "MSP", "PALM", "XBM")
    bit = Image.fromarray(GREY > 127)
    written = {"BLP": index(FEW_COLOURS), "MSP": bit, "PALM": bit, "XBM": bit}
    found = {
        kind: Encoding(save(rgb, kind), f"the file cannot be {{}}: the format is {kind}")
        for kind in kinds
    }
    return found | {
        kind: Encoding(
            save(written.get(kind, rgb), kind), "the file cannot be {}: it has no known format"
        )
        for kind in unknown
    }


ENCODINGS: dict[str, Encoding] = (
    _encode_lossless("PNG")
    | _encode_png()
    | _encode_lossless("TIFF")
    | _encode_tiff()
    | _encode_jpeg()
    | _encode_bmp_and_gif()
    | _encode_others()
)
