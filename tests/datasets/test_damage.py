"""What a power cut leaves is found, and what can be made again is moved aside."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

from image_classification.datasets import (
    AppendedTableDataset,
    BatchTablesDataset,
    PackedPixelsDataset,
    PixelShard,
    RecordsDataset,
)
from image_classification.datasets.damage import ASIDE, find_damage, move_aside
from image_classification.datasets.file import (
    move_file,
    open_filesystem,
    read_file,
    write_whole,
)
from image_classification.datasets.folder import find_files
from image_classification.datasets.table import WholeJSONDataset
from image_classification.errors import DataError

TABLE = pd.DataFrame({"image_id": ["a", "b"], "recorded_at": "2026-01-01"})


@pytest.fixture
def storage(root: str) -> Storage:
    """A storage root with a file of each kind, on a disk and in a bucket."""
    for folder in ("index/images", "trend", "references"):
        AppendedTableDataset(
            filepath=f"{root}/{folder}", columns=list(TABLE), order_by="recorded_at"
        ).save(TABLE)
    BatchTablesDataset(filepath=f"{root}/index/inspections").save({"first": TABLE})
    for folder in ("index/screenings", "index/reviews", "ledger", "pages"):
        RecordsDataset(filepath=f"{root}/{folder}").save({"first": {"verdict": "accepted"}})
    WholeJSONDataset(filepath=f"{root}/index/contract.json").save({})
    pixels = PixelShard(["a", "b"], np.zeros((2, 4, 4, 3), np.uint8))
    PackedPixelsDataset(filepath=f"{root}/pixels").save(pixels)
    storage = Storage(root, *open_filesystem(root))
    storage.write("images/first/ring/delivered.json", b"no JSON, and none of ours")
    storage.write("images/first/_manifest.json", b"{}")
    return storage


class Storage(NamedTuple):
    root: str
    filesystem: Any
    place: str

    def names(self) -> list[str]:
        found = find_files(self.filesystem, self.place)
        return [name for name in found if not name.endswith("delivered.json")]

    def read(self, name: str) -> bytes:
        return read_file(self.filesystem, f"{self.place}/{name}")

    def write(self, name: str, content: bytes) -> None:
        write_whole(self.filesystem, f"{self.place}/{name}", content)


def test_a_sound_storage_is_sound(storage: Storage) -> None:
    assert find_damage(storage.root) == []
    assert len(storage.names()) == 12


@pytest.mark.parametrize("left", [0.5, 0.0])
def test_each_file_that_is_cut_or_empty_is_named_and_moved_aside_where_it_can_be_made_again(
    storage: Storage, left: float
) -> None:
    for name in storage.names():
        content = storage.read(name)
        storage.write(name, content[: int(left * len(content))])
        (damage,) = find_damage(storage.root)
        assert Path(damage.path).with_suffix("") == Path(name).with_suffix("")
        assert damage.can_repair is not name.startswith(("index/reviews", "ledger", "images"))
        assert damage.remedy
        if damage.can_repair:
            move_aside(storage.root, damage)
            assert find_damage(storage.root) == []
            assert f"{ASIDE}/{name}" in storage.names()
        for kept in storage.names():
            if kept.startswith(ASIDE):
                place = f"{storage.place}/{kept}"
                move_file(storage.filesystem, place, place.replace(f"{ASIDE}/", ""))
        storage.write(name, content)
    assert find_damage(storage.root) == []


def test_changed_pixels_are_found(storage: Storage) -> None:
    (shard,) = (name for name in storage.names() if name.endswith(".npy"))
    storage.write(shard, storage.read(shard)[:-1] + b"x")
    (damage,) = find_damage(storage.root)
    assert "not those that were packed" in damage.fault


def test_a_store_that_is_slow_says_nothing_of_its_files(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    if storage.root.startswith("/"):
        pytest.skip("a disk that cannot be read is at fault")

    def fail(*_: Any, **__: Any) -> None:
        raise OSError("Please reduce your request rate.")

    monkeypatch.setattr(storage.filesystem, "cat_file", fail)
    with pytest.raises(OSError, match="request rate"):
        find_damage(storage.root)


@pytest.mark.parametrize(
    "read",
    [
        lambda root: AppendedTableDataset(
            filepath=f"{root}/index/images", columns=list(TABLE), order_by="recorded_at"
        ).load(),
        lambda root: BatchTablesDataset(filepath=f"{root}/index/inspections").load().read("first"),
        lambda root: RecordsDataset(filepath=f"{root}/index/screenings").load()["first"],
        lambda root: WholeJSONDataset(filepath=f"{root}/index/contract.json").load(),
    ],
)
def test_who_reads_a_damaged_file_is_told_which_and_what_to_do(
    storage: Storage, read: object
) -> None:
    for name in storage.names():
        storage.write(name, b"")
    with pytest.raises(Exception, match=r"'.*index.*' is damaged.*check --repair") as caught:
        read(storage.root)  # type: ignore[operator]
    assert isinstance(caught.value, DataError) or isinstance(caught.value.__cause__, DataError)
