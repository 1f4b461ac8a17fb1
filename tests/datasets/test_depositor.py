"""Who has delivered a batch: the owner of all of it, where nobody else could have written to it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from image_classification.datasets.depositor import find_depositor, is_own, name_user

ME = os.getuid()


@pytest.fixture
def batch(tmp_path: Path) -> Path:
    """A batch in an incoming folder, where nobody but its owner may write."""
    folder = tmp_path / "incoming" / "north"
    (folder / "Parasitized").mkdir(parents=True)
    (folder / "Parasitized" / "cell.png").write_bytes(b"cell")
    for path in (folder.parent, folder, folder / "Parasitized"):
        path.chmod(0o755)
    (folder / "Parasitized" / "cell.png").chmod(0o644)
    return folder


def test_the_owner_of_a_folder_and_all_in_it_has_delivered_it(batch: Path) -> None:
    assert find_depositor(str(batch)) == ME


def test_the_owner_of_a_zip_has_delivered_it(tmp_path: Path) -> None:
    archive = tmp_path / "north.zip"
    archive.write_bytes(b"")
    archive.chmod(0o644)
    assert find_depositor(str(archive)) == ME
    archive.chmod(0o664)
    assert find_depositor(str(archive)) is None


@pytest.mark.parametrize("mode", [0o775, 0o757])
@pytest.mark.parametrize("place", [".", "Parasitized", "Parasitized/cell.png"])
def test_nobody_vouches_for_what_others_may_write_to(batch: Path, place: str, mode: int) -> None:
    (batch / place).chmod(mode)
    assert find_depositor(str(batch)) is None


def test_nobody_vouches_where_anybody_may_rename_the_batch(batch: Path) -> None:
    batch.parent.chmod(0o777)
    assert find_depositor(str(batch)) is None
    batch.parent.chmod(0o1777)
    assert find_depositor(str(batch)) == ME


def test_a_link_counts_by_its_owner_and_is_not_followed(batch: Path, tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (batch / "link").symlink_to(tmp_path / "open")
    assert find_depositor(str(batch)) == ME


@pytest.mark.skipif(ME != 0, reason="only root may give a file to another user")
@pytest.mark.parametrize("place", [".", "Parasitized", "Parasitized/cell.png"])
def test_nobody_vouches_for_what_belongs_to_several_users(batch: Path, place: str) -> None:
    os.chown(batch / place, 1, 1)
    assert find_depositor(str(batch)) is None


def test_what_is_not_there_has_nobody(tmp_path: Path) -> None:
    assert find_depositor(str(tmp_path / "gone")) is None


def test_a_note_is_believed_where_nobody_else_could_have_written_it(batch: Path) -> None:
    note = batch / "note"
    note.write_bytes(b"")
    note.chmod(0o644)
    assert is_own(str(note))
    for place in (note, batch):
        mode = place.stat().st_mode
        place.chmod(0o777)
        assert not is_own(str(note))
        place.chmod(mode)


@pytest.mark.skipif(ME != 0, reason="only root may give a file to another user")
def test_a_note_of_somebody_else_is_not_believed(batch: Path) -> None:
    note = batch / "note"
    note.write_bytes(b"")
    os.chown(note, 1, 1)
    assert not is_own(str(note))


def test_a_user_is_named_with_the_number() -> None:
    assert name_user(0) == "root (uid 0)"
    assert name_user(4_000_000) == "uid 4000000"
