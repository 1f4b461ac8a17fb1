"""`index_images`: what is taken into the index, what is refused, and why."""

from __future__ import annotations

import hashlib
import threading
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image
from samples import (
    DATA_PROCESSING,
    NEGATIVE,
    POSITIVE,
    draw_bomb,
    draw_cells,
    draw_image,
    fill_folder,
    name_cell,
    no_inspections,
    open_folder,
)

from image_classification import vision
from image_classification.datasets import ImageFolder
from image_classification.errors import ConfigurationError, DataError
from image_classification.pipelines.data_processing import nodes
from image_classification.pipelines.data_processing.nodes import index_images


def index_folder(
    root: Path, known: pd.DataFrame | None = None, **changes: Any
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    known = no_inspections() if known is None else known
    return index_images(open_folder(root), known, {**DATA_PROCESSING, **changes})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twenty good images, ten of each class."""
    return fill_folder(tmp_path, draw_cells([POSITIVE, NEGATIVE], 10))


@pytest.fixture
def paths_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are read from now on."""
    read, paths = ImageFolder.read, []

    def record(self: ImageFolder, wanted: list[str]) -> list[bytes]:
        paths.extend(wanted)
        return read(self, wanted)

    monkeypatch.setattr(ImageFolder, "read", record)
    return paths


def test_every_image_gets_one_row_with_its_sha256_and_size(folder: Path) -> None:
    inspections, index, quarantine = index_folder(folder)

    assert list(index) == nodes.INDEX_COLUMNS
    assert len(inspections) == len(index) == 20
    assert quarantine.empty
    first = index.set_index("path").loc[f"{POSITIVE}/{name_cell(0)}"]
    content = (folder / POSITIVE / name_cell(0)).read_bytes()
    assert first["image_id"] == hashlib.sha256(content).hexdigest()
    assert (first["width"], first["height"]) == (12, 10)
    assert first["label"] == POSITIVE
    assert first["image_name"] == name_cell(0)


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("C100P61ThinF_IMG_20150918_144104_cell_162.png", "C100"),
        ("C33P1thinF_IMG_20150918_144104_cell_162.png", "C33"),
        ("C1_thinF_IMG_20150918_144104_cell_162.png", "C1"),
        ("C37BP2_thinF_IMG_20150918_144104_cell_162.png", "C37"),
        ("C47P8thin_Original_Motic_IMG_20150918_144104_cell_162.png", "C47"),
    ],
)
def test_patient_and_date_are_read_from_names_as_of_the_nih_set(
    folder: Path, name: str, patient: str
) -> None:
    fill_folder(folder, {f"{POSITIVE}/{name}": draw_image(99)})

    _, index, _ = index_folder(folder)

    row = index.set_index("image_name").loc[name]
    assert row["patient"] == patient
    assert row["captured_on"] == "2015-09-18"


def test_a_file_whose_name_tells_no_patient_is_a_group_of_its_own(folder: Path) -> None:
    fill_folder(
        folder,
        {
            f"{POSITIVE}/smear.png": draw_image(97),
            f"{NEGATIVE}/smear.png": draw_image(98),
            f"{NEGATIVE}/other.png": draw_image(99),
        },
    )

    _, index, _ = index_folder(folder)

    others = index[index["image_name"].isin(["smear.png", "other.png"])]
    assert others["patient"].tolist() == others["path"].tolist()
    assert others["patient"].nunique() == 3
    assert set(others["captured_on"]) == {""}


def test_a_date_that_does_not_exist_is_left_empty(folder: Path) -> None:
    name = name_cell(500, date="20159999")
    fill_folder(folder, {f"{POSITIVE}/{name}": draw_image(99)})

    _, index, _ = index_folder(folder)

    row = index.set_index("image_name").loc[name]
    assert (row["patient"], row["captured_on"]) == ("C500", "")


