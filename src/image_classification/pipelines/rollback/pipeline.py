"""Wiring of `rollback`."""

from kedro.pipeline import Node, Pipeline

from image_classification.configuration.tag import ROLLBACK, ROLLS_BACK
from image_classification.pipelines.rollback.nodes import plan_rollback


def create_pipeline() -> Pipeline:
    """From the request to a plan. After the nodes the champion moves, is verified and recorded."""
    return Pipeline(
        [
            Node(
                plan_rollback,
                inputs=[
                    "ledger",
                    "registered_versions",
                    "params:registered_model_name",
                    "params:rollback",
                ],
                outputs="rollback_plan",
                name="plan_rollback",
                tags=ROLLS_BACK,
            )
        ],
        tags=ROLLBACK,
    )
