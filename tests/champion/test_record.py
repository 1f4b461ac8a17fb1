"""What is written of a decision, and of which code."""

from __future__ import annotations

from pathlib import Path

import pytest

from image_classification.champion import record

PROJECT = Path(__file__).resolve().parents[2]


class TestCommit:
    def test_the_environment_names_it_where_there_is_no_repository(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("IMAGE_CLASSIFICATION_COMMIT", "abc123")
        assert record.read_git_commit() == "abc123"

    def test_else_the_repository_does(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("IMAGE_CLASSIFICATION_COMMIT", raising=False)
        head = PROJECT / ".git"
        if not head.exists():
            pytest.skip("not a checkout")
        assert len(record.read_git_commit().removesuffix("-dirty")) == 40
