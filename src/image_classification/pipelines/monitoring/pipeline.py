"""Wiring of `monitoring`."""

from kedro.pipeline import Node, Pipeline

from image_classification.configuration.tag import MONITORING, WATCHES
from image_classification.pipelines.monitoring.nodes import (
    plot_trend,
    score_newest_days,
    watch_champion,
)


def create_pipeline() -> Pipeline:
    """From the index and the champion to its measures on the newest days, night after night.

    No node here needs the images selected for training, or the contract. So the pipeline also runs
    on nights without training.
    """
    return Pipeline(
        [
            Node(
                score_newest_days,
                inputs=[
                    "open_champion",
                    "champion_images",
                    "image_index",
                    "image_batches",
                    "known_references",
                    "params:monitoring",
                ],
                outputs=["newest_predictions", "newest_days", "champion_references"],
                name="score_newest_days",
            ),
            Node(
                watch_champion,
                inputs=[
                    "newest_predictions",
                    "newest_days",
                    "known_trend",
                    "params:positive_class",
                    "params:monitoring",
                ],
                outputs=["champion_trend", "champion_watch", "champion_curves"],
                name="watch_champion",
                tags=WATCHES,
            ),
            Node(
                plot_trend,
                inputs="champion_trend",
                outputs="champion_trend_plot",
                name="plot_trend",
            ),
        ],
        tags=MONITORING,
    )
