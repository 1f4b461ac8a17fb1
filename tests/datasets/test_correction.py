"""Records of corrected labels are written once."""

from __future__ import annotations

from pathlib import Path

from image_classification.datasets import CorrectionsDataset


def test_a_record_that_exists_stays_as_it_is(tmp_path: Path) -> None:
    dataset = CorrectionsDataset(filepath=str(tmp_path))
    dataset.save({"a": {"by": "Ada"}})
    dataset.save({"a": {"by": "Bob"}, "b": {"by": "Bob"}})
    assert dict(dataset.load()) == {"a": {"by": "Ada"}, "b": {"by": "Bob"}}
