"""Zips of every making: each that Python cannot unpack is one error, with a sentence."""

from __future__ import annotations

import io
import struct
import tracemalloc
import warnings
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from image_classification.datasets import archive as module
from image_classification.datasets.archive import REMEDY, ArchiveError, open_archive
from image_classification.intake.limit import DEFAULT_LIMITS

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


def read(content: bytes, **limits: float) -> dict[str, bytes]:
    allowed: Any = DEFAULT_LIMITS | limits
    with open_archive(io.BytesIO(content), "b.zip", allowed) as archive:
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
        (pack(("..", b"x")), "'b.zip' cannot be unpacked: its name is that of a folder, too"),
        (pack((f"P/{'x' * 252}.png", b"x")), "': a name is 256 bytes long: at most 255"),
        (pack((f"{'ü' * 128}/1.png", b"x")), "in it: a name is 256 bytes long: at most 255"),
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
    with pytest.raises(
        ArchiveError, match=r"^'b\.zip' is not a whole zip file: a name in it is said to"
    ):
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


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_of_a_member_that_holds_more_than_the_zip_says_no_more_is_unpacked(method: int) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method, compresslevel=1) as archive:
        archive.writestr("P/1.png", bytes(16 * 2**20))
    bomb = bytearray(file.getvalue())
    for header, size_at in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        struct.pack_into("<I", bomb, bomb.find(header) + size_at, 100)
    tracemalloc.start()
    with pytest.raises(ArchiveError, match="Bad CRC"):
        read(bytes(bomb))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 12 * 2**20


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"maximum_files": 2}, "its list names more than 2 files and folders"),
        ({"maximum_total_gib": 11 / 2**30}, "it holds 0.0 GiB: at most"),
        ({"maximum_file_mib": 3 / 2**20}, "'Q/1.png' in it: it says it is 4 bytes: at most"),
        ({"maximum_depth": 1}, "'P/x/3.png' in it: it lies 2 folders deep: at most 1 are"),
        ({"maximum_name_bytes": 4}, "'P/1.png' in it: a name is 5 bytes long: at most 4 are"),
        ({"maximum_ratio": 9}, "it unpacks to 10 times its size: at most 9 times is allowed"),
    ],
)
def test_what_is_more_than_allowed_is_not_unpacked(
    monkeypatch: pytest.MonkeyPatch, limits: dict[str, float], reason: str
) -> None:
    content = pack(("P/1.png", b"123"), ("Q/1.png", b"1234"), ("P/x/3.png", b"12345"))
    if "maximum_ratio" in limits:
        monkeypatch.setattr(module, "RATIO_COUNTS_FROM_BYTES", 9999)
        content = pack(("P/1.png", bytes(range(250)) * 40))  # 10,000 bytes
        packed = zipfile.ZipFile(io.BytesIO(content)).infolist()[0].compress_size
        reason = reason.replace("10 times", f"{10_000 / packed:.0f} times")
    assert len(read(content)) == content.count(b"PK\1\2")
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("it was unpacked"))
    with pytest.raises(ArchiveError) as raised:
        read(content, **limits)
    assert reason in str(raised.value)
    assert next(iter(limits)) in str(raised.value)


def test_a_small_zip_may_be_packed_as_tightly_as_it_likes() -> None:
    assert len(read(pack(("P/1.bmp", b"0" * 2**20)))) == 1


def test_a_bomb_is_refused_by_its_ratio() -> None:
    content = pack(*((f"P/{n}.png", bytes(2**23)) for n in range(9)))
    with pytest.raises(ArchiveError, match=r"unpacks to 1\d\d\d times its size: at most 100 times"):
        read(content)


