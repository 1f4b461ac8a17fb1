"""The upkeep, put together: a plan, and what it lets go."""

from __future__ import annotations

from image_classification.pipelines.retention import create_pipeline


def test_it_removes_by_what_it_saves_and_writes_nothing_else() -> None:
    whole = create_pipeline()
    assert whole.all_outputs() == {"retention_plan", "old_holdings"}
    assert {"holdings", "ledger", "params:retention"} <= whole.inputs()


def test_the_plan_is_kept_before_anything_goes() -> None:
    plan, removal = create_pipeline().nodes
    assert plan.outputs == ["retention_plan"]
    assert removal.inputs == ["retention_plan", "params:retention"]
