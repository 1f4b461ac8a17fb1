"""The rollback, put together: the nodes plan, and move nothing."""

from __future__ import annotations

from image_classification.configuration.tag import ROLLS_BACK
from image_classification.pipelines.rollback import create_pipeline


def test_it_makes_a_plan_out_of_the_ledger_and_the_registry_and_writes_neither() -> None:
    whole = create_pipeline()
    assert {"ledger", "registered_versions"} <= whole.inputs()
    assert whole.all_outputs() == {"rollback_plan"}


def test_what_carries_the_plan_out_is_told_by_the_tag() -> None:
    (plan,) = create_pipeline().only_nodes_with_tags(ROLLS_BACK).nodes
    assert plan.outputs == ["rollback_plan"]
