"""Three nights that the gate has judged, without training: the first champion, a better, a third.

The third is a little worse than the second, and the champion stays.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from judgement import CLASSES, POSITIVE, predict
from mlflow import MlflowClient
from registered import register_version
from shipped import read_shipped

from image_classification import tracking
from image_classification.champion import registry
from image_classification.champion.release import Release
from image_classification.champion.statement import DecisionRun
from image_classification.datasets import LedgerDataset
from image_classification.gate.comparison import compare_predictions
from image_classification.gate.verdict import choose_action

MODEL, EXPERIMENT = "test-classifier", "image_classification"
POLICY: Any = read_shipped("promotion", env="test")
PATIENTS = [f"C{number}" for number in range(12)]
# Of ten cells of each patient, which are right: 2 is better by 20 points, 3 worse by one cell.
FIRST = dict.fromkeys(PATIENTS, "1111110000")
SECOND = dict.fromkeys(PATIENTS, "1111111100")
THIRD = {**SECOND, "C0": "1111111000"}


def judge_nights(storage: Path) -> None:
    """Let the three nights pass over a storage root whose MLflow store is connected to."""
    for name, right in (("one", FIRST), ("two", SECOND), ("three", THIRD)):
        _judge_night(storage, name, right)


def consume(_: str) -> dict[str, Any]:
    """Stand for the fresh process that loads the champion."""
    version = registry.find_champion(MODEL)
    assert version is not None
    return {"model_id": registry.find_model_id(MODEL, version), "golden_difference": 0.0}


def _judge_night(storage: Path, name: str, right: dict[str, str]) -> None:
    """Register a model and let the gate judge it, as a night does."""
    run_id = tracking.open_run(tracking.open_experiment(EXPERIMENT), f"retraining/{name}", name, {})
    with tracking.resume_run(run_id):
        tracking.log_images(
            pd.DataFrame({"image_id": ["t"], "label": POSITIVE, "patient": "T1", "split": "train"})
        )
    tags = {"index_until": "2026-11-22T02:00:00+00:00", "data_digest": name}
    version = register_version(MODEL, run_id, tags)
    champion = registry.find_champion(MODEL)
    theirs = {None: {}, "1": FIRST, "2": SECOND}[champion]
    tables = {"challenger": predict(right, version), "champion": predict(theirs, champion or "")}
    for role, table in tables.items():
        path = f"promotion/{role}_predictions.csv"
        MlflowClient().log_text(run_id, table.to_csv(index=False), path)
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
