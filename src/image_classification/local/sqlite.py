"""How Airflow opens its SQLite file; it reads this by name, in every process."""

WAIT: dict[str, int] = {"timeout": 60}
"""How long a writer waits for another, in seconds; five are usual. A backfill writes for longer
than that, and a scheduler that was told "database is locked" died of it."""
