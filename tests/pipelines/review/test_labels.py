"""A person is asked about labels: shown both, and the answer holds from the next intake on."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from laboratory import Laboratory
from samples import CELLS, NEGATIVE, POSITIVE, name_cell

from image_classification.pipelines.review.labels import summarise_proposals
from image_classification.text import escape_markdown

PATHS = [f"{POSITIVE}/{name_cell(number)}" for number in (0, 2)]


def labels_of(laboratory: Laboratory) -> list[str]:
    index = laboratory.index()
    return [index.loc[f"first/{path}", "label"] for path in PATHS]


def read_records(laboratory: Laboratory) -> list[dict[str, Any]]:
    return list(laboratory.catalog().load("label_corrections").values())


@pytest.fixture(scope="module")
def _corrected(first: Laboratory, tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    laboratory = first.copy(tmp_path_factory.mktemp("corrected"))
    other = {f"{NEGATIVE}/{path.rpartition('/')[2]}": CELLS[path] for path in PATHS}
    laboratory.deliver("other", other)
    laboratory.take_in()
    return laboratory


@pytest.fixture
def corrected(_corrected: Laboratory, tmp_path: Any) -> Laboratory:
    """A batch has another label for two images that are known."""
    return _corrected.copy(tmp_path)


def test_both_labels_are_shown_before_anything_changes(corrected: Laboratory) -> None:
    corrected.answer("other", "", about="labels")
    catalog = corrected.catalog()
    summary = catalog.load("review_summary")
    assert "**other** has another label for 2 images that are known" in summary
    assert f"- 2 images: {POSITIVE} → {NEGATIVE}" in summary
    for path in PATHS:
        assert f"| first/{path} | {POSITIVE} | {NEGATIVE} | other/{NEGATIVE}/" in summary
    sheet = corrected.storage / "runs" / "local" / "contact_sheet.png"
    assert sheet.read_bytes().startswith(b"\x89PNG")
    assert read_records(corrected) == []
    assert labels_of(corrected) == [POSITIVE, POSITIVE]


def test_an_accepted_label_holds_from_the_next_intake_on(corrected: Laboratory) -> None:
    corrected.answer("other", "accept", reason="seen anew", about="labels")
    assert labels_of(corrected) == [POSITIVE, POSITIVE]
    corrected.take_in()
    assert labels_of(corrected) == [NEGATIVE, NEGATIVE]
    (record,) = read_records(corrected)
    assert (record["by"], record["reason"], record["how"]) == ("Ada", "seen anew", "review")
    assert {(change["before"], change["after"]) for change in record["labels"]} == {
        (POSITIVE, NEGATIVE)
    }
    assert corrected.catalog().load("batch_reviews") == {}
    before = corrected.snapshot()
    corrected.take_in()
    assert corrected.snapshot() == before


def test_a_rejected_label_leaves_the_images_as_they_were_and_is_not_asked_again(
    corrected: Laboratory, caplog: pytest.LogCaptureFixture
) -> None:
    corrected.answer("other", "reject", about="labels")
    corrected.take_in()
    assert labels_of(corrected) == [POSITIVE, POSITIVE]
    (record,) = read_records(corrected)
    assert {(change["before"], change["after"]) for change in record["labels"]} == {
        (POSITIVE, POSITIVE)
    }
    corrected.answer("other", "accept", about="labels")
    assert len(read_records(corrected)) == 1
    assert "No label of batch 'other' is to be answered any more" in caplog.text
    assert "corrects no label" in corrected.catalog().load("review_summary")


def test_an_answer_is_given_once_also_before_the_intake_has_carried_it_out(
    corrected: Laboratory,
) -> None:
    corrected.answer("other", "accept", about="labels")
    corrected.answer("other", "reject", about="labels")
    assert len(read_records(corrected)) == 1


def test_the_labels_of_a_batch_that_is_rejected_later_are_taken_back(
    corrected: Laboratory,
) -> None:
    corrected.answer("other", "accept", about="labels")
    corrected.take_in()
    corrected.answer("other", "reject", reason="wrong slide")
    corrected.take_in()
    assert labels_of(corrected) == [POSITIVE, POSITIVE]
    assert [record["how"] for record in read_records(corrected)] == ["review", "withdrawal"]


def test_names_are_shown_as_text_whatever_they_hold() -> None:
    name = "a/[x](http://y)|`z`\x1b.png"
    proposals = pd.DataFrame(
        {"image_id": ["1"], "path": [name], "before": [""], "label": ["<b>"], "batch": ["a"]}
    )
    log = pd.DataFrame(
        {
            "image_id": ["1"],
            "path": [name],
            "label": ["P"],
            "status": ["conflict"],
            "first_seen": [""],
            "split": ["train"],
        }
    )
    said = summarise_proposals("a", proposals, log)
    shown = escape_markdown(name).replace("|", "\\|")
    assert f"| {shown} | none (in conflict) | \\<b> | {shown} | train |" in said
    assert "none (in conflict) → \\<b>" in said
    assert "](" not in said.replace("\\](", "")


def test_a_long_list_is_cut() -> None:
    ids = [str(number) for number in range(60)]
    log = pd.DataFrame({"image_id": ids, "path": ids, "label": "P", "status": "accepted"})
    log = log.assign(first_seen="", split="train")
    proposals = pd.DataFrame({"image_id": ids, "path": ids, "before": "P", "label": "U"})
    said = summarise_proposals("a", proposals.assign(batch="a"), log)
    assert said.endswith("… and 10 more.")
    assert "for 60 images" in said
