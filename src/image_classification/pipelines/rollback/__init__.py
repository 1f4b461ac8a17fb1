"""The pipeline `rollback`."""

from image_classification.pipelines.rollback.pipeline import create_pipeline

__all__ = ["create_pipeline"]
