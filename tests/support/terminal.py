"""The command `image-classification`, as a person types it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
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


SLOW = {"keras", "kedro", "kedro_mlflow", "mlflow", "pandas", "scipy", "tensorflow"}
"""Libraries that take a large part of a second to import, or seconds."""

TYPE_IT = """
import json, sys
from image_classification.commands.entry import main
sys.argv = ["image-classification", *sys.argv[1:]]
try:
    main()
except SystemExit as ended:
    loaded = sorted({name.partition(".")[0] for name in sys.modules})
    print(json.dumps([ended.code, loaded]), file=sys.stderr)
"""


def find_slow_imports(*arguments: str) -> set[str]:
    """Type a command in a process of its own; return what it has imported that takes long."""
    told = subprocess.run(
        [sys.executable, "-c", TYPE_IT, *arguments], capture_output=True, text=True, check=True
    )
    code, loaded = json.loads(told.stderr.splitlines()[-1])
    assert code == 0, told.stdout + told.stderr
    return SLOW & set(loaded)
