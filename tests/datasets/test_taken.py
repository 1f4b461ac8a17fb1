"""What cannot be moved out of the incoming folder is copied, remembered, and taken in once."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import fsspec
import pytest
from users import DEPOSITOR, INTAKE, acting_as, needs_root

from image_classification.datasets import ImageBatchesDataset, Inbox, InboxDataset
from image_classification.datasets.arrival import IncomingBatch
from image_classification.datasets.delivery import Source, deliver
from image_classification.datasets.depositor import find_depositor
from image_classification.datasets.file import open_filesystem, write_whole
from image_classification.datasets.taken import Deliveries, Delivery, leave_out_taken

READ_ONLY, SHARED, STICKY = 0o755, 0o777, 0o1777


@pytest.fixture
def place() -> Iterator[Path]:
    """Return a folder that all users reach: of pytest's own they reach none."""
    place = Path(tempfile.mkdtemp())
    place.chmod(0o755)
    for name, owner in (("incoming", DEPOSITOR), ("storage", INTAKE), ("source", DEPOSITOR)):
        (place / name).mkdir()
        os.chown(place / name, owner, owner)
    yield place
    shutil.rmtree(place)


def put(place: Path, *names: str, content: bytes = b"1") -> None:
    for name in names:
        write_whole(*open_filesystem(f"{place}/{name}"), content)


def look(place: Path) -> Inbox:
    return InboxDataset(filepath=f"{place}/incoming", notes=f"{place}/storage/images").load()


def take_in(place: Path) -> list[str]:
    """Let an intake pass as its user; return the paths of all that was taken in."""
    with acting_as(INTAKE):
        batches = ImageBatchesDataset(filepath=f"{place}/storage/images")
        for batch in look(place).batches:
            if batch.is_ready or batch.is_left:
                batches.save(batch)
        taken = batches.load()
        return [path for name in taken.names() for path in taken.list_files(name)["path"]]


def said(place: Path) -> list[str]:
    with acting_as(INTAKE):
        return [batch.describe_stay() for batch in look(place).batches if batch.is_left]


@needs_root
class TestSomebodyElsesFolder:
    """The incoming folder belongs to the depositor, and the intake may only read it."""

    def test_a_batch_is_copied_once_and_said(self, place: Path) -> None:
        with acting_as(DEPOSITOR):
            put(place / "incoming", "b/P/1.png", "b/U/2.png", "b/_READY")
        for _ in range(3):
            assert take_in(place) == ["b/P/1.png", "b/U/2.png"]
        (reason,) = said(place)
        assert reason.startswith("It was taken in as 'b' and cannot be removed from here: [Errno 1")
        assert sorted(path.name for path in (place / "incoming").rglob("*.png")) == [
            "1.png",
            "2.png",
        ]

    def test_what_comes_later_into_the_same_folder_is_a_batch_of_its_own(self, place: Path) -> None:
        with acting_as(DEPOSITOR):
            put(place / "incoming", "b/P/1.png", "b/labels.csv", "b/_READY")
        take_in(place)
        with acting_as(DEPOSITOR):
            put(place / "incoming", "b/P/2.png")
        for _ in range(2):
            assert take_in(place) == ["b/P/1.png", "b-2/P/2.png"]
        assert (place / "storage" / "images" / "b-2" / "labels.csv").exists()

    def test_a_zip_is_unpacked_once(self, place: Path) -> None:
        with acting_as(DEPOSITOR):
            with zipfile.ZipFile(place / "incoming" / "b.zip", "w") as archive:
                archive.writestr("P/1.png", b"1")
            put(place / "incoming", "b.zip._READY")
        for _ in range(2):
            assert take_in(place) == ["b/P/1.png"]

    def test_rights_that_are_given_later_let_it_be_removed(self, place: Path) -> None:
        with acting_as(DEPOSITOR):
            put(place / "incoming", "b/P/1.png", "b/_READY")
        take_in(place)
        for path in [place / "incoming", *(place / "incoming").rglob("*")]:
            path.chmod(0o777)
        assert take_in(place) == ["b/P/1.png"]
        assert list((place / "incoming").iterdir()) == []
        assert not (place / "storage" / "images" / ".removals").exists()

    def test_a_file_or_folder_that_may_not_be_read_keeps_the_batch_back_whole(
        self, place: Path
    ) -> None:
        with acting_as(DEPOSITOR):
            put(place / "incoming", "b/P/1.png", "b/U/2.png", "b/_READY")
        for closed, said in (("b/U/2.png", "Permission denied"), ("b/U", "folder that cannot")):
            (place / "incoming" / closed).chmod(0)
            assert take_in(place) == []
            (batch,) = look(place).batches
            assert batch.known is not None
            assert said in batch.known.fault
            (place / "incoming" / closed).chmod(0o755)
        assert not look(place).batches[0].is_stuck
        assert take_in(place) == ["b/P/1.png", "b/U/2.png"]

    def test_a_batch_that_is_closed_altogether_is_left_alone_with_the_reason(
        self, place: Path
    ) -> None:
        with acting_as(DEPOSITOR):
            put(place / "incoming", "b/P/1.png")
        (place / "incoming" / "b").chmod(0)
        with acting_as(INTAKE):
            assert look(place).aside == {
                "b": "it is a folder that cannot be opened: give read access (chmod -R a+rX)"
            }

    def test_an_incoming_folder_that_is_closed_is_an_error_with_a_remedy(self, place: Path) -> None:
        (place / "incoming").chmod(0)
        with acting_as(INTAKE), pytest.raises(Exception, match=r"cannot be opened: .* Give read"):
            look(place)


