"""The wiring of the pipeline that is packaged with the model."""

from kedro.pipeline import Node, Pipeline

from image_classification.pipelines.packaged.nodes import classify_images


def create_packaged_pipeline() -> Pipeline:
    """From encoded images to a table of predictions. The logged model runs this pipeline."""
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