def test_files_already_inspected_are_not_read_again(folder: Path, paths_read: list[str]) -> None:
    inspections, index, _ = index_folder(folder)
    assert len(paths_read) == 20
    paths_read.clear()
    fill_folder(folder, {f"{POSITIVE}/{name_cell(300)}": draw_image(300)})

    _, grown, _ = index_folder(folder, inspections)

    assert paths_read == [f"{POSITIVE}/{name_cell(300)}"]
    assert len(grown) == 21
    pd.testing.assert_frame_equal(
        grown[grown["patient"] != "C300"].reset_index(drop=True), index, check_dtype=False
    )


def test_a_file_that_was_replaced_is_read_again(folder: Path, paths_read: list[str]) -> None:
    inspections, index, _ = index_folder(folder)
    paths_read.clear()
    path = f"{POSITIVE}/{name_cell(0)}"
    fill_folder(folder, {path: draw_image(1000, size=(30, 20))})

    _, changed, _ = index_folder(folder, inspections)

    assert paths_read == [path]
    row = changed.set_index("path").loc[path]
    assert (row["width"], row["height"]) == (30, 20)
    assert row["image_id"] != index.set_index("path").loc[path, "image_id"]


def test_a_file_that_was_removed_leaves_the_index(folder: Path) -> None:
    inspections, _, _ = index_folder(folder)
    (folder / POSITIVE / name_cell(0)).unlink()

    inspections, index, _ = index_folder(folder, inspections)

    assert len(inspections) == len(index) == 19
    assert f"{POSITIVE}/{name_cell(0)}" not in set(index["path"])


def test_inspections_that_went_through_the_catalog_are_known(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, paths_read: list[str]
) -> None:
    from image_classification.datasets import GrowingTableDataset

    table = GrowingTableDataset(
        filepath=str(tmp_path_factory.mktemp("index") / "inspections.parquet"),
        columns=list(no_inspections()),
    )
    fill_folder(folder, {f"{POSITIVE}/{name_cell(300)}": b""})
    inspections, _, quarantine = index_folder(folder, table.load())
    table.save(inspections)
    paths_read.clear()

    again, _, quarantine_again = index_folder(folder, table.load())

    assert f"{POSITIVE}/{name_cell(0)}" not in paths_read
    pd.testing.assert_frame_equal(again, table.load(), check_dtype=False)
    pd.testing.assert_frame_equal(quarantine_again, quarantine, check_dtype=False)


def test_the_same_folder_gives_the_same_tables(folder: Path) -> None:
    fill_folder(folder, {f"{POSITIVE}/copy.png": draw_image(0)})

    for one, other in zip(index_folder(folder), index_folder(folder), strict=True):
        pd.testing.assert_frame_equal(one, other)


BAD_FILES = {
    "empty": (b"", "the file is empty (0 bytes)"),
    "no image": (b"These are not the bytes you are looking for.", "cannot be read as an image"),
    "truncated": (draw_image(99)[:200], "cannot be decoded"),
    "truncated in the header": (draw_image(99)[:20], "cannot be read as an image"),
    "greyscale": (draw_image(99, mode="L"), "the colour mode is L: RGB is allowed"),
    "transparent": (draw_image(99, mode="RGBA"), "the colour mode is RGBA: RGB is allowed"),
    "palette": (draw_image(99, mode="P"), "the colour mode is P: RGB is allowed"),
    "GIF": (draw_image(99, mode="P", kind="GIF"), "the format is GIF: PNG, JPEG and BMP"),
    "TIFF": (draw_image(99, kind="TIFF"), "the format is TIFF: PNG, JPEG and BMP"),
    "CMYK": (draw_image(99, mode="CMYK", kind="JPEG"), "the colour mode is CMYK"),
    "truncated JPEG": (draw_image(99, (64, 64), kind="JPEG")[:-900], "cannot be decoded"),
    "large": (draw_bomb(2001, 2000), "2001 x 2000 pixels: at most 4000000 pixels"),
    "large enough for Pillow's warning": (draw_bomb(12_000, 10_000), "12000 x 10000 pixels"),
    "large enough for Pillow's error": (draw_bomb(60_000, 60_000), "exceeds limit of"),
}


