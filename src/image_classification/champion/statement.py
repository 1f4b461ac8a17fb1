"""Who decides about a version, what they say, and in which run they decide."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

POLICY = "the policy"
"""Stands for the person if no person was asked."""


@dataclass(frozen=True)
class DecisionRun:
    """The run that a decision belongs to.

    Attributes:
        mlflow_run_id: the MLflow run; the name of an entry in the ledger begins with it.
        airflow_run: ``<dag_id>/<run_id>``; "" without Airflow.
        airflow_url: the page of the DAG run.
        backfill: whether a backfill started the run for a past date.
        age_hours: hours since the date that the run is for; None without Airflow.
        experiment_id: the experiment of the MLflow run, if it is known; it saves a request.
        identity: who started the run, as Airflow or the operating system vouches for.
    """

    mlflow_run_id: str
    airflow_run: str = ""
    airflow_url: str = ""
    backfill: bool = False
    age_hours: float | None = None
    experiment_id: str | None = None
    identity: str = ""

    @property
    def is_shared(self) -> bool:
        """Whether several processes work on the run, and Airflow may retry each of them."""
        return bool(self.airflow_run)


@dataclass(frozen=True)
class Statement:
    """What somebody says about a version.

    Attributes:
        by: the person who decided, as Airflow or the operating system vouches for, or `POLICY`.
        comment: the person's words.
        reason: a sentence; "" to use the reason of the decision.
        typed: the name that somebody typed, which nobody vouches for.
        origin: where the version comes from, and what it was judged by there.
    """

    by: str = POLICY
    comment: str = ""
    reason: str = ""
    typed: str = ""
    origin: Mapping[str, Any] | None = None


def name_user() -> str:
    """Return the user that the operating system runs this process for.

    Not `getpass.getuser`, which believes the environment.
    """
    if not hasattr(os, "getuid"):
        return os.getlogin()
    import pwd  # noqa: PLC0415 - Windows has none

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run as a user without a name
        return f"uid {os.getuid()}"
