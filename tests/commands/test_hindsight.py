"""What later images say of the decisions, in the gate report."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from judged import MODEL
from judgement import make_entry
from ledger_store import write_earlier
from mlflow import MlflowClient
from registered import register_version
from storage_root import STORE
from terminal import call, read_table

from image_classification import tracking
from image_classification.champion import registry
from image_classification.commands.console import run_pipeline
from image_classification.local.synthetic import make_cells


def test_an_old_ledger_says_what_is_not_looked_back_on_and_how_to(in_judged: Path) -> None:
    result = call("gate-report")
    table = read_table(result)
    assert table["hindsight"].isna().all()
    assert "promoted v2 over v1 on " in result.stderr
    assert "kept v2 against v3 on " in result.stderr
    assert result.stderr.count("; not looked back on yet\n") == 2
    assert result.stderr.endswith(
        "Hindsight: 2 not looked back on yet: `image-classification gate-report --hindsight` looks "
        "back on all of them.\n"
    )


def test_an_old_ledger_without_later_images_says_that_there_are_none(in_judged: Path) -> None:
    result = call("gate-report", "--hindsight")
    assert read_table(result)["hindsight"].tolist()[1:] == ["not clear yet"] * 2
    assert result.stderr.count("; no image came later that neither was trained on: not clear") == 2
    assert "Hindsight: looked back on 2 decisions: 2 not clear yet.\n" in result.stderr
    assert registry.find_champion(MODEL) == "2"


@pytest.fixture
def decided(in_laboratory: Path, tmp_path: Path) -> Path:
    """A champion that was kept against a version of the same network; then six patients came."""
    tracking.connect(f"sqlite:///{in_laboratory / STORE}")
    (known,) = MlflowClient().search_model_versions(f"name = '{MODEL}'")
    run_id = tracking.open_run(
        tracking.open_experiment("image_classification"), "retraining/two", "two", {}
    )
    with tracking.resume_run(run_id):
        images = tracking.read_images(str(known.run_id))
        assert images is not None
        tracking.log_images(images)
    version = register_version(MODEL, run_id, {}, in_laboratory / "network.keras")
    at = (datetime.now(UTC) - timedelta(minutes=1)).isoformat(timespec="milliseconds")
    entry = make_entry("kept champion", version, "1", "1", at=at, model=MODEL)
    write_earlier(in_laboratory / "ledger", "one", {**entry, "mlflow_run_id": run_id})
    make_cells(tmp_path / "later", range(30, 36), 4)
    call("deliver", str(tmp_path / "later"), "--name", "later", "--labelled-by", "Ada")
    run_pipeline("data_processing")
    return in_laboratory


def test_asked_for_it_scores_what_came_later_and_keeps_it(decided: Path) -> None:
    result = call("gate-report", "--hindsight")
    assert result.exit_code == 0, result.output
    told = (
        "; on 24 images of 6 patients that came later v2 was as good as v1 (0.0 to 0.0 points): "
        "right to keep\nHindsight: looked back on 1 decision: 1 right to keep.\n"
    )
    assert result.stderr.endswith(told)
    parts = {path.name[:3] for path in (decided / "hindsight" / "answers").iterdir()}
    assert parts == {"v1-", "v2-"}

    assert call("gate-report").stderr.endswith(told)
    assert registry.find_champion(MODEL) == "1"
