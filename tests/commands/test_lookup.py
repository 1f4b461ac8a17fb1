"""What is looked up where there is nothing yet, and where only MLflow can tell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from storage_root import put_in_force
from terminal import call

from image_classification.commands import lookup
from image_classification.commands.lookup import Lookup


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A storage in which nothing has happened."""
    put_in_force(monkeypatch, tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["ledger"], "No decision yet. Deliver images"),
        (["ledger", "--version", "3"], "No decision about version 3 yet. "),
        (["batches"], "No batch yet: image-classification deliver FOLDER"),
        (["trend"], "The champion was not watched yet. Deliver images"),
    ],
)
def test_where_there_is_nothing_yet_it_is_said_what_to_do(
    storage: Path, command: list[str], said: str
) -> None:
    told = call(*command)
    assert told.exit_code == 0
    assert told.stderr.startswith(said)
    assert json.loads(call(*command, "--json").stdout) == []
    # To look makes nothing: no store of MLflow either.
    assert list(storage.iterdir()) == []


@pytest.mark.usefixtures("storage")
def test_what_only_mlflow_can_tell_is_asked_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(lookup, "read_registered", lambda *_: None)
    monkeypatch.setattr(
        "image_classification.commands.console.open_context", lambda: asked.append("opened")
    )
    monkeypatch.setattr("image_classification.commands.settling.open_release", asked.append)
    monkeypatch.setattr("image_classification.commands.settling.look", asked.append)
    assert Lookup().read_entries() == []
    assert asked[0] == "opened"
    assert len(asked) == 3
