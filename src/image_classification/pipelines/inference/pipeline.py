"""Wiring of `inference`."""

from kedro.pipeline import Node, Pipeline

from image_classification.pipelines.inference.nodes import classify_folder, classify_images


def create_pipeline() -> Pipeline:
    """From a folder of images to a table of predictions by the champion."""
    return Pipeline(
        [
            Node(
                classify_folder,
                inputs=["image_files", "champion", "params:inference.batch_size"],
                outputs="predictions",
                name="classify_folder",
            )
        ],
        tags="inference",
    )


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
