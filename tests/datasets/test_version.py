"""All versions of a registered model, each fetched when it is asked for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from kedro.io import DatasetError

from image_classification.champion import registry
from image_classification.datasets import RegisteredModelDataset, version


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Let the registry answer; return what it is asked for."""
    asked: list[Any] = []

    def answer(kind: str, value: Any) -> Any:
        def ask(*arguments: str) -> Any:
            asked.append((kind, *arguments))
            return value

        return ask

    found = SimpleNamespace(run_id="0123456789abcdef")
    monkeypatch.setattr(registry, "find_champion", answer("champion", "3"))
    monkeypatch.setattr(registry, "get_version", answer("version", found))
    monkeypatch.setattr(registry, "read_images", answer("images", pd.DataFrame({"split": ["t"]})))
    monkeypatch.setattr(version, "load_registered", answer("network", "the network"))
    return asked


def test_nothing_is_fetched_before_it_is_asked_for(asked: list[Any]) -> None:
    model = RegisteredModelDataset(model_name="cells").load()
    assert model.name == "cells"
    assert asked == []
    assert model.find_champion() == "3"
    assert model.open_network("2") == "the network"
    assert list(model.read_images("2")["split"]) == ["t"]
    assert asked == [("champion", "cells"), ("network", "cells", "2"), ("images", "cells", "2")]


def test_a_version_is_named_with_its_run(asked: list[Any]) -> None:
    # Version 2 of another store that shares the storage root is another model.
    assert RegisteredModelDataset(model_name="cells").load().identify("2") == "v2-01234567"
    assert asked == [("version", "cells", "2")]


def test_it_says_what_it_stands_for_and_cannot_be_saved() -> None:
    metadata = {"kind": "model"}
    dataset = RegisteredModelDataset(model_name="cells", metadata=metadata)
    assert dataset._describe() == {"model_name": "cells"}
    assert dataset.metadata is metadata
    with pytest.raises(DatasetError, match="cannot be saved"):
        dataset.save("a model")
