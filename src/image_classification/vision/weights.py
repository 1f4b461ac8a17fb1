"""Weights that a training starts from."""

from __future__ import annotations

from zipfile import BadZipFile

import keras

from image_classification.configuration.networks import check_weights
from image_classification.errors import ConfigurationError


def load_weights(network: keras.Model, path: str) -> None:
    """Give a network all its weights from a file.

    Args:
        network: of `build_network`.
        path: a network saved by Keras (`.keras`, as a run leaves it), or the weights of one alone
            (`.weights.h5`).

    Raises:
        ConfigurationError: there is no such file, Keras cannot read it, or the weights in it are
            those of another network, or of other classes.
    """
    check_weights(path)
    try:
        if path.endswith(".keras"):
            network.set_weights(keras.saving.load_model(path, compile=False).get_weights())
        else:
            network.load_weights(path)
    except (ValueError, TypeError, KeyError, OSError, BadZipFile) as error:
        said = " ".join(str(error).split())
        raise ConfigurationError(
            f"training.weights: the weights in '{path}' do not fit the {_describe(network)}. Name "
            "a file saved from the same network with as many classes, or '' to draw the weights "
            f"at random. Keras said: {said}"
        ) from error


def _describe(network: keras.Model) -> str:
    side, classes = network.input_shape[1], network.output_shape[-1]
    return f"{network.name} of {side} px and {classes} classes"
