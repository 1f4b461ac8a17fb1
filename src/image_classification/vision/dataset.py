"""The trained network in the catalog.

Not among `datasets`: it travels inside the packaged model, and what those import does not.
"""

from __future__ import annotations

import keras
from kedro_datasets.tensorflow import TensorFlowModelDataset

from image_classification.vision.scoring import share_network


class NetworkDataset(TensorFlowModelDataset):
    """A Keras model in a file, loaded to be scored with: its optimizer is left out."""

    DEFAULT_LOAD_ARGS = TensorFlowModelDataset.DEFAULT_LOAD_ARGS | {"compile": False}

    def load(self) -> keras.Model:
        """Load the network; a deep copy of it is itself."""
        return share_network(super().load())
