"""What a power cut leaves is found, and what can be made again is moved aside."""

from __future__ import annotations

import json
from pathlib import Path

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
from image_classification.datasets.table import WholeJSONDataset
from image_classification.errors import DataError

TABLE = pd.DataFrame({"image_id": ["a", "b"], "recorded_at": "2026-01-01"})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A storage root with a file of each kind."""
    for folder in ("index/images", "trend", "references"):
        AppendedTableDataset(
            filepath=f"{tmp_path}/{folder}", columns=list(TABLE), order_by="recorded_at"
        ).save(TABLE)
    BatchTablesDataset(filepath=f"{tmp_path}/index/inspections").save({"first": TABLE})
    for folder in ("index/screenings", "index/reviews", "ledger"):
        RecordsDataset(filepath=f"{tmp_path}/{folder}").save({"first": {"verdict": "accepted"}})
    WholeJSONDataset(filepath=f"{tmp_path}/index/contract.json").save({})
    pixels = PixelShard(["a", "b"], np.zeros((2, 4, 4, 3), np.uint8))
    PackedPixelsDataset(filepath=f"{tmp_path}/pixels").save(pixels)
    batch = tmp_path / "images" / "first"
    (batch / "ring").mkdir(parents=True)
    (batch / "ring" / "delivered.json").write_text("no JSON, and none of ours")
    (batch / "_manifest.json").write_text(json.dumps({}))
    return tmp_path


def list_files(root: Path) -> list[Path]:
    return [path for path in sorted(root.rglob("*.*")) if path.name != "delivered.json"]


def test_a_sound_storage_is_sound(root: Path) -> None:
    assert find_damage(root) == []
    assert len(list_files(root)) == 11


@pytest.mark.parametrize("left", [0.5, 0.0])
def test_each_file_that_is_cut_or_empty_is_named_and_moved_aside_where_it_can_be_made_again(
    root: Path, left: float
) -> None:
    for file in list_files(root):
        name, content = file.relative_to(root).as_posix(), file.read_bytes()
        file.write_bytes(content[: int(left * len(content))])
        (damage,) = find_damage(root)
        assert Path(damage.path).with_suffix("") == Path(name).with_suffix("")
        assert damage.can_repair is not name.startswith(("index/reviews", "ledger", "images"))
        assert damage.remedy
        if damage.can_repair:
            move_aside(root, damage)
            assert find_damage(root) == []
            assert (root / ASIDE / name).exists()
        for kept in (root / ASIDE).rglob("*.*"):
            kept.replace(root / kept.relative_to(root / ASIDE))
        file.write_bytes(content)
    assert find_damage(root) == []


def test_changed_pixels_are_found(root: Path) -> None:
    (shard,) = root.rglob("*.npy")
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    (damage,) = find_damage(root)
    assert "not those that were packed" in damage.fault


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
def test_who_reads_a_damaged_file_is_told_which_and_what_to_do(root: Path, read: object) -> None:
    for file in list_files(root):
        file.write_bytes(b"")
    with pytest.raises(Exception, match=r"'.*index.*' is damaged.*check --repair") as caught:
        read(root)  # type: ignore[operator]
    assert isinstance(caught.value, DataError) or isinstance(caught.value.__cause__, DataError)
