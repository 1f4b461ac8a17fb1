"""Who decides about a version, what they say, and in which run they decide."""

from __future__ import annotations

from dataclasses import dataclass

from image_classification.tracking.tags import AIRFLOW_RUN_TAG, AIRFLOW_URL_TAG

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
    """

    mlflow_run_id: str
    airflow_run: str = ""
    airflow_url: str = ""
    backfill: bool = False
    age_hours: float | None = None
    experiment_id: str | None = None

    @property
    def is_shared(self) -> bool:
        """Whether several processes work on the run, and Airflow may retry each of them."""
        return bool(self.airflow_run)

    @property
    def tags(self) -> dict[str, str]:
        """The tags of a version that lead back to the DAG run; none without Airflow."""
        if not self.airflow_run:
            return {}
        return {AIRFLOW_RUN_TAG: self.airflow_run, AIRFLOW_URL_TAG: self.airflow_url}


@dataclass(frozen=True)
class Statement:
    """What somebody says about a version.

    Attributes:
        by: the person who decided, or `POLICY`.
        comment: the person's words.
        reason: a sentence; "" to use the reason of the decision.
    """

    by: str = POLICY
    comment: str = ""
    reason: str = ""
