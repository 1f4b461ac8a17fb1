"""Wiring of `promotion`."""

from kedro.pipeline import Node, Pipeline

from image_classification.configuration.tag import DECIDES, PROMOTION
from image_classification.pipelines.promotion.nodes import (
    compare_models,
    score_challenger,
    score_champion,
)


def create_pipeline() -> Pipeline:
    """From challenger and champion to a comparison."""
    return Pipeline(
        [
            Node(
                score_challenger,
                inputs=["network", "class_names", "image_batches", "image_splits"],
                outputs="challenger_predictions",
                name="score_challenger",
            ),
            Node(
                score_champion,
                inputs=["open_champion", "class_names", "image_batches", "image_splits"],
                outputs=["champion_predictions", "champion_scoring"],
                name="score_champion",
            ),
            Node(
                compare_models,
                inputs=[
                    "challenger_predictions",
                    "champion_predictions",
                    "champion_scoring",
                    "class_names",
                    "params:positive_class",
                    "params:promotion",
                ],
                outputs=["comparison", "comparison_plot"],
                name="compare_models",
                tags=DECIDES,
            ),
        ],
        tags=PROMOTION,
    )
