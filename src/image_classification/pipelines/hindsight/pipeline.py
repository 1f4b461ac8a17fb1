"""Wiring of `hindsight`."""

from kedro.pipeline import Node, Pipeline

from image_classification.configuration.tag import HINDSIGHT
from image_classification.pipelines.hindsight.nodes import (
    choose_later_images,
    judge_past_decisions,
    score_past_versions,
)


def create_pipeline() -> Pipeline:
    """From the ledger and the index to what later images say of each decision.

    No node here makes anything that an intake, a training or a decision reads. So the pipeline may
    run beside them, and also on nights without training.
    """
    return Pipeline(
        [
            Node(
                choose_later_images,
                inputs=[
                    "ledger",
                    "registered_model",
                    "image_index",
                    "known_answers",
                    "params:hindsight",
                ],
                outputs=["hindsight_plan", "hindsight_images", "hindsight_scoring"],
                name="choose_later_images",
            ),
            Node(
                score_past_versions,
                inputs=[
                    "hindsight_plan",
                    "hindsight_scoring",
                    "registered_model",
                    "image_batches",
                    "known_answers",
                ],
                outputs=["hindsight_answers", "hindsight_faults"],
                name="score_past_versions",
            ),
            Node(
                judge_past_decisions,
                inputs=[
                    "hindsight_plan",
                    "hindsight_images",
                    "hindsight_answers",
                    "hindsight_faults",
                    "known_findings",
                    "params:hindsight",
                ],
                # The report first: a task that is killed between the two tells its news again.
                outputs=["hindsight_report", "hindsight_findings"],
                name="judge_past_decisions",
            ),
        ],
        tags=HINDSIGHT,
    )
