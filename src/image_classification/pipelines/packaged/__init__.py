"""The pipeline that is packaged with the logged model, and the runner that runs it there."""

from image_classification.pipelines.packaged.pipeline import create_packaged_pipeline
from image_classification.vendor.kedro_runner import SequentialRunner

__all__ = ["SequentialRunner", "create_packaged_pipeline"]
