"""A held batch is shown to a person, and the answer is kept with a name and a reason."""

from __future__ import annotations

from typing import Any

import pytest
from laboratory import Laboratory
from matplotlib.figure import Figure

from image_classification.errors import ConfigurationError, DataError
from image_classification.pipelines.review.nodes import describe_batch, record_review

ANSWER: Any = {"batch": "blank", "answer": "reject", "by": "Ada", "reason": "the lamp was off"}
REVIEW: Any = {**ANSWER, "about": "batch"}


def describe(
    laboratory: Laboratory, reviews: Any, batch: str, about: str = "batch"
) -> tuple[Figure, str]:
    """Show a batch, or its labels, to a person."""
    catalog = laboratory.catalog()
    known = [catalog.load(name) for name in ("label_corrections", "image_index", "image_batches")]
    return describe_batch(catalog.load("batch_screenings"), reviews, *known, batch, about)


def record(laboratory: Laboratory, review: Any, summary: str = "the summary") -> tuple[Any, Any]:
    """Record an answer."""
    catalog = laboratory.catalog()
    known = [catalog.load(name) for name in ("label_corrections", "image_index")]
    return record_review(catalog.load("batch_screenings"), *known, summary, review)


def test_a_person_sees_the_images_the_reasons_and_what_was_answered_before(
    second: Laboratory,
) -> None:
    earlier = {"one": {**ANSWER, "answer": "accept", "at": "2026-11-01"}}
    sheet, summary = describe(second, earlier, "blank")
    assert "**blank** is held: 10 images of 10 patients" in summary
    assert "- answered before: accept by Ada, 2026-11-01: the lamp was off" in summary
    assert "| Images that show nothing " in summary
    assert " | **100 %** " in summary
    assert "_share" not in summary
    assert len([axes for axes in sheet.axes if axes.images]) == 10
    assert "\nImages that show nothing: 100 % (usual none, limit 2.0 %)" in sheet.get_suptitle()


def test_answers_about_another_batch_are_not_shown(second: Laboratory) -> None:
    other = {"one": {**ANSWER, "batch": "another", "at": "2026-11-01"}}
    assert "answered before" not in describe(second, other, "blank")[1]


def test_a_batch_that_was_never_screened_is_refused_with_those_that_were(
    second: Laboratory,
) -> None:
    with pytest.raises(ConfigurationError, match=r"no batch 'blanc'.*Did you mean 'blank'"):
        describe(second, {}, "blanc")
    with pytest.raises(ConfigurationError, match=r"no batch 'blanc'.*Screened last: blank"):
        record(second, {**REVIEW, "batch": "blanc"})


def test_an_answer_is_recorded_under_its_moment_and_batch(second: Laboratory) -> None:
    reviews, corrections = record(second, REVIEW)
    assert corrections == {}
    ((name, made),) = reviews.items()
    assert made == {**ANSWER, "at": made["at"]}
    assert name.endswith("Z-blank")
    assert name[:10] == made["at"][:10]
    assert ":" not in name, "a file of this name is made, on Windows too"


def test_without_an_answer_nothing_is_recorded_and_the_summary_is_said(
    second: Laboratory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    assert record(second, {**REVIEW, "answer": ""}) == ({}, {})
    assert "No answer yet:\nthe summary" in caplog.text


@pytest.mark.parametrize(
    ("missing", "asked"), [("by", "review.by: who answers"), ("reason", "review.reason: why")]
)
def test_an_answer_without_a_name_or_a_reason_is_refused(
    second: Laboratory, missing: str, asked: str
) -> None:
    with pytest.raises(DataError, match=asked):
        record(second, {**REVIEW, missing: "  "})


def test_the_batch_of_the_laboratory_is_untouched_by_showing_it(second: Laboratory) -> None:
    before = {path for path in second.storage.rglob("*") if path.is_file()}
    describe(second, {}, "blank")
    assert {path for path in second.storage.rglob("*") if path.is_file()} == before