@needs_root
@pytest.mark.parametrize("mode", [SHARED, STICKY])
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_what_another_user_delivers_is_taken_in_once(place: Path, mode: int, umask: int) -> None:
    (place / "incoming").chmod(mode)
    put(place / "source", "P/1.png", "U/2.png")
    (place / "source").chmod(0o755)
    for path in (place / "source").rglob("*"):
        path.chmod(0o755)
    with acting_as(DEPOSITOR, umask):
        deliver(Source(place / "source"), str(place / "incoming"), "b")
    vouched = find_depositor(str(place / "incoming" / "b"))
    for _ in range(2):
        assert take_in(place) == ["b/P/1.png", "b/U/2.png"]
    if mode == SHARED:
        assert list((place / "incoming").iterdir()) == []
    else:  # nobody but the depositor may remove it, or change it
        assert len(said(place)) == 1
        assert vouched == DEPOSITOR
    manifest = place / "storage" / "images" / "b" / "_BATCH.json"
    assert manifest.stat().st_uid == manifest.parent.stat().st_uid == INTAKE


@needs_root
def test_a_folder_of_the_depositor_is_copied_though_it_could_be_moved(place: Path) -> None:
    (place / "incoming").chmod(SHARED)
    with acting_as(DEPOSITOR, 0):
        put(place / "incoming", "b/P/1.png", "b/_READY")
    take_in(place)
    assert (place / "storage" / "images" / "b").stat().st_uid == INTAKE
    assert list((place / "incoming").iterdir()) == []


def open_batches(root: Path) -> ImageBatchesDataset:
    batches = ImageBatchesDataset(filepath=f"{root}/storage/images")
    batches._rename = lambda *_: False  # type: ignore[method-assign] - as to another disk
    return batches


def test_a_copy_has_the_names_and_the_account_of_what_was_delivered(tmp_path: Path) -> None:
    put(tmp_path / "incoming", "b/P/1.png", "b/_READY", "outside.png")
    folder = tmp_path / "incoming" / "b" / "P"
    (folder / os.fsdecode(b"caf\xe9.png")).write_bytes(b"2")
    os.mkfifo(folder / "pipe.png")
    (folder / "out.png").symlink_to(tmp_path / "incoming" / "outside.png")
    (folder / ("x" * 250 + ".png")).write_bytes(b"3")
    batches = open_batches(tmp_path)
    for batch in look(tmp_path).batches:
        batches.save(batch)
    taken = batches.load()
    names = ["1.png", r"caf\xe9.png", "out.png", "pipe.png", f"{'x' * 250}.png"]
    assert taken.list_files("b")["image_name"].tolist() == names
    contents = taken.try_open([f"b/P/{name}" for name in names])
    assert [content if isinstance(content, bytes) else str(content) for content in contents] == [
        b"1",
        b"2",
        "it is a link out of the batch",
        "it is a pipe",
        b"3",
    ]
    assert not (tmp_path / "storage" / "images" / ".removals").exists()


