"""The pipeline that travels inside the logged model."""

from image_classification.pipelines.inference.pipeline import create_packaged_pipeline

__all__ = ["create_packaged_pipeline"]