def overlap(count: int) -> bytes:
    """Return a zip whose list names the same bytes again and again."""
    single = pack(("P/1.png", bytes(range(256)) * 99))
    start = single.index(b"PK\x01\x02")
    entry, end = single[start : single.index(b"PK\x05\x06")], single[-22:]
    entries = b"".join(entry.replace(b"P/1.png", b"P/%d.png" % n) for n in range(count))
    end = bytearray(end)
    struct.pack_into("<HHI", end, 8, count, count, len(entries))
    return single[:start] + entries + bytes(end)


def test_members_that_share_their_bytes_are_refused() -> None:
    with pytest.raises(
        ArchiveError, match=r"'P/1\.png' in it: it shares its bytes with 'P/0\.png'"
    ):
        read(overlap(9))


def test_a_list_of_members_that_lies_about_its_length_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = bytearray(pack(*((f"P/{n}.png", b"") for n in range(99))))
    struct.pack_into("<HH", content, len(content) - 14, 1, 1)
    monkeypatch.setattr(module, "PIECE_BYTES", 64)
    monkeypatch.setattr(zipfile, "ZipFile", lambda *_: pytest.fail("it was read as a whole"))
    with pytest.raises(ArchiveError, match="its list names more than 98 files and folders"):
        read(bytes(content), maximum_files=98)


def test_a_large_zip_is_counted_by_its_own_kind_of_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 3)
    content = pack(*((f"P/{n}.png", b"") for n in range(9)))
    assert b"PK\x06\x06" in content
    assert len(read(content, maximum_files=9)) == 9
    with pytest.raises(ArchiveError, match="its list names more than 8"):
        read(content, maximum_files=8)


@pytest.mark.parametrize("fake", [b"PK\6\6", b"PK\5\6", b"PK\6\7" + bytes(16)])
def test_what_looks_like_another_end_does_not_hide_members(
    monkeypatch: pytest.MonkeyPatch, fake: bytes
) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(9):
            info = zipfile.ZipInfo(f"P/{number}.png")
            info.comment = fake + bytes(60) if number == 8 else b""
            archive.writestr(info, b"")
        archive.comment = fake + bytes(60)
    content = file.getvalue()
    if fake == b"PK\5\6":  # within the end itself, where the list is said to begin
        content = pack(*((f"P/{n}.png", b"") for n in range(9)))
        content = content[:-6] + fake + content[-2:]
    monkeypatch.setattr(zipfile, "ZipFile", lambda *_: pytest.fail("it was read as a whole"))
    with pytest.raises(ArchiveError, match="its list names more than 8"):
        read(content, maximum_files=8)


def test_a_list_longer_than_names_can_make_it_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    content = pack(("P/1.png", b"1"))
    monkeypatch.setattr(module, "MAXIMUM_LIST_BYTES", 52)
    with pytest.raises(ArchiveError, match="its list of files is 53 bytes: at most 52 is read"):
        read(content)
    monkeypatch.setattr(module, "MAXIMUM_LIST_BYTES", 53)
    assert read(content) == {"P/1.png": b"1"}


def named(
    name: bytes,
    system: int,
    *more: tuple[str, bytes],
    attributes: int = 0,
    extra: bytes = b"",
) -> bytes:
    """Return a zip with a file of this name, in bytes, packed on a system without a flag."""
    file = io.BytesIO()
    info = zipfile.ZipInfo("?" * len(name))
    info.create_system, info.external_attr, info.extra = system, attributes, extra
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(info, b"" if attributes and not name.endswith(b".png") else b"1")
        for other, content in more:
            archive.writestr(other, content)
    return file.getvalue().replace(b"?" * len(name), name)


