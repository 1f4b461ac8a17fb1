"""Delivering: a batch appears in the incoming folder whole, and the source stays as it is."""

from __future__ import annotations

import csv
import itertools
import os
import shutil
import zipfile
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from types import SimpleNamespace

import fsspec
import pytest

from image_classification.datasets import delivery, file
from image_classification.datasets.archive import REMEDY, open_archive
from image_classification.datasets.delivery import Source, deliver, split_by_date
from image_classification.errors import DataError
from image_classification.intake.limit import DEFAULT_LIMITS

NAMES = [
    f"{label}/C{number}P1ThinF_IMG_201506{day:02d}_100000_cell_{number}.png"
    for label in ("Parasitized", "Uninfected")
    for number, day in enumerate((9, 1, 5, 3, 7))
]

NO_IMAGE = (
    "holds no image in a class folder. Expected <class>/<image> files ending in .png, .jpg, .jpeg, "
    ".jpe, .jfif, .bmp, .tif, .tiff, .gif, or a zip of them."
)


def lay_out(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


def images(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))


def test_a_folder_becomes_a_ready_batch_and_stays_as_it_was(tmp_path: Path) -> None:
    data = lay_out(tmp_path / "data", *NAMES)
    name = deliver(Source(data), str(tmp_path / "incoming"), "night")
    assert name == "night"
    assert images(tmp_path / "incoming" / "night") == sorted(NAMES)
    assert (tmp_path / "incoming" / "night" / "_READY").exists()
    assert images(data) == sorted(NAMES)


def test_a_zip_becomes_a_batch_without_what_is_no_image(tmp_path: Path) -> None:
    path = tmp_path / "cell_images.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in NAMES:
            archive.writestr(f"cell_images/{name}", name)
        for name in ("Parasitized/Thumbs.db", "../../evil.txt", "__MACOSX/Parasitized/._x.png"):
            archive.writestr(name, "no image")
    deliver(Source(path), str(tmp_path / "incoming"), "night")
    found = images(tmp_path / "incoming" / "night")
    assert found == sorted(f"cell_images/{name}" for name in NAMES)


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_a_copy_in_a_second_folder_of_the_class_is_left_out_another_image_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    copies = {f"cell_images/{name}": name for name in NAMES}
    copies |= {f"cell_images/cell_images/{name}": name for name in NAMES}
    copies[f"other/{NAMES[0]}"] = NAMES[0].upper()
    data = tmp_path / "data"
    for name, content in copies.items():
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text(content)
    if kind == "zip":
        with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
            for name, content in copies.items():
                archive.writestr(name, content)
        data = tmp_path / "data.zip"
    opened = []
    monkeypatch.setattr(delivery, "open_archive", lambda *a: opened.append(1) or open_archive(*a))
    assert len(Source(data).files) == len(NAMES) + 1
    assert len(opened) == (2 if kind == "zip" else 0)  # to list the files, and to read the copies


def test_the_date_and_the_sources_name_are_the_batches_name(tmp_path: Path) -> None:
    data = lay_out(tmp_path / "Lab A (north)", *NAMES)
    name = deliver(Source(data), str(tmp_path / "incoming"))
    assert name.endswith("-Lab-A-north")
    assert len(name.split("-Lab")[0]) == len("2026-11-22")


def test_a_name_in_use_is_refused_and_nothing_is_changed(tmp_path: Path) -> None:
    data = lay_out(tmp_path / "data", *NAMES)
    deliver(Source(data), str(tmp_path / "incoming"), "night")
    with pytest.raises(DataError, match=r"A batch 'night' lies in .* already.*--name"):
        deliver(Source(data), str(tmp_path / "incoming"), "night")


def test_a_delivery_that_was_killed_is_not_seen_and_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from image_classification.datasets import InboxDataset

    data, incoming = lay_out(tmp_path / "data", *NAMES), str(tmp_path / "incoming")
    write, count = file.write_whole, 0

    def killed(filesystem: object, path: str, content: bytes) -> None:
        nonlocal count
        count += 1
        if count == 4:
            raise KeyboardInterrupt
        write(filesystem, path, content)

    with monkeypatch.context() as patch:
        patch.setattr(file, "write_whole", killed)
        with pytest.raises(KeyboardInterrupt):
            deliver(Source(data), incoming, "night")
    assert InboxDataset(filepath=incoming).load().batches == []
    deliver(Source(data), incoming, "night")
    (batch,) = InboxDataset(filepath=incoming).load().batches
    assert set(batch.files) == set(NAMES)
    assert batch.is_ready


