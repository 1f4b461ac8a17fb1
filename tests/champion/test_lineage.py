"""Which data a version was made from: of this release and of those before it."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from registry_store import SUMMARY

from image_classification import tracking
from image_classification.champion import lineage, registry

FACTS = {
    "data_digest": "d1d1",
    "images": "800",
    "patients": "40",
    "captured_until": "2015-10-03",
    "index_until": "2026-11-22T02:00:00+00:00",
    "batches": "first, second",
    "train_digest": "t1",
    "validation_digest": "v1",
    "split_salt": "salt",
}


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], bytes]:
    """The files that MLflow runs keep, by run and path."""
    files: dict[tuple[str, str], bytes] = {}
    monkeypatch.setattr(tracking, "read_artifact", lambda *asked: files.get(asked))
    return files


def make_version(tags: dict[str, str], run_id: str | None = "r1") -> Any:
    return SimpleNamespace(version="7", tags=tags, run_id=run_id)


def test_a_new_version_has_few_tags_the_decision_first_and_its_run_tells_the_rest(
    kept: dict[tuple[str, str], bytes],
) -> None:
    tags = lineage.make_tags(SUMMARY)
    assert list(tags.items()) == [
        ("decision", "not judged yet"),
        ("decision_reason", "not judged yet"),
        ("images", "800"),
        ("images_digest", "d1d1"),
    ]
    kept["r1", "data/data_summary.json"] = json.dumps(SUMMARY).encode()
    assert lineage.read_facts(make_version(tags)) == FACTS


@pytest.mark.usefixtures("kept")
def test_a_version_of_an_earlier_release_tells_all_by_its_tags() -> None:
    tags = {**FACTS, "decision": "promoted"}
    assert lineage.read_facts(make_version(tags)) == tags


@pytest.mark.usefixtures("kept")
def test_a_version_that_somebody_else_registered_tells_nothing() -> None:
    assert lineage.read_facts(make_version({})) == {}


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"{",
        b"[]",
        b"{}",
        json.dumps(SUMMARY | {"splits": None}).encode(),
        json.dumps(SUMMARY | {"data_digest": "of other data"}).encode(),
    ],
)
@pytest.mark.parametrize("run_id", ["r1", None])
def test_where_the_summary_is_gone_or_of_other_data_the_digest_is_known_alone(
    kept: dict[tuple[str, str], bytes],
    content: bytes | None,
    run_id: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if content is not None:
        kept["r1", tracking.SUMMARY_ARTIFACT] = content
    found = lineage.read_facts(make_version({registry.DIGEST_TAG: "d1d1"}, run_id))
    assert found == {"data_digest": "d1d1"}
    assert "data/data_summary.json" in caplog.text
