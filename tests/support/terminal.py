"""The command `image-classification`, as a person types it."""

from __future__ import annotations

import io
from typing import Any

import pandas as pd
from click.testing import CliRunner, Result

from image_classification.commands.group import commands


def call(*arguments: str) -> Result:
    """Type a command."""
    return CliRunner().invoke(commands, list(arguments))


def read_table(result: Result, **kinds: Any) -> pd.DataFrame:
    """Return the table that a command has printed; `kinds` are the dtypes of some columns."""
    assert result.exit_code == 0, result.output
    return pd.read_csv(io.StringIO(result.stdout), dtype=kinds)
