"""Networks out of the registry: the one an alias points to, loaded when it is needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kedro.io import DatasetError

from image_classification import vision
from image_classification.champion import package, registry
from image_classification.champion.package import ModelParts
from image_classification.datasets import (
    RegisteredNetwork,
    RegisteredNetworkDataset,
    RegisteredVersionsDataset,
)
from image_classification.errors import RegistryError


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Let `champion` of `cells` be version 10; return what the registry is asked for."""
    asked: list[Any] = []

    def find_version(model_name: str, alias: str) -> SimpleNamespace | None:
        asked.append((model_name, alias))
        found = (model_name, alias) == ("cells", "champion")
        return SimpleNamespace(version=10) if found else None

    @contextmanager
    def open_parts(model_name: str, version: int) -> Iterator[ModelParts]:
        asked.append((model_name, version))
        yield ModelParts(Path("network.keras"), ["P", "U"])

    monkeypatch.setattr(registry, "find_version", find_version)
    monkeypatch.setattr(package, "open_parts", open_parts)
    # Into the module's names: to ask the module for the function would import TensorFlow.
    monkeypatch.setitem(vars(vision), "load_network", lambda path: f"network of {path}")
    return asked


LOADED = RegisteredNetwork("network of network.keras", ["P", "U"], "10")


def test_the_network_of_the_version_an_alias_points_to_is_loaded(asked: list[Any]) -> None:
    dataset = RegisteredNetworkDataset(model_name="cells", alias="champion")
    assert dataset.exists()
    assert dataset.load() == LOADED
    assert asked == [("cells", "champion"), ("cells", "champion"), ("cells", 10)]


def test_on_demand_it_is_loaded_when_it_is_needed(asked: list[Any]) -> None:
    load = RegisteredNetworkDataset(model_name="cells", alias="champion", on_demand=True).load()
    assert asked == []
    assert callable(load)
    assert load() == LOADED


def test_where_there_is_no_version_the_remedy_is_told(asked: list[Any]) -> None:
    dataset = RegisteredNetworkDataset(model_name="cells", alias="challenger")
    assert not dataset.exists()
    with pytest.raises(DatasetError) as raised:
        dataset.load()
    assert isinstance(raised.value.__cause__, RegistryError)
    assert str(raised.value.__cause__) == (
        "Registered model 'cells' has no version with the alias 'challenger'. Run the pipeline "
        "'retraining' first, or set the alias in MLflow."
    )


def test_where_none_is_required_there_is_none(asked: list[Any]) -> None:
    dataset = RegisteredNetworkDataset(model_name="cells", alias="challenger", required=False)
    assert dataset.load() is None


@pytest.mark.parametrize("error", [OSError, TypeError, ValueError, KeyError])
def test_a_network_that_cannot_be_loaded_is_named(
    asked: list[Any], error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Path) -> None:
        raise error("broken")

    monkeypatch.setitem(vars(vision), "load_network", fail)
    load = RegisteredNetworkDataset(model_name="cells", alias="champion", on_demand=True).load()
    assert callable(load)
    with pytest.raises(RegistryError) as raised:
        load()
    told = "The network of version 10 of 'cells' cannot be loaded: "
    assert str(raised.value).startswith(told)
    assert "broken" in str(raised.value)
    assert isinstance(raised.value.__cause__, error)


def test_versions_are_listed_with_aliases_and_tags_in_the_order_of_the_registry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    versions = [
        SimpleNamespace(version=9, aliases=("champion",), tags={"decision": "promote"}),
        SimpleNamespace(version=10, aliases=(), tags={}),
    ]
    asked = []
    monkeypatch.setattr(registry, "list_versions", lambda name: asked.append(name) or versions)
    assert RegisteredVersionsDataset(model_name="cells").load() == [
        {"version": "9", "aliases": ["champion"], "tags": {"decision": "promote"}},
        {"version": "10", "aliases": [], "tags": {}},
    ]
    assert asked == ["cells"]


def test_datasets_of_the_registry_say_what_they_stand_for() -> None:
    metadata = {"kind": "network"}
    network = RegisteredNetworkDataset(model_name="cells", alias="champion", metadata=metadata)
    assert network._describe() == {"model_name": "cells", "alias": "champion", "required": True}
    assert network.metadata is metadata
    versions = RegisteredVersionsDataset(model_name="cells", metadata=metadata)
    assert versions._describe() == {"model_name": "cells"}
    assert versions.metadata is metadata


def test_neither_a_network_nor_a_version_can_be_saved() -> None:
    network = RegisteredNetworkDataset(model_name="cells", alias="champion")
    with pytest.raises(
        Exception, match=r"^A registered network cannot be saved through the catalog\.$"
    ):
        network.save(object())
    versions = RegisteredVersionsDataset(model_name="cells")
    with pytest.raises(
        Exception, match=r"^A registered model cannot be saved through the catalog\.$"
    ):
        versions.save(object())
