"""The pipeline `retention`."""

from image_classification.pipelines.retention.pipeline import create_pipeline

__all__ = ["create_pipeline"]
