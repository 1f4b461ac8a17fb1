"""The commands about the champion: ledger, explain and rollback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import Result
from judged import MODEL
from mlflow import MlflowClient
from terminal import call, read_table

from image_classification.champion import registry, verification
from image_classification.errors import VerificationError

pytestmark = pytest.mark.usefixtures("in_judged")


def read_entries(result: Result) -> pd.DataFrame:
    return read_table(result, version=str, champion_before=str)


def test_the_ledger_is_listed_in_the_order_of_time() -> None:
    table = read_entries(call("ledger"))
    assert table["event"].tolist() == ["promoted", "promoted", "kept champion"]
    assert table["version"].tolist() == ["1", "2", "3"]
    reason = table["reason"].iloc[2]
    assert reason.startswith("challenger \N{MINUS SIGN}0.8 points (95 % CI ")
    assert " over 12 patients), the gain believed is " in reason


def test_the_ledger_of_a_version_tells_what_concerns_it() -> None:
    table = read_entries(call("ledger", "--version", "v1"))
    assert list(zip(table["event"], table["version"], strict=True)) == [
        ("promoted", "1"),
        ("promoted", "2"),  # by which it was replaced
    ]


def test_the_ledger_is_exported_with_both_sets_of_measures(tmp_path: Path) -> None:
    result = call("ledger", "--to", str(tmp_path / "ledger.parquet"))
    assert result.output == f"3 rows: {tmp_path}/ledger.parquet\n"
    table = pd.read_parquet(tmp_path / "ledger.parquet")
    assert table["challenger_accuracy"].tolist() == pytest.approx([0.6, 0.8, 0.8 - 1 / 120])
    assert table["champion_accuracy"].tolist()[1:] == pytest.approx([0.6, 0.8])
    for column in ("gain", "gain_low", "gain_high", "p_value", "challenger_sensitivity", "mode"):
        assert table[column].notna().iloc[2]
    assert table["data_digest"].tolist() == ["one", "two", "three"]
    assert table["airflow_run"].tolist() == ["night/one", "night/two", "night/three"]
    assert table["mlflow_run_id"].is_unique


@pytest.mark.parametrize("version", ["3", "v3"])
def test_a_version_that_was_not_promoted_is_explained_in_full(version: str) -> None:
    result = call("explain", version)
    assert result.exit_code == 0, result.output
    assert result.output.startswith("# test-classifier, version 3 (challenger)\n")
    for text in (
        "champion kept against v3, by the policy; champion then: 2",
        "required: at least 0.0 points; P(better) = 0.",
        "| accuracy | 0.7917 | 0.8000 | \N{MINUS SIGN}0.8 points, worse |",
        "| improvement | believed gain |",
        "| floor | accuracy | 0.7917 | at least 0 | yes |",
        "data digest: three",
    ):
        assert text in result.output
    assert "promoted" not in result.output


def test_a_replaced_champion_is_explained_by_both_its_promotion_and_its_end() -> None:
    output = call("explain", "1").output
    assert "v1 promoted, by the policy; champion then: 1" in output
    assert "v2 promoted, by the policy; champion then: 2" in output


def test_a_version_that_is_not_there_is_named() -> None:
    result = call("explain", "99")
    assert result.exit_code == 1
    assert "There is no version '99'" in result.output


def test_a_rollback_needs_a_reason() -> None:
    result = call("rollback")
    assert result.exit_code == 2
    assert "Missing option '--reason'" in result.output
    assert registry.find_champion(MODEL) == "2"


def test_a_rollback_that_cannot_be_verified_is_a_failure_in_mlflow_too(
    monkeypatch: pytest.MonkeyPatch, judged: Path
) -> None:
    def fail(_: str) -> dict[str, Any]:
        raise VerificationError("It cannot be loaded.")

    monkeypatch.setattr(verification, "consume_version", fail)
    result = call("rollback", "--reason", "misses rings", "--by", "Ada")
    assert result.exit_code == 1
    assert "It cannot be loaded. The champion is version 2 again." in result.output
    assert "Traceback" not in result.output
    assert registry.find_champion(MODEL) == "2"
    (entry,) = (judged / "ledger").glob("*failed-verification*.json")
    run = MlflowClient().get_run(entry.name.partition("-")[0])
    assert run.info.status == "FAILED"
    assert run.data.tags["outcome"].startswith("failed: It cannot be loaded.")
    entry.unlink()


def test_a_rollback_moves_the_champion_back_and_is_in_the_ledger_with_who_and_why(
    judged: Path,
) -> None:
    result = call("rollback", "--reason", "misses rings", "--by", "Ada")
    assert result.exit_code == 0, result.output
    assert "Champion: version 1, before version 2." in result.output
    assert registry.find_champion(MODEL) == "1"
    (entry,) = read_entries(call("ledger")).query("event == 'rolled back'").to_dict("records")
    assert (entry["by"], entry["reason"], entry["champion_before"]) == ("Ada", "misses rings", "2")
    assert "rolled back to v1, by Ada (misses rings)" in call("explain", "2").output
    for file in (judged / "ledger").glob("*rolled-back*.json"):
        file.unlink()
