"""Folders of other projects, where a variable names one place for all."""

from __future__ import annotations

import pytest
from arrivals import put_files

from image_classification.datasets import ImageBatchesDataset, Inbox, InboxDataset
from image_classification.datasets.backup import list_files
from image_classification.datasets.file import open_filesystem, read_file
from image_classification.datasets.folder import list_images, list_left_out
from image_classification.datasets.neighbour import (
    MARK,
    OF_ANOTHER,
    find_marked,
    list_neighbours,
    mark_folder,
)

IMAGES = ("leaves/monday/rust/1.png", "leaves/monday/healthy/2.png")


def look(place: str) -> Inbox:
    return InboxDataset(filepath=place).load()


def test_a_mark_is_made_once_and_says_whose_folder_it_is(root: str) -> None:
    for name in ("leaves", "another"):
        mark_folder(f"{root}/in/leaves", name)
    filesystem, path = open_filesystem(f"{root}/in/leaves")
    assert b"belongs to the project 'leaves'" in read_file(filesystem, f"{path}/{MARK}")
    assert list_neighbours(f"{root}/in") == ["leaves"]
    assert list_neighbours(f"{root}/nowhere") == []


def test_only_folders_below_a_place_are_anothers() -> None:
    assert find_marked([MARK, f"leaves/{MARK}", "leaves/1.png"]) == ("leaves/",)


def test_the_folder_of_another_project_is_no_batch(root: str) -> None:
    put_files(f"{root}/in", *IMAGES, "own/P/1.png")
    mark_folder(f"{root}/in/leaves", "leaves")
    found = look(f"{root}/in")
    assert [batch.name for batch in found.batches] == ["own"]
    assert found.aside["leaves"].startswith("it is the folder of another project")
    # To the project that owns it, all in it is its own.
    assert [batch.name for batch in look(f"{root}/in/leaves").batches] == ["monday"]


@pytest.mark.parametrize("marker", ["leaves/monday/_READY", "leaves/monday.zip._READY"])
def test_a_folder_of_batches_is_no_batch_though_nobody_has_marked_it(
    root: str, marker: str
) -> None:
    put_files(f"{root}/in", *IMAGES, marker)
    found = look(f"{root}/in")
    assert found.batches == []
    assert "each of these is a batch" in found.aside["leaves"]


def test_a_misplaced_marker_makes_no_batch_of_a_class(root: str) -> None:
    put_files(f"{root}/in", "own/P/1.png", "own/P/_READY")
    put_files(f"{root}/in", "sites/a/P/1.png", "sites/a/_READY", "sites/_READY")
    assert [batch.name for batch in look(f"{root}/in").batches] == ["own", "sites"]


def test_a_batch_with_the_name_of_a_project_is_kept_beside_its_images(root: str) -> None:
    put_files(f"{root}/kept", *IMAGES)
    mark_folder(f"{root}/kept/leaves", "leaves")
    put_files(f"{root}/in", "leaves/P/1.png", "leaves/_READY")
    batches = ImageBatchesDataset(filepath=f"{root}/kept")
    (batch,) = look(f"{root}/in").batches
    batches.save(batch)
    assert batches.load().names() == ["leaves-2"]


def test_images_of_another_project_are_not_scored_and_are_told(root: str) -> None:
    put_files(f"{root}/kept", *IMAGES, "own/P/1.png")
    mark_folder(f"{root}/kept/leaves", "leaves")
    filesystem, path = open_filesystem(f"{root}/kept")
    assert list_images(filesystem, path)[0]["path"].tolist() == ["own/P/1.png"]
    assert set(list_left_out(filesystem, path)[OF_ANOTHER]) >= set(IMAGES)


def test_a_copy_of_a_storage_leaves_out_that_of_another_project(root: str) -> None:
    put_files(f"{root}/all", "ledger/1.json", "leaves/ledger/1.json", "leaves/keys/signing.pem")
    assert len(list_files(f"{root}/all")) == 3  # whoever has marked nothing is copied, too
    mark_folder(f"{root}/all/leaves", "leaves")
    assert list_files(f"{root}/all") == ["ledger/1.json"]
    assert "ledger/1.json" in list_files(f"{root}/all/leaves")
