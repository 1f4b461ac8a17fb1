"""Where the project lies."""

from __future__ import annotations

from pathlib import Path

import pytest
from kedro.utils import find_kedro_project

from image_classification.configuration.location import find_project_path

OWN = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text('[tool.kedro]\npackage_name = "other"\n')
    (tmp_path / "conf" / "base").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize("below", ["", "conf/base"])
def test_it_is_the_project_that_we_work_in_as_kedro_finds_it(
    project: Path, below: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project / below)
    assert find_project_path() == project == find_kedro_project(Path.cwd())


@pytest.mark.parametrize("content", [None, b"[project]\n", b"\xff"])
def test_elsewhere_it_is_this_one(
    tmp_path: Path, content: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if content is not None:
        (tmp_path / "pyproject.toml").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    assert find_project_path() == OWN