def test_names_of_a_store_do_not_lead_out_of_the_batch(tmp_path: Path) -> None:
    store = fsspec.filesystem("memory")
    store.store.clear()
    for name in ("b/P/1.png", "b/_READY"):
        store.pipe_file(f"/incoming/{name}", b"1")
    store.store["/incoming/b/../../../escaped.png"] = store.store["/incoming/b/P/1.png"]
    batches = ImageBatchesDataset(filepath=f"{tmp_path}/storage/images")
    inbox = InboxDataset(filepath="memory://bucket/incoming", notes=f"{tmp_path}/storage/images")
    for batch in inbox.load().batches:
        batches.save(batch)
    paths = [path.relative_to(tmp_path) for path in tmp_path.rglob("*.png")]
    assert paths == [Path("storage/images/b/P/1.png")]
    assert batches.load().list_left_out("b") == {"hidden": ["../../../escaped.png"]}


@pytest.mark.parametrize("content", [b"", b"[]", b'{"files": 1, "more": 2}', b"{"])
def test_a_record_that_cannot_be_read_is_none(tmp_path: Path, content: bytes) -> None:
    put(tmp_path / "incoming", "b/P/1.png")
    (batch,) = look(tmp_path).batches
    deliveries = Deliveries(*open_filesystem(f"{tmp_path}/storage/images"))
    deliveries.write(batch, Delivery({"P/1.png": 1}, time.time(), "b"))
    assert look(tmp_path).batches[0].is_left
    (record,) = (tmp_path / "storage" / "images" / ".removals").iterdir()
    record.write_bytes(content)
    assert look(tmp_path).batches[0].files == {"P/1.png": 1}


def test_a_record_of_an_older_release_is_understood(tmp_path: Path) -> None:
    put(tmp_path / "incoming", "b/P/1.png", "b/_READY")
    (batch,) = look(tmp_path).batches
    put(tmp_path / "storage/images/b", "P/1.png")
    put(
        tmp_path / "storage/images/.removals",
        f"{batch.digest_of_name}.json",
        content=b'{"files": {"P/1.png": 1}, "before": %d}' % (time.time() + 60),
    )
    (left,) = look(tmp_path).batches
    assert left.is_left
    open_batches(tmp_path).save(left)
    assert list((tmp_path / "incoming").iterdir()) == []


def test_a_delivery_that_was_remembered_is_renamed_again_once_nothing_of_it_is_left(
    tmp_path: Path,
) -> None:
    put(tmp_path / "incoming", "b/P/1.png", "b/_READY")
    (batch,) = look(tmp_path).batches
    deliveries = Deliveries(*open_filesystem(f"{tmp_path}/storage/images"))
    deliveries.write(batch, Delivery({"P/1.png": [1, 0.0]}, 0.0, "b", "Permission denied"))
    (batch,) = look(tmp_path).batches
    assert (batch.files, batch.left) == ({"P/1.png": 1}, {})
    ImageBatchesDataset(filepath=f"{tmp_path}/storage/images").save(batch)
    assert deliveries.read(batch) is None


class TestWhatWasTakenInBefore:
    """Of a batch that still lies there, what came later is a batch: of its own time, too."""

    FILES = {"P/1.png": 10, "P/2.png": 20, "P/3.png": 30}

    @pytest.mark.parametrize(
        ("carried", "changed_at"),
        [
            ({"P/1.png": 900.0, "P/2.png": 300.0, "P/3.png": 500.0}, 500.0),
            ({"P/1.png": 900.0, "P/2.png": 300.0, "P/3.png": None}, 300.0),
            ({}, None),
        ],
    )
    def test_its_time_is_that_of_its_newest_file_that_carries_one(
        self, carried: dict[str, float | None], changed_at: float | None
    ) -> None:
        store = fsspec.filesystem("memory")
        last = datetime.fromtimestamp(900, UTC)
        batch = IncomingBatch(
            "b", "b", "/drop/b", store, self.FILES, last, is_ready=True, carried=carried
        )
        rest = leave_out_taken(batch, Delivery(files={"P/1.png": [10, carried.get("P/1.png")]}))
        assert rest.files == {"P/2.png": 20, "P/3.png": 30}
        assert rest.left == {"P/1.png": 10}
        assert rest.changed_at == (changed_at and datetime.fromtimestamp(changed_at, UTC))
