"""Wiring of `review`."""

from kedro.pipeline import Node, Pipeline

from image_classification.configuration.tag import REVIEW
from image_classification.pipelines.review.nodes import describe_batch, record_review


def create_pipeline() -> Pipeline:
    """From a held batch to a person's answer. Airflow asks the person between the two nodes."""
    return Pipeline(
        [
            Node(
                describe_batch,
                inputs=[
                    "batch_screenings",
                    "batch_reviews",
                    "image_batches",
                    "params:review.batch",
                ],
                outputs=["review_sheet", "review_summary"],
                name="describe_batch",
            ),
            Node(
                record_review,
                inputs=["batch_screenings", "review_summary", "params:review"],
                outputs="recorded_reviews",
                name="record_review",
            ),
        ],
        tags=REVIEW,
    )
