"""A failure in a line: what failed and what to do, where a list cuts a note after 90 characters."""

from __future__ import annotations

from image_classification import errors

LONGEST_HEADLINE = 90
HAPPENED, BECAME, REMAINS = "What happened: ", "The champion: ", "What to do: "
"""How the last lines of the log of a failed task begin."""

ANY = "read the log, clear the task"
REMEDIES = {
    "ConfigurationError": "correct it, clear the task",
    "CodeChangedError": "clear the whole run",
    "StorageError": "look at the storage, clear it",
    "ContractError": "mend the data, clear the task",
    "DataError": "mend the data, clear the task",
    "RegistryError": "look at MLflow's registry",
    "ChampionMovedError": "run the DAG promotion",
    "VerificationError": "trigger a new run, with force",
    "SealedError": "trigger a new run, with force",
    "SignatureError": "read docs/signatures.md",
    "LedgerError": "read docs/promotion.md, ledger",
    "TrackingError": "look at MLflow, clear the task",
    "MemoryError": "make batch_size smaller",
    "ResourceExhaustedError": "make batch_size smaller",
    "AirflowTaskTimeout": "raise task_timeout_minutes",
    "PermissionError": "open the folder, clear the task",
    "ConnectionError": "start the service, clear it",
    "ConnectTimeout": "start the service, clear it",
    "ReadTimeout": "start the service, clear it",
}
"""What to do, by the name of the error: a few words each."""

BY_WORDS = {
    "No space left": "make room, clear the task",
    "Restart the workers": "restart the workers, clear it",
}
"""The same, by what an error says."""


def find_remedy(kind: str, message: str) -> str:
    """Return what to do about an error, in a few words.

    Args:
        kind: the name of its class.
        message: what it says.
    """
    by_words = (remedy for words, remedy in BY_WORDS.items() if words in message)
    return next(by_words, REMEDIES.get(kind, ANY))


def head_failure(error: str) -> str:
    """Return a failure in at most 90 characters: cause, then remedy.

    Args:
        error: ``<task>: <class>: <message>``, or ``<task>: <message>``.
    """
    task, _, said = " ".join(error.split()).partition(": ")
    kind, _, message = said.partition(": ")
    remedy = f" To do: {find_remedy(kind, said)}."
    # The name of an error of ours says nothing that its message does not.
    cause = message if message and hasattr(errors, kind) else said or task
    room = LONGEST_HEADLINE - len(f"failed: .{remedy}")
    if len(cause) > room:
        cause = f"{cause[: room - 1].rstrip(' .,:;')}…"
    return f"failed: {cause.rstrip('.')}.{remedy}"
