"""What the questions to people have in common."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param


def ask_why(arguments: dict[str, Any], kept: str) -> dict[str, Any]:
    """Return an operator's arguments with a field for the reason, and without a time limit.

    Args:
        arguments: of the operator. Fields among them are those of the DAG's own form, for whoever
            starts the run: they are left out.
        kept: a sentence below the field, which says what becomes of the reason.
    """
    reason = Param(
        # Not empty: Airflow checks the form by this schema before anybody is asked.
        "no reason given",
        type="string",
        title="Why",
        description=kept,
        minLength=1,
    )
    # The task waits for a person, which may take longer than other tasks may.
    return {**arguments, "params": {"reason": reason}, "execution_timeout": None}
