"""What an image file means in RGB: its header, and what Pillow decodes of it."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from samples import draw_bomb, draw_image

from image_classification.intake import picture
from image_classification.intake.picture import (
    Header,
    UnclearImageError,
    read_header,
    read_rgb,
)


def make_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + zlib.crc32(name + data).to_bytes(4)


class TestPlainPng:
    """The short way round Pillow: only for files that it would read alike."""

    PLAIN = draw_image(1, (40, 30))
    DATED = PLAIN[:33] + make_chunk(b"tIME", b"\x07\xdf\x06\x01\x0a\0\0") + PLAIN[33:]

    @staticmethod
    def ask_pillow(file: bytes) -> Header:
        with picture._open(file) as image:
            return picture._describe(image, file)

    def test_a_plain_png_is_read_as_pillow_reads_it_and_a_spoilt_one_left_to_pillow(self) -> None:
        others = [draw_image(1, (40, 30), mode=mode) for mode in ("L", "RGBA", "P")]
        files = [self.PLAIN, self.DATED, draw_bomb(0, 5), draw_bomb(60_000, 60_000), *others]
        for whole in (self.PLAIN, self.DATED):
            for place in range(70):
                spoilt = bytearray(whole)
                spoilt[place] ^= 0xFF
                files += [bytes(spoilt), whole[:place]]
        found = [picture._read_plain_png(file) for file in files]
        assert found[:4] == [Header(40, 30, "PNG", plain=True)] * 2 + [None] * 2
        for file, facts in zip(files, found, strict=True):
            if facts:
                assert facts == self.ask_pillow(file)

    def test_a_plain_png_does_not_need_pillow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("Pillow was asked"))
        for file in (self.PLAIN, self.DATED):
            assert read_header(file) == Header(40, 30, "PNG", True)

    def test_a_time_with_a_wrong_checksum_is_left_to_pillow(self) -> None:
        spoilt = self.DATED[:44] + bytes([self.DATED[44] ^ 1]) + self.DATED[45:]
        assert picture._read_plain_png(spoilt) is None

    def test_another_chunk_before_the_pixels_is_left_to_pillow(self) -> None:
        other = self.PLAIN[:33] + make_chunk(b"gAMA", b"\0\0\xb1\x8f") + self.PLAIN[33:]
        assert picture._read_plain_png(other) is None

    def test_as_many_pixels_as_pillow_takes_without_a_warning_are_read(self) -> None:
        assert picture._read_plain_png(draw_bomb(2**13, 2**13)) == Header(2**13, 2**13, "PNG", True)
        assert picture._read_plain_png(draw_bomb(2**13, 2**13 + 1)) is None
        for width, height in ((2**24 + 2, 1), (1, 2**24 + 2)):
            found = picture._read_plain_png(draw_bomb(width, height))
            assert found == Header(width, height, "PNG", True)
        assert picture._read_plain_png(draw_bomb(1, 1)) == Header(1, 1, "PNG", True)
        assert Image.MAX_IMAGE_PIXELS > 2**26


def save(image: Image.Image, kind: str, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


class TestHeader:
    def test_the_header_tells_who_decodes_the_file(self) -> None:
        plain = [("RGB", "PNG"), ("L", "PNG"), ("RGB", "JPEG"), ("L", "JPEG"), ("RGB", "BMP")]
        others = [("P", "PNG"), ("1", "PNG"), ("P", "BMP"), ("L", "BMP"), ("RGB", "TIFF")]
        for mode, kind in plain + others:
            header = read_header(draw_image(1, mode=mode, kind=kind))
            assert header == Header(12, 10, kind, plain=(mode, kind) in plain)

    def test_a_bitmap_of_os_2_is_left_to_pillow(self) -> None:
        rows = bytes(range(4 * 8))
        header = struct.pack("<2sIHHIIHHHH", b"BM", 26 + len(rows), 0, 0, 26, 12, 2, 4, 1, 24)
        assert read_header(header + rows) == Header(2, 4, "BMP", plain=False)
        assert read_rgb(header + rows)[-1, 0].tolist() == [2, 1, 0]

    def test_more_pixels_than_are_ever_decoded_are_refused(self) -> None:
        header = read_header(draw_bomb(2**13, 2**13 + 1))
        assert header.refusal == "8192 x 8193 pixels: at most 67108864 can be read"

    def test_a_tiff_of_16_bits_in_colour_is_read_where_it_tells_the_whole_range(self) -> None:
        colours = np.arange(4 * 3 * 3, dtype="<u2").reshape(4, 3, 3) * 1800

        def draw(*declared: tuple[int, int]) -> bytes:
            return draw_tiff(colours, *declared)

        assert read_header(draw()).refusal == picture.NO_RANGE
        assert read_header(draw((281, 4095))).refusal == picture.NO_RANGE
        assert read_header(draw((281, 65535))) == Header(3, 4, "TIFF", plain=False)
        np.testing.assert_array_equal(read_rgb(draw((281, 65535))), colours >> 8)

    def test_a_reason_is_one_line_and_never_empty(self) -> None:
        assert picture._one_line(ValueError("first\nsecond")) == "first"
        assert picture._one_line(ValueError()) == "ValueError"


def draw_tiff(colours: np.ndarray, *declared: tuple[int, int]) -> bytes:
    """Return a TIFF of 16 bits in RGB, which Pillow cannot write, with tags of one short each."""
    height, width, _ = colours.shape
    data = colours.tobytes()
    tags = [(256, width), (257, height), (259, 1), (262, 2), (277, 3), (278, height), *declared]
    count = len(tags) + 3
    bits_at = 8 + 2 + 12 * count + 4
    entries = [(tag, 3, 1, value) for tag, value in tags]
    entries += [(258, 3, 3, bits_at), (273, 4, 1, bits_at + 6), (279, 4, 1, len(data))]
    table = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    head = b"II*\0" + struct.pack("<IH", 8, count) + table + bytes(4)
    return head + struct.pack("<3H", 16, 16, 16) + data


class TestUnclear:
    def test_an_index_that_the_palette_does_not_name_is_refused(self) -> None:
        image = Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4), "P")
        image.putpalette(bytes(range(3 * 12)))
        content = save(image, "PNG")
        at = content.index(b"PLTE")
        entries = b"PLTE" + content[at + 4 : at + 4 + 3 * 8]
        chunk = struct.pack(">I", 24) + entries + zlib.crc32(entries).to_bytes(4)
        cut = content[: at - 4] + chunk + content[at + 4 + 36 + 4 :]
        assert read_rgb(content)[0, 1].tolist() == [3, 4, 5]
        with pytest.raises(UnclearImageError, match="its palette lacks colours"):
            read_rgb(cut)

    @pytest.mark.parametrize(("mode", "levels"), [("L", (9,)), ("RGB", (9, 8, 7))])
    def test_a_colour_that_is_called_transparent_is_refused_only_where_a_pixel_has_it(
        self, mode: str, levels: tuple[int, ...]
    ) -> None:
        pixels = np.full((3, 4, len(levels)), 200, np.uint8)
        key = levels[0] if mode == "L" else levels

        def write() -> bytes:
            image = Image.fromarray(pixels[..., 0] if mode == "L" else pixels)
            return save(image, "PNG", transparency=key)

        assert (read_rgb(write()) == 200).all()
        pixels[1, 2] = levels
        with pytest.raises(UnclearImageError, match="not opaque"):
            read_rgb(write())

    @pytest.mark.parametrize(("opacity", "is_read"), [(255, True), (254, False)])
    def test_a_palette_whose_used_colours_are_all_opaque_is_read(
        self, opacity: int, *, is_read: bool
    ) -> None:
        image = Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4), "P")
        image.putpalette(bytes(range(3 * 16)))
        content = save(image, "PNG", transparency=bytes([255] * 11 + [opacity, 0, 0, 0]))
        if is_read:
            assert read_rgb(content)[0, 1].tolist() == [3, 4, 5]
            return
        with pytest.raises(UnclearImageError, match="not opaque"):
            read_rgb(content)

    def test_an_empty_file_says_so(self) -> None:
        with pytest.raises(ValueError, match=r"^it is empty \(0 bytes\)$"):
            read_header(b"")

    def test_a_gif_that_leaves_a_part_of_its_screen_open_is_refused(self) -> None:
        content = bytearray(draw_image(1, mode="P", kind="GIF"))
        content[6:8] = struct.pack("<H", 14)
        with pytest.raises(UnclearImageError, match="does not fill its frame"):
            read_rgb(bytes(content))

    @pytest.mark.parametrize("spare", [0, 255])
    def test_spare_bytes_of_a_bmp_that_say_nothing_are_taken(self, spare: int) -> None:
        pixels = np.full((2, 3, 4), spare, np.uint8)
        pixels[..., :3] = np.arange(18).reshape(2, 3, 3)
        content = save(Image.fromarray(pixels), "BMP")
        np.testing.assert_array_equal(read_rgb(content), pixels[..., :3])


SEEDS = [
    *(draw_image(1, kind=kind) for kind in ("PNG", "JPEG", "BMP", "TIFF", "GIF")),
    *(draw_image(1, mode="P", kind=kind) for kind in ("PNG", "BMP", "TIFF")),
    save(Image.fromarray(np.full((9, 9), 300, np.uint16)), "TIFF", tiffinfo={281: 400}),
]


def explain(content: bytes) -> str | None:
    """Return why a file is not read; None if it is."""
    try:
        header = read_header(content)
        if header.refusal or header.width * header.height > 10**6:
            return header.refusal or "large"
        read_rgb(content)
    except (ValueError, UnclearImageError) as error:
        return str(error)
    return None


def test_a_damaged_file_is_read_or_told_in_one_line_and_raises_nothing_else() -> None:
    random = np.random.default_rng(0)
    reasons = []
    for number in range(1500):
        content = bytearray(SEEDS[number % len(SEEDS)])
        for place in random.integers(0, len(content), random.integers(1, 5)):
            content[place] = random.integers(0, 256)
        end = random.integers(1, len(content) + 1) if number % 3 else len(content)
        reasons.append(explain(bytes(content[:end])))
    told = [reason for reason in reasons if reason is not None]
    assert 0 < len(told) < len(reasons)
    assert all(told)
    assert not [reason for reason in told if "\n" in reason]


def test_a_jpeg_of_more_scans_than_any_program_writes_is_refused_before_it_is_decoded() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16), np.uint8))
    whole = save(image, "JPEG", progressive=True)
    scans = whole.count(b"\xff\xda")
    last = whole[whole.rindex(b"\xff\xda") : -2]
    most = whole[:-2] + last * (picture.MAXIMUM_SCANS - scans) + whole[-2:]
    assert read_header(most).refusal == ""
    more = most[:-2] + last + whole[-2:]
    assert read_header(more).refusal == "the JPEG has 33 scans: at most 32 can be read"


def set_tag(tiff: bytes, tag: int, value: int) -> bytes:
    """Return a TIFF with another number in an entry of its directory."""
    start = int.from_bytes(tiff[4:8], "little")
    for at in range(
        start + 2, start + 2 + 12 * int.from_bytes(tiff[start : start + 2], "little"), 12
    ):
        if int.from_bytes(tiff[at : at + 2], "little") == tag:
            return tiff[: at + 8] + value.to_bytes(4, "little") + tiff[at + 12 :]
    raise KeyError(tag)


HEIGHT, ROWS_PER_STRIP = 257, 278


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "RGBA", "I;16"])
@pytest.mark.parametrize(("tag", "value"), [(HEIGHT, 12), (ROWS_PER_STRIP, 5), (ROWS_PER_STRIP, 1)])
def test_a_tiff_of_which_strips_are_missing_is_no_black_picture(
    mode: str, tag: int, value: int
) -> None:
    grey = Image.fromarray(np.random.default_rng(0).integers(1, 256, (6, 5), np.uint8))
    image = grey.convert("I").convert(mode) if mode == "I;16" else grey.convert(mode)
    whole = save(image, "TIFF", tiffinfo={281: 65535} if mode == "I;16" else {})
    assert read_rgb(whole).shape == (6, 5, 3)
    with pytest.raises(ValueError, match=r"truncated \(parts of its pixels are missing\)"):
        read_rgb(set_tag(whole, tag, value))


def test_a_tiff_of_many_strips_or_of_one_plane_a_channel_is_whole() -> None:
    pixels = np.random.default_rng(0).integers(1, 256, (6, 5, 3), np.uint8)
    strips = save(Image.fromarray(pixels), "TIFF", strip_size=15)
    np.testing.assert_array_equal(read_rgb(strips), pixels)
    planes = _save_planes(pixels)
    np.testing.assert_array_equal(read_rgb(planes), pixels)
    with pytest.raises(ValueError, match="parts of its pixels are missing"):
        read_rgb(set_tag(planes, HEIGHT, 7))


def _save_planes(pixels: np.ndarray) -> bytes:
    """Return a TIFF that holds one channel after the other, which Pillow cannot write."""
    height, width, _ = pixels.shape
    data = np.moveaxis(pixels, 2, 0).tobytes()
    extra = 8 + len(data)
    lists = struct.pack("<3H3I3I", 8, 8, 8, *(8 + n * width * height for n in range(3)), *[30] * 3)
    entries = [
        *((256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, extra), (259, 3, 1, 1)),
        *((262, 3, 1, 2), (273, 4, 3, extra + 6), (277, 3, 1, 3), (278, 4, 1, height)),
        *((279, 4, 3, extra + 18), (284, 3, 1, 2)),
    ]
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    return b"II*\0" + struct.pack("<I", extra + len(lists)) + data + lists + directory
