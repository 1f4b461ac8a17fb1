"""Wiring of `inference`."""

from kedro.pipeline import Node, Pipeline

from image_classification.configuration.tag import INFERENCE
from image_classification.pipelines.inference.nodes import (
    list_images,
    report_scores,
    score_images,
)


def create_pipeline() -> Pipeline:
    """From a folder or list of images to a table of scores by the champion."""
    return Pipeline(
        [
            Node(
                list_images,
                inputs=["image_source", "params:inference.images"],
                outputs="image_list",
                name="list_images",
            ),
            Node(
                score_images,
                inputs=[
                    "image_list",
                    "image_source",
                    "champion",
                    "params:registered_model_name",
                    "params:inference.batch_size",
                ],
                outputs="scores",
                name="score_images",
            ),
            Node(
                report_scores,
                inputs="scores",
                outputs=["score_summary", "score_counts", "score_table"],
                name="report_scores",
            ),
        ],
        tags=INFERENCE,
    )
