"""The training, put together: what it may see, and in which order."""

from __future__ import annotations

from image_classification.pipelines.training import create_pipeline, create_selection_pipeline


def test_images_are_selected_after_the_contract_was_checked() -> None:
    assert {"image_index", "contract_report"} <= create_selection_pipeline().inputs()


def test_a_network_is_trained_without_a_look_at_the_champion_or_at_earlier_predictions() -> None:
    whole = create_pipeline()
    before = whole.to_nodes("train_network").inputs()
    assert {name for name in before if not name.startswith("params:")} == {
        "packed_pixels",
        "image_splits",
        "class_names",
    }
    assert not {name for name in whole.inputs() if "champion" in name}


def test_one_node_makes_the_network_and_every_other_only_reads_it() -> None:
    makers = [node.name for node in create_pipeline().nodes if "network" in node.outputs]
    assert makers == ["train_network"]


def test_figures_are_drawn_from_what_is_kept_not_from_the_network() -> None:
    drawn = [node for node in create_pipeline().nodes if node.name.startswith("plot_")]
    assert len(drawn) == 3
    assert not [node.name for node in drawn if "network" in node.inputs]
