"""The pipeline `hindsight`."""

from image_classification.pipelines.hindsight.pipeline import create_pipeline

__all__ = ["create_pipeline"]
