"""Which networks there are: read from their files, and never by running them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from image_classification.configuration.loader import LOADER_ARGUMENTS, ReadOnceConfigLoader
from image_classification.configuration.networks import (
    check_network,
    check_weights,
    list_networks,
)
from image_classification.errors import ConfigurationError

PROJECT = Path(__file__).resolve().parents[2]
ASKED = "import sys; from image_classification.configuration.networks import list_networks"


def test_each_file_is_a_network_and_says_what_it_can_read() -> None:
    known = {"large": 16, "medium": 16, "mobilenet": 32, "residual": 16, "small": 16}
    assert list_networks().items() >= known.items()
    assert list(list_networks()) == sorted(list_networks())


def test_the_names_are_read_without_tensorflow() -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"{ASKED}; list_networks(); print('tensorflow' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"


def test_a_new_file_is_a_new_network(tmp_path: Path) -> None:
    (tmp_path / "__init__.py").write_text("import nothing_of_this_name\n")
    (tmp_path / "wide.py").write_text("import nothing_of_this_name\n\nSMALLEST_IMAGE_PX = 24\n")
    (tmp_path / "notes.txt").touch()

    assert list_networks(tmp_path) == {"wide": 24}


@pytest.mark.parametrize("content", ["", "SMALLEST_IMAGE_PX = 'x'\n", "SMALLEST_PX = 16\n"])
def test_a_file_that_does_not_say_what_it_can_read_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "wide.py").write_text(content)

    with pytest.raises(ConfigurationError, match=r"wide\.py does not say.*SMALLEST_IMAGE_PX = 16"):
        list_networks(tmp_path)


def test_the_trigger_form_offers_each_network() -> None:
    loader = ReadOnceConfigLoader(str(PROJECT / "conf"), env="local", **LOADER_ARGUMENTS)

    assert loader["airflow"]["retraining"]["params"]["network"]["enum"] == list(list_networks())


def test_images_that_are_too_small_are_refused_with_what_reads_them() -> None:
    check_network("mobilenet", 32)

    with pytest.raises(ConfigurationError) as refused:
        check_network("mobilenet", 31)

    said, _, others = str(refused.value).partition(", or train a network that reads them: ")
    assert said == (
        "training.network: 'mobilenet' reads images of 32 px and more. Received: image_size_px 31. "
        "Set image_size_px to 32 or more"
    )
    assert set(others.rstrip(".").split(", ")) >= {"large", "medium", "residual", "small"}
    assert "mobilenet" not in others


def test_a_size_that_no_network_reads_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"Set image_size_px to 16 or more\.$"):
        check_network("small", 15)


def test_an_unknown_network_is_refused_with_the_name_it_resembles() -> None:
    with pytest.raises(
        ConfigurationError, match=r"'smal' is unknown: allowed are .*small.*Did you mean 'small'"
    ):
        check_network("smal", 64)


@pytest.mark.parametrize("name", ["start.keras", "start.weights.h5"])
def test_weights_are_read_from_a_file_that_is_there(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with pytest.raises(ConfigurationError, match=f"there is no file '{path}'. Nothing is downl"):
        check_weights(str(path))
    path.mkdir()
    with pytest.raises(ConfigurationError, match="there is no file"):
        check_weights(str(path))

    path.rmdir()
    path.touch()
    check_weights(str(path))
    check_weights("")


def test_weights_of_another_kind_are_refused(tmp_path: Path) -> None:
    (tmp_path / "start.h5").touch()

    with pytest.raises(ConfigurationError, match=r"must end in \.keras or \.weights\.h5"):
        check_weights(str(tmp_path / "start.h5"))
