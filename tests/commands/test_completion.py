"""A shell completes what is typed, and an error of ours is no reason to print anything there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
from storage_root import put_in_force
from terminal import call

from image_classification.commands.completion import SHELLS, complete_batch, complete_version
from image_classification.commands.group import VERBS

ENTRY = {"at": "2026-11-01", "model": "test-classifier", "event": "promoted", "decision": None}
NOTHING: Any = None


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two decisions about one version, one about another, and a batch."""
    put_in_force(monkeypatch, tmp_path)
    (tmp_path / "ledger").mkdir()
    for number, version in enumerate(("1", "12", "1")):
        entry = json.dumps(ENTRY | {"version": version})
        (tmp_path / "ledger" / f"entry-{number}.json").write_text(entry)
    (tmp_path / "images" / "first").mkdir(parents=True)
    (tmp_path / "images" / "first" / "_BATCH.json").write_text("{}")
    (tmp_path / "images" / "half").mkdir()
    return tmp_path


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_is_told_how(shell: str) -> None:
    told = call("completion", shell)
    assert told.exit_code == 0
    assert "_IMAGE_CLASSIFICATION_COMPLETE" in told.output


def test_another_shell_is_refused() -> None:
    assert call("completion", "csh").exit_code == 2


@pytest.mark.usefixtures("storage")
def test_versions_of_the_ledger_and_batches_are_completed() -> None:
    found = complete_version(NOTHING, NOTHING, "1")
    assert [(item.value, item.help) for item in found] == [("1", "promoted"), ("12", "promoted")]
    assert [item.value for item in complete_version(NOTHING, NOTHING, "12")] == ["12"]
    assert [item.value for item in complete_batch(NOTHING, NOTHING, "f")] == ["first"]


@pytest.mark.usefixtures("storage")
def test_what_cannot_be_read_completes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEDRO_ENV", "nowhere")
    assert complete_version(NOTHING, NOTHING, "") == complete_batch(NOTHING, NOTHING, "") == []


@pytest.mark.parametrize(
    ("verb", "name", "complete"),
    [
        ("explain", "version", complete_version),
        ("ledger", "version", complete_version),
        ("rollback", "version", complete_version),
        ("lineage", "version", complete_version),
        ("review", "batch", complete_batch),
        ("take-back", "batch", complete_batch),
    ],
)
def test_who_takes_a_version_or_a_batch_completes_it(verb: str, name: str, complete: Any) -> None:
    command = VERBS[verb].load()
    (param,) = (one for one in command.params if one.name == name)
    assert isinstance(param, click.Parameter)
    assert param._custom_shell_complete is complete
