"""The pipeline `inference`."""

from image_classification.pipelines.inference.pipeline import create_pipeline

__all__ = ["create_pipeline"]
