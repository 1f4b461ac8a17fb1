"""Zips of every making: each that Python cannot unpack is one error, with a sentence."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress

import pytest

from image_classification.datasets import archive as module
from image_classification.datasets.archive import REMEDY, ArchiveError, open_archive

Change = Callable[[int], int]


def pack(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", method) as archive:
        warnings.simplefilter("ignore", UserWarning)  # two files of one name
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


def patch(content: bytes, local: int, central: int, change: Change) -> bytes:
    """Change two bytes of each member, in both of its headers."""
    changed, place = bytearray(content), 0
    while (place := changed.find(b"PK\x01\x02", place)) >= 0:
        value = change(struct.unpack_from("<H", changed, place + central)[0])
        header = struct.unpack_from("<I", changed, place + 42)[0]
        struct.pack_into("<H", changed, place + central, value)
        struct.pack_into("<H", changed, header + local, value)
        place += 4
    return bytes(changed)


def read(content: bytes) -> dict[str, bytes]:
    with open_archive(io.BytesIO(content), "b.zip") as archive:
        archive.check()
        paths = [member.path for member in archive.members]
        return dict(zip(paths, archive.read(archive.members), strict=True))


PAIR = pack(("P/1.png", b"1" * 500), ("P/2.png", bytes(range(256)) * 9))
METHOD, FLAGS = (8, 10), (6, 8)
MANY_BYTES = pack(*((f"P/{n}.png", bytes(range(n, 256)) * 5) for n in range(9)))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (patch(PAIR, *FLAGS, lambda flags: flags | 1), "'P/1.png' in it: it needs a password"),
        (patch(PAIR, *METHOD, lambda _: 9), "'P/1.png' in it: packed by Deflate64, which is not"),
        (patch(PAIR, *METHOD, lambda _: 99), "packed by AES, which is not known here"),
        (patch(PAIR, *METHOD, lambda _: 4242), "packed by 4242, which is not known here"),
        (patch(PAIR, *METHOD, lambda _: 12), "'P/1.png' in it: "),
        (patch(PAIR, *METHOD, lambda _: 14), "'P/1.png' in it: "),
        (PAIR[:39] + b"\xff" * 4 + PAIR[43:], "'P/1.png' in it: "),
        (MANY_BYTES[:700] + MANY_BYTES[730:], ""),
        (PAIR[300:], ""),
        (PAIR[:-30], "is not a whole zip file: File is not a zip file"),
        (b"", "is not a whole zip file: File is not a zip file"),
        (b"PK\x05\x06" + b"\xff" * 18, "is not a whole zip file: "),
        (pack(("P/a.png", b"x"), ("P/a.png/b.png", b"x")), "'P/a.png' in it: its name is that of"),
        (pack(("P/a.png", b"x"), ("../P/a.png", b"y")), "'P/a.png' in it: 2 files have this name"),
        (pack(("..", b"x")), "'' in it: its name is that of a folder, too"),
        (pack((f"P/{'x' * 252}.png", b"x")), "': a name is longer than 255 bytes"),
        (pack((f"{'ü' * 128}/1.png", b"x")), "in it: a name is longer than 255 bytes"),
    ],
)
def test_what_cannot_be_unpacked_says_which_file_why_and_what_to_do(
    content: bytes, reason: str
) -> None:
    with pytest.raises(ArchiveError) as raised:
        read(content)
    said = str(raised.value)
    assert said.startswith("'b.zip' ")
    assert reason.replace("': a name", "...' in it: a name") in said
    assert said.endswith(f". {REMEDY}.")
    assert len(said.splitlines()) == 1


def test_a_name_that_is_not_what_its_flag_says_is_an_error_of_the_zip() -> None:
    content = patch(pack(("P/caf\xe9.png", b"1")), *FLAGS, lambda flags: flags | 0x800)
    with pytest.raises(ArchiveError, match=r"^'b\.zip' is not a whole zip file: 'utf-8' codec"):
        read(content.replace("é".encode(), b"\xe9x"))


@pytest.mark.parametrize("length", range(1, len(MANY_BYTES), 97))
def test_any_damaged_byte_is_an_error_of_the_zip_or_none(length: int) -> None:
    for content in (MANY_BYTES[:length], MANY_BYTES[length:]):
        with pytest.raises(ArchiveError):
            read(content)
    spoilt = bytearray(MANY_BYTES)
    spoilt[length] ^= 0xFF
    with suppress(ArchiveError):
        read(bytes(spoilt))


def test_a_member_as_large_as_allowed_is_read_and_a_larger_one_is_not_unpacked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert module.MAXIMUM_MEMBER_BYTES == 256 * 1024**2
    monkeypatch.setattr(module, "MAXIMUM_MEMBER_BYTES", 3)
    assert read(pack(("P/1.png", b"123"))) == {"P/1.png": b"123"}
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("it was unpacked"))
    with pytest.raises(ArchiveError, match=r"'P/1\.png' in it: it says it is 4 bytes: at most 3"):
        read(pack(("P/1.png", b"1234")))


def test_a_name_as_long_as_allowed_is_read() -> None:
    name = f"P/{'x' * 251}.png"
    assert read(pack((name, b"1"))) == {name: b"1"}


@pytest.mark.parametrize("error", [TimeoutError("no answer"), OSError(5, "I/O"), MemoryError()])
def test_a_disk_or_network_that_fails_is_no_error_of_the_zip(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(zipfile.ZipFile, "read", fail)
    with pytest.raises(type(error)):
        read(PAIR)
    monkeypatch.setattr(zipfile, "ZipFile", fail)
    with pytest.raises(type(error)):
        read(PAIR)
