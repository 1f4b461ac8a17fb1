"""The pipeline `scoring`."""

from image_classification.pipelines.scoring.pipeline import create_pipeline

__all__ = ["create_pipeline"]
