"""The default parameters on the real images, where they are at hand."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from image_classification.delivery import Source, deliver

PROJECT = Path(__file__).resolve().parents[2]
REAL_IMAGES = PROJECT.parent / "shared" / "data" / "cell_images.zip"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.end_to_end,
    pytest.mark.skipif(
        not REAL_IMAGES.exists(),
        reason="the NIH malaria images are not beside the project (../shared/data)",
    ),
]


def test_default_parameters_reach_0_94_on_the_validation_patients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source(REAL_IMAGES)
    deliver(source, str(tmp_path / "storage" / "incoming"), "all")
    monkeypatch.setenv("IMAGE_CLASSIFICATION_STORAGE", str(tmp_path / "storage"))
    monkeypatch.setenv("KEDRO_ENV", "local")
    bootstrap_project(PROJECT)
    with KedroSession.create(project_path=PROJECT) as session:
        session.run(pipeline_names=["retraining"])
    splits = pd.read_parquet(tmp_path / "storage" / "runs" / "local" / "image_splits.parquet")
    quarantine = pd.read_parquet(tmp_path / "storage" / "index" / "quarantine" / "all.parquet")
    assert len(splits) + len(quarantine) == len(source.files) == 12_442
    assert splits["patient"].str.fullmatch(r"C\d+").all()
    assert (splits["captured_on"] != "").all()
    decision = json.loads((tmp_path / "storage/runs/local/decision.json").read_text())
    assert decision["challenger"]["metrics"]["accuracy"] >= 0.94
    assert decision["promote"]
