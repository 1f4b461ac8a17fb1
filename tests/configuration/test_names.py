"""The names that code asks for are those of the catalog and of the pipelines."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml
from kedro.framework.project import configure_project, pipelines

from image_classification.configuration import names

PROJECT = Path(__file__).resolve().parents[2]
KNOWN = {name: value for name, value in vars(names).items() if isinstance(value, str)}
CONSTANTS = {name: value for name, value in KNOWN.items() if name.isupper()}


@pytest.fixture(scope="module")
def datasets() -> set[str]:
    return set(yaml.safe_load((PROJECT / "conf" / "base" / "catalog.yml").read_text()))


@pytest.fixture(scope="module")
def nodes() -> set[str]:
    configure_project("image_classification")
    pipelines.set_requested(None)
    return {node.name for pipeline in pipelines.values() for node in pipeline.nodes}


def find_strangers(
    constants: Iterable[str], datasets: Iterable[str], nodes: Iterable[str]
) -> set[str]:
    """Return the names that stand for nothing: no dataset, or no node where one is meant."""
    meant = set(constants)
    of_nodes = meant & set(names.NODES)
    return (of_nodes - set(nodes)) | (meant - of_nodes - set(datasets))


def test_each_name_is_of_a_dataset_or_a_node(datasets: set[str], nodes: set[str]) -> None:
    assert find_strangers(CONSTANTS.values(), datasets, nodes) == set()
    assert len(set(CONSTANTS.values())) == len(CONSTANTS) > 30


def test_a_name_that_is_not_there_any_more_is_noticed(datasets: set[str], nodes: set[str]) -> None:
    assert find_strangers(CONSTANTS.values(), datasets - {"decision"}, nodes) == {"decision"}
    renamed = nodes - {"check_contract"}
    assert find_strangers(CONSTANTS.values(), datasets, renamed) == {"check_contract"}
