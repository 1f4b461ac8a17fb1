"""Where a task runs, and what it may take."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from dag_settings import SETTINGS
from kubernetes.client import ApiClient, models

from image_classification.errors import ConfigurationError
from image_classification.orchestration import DagSpec, NodeSpec, build_dag, resource
from image_classification.orchestration.resource import ResourceSettings, make_arguments
from image_classification.orchestration.settings import check_tasks, read_settings

TASKS: dict[str, Any] = {
    "tag:training": {"queue": "slow", "retries": 0},
    "train_network": {
        "queue": "gpu",
        "pool": "cards",
        "pool_slots": 2,
        "timeout_minutes": 600,
        "resources": {
            "cpu": 4,
            "memory": "16Gi",
            "gpu": 1,
            "node_selector": {"card": "h100"},
            "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
        },
    },
    "log_model": {"retries": 7},
}


def read(**tasks: Any) -> Any:
    return read_settings("counting", {**SETTINGS, "tasks": tasks})


def test_the_name_of_a_task_holds_over_the_tags_of_its_node() -> None:
    said = make_arguments(read(**TASKS).tasks, ["train_network"], ["training"])
    pod = said.pop("executor_config")["pod_override"]
    assert isinstance(pod, models.V1Pod)
    assert said == {
        "queue": "gpu",
        "retries": 0,
        "pool": "cards",
        "pool_slots": 2,
        "execution_timeout": timedelta(hours=10),
    }


def test_what_nothing_is_said_of_stays_as_it_is() -> None:
    assert make_arguments(read(**TASKS).tasks, ["plot"], ["promotion"]) == {}


def test_a_pod_asks_kubernetes_for_what_the_settings_say() -> None:
    pod = read(**TASKS).tasks["train_network"].resources.make_pod()
    assert ApiClient().sanitize_for_serialization(pod) == {
        "spec": {
            "containers": [
                {
                    "name": "base",
                    "resources": {
                        "requests": {"cpu": "4", "memory": "16Gi"},
                        "limits": {"memory": "16Gi", "nvidia.com/gpu": "1"},
                    },
                }
            ],
            "nodeSelector": {"card": "h100"},
            "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
        }
    }


def test_without_resources_a_pod_is_that_of_any_task() -> None:
    pod = ApiClient().sanitize_for_serialization(ResourceSettings().make_pod())
    assert pod == {
        "spec": {"containers": [{"name": "base", "resources": {"requests": {}, "limits": {}}}]}
    }


def test_without_kubernetes_no_pod_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "find_spec", lambda _: None)
    said = make_arguments(read(**TASKS).tasks, ["train_network"])
    assert "executor_config" not in said


def test_a_dag_has_what_is_said_of_its_tasks() -> None:
    nodes = (NodeSpec("train_network", tags=("training",)), NodeSpec("plot", tags=("training",)))
    spec = DagSpec("counting", Path("/p"), {**SETTINGS, "tasks": TASKS}, nodes, logs_model=True)
    dag = build_dag(spec)
    trained, plotted, logged = map(dag.get_task, ("train_network", "plot", "log_model"))
    assert (trained.queue, plotted.queue, logged.queue) == ("gpu", "slow", "default")
    assert (trained.retries, logged.retries) == (0, 7)
    assert trained.pool_slots == 2
    assert trained.executor_config["pod_override"].spec.node_selector == {"card": "h100"}
    assert plotted.execution_timeout == timedelta(minutes=5)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"queu": "gpu"}, "'tasks.train.queu' is not a key. Did you mean 'queue'"),
        ({"pool_slots": 0}, "'tasks.train.pool_slots': .*Received: 0"),
        ({"retries": -1}, "'tasks.train.retries'"),
        ({"timeout_minutes": 0}, "'tasks.train.timeout_minutes'"),
        ({"resources": {"memory": "16 GB"}}, "'tasks.train.resources.memory'.*'16 GB'"),
        ({"resources": {"cpu": "many"}}, "'tasks.train.resources.cpu'"),
        (
            {"resources": {"gpus": 1}},
            "'tasks.train.resources.gpus' is not a key. Did you mean 'gpu'",
        ),
        ({"resources": {"tolerations": [{"effect": "Never"}]}}, "tolerations.0.effect"),
        ({"resources": {"tolerations": [{"keys": "a"}]}}, "tolerations.0.keys' is not a key"),
    ],
)
def test_what_cannot_be_is_refused(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        read(train=settings)


@pytest.mark.parametrize("name", ["train_networks", "tag:trainin", "training"])
def test_a_task_or_a_tag_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"'retraining': tasks: .*'{name}'. Did you mean"):
        check_tasks({"retraining": {"tasks": {name: {}}}}, ["train_network"], ["training"])


def test_tasks_and_tags_that_are_there_are_taken() -> None:
    settings = {"retraining": {"tasks": TASKS}, "default": {"tasks": None}, "review": {}}
    check_tasks(settings, ["train_network", "log_model"], ["training"])
