"""Stored comparisons are judged again, under another policy."""

from __future__ import annotations

from pathlib import Path

import pytest
from judged import MODEL
from mlflow import MlflowClient
from terminal import call, read_table

from image_classification.champion import registry

pytestmark = pytest.mark.usefixtures("in_judged")


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
    assert table["gain"].tolist()[1:] == pytest.approx([0.2, -1 / 120])


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


def test_a_night_whose_predictions_are_gone_is_left_out_and_named(judged: Path) -> None:
    client = MlflowClient()
    run_id = str(client.get_model_version(MODEL, "3").run_id)
    (file,) = judged.rglob(f"{run_id}/artifacts/promotion/champion_predictions.csv")
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
