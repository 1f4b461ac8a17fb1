"""The list of the forgotten tells no name, and what is being done outlives a kill."""

from __future__ import annotations

from pathlib import Path

import pytest

from image_classification.datasets import ForgottenDataset

RECORD = {"pseudonym": "p-1", "at": "2026-11-27", "by": "Ada", "reason": "asked for it"}


@pytest.fixture
def listed(tmp_path: Path) -> ForgottenDataset:
    return ForgottenDataset(filepath=str(tmp_path / "forgotten"))


def test_the_list_tells_no_name_and_knows_who_is_on_it(
    listed: ForgottenDataset, tmp_path: Path
) -> None:
    assert listed.load().digests == frozenset()
    assert not (tmp_path / "keys").exists()  # a storage that forgets nobody needs no key for it
    digest = listed.add("C5", RECORD)
    assert listed.add("C5", {**RECORD, "reason": "another"}) == digest
    assert listed.load().knows("C5")
    assert not listed.load().knows("C6")
    assert listed.read_records() == {digest: RECORD}
    assert b"C5" not in b"".join(path.read_bytes() for path in (tmp_path / "forgotten").iterdir())


def test_what_is_sought_is_kept_until_the_end_and_no_longer(
    listed: ForgottenDataset, tmp_path: Path
) -> None:
    digest = listed.add("C5", RECORD)
    assert listed.list_unfinished() == [digest]
    listed.write_work(digest, {"patient": "C5"})
    (work,) = (tmp_path / "forgotten").glob("*.work.json")
    assert work.stat().st_mode & 0o077 == 0
    listed.note_package(digest, "m-1", {"before": "a", "after": "b"})
    assert listed.read_work(digest) == {
        "patient": "C5",
        "packages": {"m-1": {"before": "a", "after": "b"}},
    }
    assert listed.load().digests == {digest}
    listed.finish(digest, "2026-11-28")
    assert listed.list_unfinished() == []
    assert listed.read_work(digest) is None
    assert listed.read_records()[digest]["done_at"] == "2026-11-28"


def test_files_of_a_package_are_put_aside_whole_or_not_at_all(
    listed: ForgottenDataset, tmp_path: Path
) -> None:
    shelf = listed.shelf
    assert shelf.read("m-1") is None
    shelf.write("m-1", {"digests": b"{}", "golden": b"cells"})
    assert shelf.read("m-1") == {"digests": b"{}", "golden": b"cells"}
    (tmp_path / "forgotten/packages/m-1/digests").unlink()
    assert shelf.read("m-1") is None
    shelf.remove("m-1")
    assert not (tmp_path / "forgotten/packages/m-1").exists()
