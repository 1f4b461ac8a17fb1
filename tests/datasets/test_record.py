"""Records are read when they are asked for, and a damaged one is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from image_classification.datasets.file import open_filesystem
from image_classification.datasets.record import Records, explain_fault
from image_classification.errors import DataError


def test_one_damaged_record_hides_no_other(tmp_path: Path) -> None:
    (tmp_path / "good.json").write_text('{"verdict": "accepted"}')
    (tmp_path / "torn.json").write_text('{"verdict"')
    (tmp_path / "other.txt").write_text("")
    filesystem, root = open_filesystem(str(tmp_path))
    records = Records(root, filesystem)
    assert list(records) == ["good", "torn"]
    assert records["good"] == {"verdict": "accepted"}
    with pytest.raises(DataError, match=r"torn.json' is damaged.*check --repair"):
        records["torn"]
    with pytest.raises(KeyError):
        records["other"]


def test_an_error_that_means_no_damage_is_left_as_it_is() -> None:
    with pytest.raises(PermissionError), explain_fault("file"):
        raise PermissionError
