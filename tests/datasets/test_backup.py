"""A copy of a storage is whole or none, and comes back to the byte into an empty place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from arrivals import put_files

from image_classification.datasets import backup
from image_classification.datasets.backup import Part
from image_classification.errors import DataError

NAMES = (
    "ledger/00000001.json",
    "index/images/a.parquet",
    "images/first/ring/one.png",
    "pixels/64px/a.npy",
    "keys/signing.pem",
    "keys/signing.pub",
)
LEFT_OUT = (
    "incoming/later/ring/two.png",
    "mlflow/mlflow.db",
    "mlflow/mlflow.db-wal",
    "index/.lock",
    "index/images/aside.partial",
    "images/.second.partial/ring/three.png",
    "backups.json",
    ".written-once",
)


def dump(folder: Path) -> Path:
    (folder / "mlflow.db").write_bytes(b"database")
    return folder / "mlflow.db"


@pytest.fixture
def storage(root: str) -> str:
    """A storage, on a disk or an object store."""
    put_files(f"{root}/storage", *NAMES, *LEFT_OUT)
    return f"{root}/storage"


def write(storage: str, to: str, aside: Path, **more: Any) -> dict[str, Any]:
    aside.mkdir(exist_ok=True)
    return backup.write_backup(to, "one", [Part("storage", storage)], more.get("dump", dump), aside)


def test_all_but_locks_and_what_is_half_done_is_copied_what_names_others_first(
    storage: str, tmp_path: Path
) -> None:
    places = ("ledger", "index", "keys", "keys", "images", "pixels")
    assert tuple(path.partition("/")[0] for path in backup.list_files(storage)) == places
    told = write(storage, f"{tmp_path}/backups", tmp_path / "aside")
    assert set(told["files"]) == {*(f"storage/{name}" for name in NAMES), "database/mlflow.db"}
    assert told["files"]["database/mlflow.db"][0] == len(b"database")
    copied = tmp_path / "backups" / "one"
    assert (copied / "storage/images/first/ring/one.png").read_text() == NAMES[2]
    assert copied.stat().st_mode & 0o077 == 0


def test_it_comes_back_to_the_byte(storage: str, tmp_path: Path) -> None:
    write(storage, f"{tmp_path}/backups", tmp_path / "aside")
    found = backup.find_backup(f"{tmp_path}/backups")
    assert found == f"{tmp_path}/backups/one"
    assert backup.find_backup(found) == found
    there = tmp_path / "there"
    assert backup.restore_part(found, Part("storage", str(there)), backup.read_list(found)) == 6
    assert {p.relative_to(there).as_posix() for p in there.rglob("*") if p.is_file()} == set(NAMES)
    assert all((there / name).read_text() == name for name in NAMES)
    assert (there / "keys/signing.pem").stat().st_mode & 0o077 == 0


def test_the_newest_whole_copy_is_taken(tmp_path: Path) -> None:
    for name in ("2026-11-01", "2026-11-02"):
        put_files(str(tmp_path / name), "BACKUP.json")
    put_files(str(tmp_path / "2026-11-03"), "storage/ledger/1.json")
    assert backup.find_backup(str(tmp_path)) == f"{tmp_path}/2026-11-02"
    with pytest.raises(DataError, match="There is no whole backup at"):
        backup.find_backup(str(tmp_path / "2026-11-03"))


@pytest.mark.parametrize(
    ("damage", "said"), [("change", "not what was copied"), ("remove", "gone")]
)
def test_a_copy_that_was_damaged_is_refused(tmp_path: Path, damage: str, said: str) -> None:
    put_files(str(tmp_path / "storage"), *NAMES)
    write(str(tmp_path / "storage"), f"{tmp_path}/backups", tmp_path / "aside")
    place = tmp_path / "backups/one/storage/pixels/64px/a.npy"
    place.unlink()
    if damage == "change":
        place.write_text("other pixels")
    found = f"{tmp_path}/backups/one"
    with pytest.raises(DataError, match=rf"'storage/pixels/64px/a.npy' is {said}"):
        backup.restore_part(
            found, Part("storage", str(tmp_path / "there")), backup.read_list(found)
        )


def test_ledger_and_database_are_of_one_moment(tmp_path: Path) -> None:
    storage = tmp_path / "storage"
    put_files(str(storage), *NAMES)
    dumps: list[int] = []

    def grow(folder: Path) -> Path:
        dumps.append(1)
        if len(dumps) == 1:
            put_files(str(storage), "ledger/00000002.json")
        return dump(folder)

    told = write(str(storage), f"{tmp_path}/backups", tmp_path / "aside", dump=grow)
    assert len(dumps) == 2
    assert "storage/ledger/00000002.json" in told["files"]

    def grow_for_ever(folder: Path) -> Path:
        put_files(str(storage), f"ledger/{100 + len(dumps):08}.json")
        return grow(folder)

    dumps[:] = [1, 1]
    with pytest.raises(DataError, match="Decisions are written all the time"):
        write(str(storage), f"{tmp_path}/others", tmp_path / "aside", dump=grow_for_ever)
    assert not (tmp_path / "others/one/BACKUP.json").exists()


def test_a_file_that_goes_while_it_is_copied_is_no_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_files(str(tmp_path / "storage"), *NAMES)
    list_files = backup.list_files
    monkeypatch.setattr(
        backup,
        "list_files",
        lambda place: [*list_files(place), *(["gone"] * ("ledger" not in place))],
    )
    told = write(str(tmp_path / "storage"), f"{tmp_path}/backups", tmp_path / "aside")
    assert "storage/gone" not in told["files"]


def test_a_place_that_holds_anything_is_not_empty(tmp_path: Path) -> None:
    assert backup.find_obstacle(str(tmp_path / "none")) == ""
    put_files(str(tmp_path), ".written-once", "logs/a.log")
    assert backup.find_obstacle(str(tmp_path)) == ""
    put_files(str(tmp_path), "pages/index.html")
    assert backup.find_obstacle(str(tmp_path)) == "pages/index.html"


def test_places_and_the_forgotten_are_kept_beside(root: str) -> None:
    assert backup.read_places(root) == []
    for place in ("/one", "s3://two", "/one"):
        backup.add_place(root, place)
    assert backup.read_places(root) == ["/one", "s3://two"]
    records = {"ab" * 32: {"pseudonym": "p-1"}}
    assert backup.read_forgotten(root) == {}
    backup.write_forgotten(root, records)
    assert backup.read_forgotten(root) == records


def test_names_that_are_no_utf_8_come_back_as_they_were(tmp_path: Path) -> None:
    odd = os.fsdecode(b"images/first/\xe9.png")
    put_files(str(tmp_path / "storage"), *NAMES)
    (tmp_path / "storage" / odd).write_bytes(b"odd")
    write(str(tmp_path / "storage"), f"{tmp_path}/backups", tmp_path / "aside")
    found = f"{tmp_path}/backups/one"
    backup.restore_part(found, Part("storage", str(tmp_path / "there")), backup.read_list(found))
    assert (tmp_path / "there" / odd).read_bytes() == b"odd"
