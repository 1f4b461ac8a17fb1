"""The configuration is read once in a session, and nobody's change is another's."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import pytest
from kedro.config import OmegaConfigLoader

from image_classification.configuration.loader import ReadOnceConfigLoader


@pytest.fixture
def loader(tmp_path: Path) -> ReadOnceConfigLoader:
    (tmp_path / "base").mkdir()
    (tmp_path / "local").mkdir()
    (tmp_path / "base" / "globals.yml").write_text("size: 64\n")
    (tmp_path / "base" / "parameters.yml").write_text("image: {size_px: '${globals:size}'}\n")
    return ReadOnceConfigLoader(str(tmp_path), base_env="base", default_run_env="local")


def test_files_are_read_at_the_first_question_alone(loader: ReadOnceConfigLoader) -> None:
    first = loader["parameters"]
    with mock.patch.object(OmegaConfigLoader, "_read_raw_config", side_effect=AssertionError):
        assert loader["parameters"] == first == {"image": {"size_px": 64}}


def test_what_one_changes_the_next_does_not_see(loader: ReadOnceConfigLoader) -> None:
    loader["parameters"]["image"]["size_px"] = 0
    assert loader["parameters"]["image"]["size_px"] == 64


def test_a_value_that_is_set_holds(loader: ReadOnceConfigLoader) -> None:
    assert loader["parameters"]["image"]["size_px"] == 64
    loader["parameters"] = {"image": {"size_px": 32}}
    assert loader["parameters"]["image"]["size_px"] == 32
    del loader["parameters"]
    assert loader["parameters"]["image"]["size_px"] == 64
