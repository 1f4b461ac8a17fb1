"""The commands about the champion: ledger, explain, gate-report and rollback, as a person types."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from judgement import CLASSES, POSITIVE, predict
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus
from shipped import read_shipped

from image_classification import tracking
from image_classification.champion import registry, verification
from image_classification.champion.release import Release
from image_classification.champion.statement import DecisionRun
from image_classification.commands.group import commands
from image_classification.datasets import LedgerDataset
from image_classification.errors import VerificationError
from image_classification.gate.comparison import compare_predictions
from image_classification.gate.verdict import choose_action

MODEL, EXPERIMENT = "test-classifier", "image_classification"
POLICY: Any = read_shipped("promotion", env="test")
PATIENTS = [f"C{number}" for number in range(12)]
# Of ten cells of each patient, which are right: 2 is better by 20 points, 3 by one cell in all.
FIRST = dict.fromkeys(PATIENTS, "1111110000")
SECOND = dict.fromkeys(PATIENTS, "1111111100")
THIRD = {**SECOND, "C0": "1111111110"}


def call(*arguments: str) -> Result:
    return CliRunner().invoke(commands, list(arguments))


def read_table(result: Result) -> pd.DataFrame:
    assert result.exit_code == 0, result.output
    return pd.read_csv(io.StringIO(result.stdout), dtype={"version": str, "champion_before": str})


def answer(_: str) -> dict[str, Any]:
    """Stand for the fresh process that loads the champion."""
    version = registry.find_champion(MODEL)
    assert version is not None
    return {"model_id": registry.find_model_id(MODEL, version), "golden_difference": 0.0}


def judge_night(storage: Path, name: str, right: dict[str, str]) -> None:
    """Register a model and let the gate judge it, as a night does."""
    run_id = tracking.open_run(tracking.open_experiment(EXPERIMENT), f"retraining/{name}", name, {})
    client = MlflowClient()
    logged = client.create_logged_model(
        client.get_run(run_id).info.experiment_id, name="model", source_run_id=run_id
    )
    client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    with tracking.resume_run(run_id):
        tracking.log_images(
            pd.DataFrame({"image_id": ["t"], "label": POSITIVE, "patient": "T1", "split": "train"})
        )
    tags = {registry.INDEX_TAG: "2026-11-22T02:00:00+00:00", "data_digest": name}
    version = str(registry.register_challenger(MODEL, run_id, tags).version)
    champion = registry.find_champion(MODEL)
    theirs = {None: {}, "1": FIRST, "2": SECOND}[champion]
    tables = {"challenger": predict(right, version), "champion": predict(theirs, champion or "")}
    for role, table in tables.items():
        client.log_text(run_id, table.to_csv(index=False), f"promotion/{role}_predictions.csv")
    comparison = compare_predictions(
        tables["challenger"], tables["champion"], CLASSES, POSITIVE, POLICY
    )
    entries = LedgerDataset(filepath=str(storage / "ledger"))
    of_a_night = Release(MODEL, entries, POLICY, DecisionRun(run_id, airflow_run=f"night/{name}"))
    package = {"load_s": 1.0, "latency_ms": 5.0, "size_mb": 2.0}
    decision = of_a_night.conclude(version, comparison, package)
    action = choose_action(decision["verdict"], decision["mode"]).name
    assert action in ("promote", "keep")
    of_a_night.promote(version, decision) if action == "promote" else of_a_night.keep(
        version, decision
    )


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Three nights: the first champion, a better one, and one that is hardly better."""
    folder = tmp_path_factory.mktemp("storage")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMAGE_CLASSIFICATION_STORAGE", str(folder))
        patch.setenv("KEDRO_ENV", "test")
        patch.setattr(verification, "consume_version", answer)
        uri = f"sqlite:///{folder}/mlflow/mlflow.db"
        tracking.prepare_store(uri)
        tracking.connect(uri)
        mlflow.create_experiment(EXPERIMENT, artifact_location=str(folder / "mlflow" / "artifacts"))
        for name, right in (("one", FIRST), ("two", SECOND), ("three", THIRD)):
            judge_night(folder, name, right)
        yield folder


