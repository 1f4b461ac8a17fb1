from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from kedro.io import DataCatalog, MemoryDataset

from image_classification import registry
from image_classification.orchestration.kedro_run import KedroRun

SUMMARY = {"data_digest": "tonight", "images": 800, "patients": 40}


def ask(
    monkeypatch: pytest.MonkeyPatch, tags: dict[str, str] | None, judges: bool
) -> tuple[bool, str]:
    latest = None if tags is None else SimpleNamespace(version="7", tags=tags)
    monkeypatch.setattr(registry, "find_latest_version", lambda _: latest)
    run = KedroRun(Path(), "retraining", "retraining", "manual__1", "http://airflow", {})
    run.__dict__["_catalog"] = DataCatalog({"data_summary": MemoryDataset(SUMMARY)})
    run.__dict__["_context"] = SimpleNamespace(params={"registered_model_name": "cells"})
    return run.check_new_images(judges)


def test_trains_when_no_model_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    train, reason = ask(monkeypatch, None, judges=True)
    assert train
    assert "No model is registered yet" in reason
    assert "800 images of 40 patients" in reason


def test_trains_on_other_images_than_the_newest_version_saw(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tags = {registry.DIGEST_TAG: "last week", registry.DECISION_TAG: "promoted"}
    assert ask(monkeypatch, tags, judges=True)[0]


def test_skips_when_the_newest_version_saw_these_images_and_was_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tags = {registry.DIGEST_TAG: "tonight", registry.DECISION_TAG: "kept champion"}
    train, reason = ask(monkeypatch, tags, judges=True)
    assert not train
    assert "version 7 was trained on these 800 images" in reason


def test_trains_again_when_the_night_of_the_newest_version_failed_before_it_was_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train, reason = ask(monkeypatch, {registry.DIGEST_TAG: "tonight"}, judges=True)
    assert train
    assert "version 7 was never judged" in reason


def test_skips_an_unjudged_version_where_nothing_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not ask(monkeypatch, {registry.DIGEST_TAG: "tonight"}, judges=False)[0]
