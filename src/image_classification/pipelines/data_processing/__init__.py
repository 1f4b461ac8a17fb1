"""The pipeline `data_processing`."""

from image_classification.pipelines.data_processing.pipeline import create_pipeline

__all__ = ["create_pipeline"]
