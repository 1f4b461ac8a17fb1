"""The parts of a composed DAG."""

from __future__ import annotations

import airflow_home  # noqa: F401 - before Airflow is imported
import pytest
from airflow.sdk import DAG

from image_classification.configuration import tag
from image_classification.errors import ConfigurationError
from image_classification.orchestration.part import (
    PARTS,
    NodeSpec,
    check_parts,
    find_part,
    make_groups,
)


def test_a_dag_that_is_one_part_itself_has_no_groups() -> None:
    with DAG("one"):
        assert make_groups({tag.TRAINING, tag.SELECTION}) == {}
        assert make_groups({tag.PROMOTION}) == {}


def test_nodes_of_one_part_share_a_group_and_keep_their_ids() -> None:
    with DAG("composed"):
        groups = make_groups({tag.PROCESSING, tag.SELECTION, tag.TRAINING})
    assert groups[tag.PROCESSING] is groups[tag.SELECTION]
    assert {group.group_id for group in groups.values()} == {"intake", "training"}
    assert groups[tag.TRAINING].child_id("train_network") == "train_network"


def test_a_tag_belongs_to_one_part() -> None:
    tags = [name for part in PARTS for name in part.tags]
    assert len(tags) == len(set(tags))


def test_a_node_belongs_to_the_part_of_any_of_its_tags() -> None:
    found = find_part([tag.SCREENS, tag.SELECTION])
    assert found is not None
    assert found.name == "intake"
    assert find_part([tag.ROLLBACK]) is None


def test_nodes_of_a_part_can_be_one_task_unless_another_one_stands_between_them() -> None:
    load = NodeSpec("load", (tag.PROCESSING,))
    clean = NodeSpec("clean", (tag.PROCESSING,), ("load",))
    check_parts([load, clean, NodeSpec("report", after=("clean",))])
    between = NodeSpec("sort", after=("load",))
    with pytest.raises(ConfigurationError, match=r"'group_by: tag'.* sort .*Give such a node"):
        check_parts([load, between, NodeSpec("clean", (tag.PROCESSING,), ("sort",))])
