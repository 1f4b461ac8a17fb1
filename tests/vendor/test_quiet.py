"""The libraries are told to be quiet, unless the user has said something else."""

from __future__ import annotations

import os

import pytest

from image_classification.vendor.quiet import QUIET, silence_libraries


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in QUIET:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    silence_libraries()
    assert os.environ.items() >= (QUIET | {"TF_CPP_MIN_LOG_LEVEL": "0"}).items()


def test_mlflow_reads_what_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import environment_variables

    for name in QUIET:
        if name.startswith("MLFLOW_") and name != "MLFLOW_DISABLE_TELEMETRY":
            monkeypatch.setenv(name, QUIET[name])
            assert getattr(environment_variables, name).get() is (QUIET[name] == "true")
