"""Whatever arrives together: no error leaves the intake, and good batches are in."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from laboratory import Laboratory
from samples import CELLS, NEGATIVE, POSITIVE, draw_image, fill_folder, name_cell, zip_files

SENTINEL = draw_image(9999)
OWN = ("_BATCH.json", "_READY", "labels.csv")

Part = Callable[[Path, Path], None]
"""Puts something into the folder of a batch; the second folder lies outside of it."""


def files(**content: bytes) -> Part:
    return lambda folder, _: fill_folder(folder, dict(content)) and None


def content_of(name: str, content: bytes) -> Part:
    return files(**{name: content})


def in_class(make: Callable[[Path, Path], None]) -> Part:
    def put(folder: Path, outside: Path) -> None:
        (folder / POSITIVE).mkdir(parents=True, exist_ok=True)
        make(folder / POSITIVE, outside)

    return put


def bind_socket(folder: Path, _: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        socket.socket(socket.AF_UNIX).bind("C8.png")


def name_in_bytes(folder: Path, _: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/C7_caf\xe9.png")).write_bytes(draw_image(7007))


BAD: dict[str, Part] = {
    "empty": content_of(f"{POSITIVE}/C1_empty.png", b""),
    "no image": content_of(f"{POSITIVE}/C1_text.png", b"no image"),
    "torn": content_of(f"{POSITIVE}/C1_torn.png", draw_image(7001)[:60]),
    "webp": content_of(f"{POSITIVE}/C1.webp", draw_image(7002, kind="WEBP")),
    "cmyk": content_of(f"{NEGATIVE}/C1.jpg", draw_image(7003, mode="CMYK", kind="JPEG")),
    "typo": content_of(f"Parasitised/{name_cell(7004)}", draw_image(7004)),
    "no class": content_of("C1_top.png", draw_image(7005)),
    "deep": content_of("a/" * 40 + "C1.png", draw_image(7006)),
    "bytes": in_class(name_in_bytes),
    "control": content_of(f"{POSITIVE}/C1_\x1b[31m\n\u202e$x$=.png", draw_image(7008)),
    "pipe": in_class(lambda folder, _: os.mkfifo(folder / "C9.png")),
    "pipe as labels": lambda folder, _: os.mkfifo(folder / "labels.csv"),
    "folder as image": in_class(lambda folder, _: (folder / "C5.png").mkdir()),
    "socket": in_class(bind_socket),
    "gone": in_class(lambda folder, _: (folder / "C6.png").symlink_to("/nowhere/x.png")),
    "out": in_class(lambda folder, away: (folder / "C4.png").symlink_to(away / "secret.png")),
    "folder out": lambda folder, away: (folder / "more").symlink_to(away),
    "labels out": lambda folder, away: (folder / "labels.csv").symlink_to(away / "labels.csv"),
    "labels": content_of("labels.csv", b'\xff\xfe"\n'),
    "labels twice": content_of("labels.csv", b"image_name,labelled_by,labelled_on\na,b,c\na,b,c\n"),
    "marker": content_of("_TAKEN.json", b'["../../outside/secret.png", "/etc/hostname"]'),
    "manifest": content_of("_BATCH.json", b'{"taken_at": 7, "not_copied": ["/etc"], "fault": {}}'),
    "debris": files(**{"Thumbs.db": b"x", f"{POSITIVE}/@eaDir/C1.png/T.jpg": draw_image(7009)}),
}
"""What may lie in the folder of a batch."""

PLAIN = {f"{POSITIVE}/{name_cell(8000 + n)}": draw_image(8000 + n) for n in range(3)}
ZIP = zip_files(PLAIN)
ZIPS = {
    "torn zip": ZIP[:-40],
    "locked zip": ZIP[:6] + b"\1" + ZIP[7:],
    "flipped zip": ZIP[:80] + b"\xff\xff" + ZIP[82:],
    "empty zip": b"",
    "zip out": zip_files({"../../../outside/new.png": SENTINEL, "/abs/new.png": SENTINEL}),
    "zip of both": zip_files({f"{POSITIVE}/a": b"x", f"{POSITIVE}/a/b.png": b"y"}),
    "zip of markers": zip_files({"_BATCH.json": b"{}", "_READY": b"", "_TAKEN.json": b"[]"}),
}
"""What may come as a zip."""


class Arrival(NamedTuple):
    """A batch: how many good images it holds, and which bad parts, or the zip that it is."""

    good: int
    parts: tuple[str, ...]
    zip: str | None = None


parts = st.lists(st.sampled_from(sorted(BAD)), max_size=3).map(tuple)
folders = st.builds(Arrival, st.integers(0, 4), parts, st.none())
zips = st.builds(Arrival, st.just(0), st.just(()), st.sampled_from(sorted(ZIPS)))
good = st.builds(Arrival, st.integers(1, 4), st.just(()), st.none())
nights = st.lists(st.one_of(folders, folders, zips, good), min_size=1, max_size=6)


def deliver(laboratory: Laboratory, number: int, arrival: Arrival, outside: Path) -> None:
    """Put a batch `b<number>` into the incoming folder."""
    if arrival.zip:
        laboratory.incoming.mkdir(parents=True, exist_ok=True)
        (laboratory.incoming / f"b{number}.zip").write_bytes(ZIPS[arrival.zip])
        (laboratory.incoming / f"b{number}.zip._READY").touch()
        return
    seeds = range(1000 + 10 * number, 1000 + 10 * number + arrival.good)
    cells = {f"{POSITIVE}/{name_cell(seed)}": draw_image(seed) for seed in seeds}
    folder = laboratory.deliver(f"b{number}", cells, ready=False)
    folder.mkdir(parents=True, exist_ok=True)
    for part in dict.fromkeys(arrival.parts):
        try:
            BAD[part](folder, outside)
        except OSError:  # another part lies there already
            continue
    (folder / "_READY").touch()


_watched: dict[str, list[str]] = {}


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _watched and isinstance(arguments[0], str):
        for folder, opened in _watched.items():
            if os.path.realpath(arguments[0]).startswith(folder):
                opened.append(arguments[0])


sys.addaudithook(_watch)


@contextmanager
def nothing_opened(folder: Path) -> Iterator[None]:
    """Fail where any file below a folder is opened, whoever asks for it."""
    opened = _watched.setdefault(os.path.realpath(folder), [])
    try:
        yield
    finally:
        _watched.clear()
    assert opened == []


def describe_tree(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    return {
        str(path): (path.stat().st_mode, path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def count_things(folder: Path) -> int:
    """Count what lies in a batch: files, links, pipes; not what the system reads or writes."""
    return sum(
        1
        for place, inner, names in os.walk(folder)
        for name in [*names, *(each for each in inner if Path(place, each).is_symlink())]
        if Path(place, name).parent != folder or name not in OWN
    )


def describe_state(laboratory: Laboratory) -> dict[str, bytes]:
    """Return all that is kept, without the time at which a batch that waits was judged last."""
    kept = laboratory.snapshot().items()
    return {name: content for name, content in kept if "/screenings/" not in name}


@settings(
    max_examples=int(os.environ.get("INTAKE_EXAMPLES", "5")),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(arrivals=nights)
def test_a_night_of_anything_takes_the_good_in_and_touches_nothing_else(
    arrivals: list[Arrival],
) -> None:
    with tempfile.TemporaryDirectory() as place:
        outside = fill_folder(
            Path(place, "outside"),
            {"secret.png": SENTINEL, f"{POSITIVE}/C1.png": SENTINEL, "labels.csv": b"x"},
        )
        before = describe_tree(outside)
        laboratory = Laboratory(Path(place, "storage"))
        laboratory.deliver("first", CELLS)
        for number, arrival in enumerate(arrivals):
            deliver(laboratory, number, arrival, outside)

        with nothing_opened(outside):
            laboratory.take_in()

        assert describe_tree(outside) == before
        assert list(laboratory.incoming.iterdir()) == []
        check_numbers(laboratory)
        check_good(laboratory, arrivals)
        state = describe_state(laboratory)
        laboratory.take_in()
        assert describe_state(laboratory) == state


def check_numbers(laboratory: Laboratory) -> None:
    """Everything that lies in a batch is accepted, refused, a duplicate or left out."""
    batches = laboratory.catalog().load("image_batches").names()
    records = laboratory.catalog().load("batch_screenings")
    assert sorted(records) == batches
    for batch in batches:
        assert laboratory.tally(batch)["found"] == count_things(
            laboratory.storage / "images" / batch
        ), batch
        assert records[batch]["verdict"] == "accepted" or records[batch]["reasons"]


def check_good(laboratory: Laboratory, arrivals: list[Arrival]) -> None:
    """What is good is in, whatever lies beside it."""
    accepted = laboratory.index()
    accepted = accepted[accepted["status"] == "accepted"]
    for number, arrival in enumerate(arrivals):
        if arrival.good and not arrival.parts:
            assert laboratory.verdict(f"b{number}")["verdict"] == "accepted"
            assert (accepted["batch"] == f"b{number}").sum() == arrival.good
    assert (accepted["batch"] == "first").sum() == len(CELLS)


def test_all_of_them_come_in_one_night_beside_good_ones(tmp_path: Path) -> None:
    outside = fill_folder(tmp_path / "outside", {"secret.png": SENTINEL, "labels.csv": b"x"})
    laboratory = Laboratory(tmp_path / "storage")
    laboratory.deliver("first", CELLS)
    arrivals = [Arrival(2, (name,)) for name in BAD] + [Arrival(0, (), name) for name in ZIPS]
    for place in range(len(arrivals), -1, -5):
        arrivals.insert(place, Arrival(2, ()))
    for number, arrival in enumerate(arrivals):
        deliver(laboratory, number, arrival, outside)
    with nothing_opened(outside):
        laboratory.take_in()
    check_numbers(laboratory)
    check_good(laboratory, arrivals)
