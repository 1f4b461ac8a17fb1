"""Since when a batch has not changed, as looks and the clock of the file system tell it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from arrivals import put_files
from clock import set_clock

from image_classification.datasets import Inbox, InboxDataset, inbox
from image_classification.datasets.file import open_filesystem, write_whole
from image_classification.datasets.look import Look, compare_looks, read_looks

Looking = Callable[..., tuple[bool, Inbox]]


BEFORE = Look("a", 100.0, 500.0)


@pytest.mark.parametrize(
    ("before", "seen", "changed_at", "since"),
    [
        (None, "a", 400.0, 400.0),
        (None, "a", 1001.0, 1000.0),
        (None, "a", None, 1000.0),
        (BEFORE, "a", 900.0, 100.0),
        (BEFORE, "b", 900.0, 900.0),
        (BEFORE, "b", 499.0, 1000.0),
        (BEFORE, "b", 1001.0, 1000.0),
        (BEFORE, "b", None, 1000.0),
        (Look("a", 2000.0, 2000.0), "a", 900.0, 1000.0),
        (Look("a", 2000.0, 2000.0), "b", 900.0, 1000.0),
    ],
)
def test_it_is_unchanged_since_the_look_or_the_time_of_the_file_system(
    before: Look | None, seen: str, changed_at: float | None, since: float
) -> None:
    assert compare_looks(before, seen, changed_at, 1000.0) == Look(seen, since, 1000.0)


class TestLooks:
    """A batch is looked at again and again; what has been seen is remembered in the storage."""

    @pytest.fixture
    def look(self, root: str, monkeypatch: pytest.MonkeyPatch) -> Looking:
        dataset = InboxDataset(filepath=f"{root}/incoming", notes=f"{root}/images")

        def look(minute: float) -> tuple[bool, Inbox]:
            now = set_clock(monkeypatch, minute)
            found = dataset.load()
            return found.batches[0].is_complete(30, now), found

        return look

    def test_a_batch_is_complete_once_two_looks_half_an_hour_apart_see_the_same(
        self, root: str, look: Looking
    ) -> None:
        put_files(f"{root}/incoming", "b/P/1.png")
        assert [look(minute)[0] for minute in (0, 10, 20, 29.9, 30.1)] == [False] * 4 + [True]

    def test_a_change_between_two_looks_starts_the_time_anew(
        self, root: str, look: Looking
    ) -> None:
        put_files(f"{root}/incoming", "b/P/1.png")
        assert not look(5)[0]
        put_files(f"{root}/incoming", "b/P/2.png")
        # By the clock of the files it changed long before the last look: that clock goes wrong.
        assert [look(minute)[0] for minute in (40, 60, 69.9, 70.1)] == [False] * 3 + [True]

    def test_the_time_of_the_file_system_counts_as_a_look(self, root: str, look: Looking) -> None:
        put_files(f"{root}/incoming", "b/P/1.png")
        assert look(30.1)[0]

    def test_a_clock_of_the_file_system_that_is_ahead_is_not_believed(
        self, root: str, look: Looking
    ) -> None:
        put_files(f"{root}/incoming", "b/P/1.png")
        assert [look(minute)[0] for minute in (-900, -890, -871, -869)] == [False] * 3 + [True]

    def test_nothing_is_kept_of_a_batch_that_is_gone_or_carries_the_marker(
        self, root: str, look: Looking
    ) -> None:
        filesystem, path = open_filesystem(f"{root}/images/{inbox.LOOKS}")
        put_files(f"{root}/incoming", "b/P/1.png", "b/_READY")
        assert look(0)[0]
        assert not filesystem.exists(path)
        put_files(f"{root}/incoming", "c.zip")
        assert len(look(0)[1].batches) == 2
        assert len(read_looks(filesystem, path)) == 1
        filesystem.rm_file(open_filesystem(f"{root}/incoming/c.zip")[1])
        look(0)
        assert read_looks(filesystem, path) == {}

    def test_they_lie_outside_the_incoming_folder(self, root: str, look: Looking) -> None:
        put_files(f"{root}/incoming", "b/P/1.png")
        look(0)
        filesystem, path = open_filesystem(f"{root}/incoming")
        assert filesystem.find(path) == [f"{path}/b/P/1.png"]

    @pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"b": 1}', b'{"b": [1, "x", 2]}'])
    def test_looks_that_cannot_be_read_are_none(self, tmp_path: Path, content: bytes) -> None:
        write_whole(*open_filesystem(f"{tmp_path}/looks.json"), content)
        assert read_looks(*open_filesystem(f"{tmp_path}/looks.json")) == {}

    def test_who_cannot_write_to_the_storage_may_look(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        put_files(str(tmp_path), "incoming/b/P/1.png", "images")
        dataset = InboxDataset(filepath=f"{tmp_path}/incoming", notes=f"{tmp_path}/images")
        assert len(dataset.load().batches) == 1
        assert "This look is not remembered in" in caplog.text


OLD_S = 86400 * 365 * 20

COPIES = {
    "cp": ["cp", "-a", "{source}", "{target}"],
    "rsync": ["rsync", "-a", "{source}/", "{target}"],
    "rsync in place": ["rsync", "-a", "--inplace", "{source}/", "{target}"],
    "tar": ["tar", "-xf", "{source}.tar", "-C", "{incoming}"],
    "unzip": ["unzip", "-q", "{source}.zip", "-d", "{incoming}"],
    "cp of a zip": ["cp", "-a", "{source}.zip", "{target}.zip"],
}


@pytest.mark.parametrize("way", COPIES)
def test_what_a_real_program_is_copying_is_not_complete(tmp_path: Path, way: str) -> None:
    """benchmarks/settling.py looks longer, and at more programs."""
    if shutil.which(COPIES[way][0]) is None:
        pytest.skip(f"{COPIES[way][0]} is not installed")
    source, incoming = tmp_path / "source" / "b", tmp_path / "incoming"
    put_files(str(source), *(f"{label}/{n}.png" for label in "PU" for n in range(150)))
    incoming.mkdir()
    for path in [*source.rglob("*"), source]:
        os.utime(path, (OLD_S, OLD_S))
    if "tar" in way:
        subprocess.run(["tar", "-cf", f"{source}.tar", "-C", source.parent, "b"], check=True)
    if "zip" in way:
        shutil.make_archive(str(source), "zip", source.parent, "b")
        os.utime(f"{source}.zip", (OLD_S, OLD_S))
    places = {"source": source, "incoming": incoming, "target": incoming / "b"}
    copy = subprocess.Popen([part.format(**places) for part in COPIES[way]])
    dataset = InboxDataset(filepath=str(incoming), notes=str(tmp_path / "images"))
    while copy.poll() is None:
        for batch in dataset.load().batches:
            assert not batch.is_complete(30, datetime.now(UTC))
    (batch,) = dataset.load().batches
    assert len(batch.files) == (1 if batch.is_zip else 300)
    assert not batch.is_complete(30, datetime.now(UTC))
    assert batch.is_complete(30, datetime.now(UTC) + timedelta(minutes=30))
