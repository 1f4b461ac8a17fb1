from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from image_classification.errors import DataError
from image_classification.local.delivery import plan_deliveries


def lay_out(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


def images(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))


NAMES = [
    f"{label}/C{number}P1ThinF_IMG_201506{day:02d}_100000_cell_{number}.png"
    for label in ("Parasitized", "Uninfected")
    for number, day in enumerate((9, 1, 5, 3, 7))
]


def test_delivers_the_earliest_images_first_and_the_rest_later(tmp_path: Path) -> None:
    data = lay_out(tmp_path / "data", *NAMES)
    first, later = plan_deliveries(data)
    assert first.write(tmp_path / "out") == 7
    early = images(tmp_path / "out")
    assert later.write(tmp_path / "out") == 3
    assert images(tmp_path / "out") == sorted(NAMES)
    dates = {name: name.split("_IMG_")[1][:8] for name in NAMES}
    late = set(NAMES) - set(early)
    assert max(dates[name] for name in early) <= min(dates[name] for name in late)


def test_reads_the_published_zip_and_takes_a_doubled_folder_once(tmp_path: Path) -> None:
    archive_path = tmp_path / "cell_images.zip"
    with zipfile.ZipFile(archive_path, "w") as archive:
        for name in NAMES:
            archive.writestr(f"cell_images/{name}", name)
            archive.writestr(f"cell_images/cell_images/{name}", name)
        archive.writestr("cell_images/Parasitized/Thumbs.db", "not an image")
    first, later = plan_deliveries(archive_path)
    assert first.write(tmp_path / "out") + later.write(tmp_path / "out") == len(NAMES)
    assert images(tmp_path / "out") == sorted(NAMES)
    assert not list((tmp_path / "out").rglob("Thumbs.db"))


def test_leaves_the_source_folder_as_it_was(tmp_path: Path) -> None:
    data = lay_out(tmp_path / "data", *NAMES)
    for delivery in plan_deliveries(data):
        delivery.write(tmp_path / "out")
    assert images(data) == sorted(NAMES)


def test_makes_synthetic_cells_of_other_patients_the_second_time(tmp_path: Path) -> None:
    first, later = plan_deliveries(None)
    assert "80 patients" in first.name
    assert "40 more patients" in later.name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", "is neither a folder nor a .zip file"),
        ("missing.zip", "does not exist"),
        ("broken.zip", "is not a zip file, or not a whole one"),
        ("one_class", "holds no images in two or more class folders"),
        ("empty", "holds no images in two or more class folders"),
    ],
)
def test_names_what_is_wrong_with_the_data(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "broken.zip").write_bytes(b"PK but no zip")
    (tmp_path / "empty").mkdir()
    lay_out(tmp_path / "one_class", "Parasitized/a.png")
    with pytest.raises(DataError, match=message) as raised:
        plan_deliveries(tmp_path / name)
    assert name in str(raised.value)
