"""How the nodes of `data_processing` are wired."""

from kedro.pipeline import Node, Pipeline

from image_classification.configuration.tag import PROCESSING, SCREENS
from image_classification.pipelines.data_processing.nodes import (
    check_contract,
    collect_batches,
    index_images,
    inspect_images,
    pack_images,
    screen_batches,
)


def create_pipeline() -> Pipeline:
    """From batches that arrive to an index with splits, and packed pixels."""
    return Pipeline(
        [
            Node(
                collect_batches,
                inputs=["incoming_batches", "params:data_processing"],
                outputs="collected_batches",
                name="collect_batches",
            ),
            Node(
                inspect_images,
                inputs=[
                    "collected_batches",
                    "known_inspections",
                    "params:image_size_px",
                    "forgotten_patients",
                    "params:data_processing",
                ],
                outputs=["inspected_pixels", "image_inspections"],
                name="inspect_images",
            ),
            Node(
                screen_batches,
                inputs=[
                    "image_inspections",
                    "known_screenings",
                    "batch_reviews",
                    "known_images",
                    "image_batches",
                    "inspected_pixels",
                    "open_champion",
                    "params:data_processing",
                ],
                outputs=["intake_report", "batch_screenings"],
                name="screen_batches",
                tags=SCREENS,
            ),
            Node(
                index_images,
                inputs=[
                    "image_inspections",
                    "batch_screenings",
                    "batch_reviews",
                    "label_corrections",
                    "known_index",
                    "params:data_processing",
                ],
                outputs=[
                    "quarantined_images",
                    "intake_counts",
                    "delivered_corrections",
                    "image_index",
                ],
                name="index_images",
                tags=SCREENS,
            ),
            Node(
                pack_images,
                inputs=["image_batches", "image_index", "known_pixels", "params:image_size_px"],
                outputs="packed_pixels",
                name="pack_images",
            ),
            Node(
                check_contract,
                inputs=["image_index", "intake_report", "params:data_processing"],
                outputs="contract_report",
                name="check_contract",
            ),
        ],
        tags=PROCESSING,
    )
