"""The pipeline that travels inside the logged model, and what runs it there."""

from image_classification.pipelines.packaged.pipeline import create_packaged_pipeline
from image_classification.vendor.kedro_runner import SequentialRunner

__all__ = ["SequentialRunner", "create_packaged_pipeline"]
