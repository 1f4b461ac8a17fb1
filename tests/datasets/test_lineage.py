"""The images of a run, and those that a model version was made from."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from image_classification import tracking
from image_classification.champion import registry
from image_classification.datasets import (
    RegisteredImages,
    RegisteredImagesDataset,
    RunImagesDataset,
    lineage,
)
from image_classification.errors import RegistryError

IMAGES = pd.DataFrame({"image_id": ["1", "2"], "split": ["train", "test"]})


def test_the_images_of_a_run_are_kept_and_named_in_it(
    root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    named: list[pd.DataFrame] = []
    monkeypatch.setattr(tracking, "log_images", named.append)
    dataset = RunImagesDataset(filepath=f"{root}/run/images.parquet")
    dataset.save(IMAGES.set_axis(["a", "b"]))
    pd.testing.assert_frame_equal(dataset.load(), IMAGES)
    pd.testing.assert_frame_equal(named[0], IMAGES.set_axis(["a", "b"]))


def test_the_table_is_whole_before_the_run_names_it(
    root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = RunImagesDataset(filepath=f"{root}/run/images.parquet")

    def fail(_: pd.DataFrame) -> None:
        assert len(dataset.load()) == 2
        raise ValueError("no server")

    monkeypatch.setattr(tracking, "log_images", fail)
    with pytest.raises(Exception, match="no server"):
        dataset.save(IMAGES)


@pytest.fixture
def version(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Let `champion` of `cells` be version 10, made from `IMAGES`."""
    version = SimpleNamespace(version=10, tags={"validation_accuracy": "0.95"}, run_id="abc")

    def find_version(model_name: str, alias: str) -> SimpleNamespace | None:
        return version if (model_name, alias) == ("cells", "champion") else None

    def read_images(model_name: str, number: str) -> pd.DataFrame:
        assert (model_name, number) == ("cells", "10")
        return IMAGES

    monkeypatch.setattr(registry, "find_version", find_version)
    monkeypatch.setattr(registry, "read_images", read_images)
    return version


class TestRegisteredImages:
    def test_they_are_those_of_the_version_an_alias_points_to(
        self, version: SimpleNamespace
    ) -> None:
        dataset = RegisteredImagesDataset(model_name="cells", alias="champion")
        found: Any = dataset.load()
        assert dataset.exists()
        assert found.version == "10"
        assert found.images is IMAGES
        assert found.tags == version.tags
        assert found.validation_accuracy == 0.95
        assert found.run_id == "abc"

    def test_there_are_none_where_the_alias_points_to_none(self, version: SimpleNamespace) -> None:
        dataset = RegisteredImagesDataset(model_name="cells", alias="challenger")
        assert dataset.load() is None
        assert not dataset.exists()

    def test_a_run_that_keeps_no_table_is_no_error(
        self,
        version: SimpleNamespace,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        def fail(*_: str) -> None:
            raise RegistryError("no table")

        monkeypatch.setattr(registry, "read_images", fail)
        found: Any = RegisteredImagesDataset(model_name="cells", alias="champion").load()
        assert (found.version, found.images) == ("10", None)
        assert [record.getMessage() for record in caplog.records] == ["no table"]
        assert caplog.records[0].name == lineage.__name__

    def test_a_version_that_was_never_judged_has_no_accuracy(self) -> None:
        assert RegisteredImages("1", None, {}).validation_accuracy is None

    def test_it_says_what_it_stands_for_and_cannot_be_saved(self) -> None:
        metadata = {"kind": "images"}
        dataset = RegisteredImagesDataset(model_name="cells", alias="champion", metadata=metadata)
        assert dataset._describe() == {"model_name": "cells", "alias": "champion"}
        assert dataset.metadata is metadata
        with pytest.raises(
            Exception, match=r"^The images of a registered version cannot be changed\.$"
        ):
            dataset.save(object())
