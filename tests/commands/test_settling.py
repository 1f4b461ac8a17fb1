"""Whoever looks ends what a run has left half done, and is told."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest

from image_classification.commands import settling
from image_classification.errors import RegistryError


def test_what_was_done_is_told_beside_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    settling.look(mock.Mock(look=lambda: ["The move is done.", "Another is under way."]))
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines() == ["The move is done.", "Another is under way."]


def test_a_registry_that_does_not_answer_stops_no_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    settling.look(mock.Mock(look=mock.Mock(side_effect=RegistryError("MLflow is away"))))
    assert capsys.readouterr().err == (
        "What a run has left half done stays so: MLflow is away\n"
    )  # fmt: skip


def test_it_looks_in_the_name_of_who_asks_over_the_ledger_of_the_project(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[Any] = []
    monkeypatch.setattr(settling, "Release", lambda *arguments: given.extend(arguments))
    monkeypatch.setattr(settling, "open_dataset", lambda _, name: f"dataset {name}")
    monkeypatch.setattr(settling, "name_user", lambda: "ada")
    params = {"registered_model_name": "cells", "promotion": {"mode": "auto"}}
    settling.open_release(mock.Mock(params=params))
    name, entries, policy, run = given
    assert (name, entries, policy) == ("cells", "dataset ledger", {"mode": "auto"})
    assert run.identity == "ada"
