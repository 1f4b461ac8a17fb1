"""Ten classes of another domain, from a folder of images to a champion, by the proposed file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from domain_words import DOMAIN
from mlflow import MlflowClient
from public_digits import write_digits
from sessions import kedro_run
from storage_root import put_in_force

from image_classification.commands.decisions import explain
from image_classification.commands.project import new_project
from image_classification.commands.score import score
from image_classification.configuration.project import PROJECT_VARIABLE
from image_classification.datasets import delivery

MODEL = "digits-classifier"
# Two whole nights, as shipped but for the length of the training.
pytestmark = pytest.mark.slow
QUICK = {"training": {"epochs": 4, "batch_size": 32, "precision": "float32"}}


def invoke(command: Any, *arguments: str) -> str:
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 0, done.output
    return done.output


def find_strange_words(text: str) -> list[str]:
    """Return the lines that speak of another project; keys of parameters and columns may."""
    lines = text.replace("`patient`", "").splitlines()
    return [line for line in lines if DOMAIN.search(line)]


def test_two_nights_of_digits_are_judged_and_told_in_their_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = write_digits(tmp_path / "digits", 800)
    said = invoke(new_project, str(tmp_path), "--from", str(images))
    put_in_force(monkeypatch, tmp_path / "storage")
    monkeypatch.setenv("KEDRO_ENV", "base")
    monkeypatch.setenv(PROJECT_VARIABLE, str(tmp_path / "project.yml"))
    source = delivery.Source(images)
    for night, files in enumerate(delivery.split_by_date(source.files, 2), 1):
        incoming = tmp_path / "storage" / "incoming"
        delivery.deliver(source, str(incoming), f"night-{night}", files=files)
        kedro_run("retraining", **QUICK)

    client = MlflowClient(f"sqlite:///{tmp_path}/storage/mlflow/mlflow.db")
    first, second = (client.get_model_version(MODEL, number) for number in "12")
    decision = json.loads((tmp_path / "storage" / "runs/local/decision.json").read_text())
    (floor,) = [check for check in decision["checks"] if check["group"] == "floor"]
    assert floor["name"] == "accuracy"
    assert 0.1 < float(floor["required"].removeprefix("at least ")) < 0.3
    assert floor["passed"]
    assert decision["baseline"]["accuracy"] > 0.5
    assert str(client.get_model_version_by_alias(MODEL, "champion").version) in "12"
    assert "writers" in str(first.description)
    screening = json.loads((tmp_path / "storage/index/screenings/night-2.json").read_text())
    told = {
        "new-project": said,
        "card of 1": str(first.description),
        "card of 2": str(second.description),
        "explain": invoke(explain, "1"),
        "score": invoke(score, str(images / "digit3")),
        "screening": "\n".join([*screening["reasons"], *screening["notes"]]),
        "tags": "\n".join(map(str, second.tags.values())),
    }
    assert {name: lines for name, text in told.items() if (lines := find_strange_words(text))} == {}
    assert "scored" in told["score"]
    assert "digit3" in told["score"]
