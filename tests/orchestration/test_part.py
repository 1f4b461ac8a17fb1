"""The parts of a composed DAG."""

from __future__ import annotations

import airflow_home  # noqa: F401 - before Airflow is imported
from airflow.sdk import DAG

from image_classification.configuration import tag
from image_classification.orchestration.part import PARTS, make_groups


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
