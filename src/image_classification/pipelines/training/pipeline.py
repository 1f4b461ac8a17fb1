"""Wiring of `training`."""

from kedro.pipeline import Node, Pipeline

from image_classification.configuration.tag import SELECTION, TRAINING
from image_classification.pipelines.training.nodes import (
    answer_golden_cells,
    evaluate_network,
    plot_confident_mistakes,
    plot_evaluation,
    plot_training_curves,
    sample_images,
    score_baseline,
    select_images,
    train_network,
)


def create_selection_pipeline() -> Pipeline:
    """From the index to the images that one run works on."""
    return Pipeline(
        [
            Node(
                select_images,
                inputs=[
                    "image_index",
                    "contract_report",
                    "params:positive_class",
                    "params:data_processing",
                ],
                outputs=["image_splits", "class_names", "data_summary"],
                name="select_images",
            ),
        ],
        tags=SELECTION,
    )


def create_pipeline() -> Pipeline:
    """From packed pixels to a network, its measures and its figures."""
    return Pipeline(
        [
            Node(
                sample_images,
                inputs=["image_batches", "image_splits", "class_names"],
                outputs="images",
                name="sample_images",
            ),
            Node(
                train_network,
                inputs=[
                    "packed_pixels",
                    "image_splits",
                    "class_names",
                    "params:image_size_px",
                    "params:training",
                ],
                outputs=[
                    "network",
                    "train_acc",
                    "train_loss",
                    "val_acc",
                    "val_loss",
                    "training_pace",
                    "training_history",
                    "training_setup",
                ],
                name="train_network",
            ),
            Node(
                answer_golden_cells,
                inputs=["network", "images", "class_names"],
                outputs="golden_cells",
                name="answer_golden_cells",
            ),
            Node(
                evaluate_network,
                inputs=[
                    "network",
                    "packed_pixels",
                    "image_splits",
                    "class_names",
                    "params:image_size_px",
                    "params:positive_class",
                ],
                outputs=[
                    "validation_predictions",
                    "test_predictions",
                    "validation_metrics",
                    "test_metrics",
                    "test_accuracy",
                    "evaluation_report",
                ],
                name="evaluate_network",
            ),
            Node(
                score_baseline,
                inputs=[
                    "packed_pixels",
                    "image_splits",
                    "class_names",
                    "params:image_size_px",
                    "params:training",
                ],
                outputs=["baseline_metrics", "baseline_report"],
                name="score_baseline",
            ),
            Node(
                plot_training_curves,
                inputs="training_history",
                outputs="training_evaluation_metrics",
                name="plot_training_curves",
            ),
            Node(
                plot_evaluation,
                inputs=[
                    "validation_predictions",
                    "test_predictions",
                    "class_names",
                    "params:positive_class",
                ],
                outputs=["cm_plot", "roc_plot", "reliability_plot"],
                name="plot_evaluation",
            ),
            Node(
                plot_confident_mistakes,
                inputs=["validation_predictions", "packed_pixels", "params:image_size_px"],
                outputs="mistakes_plot",
                name="plot_confident_mistakes",
            ),
        ],
        tags=TRAINING,
    )