@pytest.mark.parametrize(("content", "reason"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_a_bad_file_goes_to_quarantine_with_the_reason_and_the_rest_goes_on(
    folder: Path, content: bytes, reason: str
) -> None:
    path = f"{POSITIVE}/{name_cell(9000)}"
    fill_folder(folder, {path: content})

    inspections, index, quarantine = index_folder(folder)

    assert len(inspections) == 21
    assert len(index) == 20
    assert path not in set(index["path"])
    assert quarantine["path"].tolist() == [path]
    assert reason in quarantine["reason"].iloc[0]
    assert "\n" not in quarantine["reason"].iloc[0]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP"])
def test_png_jpeg_and_bmp_are_taken_whatever_their_suffix(folder: Path, kind: str) -> None:
    fill_folder(folder, {f"{POSITIVE}/{name_cell(9000)}": draw_image(99, kind=kind)})

    _, index, quarantine = index_folder(folder)

    assert len(index) == 21
    assert quarantine.empty


@pytest.mark.parametrize("side", [2001, 12_000, 60_000])
def test_an_image_too_large_is_refused_without_decoding_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, side: int
) -> None:
    inspections, _, _ = index_folder(folder)

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("the image was decoded")

    monkeypatch.setattr(vision, "find_decoding_error", refuse)
    monkeypatch.setattr(Image.Image, "load", refuse)
    fill_folder(folder, {f"{POSITIVE}/{name_cell(9000)}": draw_bomb(side, side)})

    _, _, quarantine = index_folder(folder, inspections)

    assert len(quarantine) == 1


def test_warning_filters_which_all_threads_share_are_changed_in_the_main_thread_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspections, _, _ = index_folder(folder)
    bombs = {f"{POSITIVE}/{name_cell(9000 + n)}": draw_bomb(12_000, 9_000 + n) for n in range(50)}
    fill_folder(folder, bombs)
    before, threads = list(warnings.filters), []

    class Recorded(warnings.catch_warnings):
        def __enter__(self) -> None:
            threads.append(threading.current_thread())
            super().__enter__()

    monkeypatch.setattr(warnings, "catch_warnings", Recorded)
    _, _, quarantine = index_folder(folder, inspections, maximum_refused_share=1.0)

    assert len(quarantine) == 50
    assert set(threads) == {threading.main_thread()}
    assert warnings.filters == before


def test_a_refused_file_is_looked_at_again_once_the_limit_is_raised(folder: Path) -> None:
    fill_folder(folder, {f"{POSITIVE}/{name_cell(300)}": draw_image(300, (40, 40))})
    inspections, _, quarantine = index_folder(folder, maximum_image_pixels=1599)
    assert len(quarantine) == 1

    _, index, quarantine = index_folder(folder, inspections, maximum_image_pixels=1600)

    assert quarantine.empty
    assert len(index) == 21


def test_a_known_file_is_refused_once_the_limit_is_lowered(folder: Path) -> None:
    fill_folder(folder, {f"{POSITIVE}/{name_cell(300)}": draw_image(300, (40, 40))})
    inspections, _, quarantine = index_folder(folder, maximum_image_pixels=1600)
    assert quarantine.empty

    _, index, quarantine = index_folder(folder, inspections, maximum_image_pixels=1599)

    assert len(quarantine) == 1
    assert len(index) == 20


def test_an_exact_duplicate_counts_once_and_is_not_held_against_the_folder(folder: Path) -> None:
    copies = {f"{POSITIVE}/copy_{number}.png": draw_image(0) for number in range(5)}

    _, index, quarantine = index_folder(fill_folder(folder, copies), maximum_refused_share=0.0)

    original = f"{POSITIVE}/{name_cell(0)}"
    assert len(index) == 20
    assert original in set(index["path"])
    assert set(quarantine["path"]) == set(copies)
    assert set(quarantine["reason"]) == {f"duplicate of {original}"}


def test_one_image_under_two_labels_is_refused_twice_and_both_places_are_named(
    folder: Path,
) -> None:
    paths = [f"{POSITIVE}/{name_cell(0)}", f"{NEGATIVE}/again.png"]
    fill_folder(folder, {paths[1]: (folder / paths[0]).read_bytes()})

    _, index, quarantine = index_folder(folder, maximum_refused_share=0.1)

    assert len(index) == 19
    assert set(quarantine["path"]) == set(paths)
    for reason in quarantine["reason"]:
        assert "more than one label" in reason
        assert all(path in reason for path in paths)


def test_a_share_of_refused_files_equal_to_the_maximum_passes(tmp_path: Path) -> None:
    files = draw_cells([POSITIVE, NEGATIVE], 10)
    files[f"{POSITIVE}/{name_cell(0)}"] = b""

    _, index, quarantine = index_folder(fill_folder(tmp_path, files), maximum_refused_share=0.05)

    assert (len(index), len(quarantine)) == (19, 1)


def test_more_refused_files_than_the_maximum_stop_the_run_and_are_named(tmp_path: Path) -> None:
    files = draw_cells([POSITIVE, NEGATIVE], 10)
    bad = [f"{POSITIVE}/{name_cell(0)}", f"{NEGATIVE}/{name_cell(100)}"]
    files |= dict.fromkeys(bad, b"")

    with pytest.raises(DataError, match=r"2 of 20 images are refused.*5\.0%") as refused:
        index_folder(fill_folder(tmp_path, files), maximum_refused_share=0.05)

    assert all(f"{path}: the file is empty" in str(refused.value) for path in bad)
    assert "data_processing.maximum_refused_share" in str(refused.value)


def test_a_class_all_of_whose_images_are_refused_does_not_vanish(tmp_path: Path) -> None:
    files = draw_cells([POSITIVE, NEGATIVE], 10) | {"Smudge/one.png": b""}

    with pytest.raises(DataError, match="'Smudge'"):
        index_folder(fill_folder(tmp_path, files), classes=None)


def test_images_directly_in_the_folder_are_refused(folder: Path) -> None:
    fill_folder(folder, {"lost.png": draw_image(99)})

    with pytest.raises(DataError, match="1 images lie directly in the image folder"):
        index_folder(folder)


def test_an_unknown_label_folder_is_refused_with_the_name_it_resembles(folder: Path) -> None:
    fill_folder(folder, {"Parasitised/one.png": draw_image(99)})

    with pytest.raises(DataError, match=r"'Parasitised' is not a class.*Did you mean 'Parasit"):
        index_folder(folder)


def test_every_folder_is_a_class_where_no_classes_are_named(folder: Path) -> None:
    fill_folder(folder, {"Smudge/one.png": draw_image(99)})

    _, index, _ = index_folder(folder, classes=None)

    assert set(index["label"]) == {POSITIVE, NEGATIVE, "Smudge"}


@pytest.mark.parametrize("classes", [[POSITIVE, NEGATIVE], None])
def test_a_single_class_is_refused(tmp_path: Path, classes: list[str] | None) -> None:
    fill_folder(tmp_path, draw_cells([NEGATIVE], 3))

    with pytest.raises(DataError, match=f"Only one class has images: '{NEGATIVE}'"):
        index_folder(tmp_path, classes=classes)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("^(?P<patient>C", "not a regular expression"),
        (r"^(?P<pateint>C\d+)", r"'pateint'.*Did you mean 'patient'"),
    ],
)
def test_a_wrong_name_pattern_is_refused_before_any_file_is_read(
    folder: Path, paths_read: list[str], pattern: str, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message) as refused:
        index_folder(folder, name_pattern=pattern)

    assert "data_processing.name_pattern" in str(refused.value)
    assert paths_read == []


def test_a_file_that_cannot_be_opened_is_named(folder: Path) -> None:
    (folder / POSITIVE / "gone.png").symlink_to(folder / "nowhere.png")

    with pytest.raises(DataError, match=rf"'{POSITIVE}/gone\.png' cannot be read"):
        index_folder(folder)


def test_inspecting_in_small_chunks_changes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_folder(folder, {f"{POSITIVE}/{name_cell(300)}": b""})
    whole = index_folder(folder)
    monkeypatch.setattr(nodes, "CHUNK_IMAGES", 4)

    for one, other in zip(whole, index_folder(folder), strict=True):
        pd.testing.assert_frame_equal(one, other)
