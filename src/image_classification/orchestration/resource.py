"""Where a task runs, and what it may take: the section `tasks` of `conf/*/airflow.yml`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from importlib.util import find_spec
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from image_classification.configuration.scope import SHARED, Scope

BY_TAG = "tag:"
"""How a key begins that means all nodes with a tag, as in ``tag:training``."""

DEFAULT_POOL = "default_pool"
"""Airflow's own, which is everybody's."""

GPU = "nvidia.com/gpu"

Cpu = Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)?m?$")]
Memory = Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)?([kMGTPE]|[KMGTPE]i)?$")]


class Toleration(BaseModel):
    """A taint of Kubernetes that a task's pod puts up with."""

    model_config = ConfigDict(extra="forbid")

    key: str | None = None
    operator: Literal["Exists", "Equal"] = "Equal"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None


class ResourceSettings(BaseModel):
    """What a task's pod gets, under the KubernetesExecutor. Other executors take no notice of it.

    Attributes:
        cpu: cores, as in "4" or "500m".
        memory: as in "16Gi".
        gpu: cards.
        node_selector: labels of the nodes that the pod may run on.
        tolerations: taints that it puts up with.
    """

    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)

    cpu: Cpu | None = None
    memory: Memory | None = None
    gpu: int = Field(0, ge=0)
    node_selector: dict[str, str] = {}
    tolerations: list[Toleration] = []

    def make_pod(self) -> Any:
        """Return what of a pod differs from that of other tasks, as Kubernetes's client has it."""
        from kubernetes.client import models  # noqa: PLC0415 - only where it is asked for

        wanted = {"cpu": self.cpu, "memory": self.memory, GPU: str(self.gpu) if self.gpu else None}
        amounts = {name: amount for name, amount in wanted.items() if amount}
        # Memory is no more than it asks for, so that no pod is ended for another's sake; cores may
        # be lent. A card is asked for as a limit alone.
        limits = {name: amount for name, amount in amounts.items() if name != "cpu"}
        requests = {name: amount for name, amount in amounts.items() if name != GPU}
        return models.V1Pod(
            spec=models.V1PodSpec(
                containers=[
                    models.V1Container(
                        name="base",  # Airflow's name for the container of the task
                        resources=models.V1ResourceRequirements(requests=requests, limits=limits),
                    )
                ],
                node_selector=self.node_selector or None,
                tolerations=[models.V1Toleration(**each.model_dump()) for each in self.tolerations]
                or None,
            )
        )


class TaskSettings(BaseModel):
    """What differs for one task, or for all nodes with a tag; what is left out stays as it is.

    Attributes:
        queue: of Celery's workers, or of another executor that has queues.
        pool: of Airflow; it must be there.
        pool_slots: of that pool.
        retries: tries after the first one.
        timeout_minutes: after which a try fails.
        resources: of its pod.
    """

    model_config = ConfigDict(extra="forbid")

    queue: str | None = Field(None, min_length=1)
    pool: str | None = Field(None, min_length=1)
    pool_slots: int | None = Field(None, ge=1)
    retries: int | None = Field(None, ge=0)
    timeout_minutes: float | None = Field(None, gt=0)
    resources: ResourceSettings | None = None


def make_arguments(
    tasks: Mapping[str, TaskSettings],
    names: Iterable[str],
    tags: Iterable[str] = (),
    scope: Scope = SHARED,
) -> dict[str, Any]:
    """Return the arguments of an operator that the settings of tasks say.

    What is said of a task by its name holds over what is said by a tag of its node.

    Args:
        tasks: by name of a task, or by tag.
        names: of the task; of one that does the work of several, theirs before its own.
        tags: of its nodes.
        scope: whose pools they are.
    """
    said: dict[str, Any] = {}
    for key in (*(f"{BY_TAG}{tag}" for tag in sorted(tags)), *names):
        if key in tasks:
            given = dict(tasks[key])
            said |= {field: value for field, value in given.items() if value is not None}
    if (minutes := said.pop("timeout_minutes", None)) is not None:
        said["execution_timeout"] = timedelta(minutes=minutes)
    if said.get("pool", DEFAULT_POOL) != DEFAULT_POOL:
        said["pool"] = scope.name(said["pool"])
    resources = said.pop("resources", None)
    if resources is not None and find_spec("kubernetes"):
        said["executor_config"] = {"pod_override": resources.make_pod()}
    return said
