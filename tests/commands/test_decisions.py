"""The commands about the champion: ledger, explain and rollback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import Result
from judged import MODEL
from mlflow import MlflowClient
from storage_root import put_back_storage
from terminal import call, find_slow_imports, read_table

from image_classification.champion import move, registry, verification
from image_classification.champion.statement import name_user
from image_classification.datasets import LedgerDataset
from image_classification.errors import VerificationError

pytestmark = pytest.mark.usefixtures("in_judged")


@pytest.fixture
def judged(_judged_roots: tuple[Path, Path]) -> Path:
    """The storage root, put back: what is written into a ledger cannot be taken out again."""
    put_back_storage(*_judged_roots)
    return _judged_roots[1]


def read_entries(result: Result) -> pd.DataFrame:
    return read_table(result, version=str, champion_before=str)


def test_the_ledger_is_listed_in_the_order_of_time() -> None:
    table = read_entries(call("ledger"))
    assert table["event"].tolist() == ["promoted", "promoted", "kept champion"]
    assert table["version"].tolist() == ["1", "2", "3"]
    reason = table["reason"].iloc[2]
    assert reason.startswith("challenger \N{MINUS SIGN}0.8 points (95 % CI ")
    assert " over 12 patients), the gain believed is " in reason


@pytest.mark.parametrize("command", [("ledger",), ("explain", "3"), ("trend",)])
def test_what_was_decided_is_told_without_the_libraries_that_decide(
    command: tuple[str, ...],
) -> None:
    assert find_slow_imports(*command) == set()


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
    (entry,) = read_entries(call("ledger")).query("event == 'failed verification'").index
    entry = LedgerDataset(filepath=str(judged / "ledger")).load()[str(entry)]
    run = MlflowClient().get_run(entry["mlflow_run_id"])
    assert run.info.status == "FAILED"
    assert run.data.tags["outcome"].startswith("failed: It cannot be loaded.")


def test_a_rollback_moves_the_champion_back_and_is_in_the_ledger_with_who_and_why() -> None:
    result = call("rollback", "--reason", "misses rings", "--by", "Ada")
    assert result.exit_code == 0, result.output
    assert "Champion: version 1, before version 2." in result.output
    assert registry.find_champion(MODEL) == "1"
    (entry,) = read_entries(call("ledger")).query("event == 'rolled back'").to_dict("records")
    assert (entry["reason"], entry["champion_before"]) == ("misses rings", "2")
    # A name that somebody types is kept beside the one that the operating system vouches for.
    assert entry["by"] == name_user()
    said = f"rolled back to v1, by {name_user()} (typed: Ada) (misses rings)"
    assert said in call("explain", "2").output


class TestVerify:
    def test_a_ledger_that_nobody_has_touched_is_proven(self, judged: Path) -> None:
        result = call("ledger", "--verify")
        assert result.exit_code == 0, result.output
        head = LedgerDataset(filepath=str(judged / "ledger")).load()["2"]
        assert result.output == (
            f"The ledger ends at entry {head['number']} sha256:{head['digest']}\n"
            "It agrees with itself, with the copies in MLflow, and with the alias.\n"
        )

    def test_what_was_changed_is_named_and_can_be_accepted_with_a_reason(
        self, judged: Path
    ) -> None:
        (judged / "ledger" / "00000002.json").write_bytes(b"")
        MlflowClient().set_registered_model_alias(MODEL, registry.CHAMPION, "3")
        result = call("ledger", "--verify")
        assert result.exit_code == 1
        assert "- WRONG: Entry 2 is damaged: it is empty\n" in result.output
        assert "- WRONG: The alias 'champion' of 'test-classifier' points to " in result.output
        assert "`image-classification ledger --accept REASON`" in result.output
        result = call("ledger", "--accept", "the disk was full")
        assert result.exit_code == 0, result.output
        assert f"(accepted by {name_user()} on 20" in result.output
        assert call("ledger", "--verify").exit_code == 0

    @pytest.mark.parametrize("content", [b"", b"\xff{"])
    def test_one_damaged_entry_fails_no_command(self, judged: Path, content: bytes) -> None:
        (judged / "ledger" / "00000004.json").write_bytes(content)
        for command in (
            ("ledger", "--version", "2"),
            ("explain", "2"),
            ("gate-report",),
        ):
            result = call(*command)
            assert result.exit_code == 0, result.output
        assert read_entries(call("ledger"))["version"].tolist() == ["1", "3"]
        assert call("rollback", "1", "--reason", "misses rings").exit_code == 0

    def test_a_version_that_was_deleted_is_explained_by_its_entries(self) -> None:
        MlflowClient().delete_model_version(MODEL, "1")
        output = call("explain", "1").output
        assert output.startswith("# test-classifier, version 1 (deleted in MLflow)\n")
        assert "v1 promoted, by the policy" in output


def test_what_a_run_has_left_half_done_is_ended_by_whoever_looks(judged: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(move, "verify_champion", _stop)
        assert call("rollback", "--reason", "misses rings").exit_code == 1
    result = call("ledger")
    assert "was left half done: it answers as stored, and is done." in result.stderr
    assert read_entries(result)["event"].tolist()[-1] == "rolled back"
    assert call("ledger", "--verify").exit_code == 0


def _stop(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt
