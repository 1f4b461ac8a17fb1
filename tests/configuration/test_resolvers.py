"""What the YAML files may call."""

from __future__ import annotations

from pathlib import Path

import pytest
from shipped import read_shipped

from image_classification.configuration import resolvers
from image_classification.errors import ConfigurationError

PROJECT = Path(__file__).resolve().parents[2]


def test_storage_is_below_the_project_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IMAGE_CLASSIFICATION_STORAGE", raising=False)

    assert resolvers.locate_storage("data") == str(PROJECT / "data")


@pytest.mark.parametrize("root", ["/somewhere/else", "s3://bucket/cells"])
def test_storage_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, root: str) -> None:
    monkeypatch.setenv("IMAGE_CLASSIFICATION_STORAGE", root)

    assert resolvers.locate_storage("data") == root


def test_an_empty_variable_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_CLASSIFICATION_STORAGE", "")
    monkeypatch.setenv("SOME_NAME", "")

    assert resolvers.locate_storage("data") == str(PROJECT / "data")
    assert resolvers.read_environment("SOME_NAME", "default") == "default"


def test_a_variable_wins_over_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolvers.read_environment("SOME_NAME") is None
    monkeypatch.setenv("SOME_NAME", "value")
    assert resolvers.read_environment("SOME_NAME", "default") == "value"


def test_the_project_is_found_from_a_folder_outside_of_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolvers.find_project_path() == PROJECT


def test_a_form_shows_the_value_of_base() -> None:
    expected = read_shipped("training")["epochs"]
    assert resolvers.read_parameter("training.epochs") == expected
    assert resolvers.read_parameter("promotion.mode") == "auto"


def test_a_form_that_names_no_parameter_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"no parameter 'training\.epoch'"):
        resolvers.read_parameter("training.epoch")


@pytest.mark.parametrize("server", ["http://mlflow:5000", "https://mlflow.lab"])
def test_artifacts_lie_where_a_server_keeps_them(server: str) -> None:
    assert resolvers.locate_artifacts(server) is None


def test_without_a_server_artifacts_lie_beside_the_store_wherever_that_is_moved() -> None:
    assert resolvers.locate_artifacts("sqlite:////data/mlflow/mlflow.db") == "mlflow-artifacts:/"


def test_a_relative_place_lies_below_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_PLACE", "cells")
    assert resolvers.read_place("SOME_PLACE", "/default") == str(PROJECT / "cells")
    monkeypatch.setenv("SOME_PLACE", "")
    assert resolvers.read_place("SOME_PLACE", "/default") == "/default"


def test_a_relative_store_of_mlflow_lies_below_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    assert resolvers.read_tracking_uri("") == f"sqlite:///{PROJECT / 'mlflow.db'}"
