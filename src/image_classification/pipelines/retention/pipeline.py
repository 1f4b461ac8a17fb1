"""Wiring of `retention`."""

from kedro.pipeline import Node, Pipeline

from image_classification.configuration.tag import RETENTION
from image_classification.pipelines.retention.nodes import let_go, plan_retention


def create_pipeline() -> Pipeline:
    """From what the storage and MLflow hold to what is let go: nothing, where it is a dry run."""
    return Pipeline(
        [
            Node(
                plan_retention,
                inputs=[
                    "holdings",
                    "ledger",
                    "params:image_size_px",
                    "params:hindsight",
                    "params:retention",
                ],
                outputs="retention_plan",
                name="plan_retention",
            ),
            Node(
                let_go,
                inputs=["retention_plan", "params:retention"],
                outputs="old_holdings",
                name="let_go",
            ),
        ],
        tags=RETENTION,
    )
