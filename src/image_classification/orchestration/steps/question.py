"""What the questions to people have in common."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param


def ask_why(arguments: dict[str, Any], kept: str) -> dict[str, Any]:
    """Return an operator's arguments with a field for the reason, and without a limit of time.

    Args:
        arguments: of the operator. The fields of the DAG come along in them: those are for whoever
            starts the run.
        kept: what becomes of the reason; a sentence below the field.
    """
    reason = Param(
        # Not empty: Airflow checks the form by this schema before anybody is asked.
        "no reason given",
        type="string",
        title="Why",
        description=kept,
        minLength=1,
    )
    # It waits for a person: the limit of other tasks would end that.
    return {**arguments, "params": {"reason": reason}, "execution_timeout": None}
