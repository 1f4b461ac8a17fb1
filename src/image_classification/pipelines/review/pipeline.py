"""Wiring of `review`."""

from kedro.pipeline import Node, Pipeline

from image_classification.configuration.tag import REVIEW
from image_classification.pipelines.review.nodes import describe_batch, record_review


def create_pipeline() -> Pipeline:
    """From a batch, or its labels, to a person's answer. Airflow asks between the two nodes."""
    return Pipeline(
        [
            Node(
                describe_batch,
                inputs=[
                    "batch_screenings",
                    "batch_reviews",
                    "label_corrections",
                    "image_index",
                    "image_batches",
                    "params:review.batch",
                    "params:review.about",
                ],
                outputs=["review_sheet", "review_summary"],
                name="describe_batch",
            ),
            Node(
                record_review,
                inputs=[
                    "batch_screenings",
                    "label_corrections",
                    "image_index",
                    "review_summary",
                    "params:review",
                ],
                outputs=["recorded_reviews", "recorded_corrections"],
                name="record_review",
            ),
        ],
        tags=REVIEW,
    )
