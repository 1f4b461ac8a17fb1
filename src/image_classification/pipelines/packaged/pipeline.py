"""Wiring of the pipeline that is packaged with the model."""

from kedro.pipeline import Node, Pipeline

from image_classification.pipelines.packaged.nodes import classify_images


def create_packaged_pipeline() -> Pipeline:
    """From a table of encoded images to a table of predictions: what the logged model runs."""
    return Pipeline(
        [
            Node(
                classify_images,
                inputs=["images", "network", "class_names", "params:inference.batch_size"],
                outputs="predictions",
                name="classify_images",
            )
        ]
    )