def test_what_is_left_of_a_killed_delivery_is_not_delivered(tmp_path: Path) -> None:
    data = lay_out(tmp_path / "data", *NAMES)
    lay_out(tmp_path / "incoming", ".night.partial/Parasitized/old.png")
    deliver(Source(data), str(tmp_path / "incoming"), "night")
    assert images(tmp_path / "incoming" / "night") == sorted(NAMES)
    assert (tmp_path / "incoming" / "night" / "_READY").read_bytes() == b""


def test_an_object_store_gets_the_marker_last(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fsspec.filesystem("memory").store.clear()
    data = lay_out(tmp_path / "data", *NAMES)
    written, write = [], file.write_whole

    def record(filesystem: object, path: str, content: bytes) -> None:
        written.append(path)
        write(filesystem, path, content)

    monkeypatch.setattr(file, "write_whole", record)
    monkeypatch.setattr(delivery, "write_whole", record)
    deliver(Source(data), "memory://bucket/incoming", "night", labelled_by="Ada")
    assert written[-1].endswith("night/_READY")
    assert written[-2].endswith("night/labels.csv")


def test_who_labelled_is_written_down(tmp_path: Path) -> None:
    data = lay_out(tmp_path / "data", *NAMES)
    deliver(Source(data), str(tmp_path / "incoming"), "night", labelled_by="Ada")
    with (tmp_path / "incoming" / "night" / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["image_name"] for row in rows} == {name.split("/")[1] for name in NAMES}
    assert {row["labelled_by"] for row in rows} == {"Ada"}
    assert all(len(row["labelled_on"]) == 10 for row in rows)


def test_a_table_of_labels_in_the_source_is_kept(tmp_path: Path) -> None:
    data = lay_out(tmp_path / "data", *NAMES, "labels.csv")
    deliver(Source(data), str(tmp_path / "incoming"), "night", labelled_by="Ada")
    assert (tmp_path / "incoming" / "night" / "labels.csv").read_text() == "labels.csv"


def test_without_a_name_of_a_person_no_table_of_labels_is_written(tmp_path: Path) -> None:
    data = lay_out(tmp_path / "data", *NAMES)
    deliver(Source(data), str(tmp_path / "incoming"), "night")
    assert not (tmp_path / "incoming" / "night" / "labels.csv").exists()


def test_the_table_of_labels_names_each_image_once_with_todays_date(tmp_path: Path) -> None:
    data = lay_out(tmp_path / "data", "P/b.png", "U/a.png", "U/b.png")
    deliver(Source(data), str(tmp_path / "incoming"), "night", labelled_by="Ada")
    today = datetime.now(UTC).date().isoformat()
    table = (tmp_path / "incoming" / "night" / "labels.csv").read_text()
    assert table == (f"image_name,labelled_by,labelled_on\na.png,Ada,{today}\nb.png,Ada,{today}\n")


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_some_of_the_files_are_delivered_as_they_are(tmp_path: Path, kind: str) -> None:
    data = lay_out(tmp_path / "data", *NAMES)
    if kind == "zip":
        with zipfile.ZipFile(tmp_path / "data.ZIP", "w") as archive:
            archive.mkdir("Parasitized")
            for name in NAMES:
                archive.writestr(name, name)
        data = tmp_path / "data.ZIP"
    source = Source(data)
    assert (source.path, source.is_zip, source.labels) == (data, kind == "zip", None)
    assert source.files == sorted(map(PurePosixPath, NAMES))
    some = source.files[3:5]
    deliver(source, str(tmp_path / "incoming"), "night", files=some)
    assert images(tmp_path / "incoming" / "night") == sorted(map(str, some))
    assert sorted(path.name for path in (tmp_path / "incoming").iterdir()) == ["night"]
    for name in map(str, some):
        assert (tmp_path / "incoming" / "night" / name).read_text() == name


@pytest.mark.parametrize(
    "name", ["top.png", "P/.hidden.png", ".trash/1.png", "__MACOSX/1.png", "P/1.txt", "P/1png"]
)
def test_what_is_no_image_in_a_class_folder_is_left_out(tmp_path: Path, name: str) -> None:
    data = lay_out(tmp_path / "data", "P/1.PNG", "P/2.tiff", name)
    assert Source(data).files == [PurePosixPath("P/1.PNG"), PurePosixPath("P/2.tiff")]


def test_every_file_is_delivered_or_left_out_by_name_and_kind(tmp_path: Path) -> None:
    elsewhere = lay_out(tmp_path / "elsewhere", "U/9.png")
    data = lay_out(
        tmp_path / "data",
        *(
            "P/1.png",
            "P/2.gif",
            "P/3.jfif",
            "P/notes",
            "Thumbs.db",
            "top.png",
            "P/.hidden.png",
            "U/5.png",
        ),
        "labels.csv",
    )
    (data / "again" / "P").mkdir(parents=True)
    (data / "again" / "P" / "1.png").write_bytes((data / "P" / "1.png").read_bytes())
    (data / "P" / "annexed.png").symlink_to("/nowhere/annexed.png")
    (data / "linked.png").symlink_to(elsewhere / "U" / "9.png")
    (data / "more").symlink_to(elsewhere / "U")
    os.mkfifo(data / "P" / "pipe.png")
    source = Source(data)
    names = ["P/1.png", "P/2.gif", "P/3.jfif", "U/5.png"]
    assert source.files == [PurePosixPath(name) for name in names]
    assert source.left_out == {
        "beside the class folders": ["linked.png", "top.png"],
        "copy of another one": ["again/P/1.png"],
        "debris of disks and programs": ["Thumbs.db"],
        "hidden": ["P/.hidden.png"],
        "link to a file that is not there": ["P/annexed.png"],
        "link to a folder": ["more"],
        "pipe": ["P/pipe.png"],
        "without an ending": ["P/notes"],
    }


def test_what_a_zip_holds_besides_images_is_counted_too(tmp_path: Path) -> None:
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("P/1.png", "__MACOSX/P/1.png", "P/2.webp", "beside.png"):
            archive.writestr(name, name)
    assert Source(path).left_out == {
        "beside the class folders": ["beside.png"],
        "debris of disks and programs": ["__MACOSX/P/1.png"],
    }


def test_a_path_in_a_zip_cannot_lead_out_of_the_batch(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        for name in ("../../P/1.png", "/abs/P/2.png"):
            archive.writestr(name, name)
    deliver(Source(tmp_path / "data.zip"), str(tmp_path / "incoming"), "night")
    assert images(tmp_path) == ["incoming/night/P/1.png", "incoming/night/abs/P/2.png"]


def test_a_zip_of_the_same_name_that_was_not_taken_in_is_in_the_way(tmp_path: Path) -> None:
    data, incoming = lay_out(tmp_path / "data", *NAMES), tmp_path / "incoming"
    incoming.mkdir()
    (incoming / "night.zip").touch()
    with pytest.raises(DataError) as raised:
        deliver(Source(data), str(incoming), "night")
    assert str(raised.value) == (
        f"A batch 'night' lies in {incoming} already, and was not taken in yet. Choose another "
        "name: --name"
    )


def test_a_copy_of_another_size_or_name_or_class_is_another_image(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for path, content in {
        "P/1.png": "1",
        "P/2.png": "1",
        "U/1.png": "1",
        "x/P/1.png": "12",
        "y/P/1.png": "2",
        "z/P/1.png": "1",
    }.items():
        (data / path).parent.mkdir(parents=True, exist_ok=True)
        (data / path).write_text(content)
    assert [str(file) for file in Source(data).files] == [
        "P/1.png",
        "P/2.png",
        "U/1.png",
        "x/P/1.png",
        "y/P/1.png",
    ]


def test_nights_are_cut_where_the_days_allow_it() -> None:
    days = ["01"] * 5 + ["02"] * 1 + ["03"] * 1 + ["04"] * 5
    files = [PurePosixPath(f"P/201506{day}_{n:02d}.png") for n, day in enumerate(days)]
    assert [len(share) for share in split_by_date(files[::-1], 2)] == [6, 6]
    assert [len(share) for share in split_by_date(files, 3)] == [5, 2, 5]
    assert [len(share) for share in split_by_date(files, 4)] == [5, 1, 1, 5]
    assert [len(share) for share in split_by_date(files, 6)] == [2] * 6
    assert [file for share in split_by_date(files[::-1], 3) for file in share] == files
    late = ["01"] * 9 + ["02", "03", "04"]
    files = [PurePosixPath(f"P/201506{day}_{n:02d}.png") for n, day in enumerate(late)]
    assert [len(share) for share in split_by_date(files, 3)] == [9, 1, 2]
    early = ["01", "02"] + ["03"] * 10
    files = [PurePosixPath(f"P/201506{day}_{n:02d}.png") for n, day in enumerate(early)]
    assert [len(share) for share in split_by_date(files, 3)] == [1, 1, 10]
    assert split_by_date([], 2) == [[], []]


def test_each_night_has_some_of_all_where_names_tell_no_date() -> None:
    files = [PurePosixPath(f"{name}/{name}_{n:03d}.png") for name in "abcd" for n in range(40)]
    shares = split_by_date(files, 2)
    assert [len(share) for share in shares] == [80, 80]
    assert all({file.parent.name for file in share} == set("abcd") for share in shares)
    assert split_by_date(files[::-1], 2) == shares


@pytest.mark.parametrize(
    ("name", "date"),
    [("C1_20150601_100000.png", "20150601"), ("C1.png", ""), ("20150601/C1.png", "")],
)
def test_the_date_of_a_file_is_the_first_eight_digits_of_its_name(name: str, date: str) -> None:
    assert delivery.read_date(PurePosixPath(name)) == date


@pytest.mark.parametrize("nights", [1, 2, 3, 5])
def test_nights_follow_the_dates_and_keep_a_day_together(nights: int) -> None:
    files = [PurePosixPath(name) for name in NAMES]
    shares = split_by_date(files, nights)
    assert sorted(file for share in shares for file in share) == sorted(files)
    days = [{delivery.read_date(file) for file in share} for share in shares]
    assert all(days)
    for earlier, later in itertools.pairwise(days):
        assert max(earlier) < min(later)


def test_more_nights_than_days_cut_days(tmp_path: Path) -> None:
    shares = split_by_date([PurePosixPath(name) for name in NAMES], 10)
    assert [len(share) for share in shares] == [1] * 10


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", "is neither a folder nor a .zip file."),
        ("missing.zip", "does not exist."),
        ("broken.zip", f"is not a whole zip file: File is not a zip file. {REMEDY}."),
        ("flat", NO_IMAGE),
        ("empty", NO_IMAGE),
    ],
)
def test_names_what_is_wrong_with_the_source(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "broken.zip").write_bytes(b"PK but no zip")
    (tmp_path / "empty").mkdir()
    lay_out(tmp_path / "flat", "a.png")
    with pytest.raises(DataError) as raised:
        Source(tmp_path / name)
    assert str(raised.value) == f"'{tmp_path / name}' {message}"


def test_a_file_that_cannot_be_read_leaves_nothing_behind(tmp_path: Path) -> None:
    data = lay_out(tmp_path / "data", *NAMES)
    source = Source(data)
    (data / NAMES[-1]).unlink()
    with pytest.raises(DataError) as raised:
        deliver(source, str(tmp_path / "incoming"), "night")
    assert str(raised.value).startswith(
        f"'{data}' was not delivered to {tmp_path}/incoming, and nothing of it lies there: "
    )
    assert list((tmp_path / "incoming").iterdir()) == []


def test_a_zip_that_is_damaged_inside_is_named_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("P/1.png", b"1" * 100)
    path.write_bytes(path.read_bytes().replace(b"1" * 100, b"1" * 50 + b"2" * 50))
    source = Source(path)
    with pytest.raises(DataError) as raised:
        deliver(source, str(tmp_path / "incoming"), "night")
    assert str(raised.value) == (
        f"'{path}' cannot be unpacked, because of 'P/1.png' in it: Bad CRC-32 for file 'P/1.png'. "
        f"{REMEDY}."
    )
    assert [path.name for path in tmp_path.rglob("*")] == ["data.zip"]


def test_a_folder_that_is_called_like_a_zip_is_a_folder(tmp_path: Path) -> None:
    data = lay_out(tmp_path / "data.zip", *NAMES)
    assert len(Source(data).files) == len(NAMES)


def test_a_name_that_is_not_utf8_is_delivered_and_labelled(tmp_path: Path) -> None:
    data = lay_out(tmp_path / "data", "P/1.png")
    (data / "P" / "1.png").rename(os.fsdecode(os.fsencode(data) + b"/P/caf\xe9.png"))
    deliver(Source(data), str(tmp_path / "incoming"), "night", labelled_by="Ada")
    table = (tmp_path / "incoming" / "night" / "labels.csv").read_text()
    assert r"caf\xe9.png,Ada," in table
    (file,) = (tmp_path / "incoming" / "night" / "P").iterdir()
    assert os.fsencode(file.name) == b"caf\xe9.png"


def test_names_of_a_zip_that_are_not_utf8_are_delivered_as_they_are(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        archive.writestr("P/caf?.png", b"1")
    content = (tmp_path / "data.zip").read_bytes().replace(b"caf?", b"caf\xe9")
    (tmp_path / "data.zip").write_bytes(content)
    deliver(Source(tmp_path / "data.zip"), str(tmp_path / "incoming"), "night")
    (file,) = (tmp_path / "incoming" / "night" / "P").iterdir()
    assert os.fsencode(file.name) == b"caf\xe9.png"


def test_what_is_more_than_may_arrive_is_not_delivered(tmp_path: Path) -> None:
    data = lay_out(tmp_path / "data", *NAMES)
    with pytest.raises(DataError, match=r"is not delivered: it holds \d+ files: at most 1 are"):
        Source(data, DEFAULT_LIMITS | {"maximum_files": 1})  # type: ignore[typeddict-item]
    large = Source(data, DEFAULT_LIMITS | {"maximum_depth": 1})  # type: ignore[typeddict-item]
    assert len(large.files) == len(NAMES)
    (data / "P").mkdir(exist_ok=True)
    (data / "P" / "large.png").write_bytes(bytes(2**20))
    source = Source(data, DEFAULT_LIMITS | {"maximum_file_mib": 0.5})  # type: ignore[typeddict-item]
    assert source.left_out == {"larger than 0.5 MiB": ["P/large.png"]}


def test_a_folder_that_cannot_be_opened_is_not_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, scan = lay_out(tmp_path / "data", *NAMES), os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("Uninfected"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=r"'Uninfected/' is a folder that cannot be opened\. Give"):
        Source(data)


def test_an_interrupted_delivery_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source(lay_out(tmp_path / "data", *NAMES))

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(delivery, "_make_ready", interrupt)
    with pytest.raises(KeyboardInterrupt):
        deliver(source, str(tmp_path / "incoming"), "night")
    assert list(tmp_path.glob("incoming/*")) == []


def test_a_disk_without_room_is_said_and_nothing_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source(lay_out(tmp_path / "data", *NAMES))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**30))
    with pytest.raises(DataError, match=r"was not delivered .* must stay free"):
        deliver(source, str(tmp_path / "incoming"), "night")
    assert list(tmp_path.glob("incoming/*")) == []


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, ""),
        ("image_name,labelled_by,labelled_on\n", ""),
        ("name\n", "labels.csv of batch 'data' has no column image_name, labelled_by, labelled_on"),
        ("", "labels.csv of batch 'data' cannot be read: "),
    ],
)
def test_a_table_of_labels_that_the_intake_could_not_read_is_told(
    tmp_path: Path, content: str | None, fault: str
) -> None:
    data = lay_out(tmp_path / "data", *NAMES)
    if content is not None:
        (data / "Labels.csv").write_text(content)
    told = Source(data).find_label_fault()
    assert told.startswith(fault)
    assert bool(told) == bool(fault)


@pytest.mark.parametrize(
    ("incoming", "folder", "image"),
    [(0o700, 0o700, 0o600), (0o750, 0o750, 0o640), (0o777, 0o777, 0o666), (0o1777, 0o755, 0o644)],
)
def test_a_batch_is_open_to_whom_the_incoming_folder_is_and_to_nobody_else(
    tmp_path: Path, incoming: int, folder: int, image: int
) -> None:
    batch = lay_out(tmp_path / "incoming" / "b", "P/1.png")
    for place, mode in ((batch, 0o700), (batch / "P", 0o700), (batch / "P" / "1.png", 0o600)):
        place.chmod(mode)
    (tmp_path / "incoming").chmod(incoming)
    delivery._open_as(batch, tmp_path / "incoming")
    found = [path.stat().st_mode & 0o7777 for path in (batch, batch / "P", batch / "P" / "1.png")]
    assert found == [folder, folder, image]
