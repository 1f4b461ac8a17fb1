"""Weights from a file: all of them, or a clear error."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from image_classification import vision
from image_classification.errors import ConfigurationError

ENDINGS = ("keras", "weights.h5")


def build(
    name: str = "small", side_px: int = 16, classes: int = 2, weights: str = ""
) -> keras.Model:
    return vision.build_network(name, side_px, classes, 0.1, weights)


@pytest.fixture(scope="module")
def trained() -> keras.Model:
    network = build()
    # The running means, too, are no longer what a new network begins with.
    random = np.random.default_rng(0)
    network.set_weights([random.random(part.shape) + 0.5 for part in network.get_weights()])
    return network


@pytest.fixture(scope="module")
def files(trained: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    trained.save(folder / "start.keras")
    trained.save_weights(folder / "start.weights.h5")
    return folder


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_network_starts_with_all_weights_of_the_file(
    trained: keras.Model, files: Path, ending: str
) -> None:
    network = build(weights=str(files / f"start.{ending}"))

    for one, other in zip(network.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("ending", ENDINGS)
def test_images_of_another_size_need_no_other_weights(files: Path, ending: str) -> None:
    build(side_px=32, weights=str(files / f"start.{ending}"))


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(("name", "classes"), [("small", 3), ("residual", 2)])
def test_weights_of_another_network_are_refused(
    files: Path, ending: str, name: str, classes: int
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        build(name, 32, classes, str(files / f"start.{ending}"))

    assert str(refused.value).startswith(
        f"training.weights: the weights in '{files / f'start.{ending}'}' do not fit the "
        f"{name}_network of 32 px and {classes} classes. Name a file saved from the same network"
    )


@pytest.mark.parametrize("ending", ENDINGS)
def test_weights_of_a_larger_network_of_the_same_kind_are_refused(
    tmp_path: Path, ending: str
) -> None:
    large = build("large")
    large.save(tmp_path / "start.keras")
    large.save_weights(tmp_path / "start.weights.h5")

    with pytest.raises(ConfigurationError, match="do not fit the small_network of 16 px"):
        build("small", weights=str(tmp_path / f"start.{ending}"))


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_that_is_no_weights_is_refused(tmp_path: Path, ending: str) -> None:
    (tmp_path / f"start.{ending}").write_text("no weights")

    with pytest.raises(ConfigurationError, match=r"training\.weights: .*Keras said: .+"):
        build(weights=str(tmp_path / f"start.{ending}"))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no file"):
        build(weights=str(tmp_path / "gone.keras"))
