"""What the commands share: errors in one line, tables as CSV, single entries of the catalog."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from kedro.io import DatasetError
from storage_root import put_in_force

from image_classification.commands import console
from image_classification.configuration.loader import LOADER_ARGUMENTS, ReadOnceConfigLoader
from image_classification.configuration.location import find_project_path
from image_classification.errors import DataError

TABLE = pd.DataFrame({"name": ["a", "b"], "label": ["x", None], "more": [1, 2]})


def fail_with(error: Exception) -> Result:
    @click.command()
    @console.report_errors
    def command() -> None:
        raise error

    return CliRunner().invoke(command)


def test_an_error_of_ours_ends_with_one_line() -> None:
    result = fail_with(DataError("There is no such folder."))
    assert (result.exit_code, result.output) == (1, "Error: There is no such folder.\n")


def test_an_error_of_ours_is_found_in_that_of_the_catalog() -> None:
    ours = DataError("There is no such folder.")
    wrapped = DatasetError("Failed while loading data from dataset Inbox(...)")
    wrapped.__cause__ = DatasetError("again")
    wrapped.__cause__.__cause__ = ours
    assert fail_with(wrapped).output == "Error: There is no such folder.\n"


@pytest.mark.parametrize("error", [DatasetError("a disk is broken"), ValueError("a bug")])
def test_any_other_error_keeps_its_traceback(error: Exception) -> None:
    result = fail_with(error)
    assert result.exception is error
    assert result.output == ""


def test_a_table_is_printed_as_csv_with_the_columns_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console.show_table(TABLE, ["label", "name"], None)
    assert capsys.readouterr().out == "label,name\nx,a\n,b\n"


@pytest.mark.parametrize(("suffix", "read"), [("csv", pd.read_csv), ("parquet", pd.read_parquet)])
def test_a_table_is_written_with_all_its_columns(
    tmp_path: Path, suffix: str, read: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"table.{suffix}"
    console.show_table(TABLE, ["name"], path)
    assert capsys.readouterr().out == f"2 rows: {path}\n"
    assert list(read(path)) == ["name", "label", "more"]


def test_a_table_is_not_written_to_another_kind_of_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"ends in '.xlsx': .csv and .parquet are allowed"):
        console.show_table(TABLE, ["name"], tmp_path / "table.xlsx")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def in_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    put_in_force(monkeypatch, tmp_path)
    return tmp_path


@pytest.mark.usefixtures("in_tests")
def test_one_entry_is_loaded_without_the_types_of_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # An import of it fails now.
    monkeypatch.setitem(sys.modules, "image_classification.vision.dataset", None)
    conf = str(find_project_path() / "conf")
    loader = ReadOnceConfigLoader(conf, env="test", **LOADER_ARGUMENTS)
    context: Any = SimpleNamespace(config_loader=loader)
    assert dict(console.load_entry(context, "ledger")) == {}
    with pytest.raises(DatasetError, match="NetworkDataset"):
        console.load_entry(context, "network")


def test_globals_are_those_of_the_environment(in_tests: Path) -> None:
    found = console.read_configuration()["globals"]
    assert found["registered_model_name"] == "test-classifier"
    assert found["incoming"] == f"{in_tests}/incoming"
