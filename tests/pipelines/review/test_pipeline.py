"""The review, put together: a person is asked between its two nodes."""

from __future__ import annotations

from image_classification.pipelines.review import create_pipeline


def test_an_answer_is_recorded_after_the_summary_that_the_person_saw() -> None:
    describe, record = create_pipeline().nodes
    assert (describe.name, record.name) == ("describe_batch", "record_review")
    assert "review_summary" in set(describe.outputs) & set(record.inputs)


def test_showing_a_batch_does_not_depend_on_the_answer() -> None:
    describe, record = create_pipeline().nodes
    assert "params:review" in record.inputs
    assert {name for name in describe.inputs if name.startswith("params:")} == {
        "params:review.batch",
        "params:review.about",
    }
