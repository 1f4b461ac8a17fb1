"""Batches join the index one after the other, and what became of their images is counted."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pandas as pd
import pytest

from image_classification.intake import index
from image_classification.pipelines.data_processing.joining import (
    COLUMNS,
    count_statuses,
    join_batches,
)

NOW = "2026-11-27T10:00:00+00:00"
NO_LOG = pd.DataFrame(columns=COLUMNS, dtype=str)
UNREVIEWED = {"reviewed_by": "", "review_reason": "", "reviewed_at": ""}


def inspect(batch: str, *files: tuple[str, str], refusal: str = "") -> pd.DataFrame:
    """Return the inspections of a batch: a content and a label for each file."""
    return pd.DataFrame(
        {
            "path": [f"{batch}/{label}/{content}.png" for content, label in files],
            "label": [label for _, label in files],
            "image_id": [content for content, _ in files],
            "patient": [f"C{content}" for content, _ in files],
            "batch": batch,
            "first_seen": NOW,
            "refusal": refusal,
        }
    )


def join(
    *inspected: pd.DataFrame, log: pd.DataFrame = NO_LOG, **statuses: str
) -> tuple[Mapping[str, pd.DataFrame], pd.DataFrame, pd.DataFrame]:
    """Let batches join, accepted where nothing else is said; return what each file became."""
    batches = {str(files["batch"].iloc[0]): files for files in inspected}
    said = {
        batch: {"status": statuses.get(batch, index.ACCEPTED), **UNREVIEWED} for batch in batches
    }
    splits = {patient: "train" for files in inspected for patient in files["patient"]}
    quarantine, joined, rows = join_batches(log, batches, said, splits, NOW)
    return quarantine, joined, index.join_rows(rows)


def statuses_of(rows: pd.DataFrame) -> dict[str, str]:
    return dict(zip(rows["path"], rows["status"], strict=True))


def test_an_accepted_batch_adds_its_images_with_split_and_time() -> None:
    _, log, rows = join(inspect("a", ("1", "ring"), ("2", "healthy")))
    assert statuses_of(rows) == {"a/ring/1.png": "accepted", "a/healthy/2.png": "accepted"}
    assert set(rows["split"]) == {"train"}
    assert set(rows["recorded_at"]) == {NOW}
    assert log["path"].tolist() == rows["path"].tolist()


@pytest.mark.parametrize("status", [index.HELD, index.REJECTED])
def test_a_batch_that_is_not_accepted_keeps_its_status_and_proposes_nothing(status: str) -> None:
    _, _, rows = join(inspect("a", ("1", "ring")), inspect("b", ("1", "healthy")), b=status)
    assert statuses_of(rows) == {"a/ring/1.png": "accepted", "b/healthy/1.png": status}


def test_the_first_label_holds_and_another_one_is_a_proposal_that_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        _, _, rows = join(inspect("a", ("1", "ring")), inspect("b", ("1", "healthy")))
    assert statuses_of(rows) == {"a/ring/1.png": "accepted", "b/healthy/1.png": "proposed"}
    assert "Batch 'b' has another label for 1 images" in caplog.text
    assert "image-classification review b --labels" in caplog.text


def test_what_joined_in_an_earlier_night_counts_as_known() -> None:
    _, log, _ = join(inspect("a", ("1", "ring")))
    _, joined, rows = join(inspect("b", ("1", "healthy")), log=log)
    assert statuses_of(rows) == {"b/healthy/1.png": "proposed"}
    assert joined["path"].tolist() == ["a/ring/1.png", "b/healthy/1.png"]


def test_a_batch_whose_answer_changed_is_not_compared_with_itself() -> None:
    _, log, _ = join(inspect("a", ("1", "ring")), a=index.HELD)
    _, _, rows = join(inspect("a", ("1", "ring")), log=log)
    assert statuses_of(rows) == {"a/ring/1.png": "accepted"}


def test_files_that_cannot_be_used_are_in_quarantine_with_the_reason() -> None:
    for status in (index.ACCEPTED, index.HELD):
        broken = inspect("a", ("1", "ring"), refusal="it is empty")
        quarantine, _, rows = join(broken, a=status)
        assert quarantine["a"]["reason"].tolist() == ["it is empty"]
        assert rows.empty


def test_each_image_is_counted_once_by_what_became_of_it() -> None:
    quarantine, _, rows = join(
        inspect("a", ("1", "ring"), ("2", "ring")),
        inspect("b", ("1", "healthy")),
        inspect("c", ("3", "ring")),
        c=index.HELD,
    )
    stated = pd.DataFrame({"label": ["ring", "healthy"], "before": ["healthy", "healthy"]})
    counts: dict[str, Any] = count_statuses(rows, stated, quarantine, 4)
    files = sum(map(len, quarantine.values()))
    assert counts == {
        "accepted": 2,
        "held": 1,
        "rejected": 0,
        "quarantined_files": files,
        "left_out": 4,
        "proposed": 1,
        "corrected": 1,
        "batches": ["a", "b", "c"],
    }
