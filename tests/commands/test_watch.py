"""How well the champion does, and where the time of a run goes."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient
from terminal import call, read_table

from image_classification import tracking
from image_classification.commands.console import run_pipeline

pytestmark = pytest.mark.usefixtures("in_laboratory")

SECONDS = {"start": 0.5, "session": 0.25, "load": 1, "compute": 4, "save": 1.5, "tracking": 0.25}
TIMING = {
    "task": "train_network",
    "state": "success",
    "began": "2026-11-26T02:00:10.000+00:00",
    "ended": "2026-11-26T02:00:17.500+00:00",
    "seconds": SECONDS,
}
TASK = {
    "task_id": "open_run",
    "state": "success",
    "queued_when": "2026-11-26T02:00:00Z",
    "start_date": "2026-11-26T02:00:01Z",
    "end_date": "2026-11-26T02:00:03Z",
}


def test_the_trend_is_listed_and_written_to_a_file(laboratory: Path, tmp_path: Path) -> None:
    assert len(read_table(call("trend"))) == 0
    run_pipeline("monitoring")
    table = read_table(call("trend"))
    assert table["model_version"].tolist() == [1]
    assert table["alert"].dtype == bool
    assert (table["low"] <= table["accuracy"]).all()
    result = call("trend", "--to", str(tmp_path / "trend.csv"))
    assert "1 rows" in result.output
    sentence = pd.read_csv(tmp_path / "trend.csv")["sentence"].iloc[0]
    assert "champion v1 " in sentence
    client = MlflowClient(f"sqlite:///{laboratory}/mlflow/mlflow.db")
    watched = client.search_runs(["1"], filter_string="tags.champion_watch != ''")
    assert [run.data.tags["champion_watch"] for run in watched] == [sentence]


@pytest.fixture
def profiled(laboratory: Path) -> str:
    """An MLflow run that has kept where its seconds went."""
    tracking.connect(f"sqlite:///{laboratory}/mlflow/mlflow.db")
    run_id = tracking.open_run("1", "training/manual__1", "a run", {})
    tracking.log_profile(run_id, [TASK], [TIMING])
    return run_id


def test_a_profile_is_listed_by_the_name_of_the_run_and_by_its_id(
    profiled: str, tmp_path: Path
) -> None:
    figure = tmp_path / "night.png"
    for name in ("training/manual__1", profiled):
        table = read_table(call("profile", name, "--to", str(figure)))
        assert table["task"].tolist() == ["open_run", "train_network"]
        assert table["queue"].tolist() == [1.0, 0.0]
        assert table["total"].tolist() == [3.0, 7.5]
    assert figure.stat().st_size > 1000


@pytest.mark.usefixtures("profiled")
def test_without_a_name_the_newest_retraining_is_meant(laboratory: Path) -> None:
    unknown = call("profile")
    assert unknown.exit_code == 1
    assert "There is no run of 'retraining'" in unknown.output
    assert "Run one: kedro run --pipelines retraining" in unknown.output
    assert "MLFLOW_TRACKING_URI" in unknown.output
    newest = tracking.open_run("1", "retraining/1", "newest", {"pipeline_names": "retraining"})
    tracking.log_profile(newest, [], [TIMING])
    assert read_table(call("profile"))["task"].tolist() == ["train_network"]


def test_a_profile_is_drawn_into_a_png_alone() -> None:
    result = call("profile", "--to", "night.svg")
    assert result.exit_code == 1
    assert "'night.svg' ends in '.svg': .png is allowed" in result.output
