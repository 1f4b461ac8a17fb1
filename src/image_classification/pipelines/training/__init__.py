"""The pipeline `training`."""

from image_classification.pipelines.training.pipeline import (
    create_pipeline,
    create_selection_pipeline,
)

__all__ = ["create_pipeline", "create_selection_pipeline"]
