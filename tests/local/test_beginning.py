"""What must hold before a stack is started."""

from __future__ import annotations

from pathlib import Path

import pytest
from filelock import FileLock

from image_classification.local import beginning
from image_classification.local.ports import ServiceError
from image_classification.machine.fitness import Finding


def test_a_lock_that_is_held_is_told_and_can_be_had_afterwards(tmp_path: Path) -> None:
    file = tmp_path / "demo.lock"
    with (
        beginning.hold(FileLock(file), "demo"),
        pytest.raises(ServiceError, match="'demo' is just being started"),
        beginning.hold(FileLock(file), "demo"),
    ):
        raise AssertionError("both hold it")
    with beginning.hold(FileLock(file), "demo"):
        pass


@pytest.mark.parametrize(
    ("remedy", "folder", "starts"),
    [
        ("", "main", True),
        ("Make room.", "main", False),
        ("", "main?", False),
    ],
)
def test_a_machine_that_will_not_do_is_refused_with_all_that_was_found(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    remedy: str,
    folder: str,
    starts: bool,
) -> None:
    finding = Finding("disk", "2 MB are free.", remedy)
    monkeypatch.setattr(beginning, "examine", lambda *_: iter([finding]))
    if starts:
        beginning.require_fitness(tmp_path, tmp_path, tmp_path / folder)
    else:
        with pytest.raises(ServiceError, match="Nothing was started"):
            beginning.require_fitness(tmp_path, tmp_path, tmp_path / folder)
    said = capsys.readouterr().out
    assert "2 MB are free." in said
    assert ("cannot be used" in said) == ("?" in folder)
