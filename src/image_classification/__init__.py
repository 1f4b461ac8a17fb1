"""Retrain an image classifier every night, and promote it only if it is better."""

__version__ = "0.1.0"
