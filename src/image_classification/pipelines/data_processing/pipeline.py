"""Wiring of `data_processing`."""

from kedro.pipeline import Node, Pipeline

from image_classification.pipelines.data_processing.nodes import (
    assign_splits,
    index_images,
    pack_images,
)


def create_pipeline() -> Pipeline:
    """From a folder of images to an index, splits by patient, and packed pixels."""
    return Pipeline(
        [
            Node(
                index_images,
                inputs=["raw_images", "known_inspections", "params:data_processing"],
                outputs=["image_inspections", "image_index", "quarantined_images"],
                name="index_images",
            ),
            Node(
                assign_splits,
                inputs=["image_index", "params:positive_class", "params:data_processing"],
                outputs=["image_splits", "class_names", "data_summary"],
                name="assign_splits",
            ),
            Node(
                pack_images,
                inputs=["raw_images", "image_splits", "known_pixels", "params:image_size_px"],
                outputs="packed_pixels",
                name="pack_images",
            ),
        ],
        tags="data_processing",
    )