@pytest.mark.parametrize(
    ("name", "system", "path"),
    [
        ("P/Zürich.png".encode(), 3, "P/Zürich.png"),
        ("P/Zürich.png".encode(), 0, "P/Zürich.png"),
        ("P/Zürich.png".encode("cp437"), 0, "P/Zürich.png"),
        (b"P/caf\xe9.png", 3, r"P/caf\xe9.png"),
        ("P/日本.png".encode("shift_jis"), 3, r"P/\x93\xfa\x96{.png"),
        (b"P\\x\\1.png", 0, "P/x/1.png"),
        (b"..\\..\\P/1.png", 0, "P/1.png"),
        (b"C:\\P\\1.png", 0, "C:/P/1.png"),
        (b"//server/P/1.png", 0, "server/P/1.png"),
        (b"P/1.png\0.exe", 0, "P/1.png"),
    ],
)
def test_names_are_read_as_the_system_wrote_them_and_stay_below_the_batch(
    name: bytes, system: int, path: str
) -> None:
    assert list(read(named(name, system))) == [path]


@pytest.mark.parametrize(
    ("field", "path"),
    [
        (b"\1%(crc)s" + "P/日本.png".encode(), "P/日本.png"),
        (b"\1%(crc)s../../P/1.png", "P/1.png"),
        (b"\2%(crc)sP/2.png", "P/caf%82.png"),
        (b"\1\0\0\0\0P/2.png", "P/caf%82.png"),
        (b"\1%(crc)s", "P/caf%82.png"),
    ],
    ids=["a name", "one that leads out", "another version", "of another name", "none"],
)
@pytest.mark.parametrize("before", [b"", b"UT\5\0\3abcd"])
def test_a_name_that_is_given_once_more_in_unicode_holds(
    before: bytes, field: bytes, path: str
) -> None:
    name = b"P/caf\x82.png"
    field = field.replace(b"%(crc)s", zlib.crc32(name).to_bytes(4, "little"))
    extra = before + b"up" + len(field).to_bytes(2, "little") + field
    assert list(read(named(name, 0, extra=extra))) == [path.replace("%82", "é")]


def test_a_name_in_unicode_that_is_no_utf_8_is_mended_or_refused() -> None:
    """Python looks at the field itself from 3.12 on, and refuses it."""
    name = b"P/caf\x82.png"
    field = b"\1" + zlib.crc32(name).to_bytes(4, "little") + b"P/\xff1.png"
    content = named(name, 0, extra=b"up" + len(field).to_bytes(2, "little") + field)
    found, said = [], ""
    try:
        found = list(read(content))
    except ArchiveError as error:
        said = str(error)
    assert found == ([] if "Corrupt unicode path extra field" in said else ["P/1.png"])


@pytest.mark.parametrize(
    ("name", "system", "attributes"),
    [(b"P\\", 0, 0x10), (b"P", 0, 0x10), (b"P", 3, 0o40755 << 16), (b"P/", 3, 0o40755 << 16)],
)
def test_a_folder_is_one_however_it_is_written(name: bytes, system: int, attributes: int) -> None:
    content = named(name, system, ("P/1.png", b"1"), attributes=attributes)
    assert read(content) == {"P/1.png": b"1"}


def test_an_empty_file_of_dos_is_no_folder() -> None:
    file = io.BytesIO()
    info = zipfile.ZipInfo("P/empty.png")
    info.create_system, info.external_attr = 0, 0x20
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(info, b"")
    assert read(file.getvalue()) == {"P/empty.png": b""}


def test_a_link_is_known_as_one() -> None:
    content = named(b"P/1.png", 3, attributes=0o120777 << 16)
    with open_archive(io.BytesIO(content), "b.zip") as archive:
        assert [member.is_link for member in archive.members] == [True]


def test_a_name_as_long_as_allowed_is_read() -> None:
    name = f"P/{'x' * 251}.png"
    assert read(pack((name, b"1"))) == {name: b"1"}


@pytest.mark.parametrize("error", [TimeoutError("no answer"), OSError(5, "I/O"), MemoryError()])
def test_a_disk_or_network_that_fails_is_no_error_of_the_zip(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(zipfile.ZipFile, "open", fail)
    with pytest.raises(type(error)):
        read(PAIR)
    monkeypatch.setattr(zipfile, "ZipFile", fail)
    with pytest.raises(type(error)):
        read(PAIR)
