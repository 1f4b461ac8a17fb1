"""How Airflow opens its SQLite file; it reads `OPTIONS` by name, in every process."""

from __future__ import annotations

import sqlite3
from typing import Any


class _Cursor(sqlite3.Cursor):
    """Begins to write before it reads what its savepoint will write by.

    Python lets a savepoint begin a transaction that only reads. Where another process writes before
    this one does, SQLite then answers "database is locked" at once, without any wait: each backfill
    met that, and the scheduler died of it.
    """

    def execute(self, sql: str, *parameters: Any) -> Any:
        """Execute a statement."""
        if sql.startswith("SAVEPOINT") and not self.connection.in_transaction:
            super().execute("BEGIN IMMEDIATE")
        return super().execute(sql, *parameters)


class _Connection(sqlite3.Connection):
    def cursor(self, factory: Any = _Cursor) -> Any:
        return super().cursor(factory)


OPTIONS: dict[str, Any] = {
    # Seconds that a writer waits for another; five are usual.
    "timeout": 60,
    "isolation_level": "IMMEDIATE",
    "factory": _Connection,
}
