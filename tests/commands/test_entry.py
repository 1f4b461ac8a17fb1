"""The program sets its surroundings before the first import that looks at them."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from image_classification.commands import entry, group
from image_classification.vendor.quiet import QUIET


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the commands were called with, in which environment; they end with status 3."""
    calls: list[dict[str, Any]] = []

    def run(**options: Any) -> int:
        calls.append(options | {"environment": dict(os.environ)})
        return 3

    monkeypatch.setattr(group, "commands", run)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    return calls


def test_the_libraries_are_told_to_be_quiet(called: list[dict[str, Any]]) -> None:
    for name in (*QUIET, "KEDRO_LOGGING_CONFIG"):
        os.environ.pop(name, None)
    with pytest.raises(SystemExit) as ended:
        entry.main()
    assert ended.value.code == 3
    (options,) = called
    assert options["prog_name"] == "image-classification"
    assert options["environment"].items() >= QUIET.items()
    assert Path(options["environment"]["KEDRO_LOGGING_CONFIG"]).is_file()


def test_what_the_user_has_set_stays(called: list[dict[str, Any]], tmp_path: Path) -> None:
    mine = tmp_path / "mine.yml"
    mine.touch()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "0"
    os.environ["KEDRO_LOGGING_CONFIG"] = str(mine)
    with pytest.raises(SystemExit):
        entry.main()
    assert called[0]["environment"]["TF_CPP_MIN_LOG_LEVEL"] == "0"
    assert called[0]["environment"]["KEDRO_LOGGING_CONFIG"] == str(mine)


@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.usefixtures("called")
def test_warnings_are_shown_to_who_asks_for_them_alone(
    asked: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "warnoptions", ["default"] if asked else [])
    monkeypatch.setattr(warnings, "showwarning", lambda *_, **__: sys.stdout.write("shown\n"))
    with pytest.raises(SystemExit):
        entry.main()
    warnings.showwarning("a library is old", UserWarning, "file.py", 1)
    assert capsys.readouterr().out == ("shown\n" if asked else "")
