"""What does a person see of a night? A page of each night, and a page of all of them."""

from __future__ import annotations

INDEX = "index.html"
"""The page of all nights."""

NIGHTS = "/nights"
"""Where Airflow shows the pages, below its own address."""

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'"
)
"""What a browser may do with a page, wherever it lies: show it. No script, no request."""


def name_page(run_id: str) -> str:
    """Return the name of the file that holds the page of a night, by its MLflow run."""
    return f"{run_id}.html"
