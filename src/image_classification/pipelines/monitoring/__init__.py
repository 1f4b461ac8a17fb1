"""The pipeline `monitoring`."""

from image_classification.pipelines.monitoring.pipeline import create_pipeline

__all__ = ["create_pipeline"]
