"""Pipelines of a few nodes, to DAGs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from dag_settings import SETTINGS

from image_classification.errors import ConfigurationError
from image_classification.orchestration import DagSpec, NodeSpec, build_dag

if TYPE_CHECKING:
    from airflow.sdk import DAG

LOAD = NodeSpec("load", tags=("data_processing",))
CLEAN = NodeSpec("clean", tags=("data_processing",), after=("load",))
SAMPLE = NodeSpec("sample", tags=("training",), after=("load",))
TRAIN = NodeSpec("train", tags=("training",), after=("clean",))
PLOT = NodeSpec("plot", tags=("training",), after=("train",))
SCORE = NodeSpec("score", tags=("promotion",), after=("train",))
SCORE_OLD = NodeSpec("score_old", tags=("promotion",), after=("load",))
COMPARE = NodeSpec("compare", tags=("promotion", "decides"), after=("score", "score_old"))
WATCH = NodeSpec("watch", tags=("monitoring",), after=("load",))
TRAIN_ALONE = NodeSpec("train", tags=("training",))
COMPARE_ALONE = NodeSpec("compare", tags=("promotion", "decides"))


def build(*nodes: NodeSpec, **spec: Any) -> DAG:
    return build_dag(DagSpec("counting", Path("/project"), SETTINGS, nodes, **spec))


def edges_of(dag: DAG) -> set[str]:
    return {f"{task.task_id} > {after}" for task in dag.tasks for after in task.downstream_task_ids}


def test_single_node_stands_between_open_and_close() -> None:
    assert edges_of(build(NodeSpec("count"))) == {
        "open_run > count",
        "count > close_run",
        "open_run > close_run",
    }


def test_independent_nodes_run_side_by_side() -> None:
    edges = edges_of(build(NodeSpec("count"), NodeSpec("weigh")))
    assert edges == {
        "open_run > count",
        "open_run > weigh",
        "count > close_run",
        "weigh > close_run",
        "open_run > close_run",
    }


def test_all_of_training_waits_for_the_check_for_new_images() -> None:
    edges = edges_of(build(LOAD, CLEAN, SAMPLE, TRAIN))
    assert edges == {
        "open_run > load",
        "load > clean",
        "clean > check_new_images",
        "check_new_images > sample",
        "check_new_images > train",
        "load > sample",
        "clean > train",  # Kedro's own
        "sample > close_run",
        "train > close_run",
        "open_run > close_run",
    }


def test_what_watches_the_champion_waits_for_its_data_alone_and_is_never_skipped() -> None:
    edges = edges_of(build(LOAD, CLEAN, WATCH, TRAIN))
    assert {edge for edge in edges if "watch" in edge} == {"load > watch", "watch > close_run"}
    assert edges - {"load > watch", "watch > close_run"} == edges_of(build(LOAD, CLEAN, TRAIN))


@pytest.mark.parametrize("nodes", [(LOAD, CLEAN), (TRAIN, PLOT), (SCORE, COMPARE)])
def test_no_check_without_training_and_the_images_for_it(nodes: tuple[NodeSpec, ...]) -> None:
    alone = [NodeSpec(node.name, node.tags) for node in nodes]
    assert "check_new_images" not in build(*alone).task_ids


def test_a_pipeline_that_only_trains_is_checked_and_asks_for_nothing_new() -> None:
    select = NodeSpec("select", ("selection",))
    dag = build(select, NodeSpec("train", ("training",), ("select",)))
    check = dag.get_task("check_new_images")
    assert (check.upstream_task_ids, check.downstream_task_ids) == ({"select"}, {"train"})
    assert check.always
    assert not build(LOAD, CLEAN, TRAIN).get_task("check_new_images").always


def test_model_is_logged_when_all_of_training_is_done() -> None:
    edges = edges_of(build(LOAD, CLEAN, SAMPLE, TRAIN, PLOT, logs_model=True))
    into_and_out_of = {edge for edge in edges if "log_model" in edge}
    assert into_and_out_of == {"sample > log_model", "plot > log_model", "log_model > close_run"}


def test_promotion_begins_when_the_model_is_logged() -> None:
    nodes = (LOAD, CLEAN, SAMPLE, TRAIN, PLOT, SCORE, SCORE_OLD, COMPARE)
    edges = edges_of(build(*nodes, logs_model=True))
    out_of = {edge for edge in edges if edge.startswith("log_model")}
    assert out_of == {"log_model > score", "log_model > score_old"}


def test_a_comparison_is_followed_by_the_measuring_the_judgement_and_its_branches() -> None:
    dag = build(COMPARE_ALONE)
    ends = ("promote_challenger", "keep_champion", "refuse_challenger")
    assert edges_of(dag) == {
        "open_run > compare",
        "compare > measure_package",
        "measure_package > choose_champion",
        *(f"choose_champion > {task}" for task in (*ends, "ask_approver")),
        "ask_approver > promote_challenger",
        "ask_approver > keep_champion",
        *(f"{task} > close_run" for task in (*ends, "open_run")),
    }
    for task in ends[:2]:
        assert dag.get_task(task).trigger_rule == "none_failed_min_one_success"
    assert dag.edge_info["choose_champion"]["promote_challenger"] == {"label": "better"}


def test_a_plan_of_a_rollback_is_followed_by_the_restoration() -> None:
    dag = build(NodeSpec("plan", tags=("rollback", "rolls_back")))
    assert edges_of(dag) == {
        "open_run > plan",
        "plan > restore_champion",
        "restore_champion > close_run",
        "open_run > close_run",
    }


def test_a_model_is_logged_only_where_the_pipeline_binds_one() -> None:
    with_it = set(build(TRAIN_ALONE, COMPARE_ALONE, logs_model=True).task_ids)
    assert with_it - set(build(TRAIN_ALONE, COMPARE_ALONE).task_ids) == {"log_model"}


def test_a_decision_follows_where_a_node_says_so_whoever_reads_what_it_makes() -> None:
    decision = {
        "measure_package",
        "choose_champion",
        "ask_approver",
        "promote_challenger",
        "keep_champion",
        "refuse_challenger",
    }
    reader = NodeSpec("read_comparison", tags=("promotion",), after=("compare",))
    assert decision <= set(build(COMPARE_ALONE, reader).task_ids)
    silent = NodeSpec("compare", tags=("promotion",))
    assert decision.isdisjoint(build(silent).task_ids)


def test_every_operator_knows_the_pipeline_and_the_project() -> None:
    dag = build(LOAD, CLEAN, TRAIN, COMPARE_ALONE, logs_model=True)
    assert {(task.pipeline, task.project_path) for task in dag.tasks} == {("counting", "/project")}
    assert dag.get_task("clean").node_name == "clean"


def test_wrong_settings_stop_the_building_and_name_the_dag() -> None:
    spec = DagSpec("counting", Path("/project"), SETTINGS | {"retires": 1}, (LOAD,))
    with pytest.raises(ConfigurationError, match=r"(?s)DAG 'counting'.*Did you mean 'retries'"):
        build_dag(spec)


GROUPED = {"group_by": "tag"}
NIGHT = (LOAD, CLEAN, SAMPLE, TRAIN, PLOT, SCORE, SCORE_OLD, COMPARE, WATCH)


def group(*nodes: NodeSpec, **spec: Any) -> DAG:
    return build_dag(DagSpec("counting", Path("/project"), SETTINGS | GROUPED, nodes, **spec))


def steps_of(dag: DAG, name: str) -> list[str]:
    return [step.task_id for step in dag.get_task(name).steps]


def test_a_night_that_is_grouped_is_a_task_for_each_part() -> None:
    dag = group(*NIGHT, logs_model=True)
    assert edges_of(dag) == {
        "open_run > intake",
        "intake > training",
        "intake > watching",
        "training > choose_champion",
        "intake > choose_champion",
        *(edge for edge in edges_of(build(COMPARE_ALONE)) if edge.startswith("choose_champion")),
        "ask_approver > promote_challenger",
        "ask_approver > keep_champion",
        "watching > close_run",
        *(
            f"{task} > close_run"
            for task in ("promote_challenger", "keep_champion", "refuse_challenger", "open_run")
        ),
    }


def test_the_steps_around_the_nodes_are_grouped_with_them_in_their_order() -> None:
    screen = NodeSpec("screen", ("data_processing", "screening"), ("clean",))
    dag = group(*NIGHT, screen, logs_model=True)
    assert steps_of(dag, "intake") == ["load", "clean", "screen", "list_held_batches"]
    assert dag.get_task("request_reviews").upstream_task_ids == {"intake"}
    assert steps_of(dag, "training") == ["check_new_images", "sample", "train", "plot", "log_model"]
    assert steps_of(dag, "choose_champion") == [
        "score",
        "score_old",
        "compare",
        "measure_package",
        "choose_champion",
    ]
    assert steps_of(dag, "watching") == ["watch"]


def test_a_task_of_several_has_what_is_said_of_any_and_its_own_name_holds() -> None:
    tasks = {
        "tag:training": {"retries": 4},
        "train": {"queue": "gpu"},
        "choose_champion": {"queue": "judge"},
        "training": {"retries": 3},
    }
    dag = build_dag(
        DagSpec("counting", Path("/project"), SETTINGS | GROUPED | {"tasks": tasks}, NIGHT)
    )
    training = dag.get_task("training")
    assert (training.queue, training.retries) == ("gpu", 3)
    assert dag.get_task("choose_champion").queue == "judge"
    assert dag.get_task("intake").queue == "default"


def test_what_belongs_to_no_part_stays_a_task_of_its_own() -> None:
    alone = NodeSpec("report", after=("train",))
    assert "training > report" in edges_of(group(*NIGHT, alone))


def test_a_node_of_no_part_between_two_of_one_cannot_be_grouped() -> None:
    between = NodeSpec("sort", after=("load",))
    clean = NodeSpec("clean", tags=("data_processing",), after=("sort",))
    with pytest.raises(ConfigurationError, match=r"(intake → sort → intake|sort → intake → sort)"):
        group(LOAD, between, clean)
