"""Each generated DAG is its Kedro pipeline, with the tasks of the run around it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from shipped import read_files

from image_classification.orchestration.settings import SECTIONS

if TYPE_CHECKING:
    from airflow.sdk import DAG
    from kedro.pipeline import Pipeline

PROJECT = Path(__file__).resolve().parents[2]
NAMES = (
    "__default__",
    "data_processing",
    "hindsight",
    "inference",
    "monitoring",
    "promotion",
    "retention",
    "retraining",
    "review",
    "rollback",
    "training",
)
ASKING = {"list_held_batches", "request_reviews"}
DECIDING = {
    "measure_package",
    "choose_champion",
    "ask_approver",
    "promote_challenger",
    "keep_champion",
    "refuse_challenger",
}
AROUND = {
    "__default__": {"open_run", "close_run", "check_new_images", "log_model", *ASKING},
    "data_processing": {"open_run", "close_run", "find_batches", "announce_images", *ASKING},
    "hindsight": {"open_run", "close_run"},
    "inference": {"open_run", "close_run"},
    "monitoring": {"open_run", "close_run"},
    "promotion": {"open_run", "close_run", *DECIDING},
    "retention": {"open_run", "close_run"},
    "retraining": {
        "open_run",
        "close_run",
        "check_new_images",
        "log_model",
        *DECIDING,
        *ASKING,
    },
    "review": {"open_run", "close_run", "ask_reviewer", "announce_images"},
    "rollback": {"open_run", "close_run", "restore_champion"},
    "training": {"open_run", "close_run", "check_new_images", "log_model"},
}
TRAINING_FIELDS = {"image_size_px", "epochs", "learning_rate", "network", "seed"}
FIELDS = {
    "__default__": {*TRAINING_FIELDS, "force"},
    "data_processing": {"image_size_px"},
    "hindsight": set(),
    "inference": {"images"},
    "monitoring": set(),
    "promotion": {"mode", "minimum_gain"},
    "retention": set(),
    "retraining": {
        *TRAINING_FIELDS,
        "force",
        "mode",
        "minimum_gain",
        "min_new_images",
    },
    "review": {"batch", "about"},
    "rollback": {"version", "reason"},
    "training": TRAINING_FIELDS,
}
TYPES = {"integer": int, "number": int | float, "string": str, "boolean": bool}

each_dag = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def dags(load_dag: Callable[[str], DAG]) -> dict[str, DAG]:
    return {name: load_dag(name) for name in NAMES}


@pytest.fixture(scope="module")
def parameters() -> dict[str, Any]:
    """What the files say, read without Kedro."""
    return read_files("base", "parameters*.yml")


def downstream_of(dag: DAG, task_id: str) -> set[str]:
    return dag.get_task(task_id).get_flat_relative_ids(upstream=False)


def nodes_tagged(pipeline: Pipeline, tag: str) -> set[str]:
    return {node.name for node in pipeline.nodes if tag in node.tags}


def test_airflow_imports_every_file_without_error_and_finds_each_pipeline_once(
    airflow_database: None, registered: dict[str, Pipeline]
) -> None:
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(PROJECT / "dags")
    assert bag.import_errors == {}
    assert sorted(bag.dags) == sorted(registered)
    assert len(bag.dags) == len(list((PROJECT / "dags").glob("*_dag.py")))


def test_every_registered_pipeline_is_covered_by_these_tests(
    registered: dict[str, Pipeline],
) -> None:
    assert set(registered) == set(NAMES)


@each_dag
def test_dag_id_is_the_name_of_the_pipeline(dags: dict[str, DAG], name: str) -> None:
    assert dags[name].dag_id == name


@each_dag
def test_tasks_are_the_nodes_and_those_of_the_run(
    dags: dict[str, DAG], registered: dict[str, Pipeline], name: str
) -> None:
    nodes = {node.name for node in registered[name].nodes}
    assert set(dags[name].task_ids) == nodes | AROUND[name]
    assert not nodes & AROUND[name]


@each_dag
def test_node_tasks_run_the_node_of_their_name(
    dags: dict[str, DAG], registered: dict[str, Pipeline], name: str
) -> None:
    for node in registered[name].nodes:
        task = dags[name].get_task(node.name)
        assert (task.node_name, task.pipeline) == (node.name, name)
        assert task.project_path == str(PROJECT)


@each_dag
def test_edges_between_nodes_are_those_of_kedro(
    dags: dict[str, DAG], registered: dict[str, Pipeline], name: str
) -> None:
    nodes = {node.name for node in registered[name].nodes}
    in_airflow = {
        (task.task_id, after)
        for task in dags[name].tasks
        for after in task.downstream_task_ids
        if {task.task_id, after} <= nodes
    }
    in_kedro = {
        (before.name, node.name)
        for node, needed in registered[name].node_dependencies.items()
        for before in needed
    }
    assert in_airflow == in_kedro


@each_dag
def test_open_run_comes_before_every_other_task(dags: dict[str, DAG], name: str) -> None:
    dag = dags[name]
    before = {"find_batches"} if name == "data_processing" else set()
    assert dag.get_task("open_run").upstream_task_ids == before
    assert downstream_of(dag, "open_run") == set(dag.task_ids) - {"open_run"} - before


@each_dag
def test_close_run_is_the_teardown_of_open_run_after_every_other_task(
    dags: dict[str, DAG], name: str
) -> None:
    dag = dags[name]
    close_run = dag.get_task("close_run")
    assert close_run.is_teardown
    assert not close_run.on_failure_fail_dagrun
    assert dag.get_task("open_run").is_setup
    assert "open_run" in close_run.upstream_task_ids
    assert close_run.get_flat_relative_ids(upstream=True) == set(dag.task_ids) - {"close_run"}


@pytest.mark.parametrize("name", ["__default__", "retraining", "training"])
def test_check_new_images_stands_between_what_is_taken_in_and_training(
    dags: dict[str, DAG], registered: dict[str, Pipeline], name: str
) -> None:
    dag = dags[name]
    before = dag.get_task("check_new_images").get_flat_relative_ids(upstream=True)
    processing = nodes_tagged(registered[name], "data_processing")
    selecting = nodes_tagged(registered[name], "selection")
    assert before == processing | selecting | {"open_run"}
    after = downstream_of(dag, "check_new_images")
    beside = {
        node for tag in ("monitoring", "hindsight") for node in nodes_tagged(registered[name], tag)
    }
    assert after == set(dag.task_ids) - before - {"check_new_images"} - ASKING - beside


@pytest.mark.parametrize(
    ("pipeline", "first"),
    [("monitoring", "score_newest_days"), ("hindsight", "choose_later_images")],
)
def test_the_champion_is_watched_and_decisions_are_judged_again_beside_the_rest_of_the_night(
    dags: dict[str, DAG], registered: dict[str, Pipeline], pipeline: str, first: str
) -> None:
    dag = dags["retraining"]
    beside = nodes_tagged(registered["retraining"], pipeline)
    assert beside == {node.name for node in registered[pipeline].nodes}
    before = dag.get_task(first).get_flat_relative_ids(upstream=True)
    assert before == {
        "open_run",
        "collect_batches",
        "inspect_images",
        "screen_batches",
        "index_images",
    }
    # Neither the contract nor a night without new images skips it, and nothing waits for it.
    for name in ("check_contract", "check_new_images", "train_network", "choose_champion"):
        assert not downstream_of(dag, name) & beside
    assert downstream_of(dag, first) == beside - {first} | {"close_run"}


@pytest.mark.parametrize("name", ["__default__", "retraining", "training"])
def test_model_is_logged_after_all_of_training_and_before_all_of_promotion(
    dags: dict[str, DAG], registered: dict[str, Pipeline], name: str
) -> None:
    before = dags[name].get_task("log_model").get_flat_relative_ids(upstream=True)
    assert nodes_tagged(registered[name], "training") <= before
    promoting = nodes_tagged(registered[name], "promotion")
    after = AROUND[name] - {"open_run", "check_new_images", "log_model"} - ASKING
    assert downstream_of(dags[name], "log_model") == promoting | after


@pytest.mark.parametrize("name", ["promotion", "retraining"])
def test_comparison_ends_in_a_labelled_branch(dags: dict[str, DAG], name: str) -> None:
    dag = dags[name]
    # A node that reads the comparison may stand between the two.
    upstream = dag.get_task("measure_package").get_flat_relative_ids(upstream=True)
    assert {"compare_models", "score_challenger", "score_champion"} <= upstream
    choose = dag.get_task("choose_champion")
    assert choose.upstream_task_ids == {"measure_package"}
    assert dag.edge_info["choose_champion"] == {
        "promote_challenger": {"label": "better"},
        "ask_approver": {"label": "better: ask a person"},
        "keep_champion": {"label": "not better, or dry run"},
        "refuse_challenger": {"label": "not a fair comparison"},
    }
    assert dag.edge_info["ask_approver"] == {
        "promote_challenger": {"label": "approved"},
        "keep_champion": {"label": "rejected, or no answer"},
    }
    assert choose.downstream_task_ids == set(dag.edge_info["choose_champion"])


@pytest.mark.parametrize("name", ["promotion", "retraining"])
def test_an_approver_has_a_limited_time_and_silence_keeps_the_champion(
    dags: dict[str, DAG], name: str
) -> None:
    ask = dags[name].get_task("ask_approver")
    assert ask.response_timeout == timedelta(hours=12)
    assert ask.execution_timeout is None
    assert ask.defaults == ["Reject"]
    assert ask.options == ["Approve", "Reject"]
    assert ask.assigned_users is None
    assert list(ask.params) == ["reason"]


def test_only_those_who_are_named_may_approve(dags: dict[str, DAG]) -> None:
    from airflow.sdk import DAG

    from image_classification.orchestration.steps.approval import AskApproverOperator

    settings = dags["promotion"].get_task("open_run").settings
    approval = settings.approval.model_copy(update={"approvers": ["ada"], "timeout_hours": 1})
    with DAG("asks"):
        ask = AskApproverOperator(
            task_id="ask_approver",
            pipeline="promotion",
            project_path=str(PROJECT),
            settings=settings.model_copy(update={"approval": approval}),
        )
    assert ask.assigned_users == [{"id": "ada", "name": "ada"}]
    assert ask.response_timeout == timedelta(hours=1)


def test_a_rollback_is_planned_then_carried_out(dags: dict[str, DAG]) -> None:
    restore = dags["rollback"].get_task("restore_champion")
    assert restore.upstream_task_ids == {"plan_rollback"}


def test_retraining_runs_every_night_and_when_images_are_announced(
    dags: dict[str, DAG],
) -> None:
    timetable = dags["retraining"].timetable
    assert timetable.timetable.expression == "0 2 * * *"
    assert [asset.name for asset in timetable.asset_condition.objects] == ["new_images"]


@pytest.mark.parametrize("name", ["data_processing", "review"])
def test_an_intake_and_a_review_announce_new_images_at_their_end(
    dags: dict[str, DAG], name: str
) -> None:
    announcing = [task.task_id for task in dags[name].tasks if task.outlets]
    assert announcing == ["announce_images"]
    assert [asset.name for asset in dags[name].get_task("announce_images").outlets] == [
        "new_images"
    ]
    assert dags[name].get_task("announce_images").downstream_task_ids == {"close_run"}


@pytest.mark.parametrize("name", ["__default__", "retraining"])
def test_a_retraining_announces_nothing_that_would_start_it_again(
    dags: dict[str, DAG], name: str
) -> None:
    announced = {asset.name for task in dags[name].tasks for asset in task.outlets}
    assert "new_images" not in announced


def test_an_intake_looks_every_ten_minutes(dags: dict[str, DAG]) -> None:
    assert dags["data_processing"].timetable.expression == "*/10 * * * *"


@pytest.mark.parametrize("name", ["__default__", "data_processing", "retraining"])
def test_held_batches_are_asked_about_beside_the_rest_of_the_night(
    dags: dict[str, DAG], name: str
) -> None:
    dag = dags[name]
    assert dag.get_task("list_held_batches").upstream_task_ids == {"index_images"}
    assert dag.get_task("request_reviews").downstream_task_ids == {"close_run"}


def test_a_person_is_asked_between_showing_and_recording_without_a_time_limit(
    dags: dict[str, DAG],
) -> None:
    ask = dags["review"].get_task("ask_reviewer")
    assert ask.upstream_task_ids == {"describe_batch"}
    assert ask.downstream_task_ids == {"record_review"}
    assert ask.execution_timeout is None
    assert ask.response_timeout is None
    assert ask.options == ["Accept", "Reject"]
    assert list(ask.params) == ["reason"]


def test_reviews_run_side_by_side_and_need_not_be_switched_on(dags: dict[str, DAG]) -> None:
    assert dags["review"].max_active_runs == 100
    assert dags["review"].is_paused_upon_creation is False
    assert dags["retraining"].is_paused_upon_creation is True


def test_scoring_runs_whenever_there_is_a_new_champion(dags: dict[str, DAG]) -> None:
    assert [asset.name for asset in dags["inference"].timetable.asset_condition.objects] == [
        "champion"
    ]
    assert dags["inference"].is_paused_upon_creation is True


def test_old_things_are_looked_for_once_a_week(dags: dict[str, DAG]) -> None:
    assert dags["retention"].timetable.expression == "30 5 * * 0"
    assert dags["retention"].is_paused_upon_creation is True


SCHEDULED = ("retraining", "data_processing", "inference", "retention")


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SCHEDULED])
def test_other_dags_run_when_asked_alone(dags: dict[str, DAG], name: str) -> None:
    assert dags[name].schedule is None


@pytest.mark.parametrize("name", [name for name in NAMES if name != "review"])
def test_one_run_at_a_time_and_none_for_the_past(dags: dict[str, DAG], name: str) -> None:
    assert dags[name].max_active_runs == 1
    assert dags[name].catchup is False


@each_dag
def test_every_task_is_retried_ever_later_and_has_a_time_limit(
    dags: dict[str, DAG], name: str
) -> None:
    for task in dags[name].tasks:
        assert task.retries > 0
        assert task.retry_exponential_backoff
        assert timedelta(0) < task.retry_delay < task.max_retry_delay
        assert task.execution_timeout is not None or task.task_id.startswith("ask_")
        assert task.owner == "ml-engineering"


@each_dag
def test_dag_explains_itself(
    dags: dict[str, DAG], registered: dict[str, Pipeline], name: str
) -> None:
    dag = dags[name]
    assert dag.description
    assert "image-classification" in dag.tags
    assert dag.doc_md is not None
    for node in registered[name].nodes:
        assert f"`{node.name}`" in dag.doc_md
    for field in dag.params:
        assert f"(`{field}`)" in dag.doc_md


def test_the_list_begins_with_what_is_started_by_hand_and_tells_parts_from_it(
    dags: dict[str, DAG],
) -> None:
    # Airflow's list is sorted by the display name.
    listed = sorted(NAMES, key=lambda name: dags[name].dag_display_name)
    assert listed[:4] == ["retraining", "rollback", "inference", "review"]
    kinds = {"start here", "by hand", "asked by the system", "part of retraining"}
    assert listed[-1] == "retention"
    (first, second, third, asked), parts = (
        [dags[name].tags & kinds for name in some] for some in (listed[:4], listed[4:-1])
    )
    assert (first, second, third) == ({"start here"}, {"by hand"}, {"by hand"})
    assert asked == {"asked by the system"}
    assert parts == [{"part of retraining"}] * 6
    for name in NAMES:
        assert "\n" not in dags[name].description
        assert len(dags[name].description) <= 110


PARTS = ("intake", "training", "promotion", "watching")


@pytest.mark.parametrize(("name", "parts"), [("retraining", PARTS), ("__default__", PARTS[:2])])
def test_a_composed_graph_reads_as_one_line_when_its_parts_are_closed(
    dags: dict[str, DAG], name: str, parts: tuple[str, ...]
) -> None:
    dag = dags[name]
    groups = {
        key: group for key, group in dag.task_group.children.items() if key not in dag.task_ids
    }
    assert set(groups) == set(parts)
    box = {task: key for key, group in groups.items() for task in group.children}
    assert set(dag.task_ids) - set(box) == {"open_run", "close_run"}
    edges = {
        (box.get(task.task_id, task.task_id), box.get(after, after))
        for task in dag.tasks
        for after in task.downstream_task_ids
    }
    edges = {(before, after) for before, after in edges if before != after}
    line = ["open_run", *parts[:3], "close_run"]
    # Each leads to the next, none leads back, and the watch stands beside the line.
    assert set(pairwise(line)) <= edges
    assert all(line.index(a) < line.index(b) for a, b in edges if "watching" not in (a, b))
    beside = {pair for pair in edges if "watching" in pair}
    assert beside == ({("intake", "watching"), ("watching", "close_run")} if parts[3:] else set())


@each_dag
def test_a_dag_that_is_one_part_has_no_groups(dags: dict[str, DAG], name: str) -> None:
    has_groups = set(dags[name].task_group.children) != set(dags[name].task_ids)
    assert has_groups == (name in ("retraining", "__default__"))


@each_dag
def test_every_number_of_the_form_tells_its_unit_and_its_range(
    dags: dict[str, DAG], name: str
) -> None:
    for field, told in dags[name].get_task("open_run").settings.params.items():
        if told.type not in ("integer", "number"):
            continue
        assert told.unit
        assert told.minimum is not None
        assert told.maximum is not None
        shown = dags[name].params.get_param(field).description or ""
        assert shown.endswith(f" {told.minimum:.15g} to {told.maximum:.15g} {told.unit}.")


def test_the_fields_are_in_groups_and_the_dangerous_ones_are_the_last(dags: dict[str, DAG]) -> None:
    form = dags["retraining"].params
    sections = [form.get_param(field).schema["section"] for field in form]
    assert [section for section, _ in groupby(sections)] == list(SECTIONS.values())[1:]
    careful = {field for field in form if "With care" in form.get_param(field).schema["section"]}
    assert careful == {"mode", "minimum_gain", "force"}


@each_dag
def test_trigger_form_has_these_fields(dags: dict[str, DAG], name: str) -> None:
    assert set(dags[name].params) == FIELDS[name]


@each_dag
def test_fields_are_typed_and_show_the_values_of_the_parameters_files(
    dags: dict[str, DAG], parameters: dict[str, Any], name: str
) -> None:
    dag = dags[name]
    settings = dag.get_task("open_run").settings
    for field in dag.params:
        param = dag.params.get_param(field)
        default = param.resolve()  # Airflow checks it against the schema
        kinds = param.schema["type"]
        # A field that may be left empty has two types.
        allowed = [kinds] if isinstance(kinds, str) else kinds
        kind = next(name for name in allowed if name in TYPES)
        assert isinstance(default, TYPES[kind])
        assert param.schema["title"]
        assert param.description or param.schema.get("description")
        path = settings.params[field].parameter
        if path is None:
            assert field == "force"
            continue
        value: Any = parameters
        for key in path.split("."):
            value = value[key]
        if field == "mode":  # so that every mode can be chosen, also the one of the file
            assert (default, value) == ("as configured", "auto")
            assert param.schema["enum"] == ["as configured", "auto", "approve", "dry_run"]
            continue
        assert default == value
        assert type(default) is type(value)
