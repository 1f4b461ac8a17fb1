"""A night over a storage of which one file is cut, empty or gone: each file, one at a time."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from kedro.io import DatasetError
from laboratory import Laboratory
from samples import CELLS, POSITIVE, draw_image, name_cell

from image_classification.datasets.damage import find_damage, move_aside
from image_classification.errors import DataError

pytestmark = pytest.mark.slow

DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
    "empty": lambda file: file.write_bytes(b""),
    "gone": lambda file: file.unlink(),
}


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    """One batch is taken in, and a second one has arrived."""
    laboratory = Laboratory(tmp_path_factory.mktemp("evening"))
    laboratory.deliver("first", CELLS)
    laboratory.take_in()
    names = [f"{POSITIVE}/{name_cell(500 + number)}" for number in range(6)]
    laboratory.deliver("second", {name: draw_image(5000 + n) for n, name in enumerate(names)})
    return laboratory


def list_files(storage: Path) -> list[Path]:
    """Return all files that the system has written, and one image for all of them."""
    files = [path.relative_to(storage) for path in sorted(storage.rglob("*")) if path.is_file()]
    images = [file for file in files if file.suffix == ".png" and file.parts[0] == "images"]
    return [file for file in files if file.parts[0] != "incoming" and file not in images[1:]]


def describe(laboratory: Laboratory) -> list[object]:
    """Return what is known of each image, and its pixels."""
    index = laboratory.index().sort_values("image_id")
    packed = laboratory.catalog().load("packed_pixels")
    pixels = packed.read(index["image_id"].tolist(), laboratory.size_px)
    known = index[["image_id", "path", "label", "patient", "split", "status"]]
    return [known.to_csv(index=False), pixels.tobytes()]


def take_in(laboratory: Laboratory) -> str:
    """Spend a night; return what it says if it cannot."""
    try:
        laboratory.take_in()
    except (DataError, DatasetError) as error:
        return str(error)
    return ""


@pytest.mark.parametrize("damage", DAMAGES)
def test_whatever_was_damaged_the_night_ends_as_it_would_have_or_says_which_file_it_is(
    evening: Laboratory, tmp_path: Path, damage: str
) -> None:
    whole = evening.copy(tmp_path / "whole")
    whole.take_in()
    expected = describe(whole)
    files = list_files(evening.storage)
    assert {file.parts[0] for file in files} == {"images", "index", "pixels", "runs"}
    refused = set()
    for file in files:
        laboratory = evening.copy(tmp_path / "damaged")
        DAMAGES[damage](laboratory.storage / file)
        said = take_in(laboratory)
        if said:
            assert f"{file}' is damaged" in said
            assert "check --repair" in said
            refused.add(file.parts[1])
            for found in find_damage(str(laboratory.storage)):
                move_aside(str(laboratory.storage), found)
            laboratory.take_in()
        assert describe(laboratory) == expected, file
        shutil.rmtree(laboratory.storage)
    assert refused == (set() if damage == "gone" else {"images", "screenings"})
