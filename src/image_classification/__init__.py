"""Retrain an image classifier every night, and promote it only if it is better."""

from image_classification.machine.environment import settle_keras

__version__ = "0.1.0"

# Before anybody imports Keras; a packaged model brings this package along, and so this line.
settle_keras()
