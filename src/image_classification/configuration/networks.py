"""Which networks there are, and what each requires: read from their files, without TensorFlow."""

from __future__ import annotations

import ast
from pathlib import Path

from image_classification.errors import ConfigurationError, name_near_misses

FOLDER = Path(__file__).parents[1] / "vision" / "networks"
"""One file for each network, named after it."""

REQUIREMENT = "SMALLEST_IMAGE_PX"
"""The constant of such a file that says which images the network can read."""

WEIGHTS_ENDINGS = (".keras", ".weights.h5")
"""Of the files that Keras reads weights from."""


def list_networks(folder: Path = FOLDER) -> dict[str, int]:
    """Return the networks: name to the smallest side of the images it can read, in pixels.

    Raises:
        ConfigurationError: a file does not say what it requires.
    """
    files = sorted(folder.glob("*.py"))
    return {file.stem: _read_smallest(file) for file in files if file.stem != "__init__"}


def list_network_names() -> list[str]:
    """``${networks:}``: the names of the networks, for the trigger form."""
    return list(list_networks())


def check_network(name: str, image_size_px: int) -> None:
    """Check that a network exists, and that it can read images of a size.

    Raises:
        ConfigurationError: it does not, or it cannot.
    """
    check_network_name(name)
    smallest = list_networks()[name]
    if image_size_px < smallest:
        others = [other for other, side in list_networks().items() if side <= image_size_px]
        remedy = f", or train a network that reads them: {', '.join(others)}" if others else ""
        raise ConfigurationError(
            f"training.network: '{name}' reads images of {smallest} px and more. Received: "
            f"image_size_px {image_size_px}. Set image_size_px to {smallest} or more{remedy}."
        )


def check_network_name(name: str) -> None:
    """Check that a network exists.

    Raises:
        ConfigurationError: it does not.
    """
    known = list_networks()
    if name not in known:
        raise ConfigurationError(
            f"Network '{name}' is unknown: allowed are {', '.join(known)}."
            + name_near_misses(name, known)
        )


def check_weights(path: str) -> None:
    """Check that a file of weights is there, and of a kind that Keras reads.

    Args:
        path: of the file; "" for none, which is right.

    Raises:
        ConfigurationError: it is not.
    """
    if not path:
        return
    if not path.endswith(WEIGHTS_ENDINGS):
        raise ConfigurationError(
            f"training.weights: '{path}' is not a file that Keras reads weights from: its name "
            f"must end in {' or '.join(WEIGHTS_ENDINGS)}."
        )
    if not Path(path).is_file():
        raise ConfigurationError(
            f"training.weights: there is no file '{Path(path).absolute()}'. Nothing is downloaded: "
            "put the file there, or set '' to draw the weights at random."
        )


def _read_smallest(file: Path) -> int:
    for statement in ast.parse(file.read_text(encoding="utf-8")).body:
        match statement:
            case ast.Assign(
                targets=[ast.Name(id=name)], value=ast.Constant(value=int(smallest))
            ) if name == REQUIREMENT:
                return smallest
    raise ConfigurationError(
        f"vision/networks/{file.name} does not say which images it can read: give it a line such "
        f"as '{REQUIREMENT} = 16', in pixels."
    )
