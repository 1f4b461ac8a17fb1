"""What keeps the project from working on this machine is found, with the remedy."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from image_classification.machine import environment, fitness
from image_classification.machine.fitness import Finding, examine

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _ignored_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "ignored", [])


def find(about: str, findings: Iterator[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.about == about]


def pretend_free(monkeypatch: pytest.MonkeyPatch, free_mb: int) -> None:
    usage = SimpleNamespace(free=free_mb * 1_000_000)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)


def test_a_machine_that_will_do_has_nothing_to_be_mended(tmp_path: Path) -> None:
    found = list(examine(PROJECT, str(tmp_path)))
    assert [finding for finding in found if finding.remedy] == []
    assert list(tmp_path.iterdir()) == []


def test_what_was_ignored_is_told_and_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "ignored", ["MLFLOW_RUN_ID is ignored: so."])
    (finding,) = find("environment", examine(tmp_path, str(tmp_path)))
    assert str(finding) == "environment: MLFLOW_RUN_ID is ignored: so."
    assert not finding.remedy


def test_another_python_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.version_info", (3, 14, 0))
    (finding,) = find("python", examine(tmp_path, str(tmp_path)))
    assert "Python 3.14" in finding.sentence
    assert "make install" in finding.remedy


def test_packages_that_are_not_as_locked_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitness, "_list_required", lambda: {"numpy", "not-there"})
    lock = "numpy==0.1 \\\n    --hash=sha256:0\nnot_there==1.0 ; python_version < '4'\npandas==2\n"
    (tmp_path / "requirements.lock").write_text(lock)
    missing, others, further = find("packages", examine(tmp_path, str(tmp_path)))
    assert missing.sentence == "not-there: not installed."
    assert others.sentence == "numpy: not as requirements.lock says."
    assert missing.remedy == others.remedy == "make install"
    assert further.sentence == "pandas: not as requirements.lock says."
    assert not further.remedy  # a package that another one asks for may do all the same


def test_a_storage_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (finding,) = find("storage", examine(tmp_path, str(tmp_path / "file" / "storage")))
    assert f"'{tmp_path / 'file'}' cannot be written" in finding.sentence
    assert "IMAGE_CLASSIFICATION_STORAGE" in finding.remedy


def test_a_storage_with_a_sign_that_no_address_can_hold_is_named(tmp_path: Path) -> None:
    (finding,) = find("storage", examine(tmp_path, str(tmp_path / "what?")))
    assert "holds '?'" in finding.sentence


def test_a_bucket_is_no_folder(tmp_path: Path) -> None:
    assert find("storage", examine(tmp_path, "s3://bucket/a?b")) == []


@pytest.mark.parametrize(("free_mb", "faults"), [(999, [True]), (4_999, [False]), (5_001, [])])
def test_a_full_disk_is_a_fault_and_a_fuller_one_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_mb: int, faults: list[bool]
) -> None:
    pretend_free(monkeypatch, free_mb)
    found = find("disk", examine(tmp_path, str(tmp_path)))
    assert [bool(finding.remedy) for finding in found] == faults


def test_a_clock_that_was_set_back_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    later = time.time() + 600
    os.utime(tmp_path / "index", (later, later))
    (finding,) = find("clock", examine(tmp_path, str(tmp_path)))
    assert "10 minutes from now" in finding.sentence
    assert finding.remedy
