"""The pipeline `promotion`."""

from image_classification.pipelines.promotion.pipeline import create_pipeline

__all__ = ["create_pipeline"]
