"""The digest of the code that runs here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from image_classification.machine.code import CODE, Code


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "gate").mkdir()
    (tmp_path / "gate" / "rule.py").write_text("LIMIT = 1\n")
    (tmp_path / "words.py").write_text("WORD = 'cell'\n")
    return tmp_path


def test_it_changes_with_the_content_the_name_and_the_number_of_files(folder: Path) -> None:
    found = {Code(folder).digest()}
    (folder / "gate" / "rule.py").write_text("LIMIT = 2\n")
    found.add(Code(folder).digest())
    (folder / "gate" / "rule.py").rename(folder / "gate" / "rules.py")
    found.add(Code(folder).digest())
    (folder / "pages").mkdir()
    (folder / "pages" / "base.j2").touch()
    found.add(Code(folder).digest())
    assert len(found) == 4


def test_it_is_the_same_wherever_the_files_lie_and_whatever_python_made_of_them(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    for file in folder.rglob("*.py"):
        copy = other / file.relative_to(folder)
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(file.read_text())
    (other / "__pycache__").mkdir()
    (other / "__pycache__" / "words.cpython-311.pyc").touch()
    (other / "keras_home").mkdir()
    (other / "keras_home" / "weights.h5").touch()
    os.utime(other / "words.py", (1, 1))
    assert Code(other).digest() == Code(folder).digest()


def test_files_are_read_again_only_where_one_was_changed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, read = Code(folder), []
    monkeypatch.setattr(Path, "read_bytes", lambda path: read.append(path.name) or b"")
    code.digest()
    assert len(read) == 2
    code.digest()
    assert len(read) == 2
    os.utime(folder / "words.py", (1, 1))
    code.digest()
    assert len(read) == 4


def test_a_process_that_holds_older_modules_knows_it(folder: Path) -> None:
    code = Code(folder)
    assert not code.is_mixed
    (folder / "words.py").write_text("WORD = 'leaf'\n")
    assert code.is_mixed
    (folder / "words.py").write_text("WORD = 'cell'\n")
    assert not code.is_mixed


def test_it_is_that_of_this_package() -> None:
    assert CODE.folder.name == "image_classification"
    assert len(CODE.digest()) == 64
