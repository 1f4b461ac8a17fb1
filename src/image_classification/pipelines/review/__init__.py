"""The pipeline `review`."""

from image_classification.pipelines.review.pipeline import create_pipeline

__all__ = ["create_pipeline"]