@pytest.fixture(autouse=True)
def _in_force(storage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_CLASSIFICATION_STORAGE", str(storage))
    monkeypatch.setenv("KEDRO_ENV", "test")
    monkeypatch.setattr(verification, "consume_version", answer)
    tracking.connect(f"sqlite:///{storage}/mlflow/mlflow.db")
    MlflowClient().set_registered_model_alias(MODEL, registry.CHAMPION, "2")


def test_the_ledger_is_listed_in_the_order_of_time() -> None:
    table = read_table(call("ledger"))
    assert table["event"].tolist() == ["promoted", "promoted", "kept champion"]
    assert table["version"].tolist() == ["1", "2", "3"]
    assert table["reason"].iloc[2].startswith("challenger +0.8 points (95 % CI ")
    assert table["reason"].iloc[2].endswith(" over 12 patients), required: lower bound > 0")


def test_the_ledger_of_a_version_tells_what_concerns_it() -> None:
    table = read_table(call("ledger", "--version", "v1"))
    assert list(zip(table["event"], table["version"], strict=True)) == [
        ("promoted", "1"),
        ("promoted", "2"),  # by which it was replaced
    ]


def test_the_ledger_is_exported_with_both_sets_of_measures(tmp_path: Path) -> None:
    result = call("ledger", "--to", str(tmp_path / "ledger.parquet"))
    assert result.output == f"3 rows: {tmp_path}/ledger.parquet\n"
    table = pd.read_parquet(tmp_path / "ledger.parquet")
    assert table["challenger_accuracy"].tolist() == pytest.approx([0.6, 0.8, 0.8 + 1 / 120])
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
        "required: lower bound > 0",
        "| accuracy | 0.8083 | 0.8000 | +0.8 points, better |",
        "| improvement | gain over patients |",
        "| floor | accuracy | 0.8083 | at least 0 | yes |",
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


def test_a_stricter_policy_is_replayed_over_all_nights_and_moves_nothing(tmp_path: Path) -> None:
    changes = ("--set", "improvement.minimum_gain=0.3")
    result = call("gate-report", *changes, "--plot", str(tmp_path / "report.png"))
    table = read_table(result)
    assert table["then"].tolist() == ["promote", "promote", "keep"]
    assert table["now"].tolist() == ["promote", "keep", "keep"]
    assert "3 comparisons: 2 to be promoted by the policies of their time, 1 by this one" in (
        result.stderr
    )
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")
    assert registry.find_champion(MODEL) == "2"
    assert len(read_table(call("ledger"))) == 3


def test_a_laxer_policy_of_a_file_is_replayed(tmp_path: Path) -> None:
    file = tmp_path / "lax.yml"
    file.write_text("promotion:\n  improvement: {minimum_gain: -0.01}\n")
    table = read_table(call("gate-report", "--policy", str(file)))
    assert table["now"].tolist() == ["promote", "promote", "promote"]
    assert table["gain"].tolist()[1:] == pytest.approx([0.2, 1 / 120])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("improvement.confidense=0.9", "'promotion.improvement.confidense'"),
        ("improvement.confidence=2", "'promotion.improvement.confidence'"),
        ("improvement.confidence", "--set: allowed is key.key=value. Received:"),
    ],
)
def test_a_policy_that_is_none_is_refused_by_name(change: str, message: str) -> None:
    result = call("gate-report", "--set", change)
    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output


def test_a_night_whose_predictions_are_gone_is_left_out_and_named(storage: Path) -> None:
    client = MlflowClient()
    run_id = str(client.get_model_version(MODEL, "3").run_id)
    (file,) = storage.rglob(f"{run_id}/artifacts/promotion/champion_predictions.csv")
    content = file.read_text()
    file.unlink()
    try:
        result = call("gate-report")
    finally:
        file.write_text(content)
    assert len(read_table(result)) == 2
    assert f"Left out: MLflow run {run_id} keeps no promotion/champion_predictions.csv" in (
        result.stderr
    )


def test_a_rollback_needs_a_reason() -> None:
    result = call("rollback")
    assert result.exit_code == 2
    assert "Missing option '--reason'" in result.output
    assert registry.find_champion(MODEL) == "2"


def test_a_rollback_that_cannot_be_verified_is_a_failure_in_mlflow_too(
    monkeypatch: pytest.MonkeyPatch, storage: Path
) -> None:
    def fail(_: str) -> dict[str, Any]:
        raise VerificationError("It cannot be loaded.")

    monkeypatch.setattr(verification, "consume_version", fail)
    result = call("rollback", "--reason", "misses rings", "--by", "Ada")
    assert result.exit_code == 1
    assert "It cannot be loaded. The champion is version 2 again." in result.output
    assert "Traceback" not in result.output
    assert registry.find_champion(MODEL) == "2"
    (entry,) = (storage / "ledger").glob("*failed-verification*.json")
    run = MlflowClient().get_run(entry.name.partition("-")[0])
    assert run.info.status == "FAILED"
    assert run.data.tags["outcome"].startswith("failed: It cannot be loaded.")
    entry.unlink()


def test_a_rollback_moves_the_champion_back_and_is_in_the_ledger_with_who_and_why(
    storage: Path,
) -> None:
    result = call("rollback", "--reason", "misses rings", "--by", "Ada")
    assert result.exit_code == 0, result.output
    assert "Champion: version 1, before version 2." in result.output
    assert registry.find_champion(MODEL) == "1"
    (entry,) = read_table(call("ledger")).query("event == 'rolled back'").to_dict("records")
    assert (entry["by"], entry["reason"], entry["champion_before"]) == ("Ada", "misses rings", "2")
    assert "rolled back to v1, by Ada (misses rings)" in call("explain", "2").output
    for file in (storage / "ledger").glob("*rolled-back*.json"):
        file.unlink()
