"""What MLflow remembers of one patient goes: artifacts, figures, tags, cards; the rest stays."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from judgement import make_decision
from mlflow import MlflowClient
from registry_store import EXPERIMENT, MODEL, open_run
from registry_store import register as register_version

from image_classification import tracking
from image_classification.champion import registry
from image_classification.champion.forgetting import DECISION, Memory, record_forgotten
from image_classification.champion.journal import Journal
from image_classification.champion.repackage import Repackager
from image_classification.datasets import ForgottenDataset, LedgerDataset
from image_classification.figures.forgotten import COMPARISON, SHEET, SUMMARY, redraw_figure
from image_classification.intake.scrub import Person

pytestmark = pytest.mark.usefixtures("store")

IMAGES = pd.DataFrame(
    {
        "image_id": ["a" * 64, "b" * 64, "c" * 64],
        "image_name": ["C5P5_1.png", "C5P5_2.png", "C6P6_1.png"],
        "label": ["ring", "healthy", "ring"],
        "patient": ["C5", "C5", "C6"],
        "split": ["train", "train", "validation"],
    }
)
PERSON = Person("C5", "p-1", frozenset({"a" * 64, "b" * 64}), frozenset(IMAGES["image_name"][:2]))


def open_memory(folder: Path) -> Memory:
    shelf = ForgottenDataset(filepath=str(folder / "forgotten")).shelf
    repackager = Repackager(shelf, lambda *_: pd.DataFrame(), lambda *_: None)
    return Memory(MODEL, EXPERIMENT, repackager)


def remove_all(folder: Path) -> list[str]:
    kinds = []
    for kind, _, apply in open_memory(folder).find(PERSON):
        apply()
        kinds.append(kind)
    return kinds


def log(run_id: str, path: str, content: bytes) -> None:
    tracking.replace_artifact(run_id, path, content)


def test_artifacts_of_all_runs_are_scrubbed_deleted_ones_too(tmp_path: Path) -> None:
    run_id, _ = register_version("one", IMAGES)
    log(run_id, "predictions/validation_predictions.csv", IMAGES.to_csv(index=False).encode())
    log(run_id, "plots/confident_mistakes.png", b"their picture")
    log(run_id, "plots/roc_curve.png", b"a curve")
    entry = json.dumps({"comment": "of C5"}).encode()
    log(run_id, "promotion/ledger_entry.json", entry)
    tracking.tag_run(run_id, {"outcome": "C5 and C6"})
    deleted = open_run("deleted")
    log(deleted, "data/images.parquet", IMAGES.to_parquet())
    MlflowClient().delete_run(deleted)

    assert sorted(remove_all(tmp_path)) == [*(["artifacts of runs"] * 3), "figures", "tags of runs"]
    for run in (run_id, deleted):
        images = tracking.read_images(run)
        assert images is not None
        assert images["patient"].tolist() == ["C6"]
    assert b"C5" not in (
        tracking.read_artifact(run_id, "predictions/validation_predictions.csv") or b""
    )
    drawn = tracking.read_artifact(run_id, "plots/confident_mistakes.png") or b""
    assert drawn[:4] == b"\x89PNG"
    assert tracking.read_artifact(run_id, "plots/roc_curve.png") == b"a curve"
    assert tracking.read_tag(run_id, "outcome") == "p-1 and C6"
    # The copy of an entry is compared with the ledger, which is never changed.
    assert tracking.read_artifact(run_id, "promotion/ledger_entry.json") == entry
    assert remove_all(tmp_path) == []


@pytest.mark.parametrize("decision", [None, make_decision()])
def test_the_comparison_is_drawn_anew_from_the_decision_of_its_run(
    tmp_path: Path, decision: dict[str, Any] | None
) -> None:
    run_id = open_run("one")
    log(run_id, "predictions/validation_predictions.csv", IMAGES.to_csv(index=False).encode())
    log(run_id, f"plots/{COMPARISON}", b"their pictures")
    if decision:
        log(run_id, DECISION, json.dumps(decision).encode())
    remove_all(tmp_path)
    drawn = tracking.read_artifact(run_id, f"plots/{COMPARISON}")
    assert drawn == redraw_figure(COMPARISON, decision)
    assert redraw_figure(COMPARISON, make_decision()) != redraw_figure(COMPARISON, None)


def test_the_sheet_of_a_batch_that_showed_them_is_drawn_anew_once_its_summary_says_so(
    tmp_path: Path,
) -> None:
    with_them, without = open_run("with"), open_run("without")
    for run_id, batch in ((with_them, "spring"), (without, "summer")):
        log(run_id, f"intake/{SUMMARY}", f"Batch {batch}: held".encode())
        log(run_id, f"intake/{SHEET}", b"its pictures")
    person = replace(PERSON, paths=frozenset({"spring/ring/C5P5_1.png"}))
    found = [(kind, what) for kind, what, _ in open_memory(tmp_path).find(person)]
    assert found == [("figures", f"{with_them}/intake/{SHEET}")]


def test_a_card_that_names_a_patient_shows_the_pseudonym_and_the_others_stay(
    tmp_path: Path,
) -> None:
    cards = {"of C5": "of p-1", "of C6": "of C6"}
    versions = [register_version(name)[1] for name in ("one", "two")]
    for version, card in zip(versions, cards, strict=True):
        registry.describe_version(MODEL, version, {}, card)
    assert remove_all(tmp_path) == ["cards"]
    told = [registry.get_version(MODEL, version).description for version in versions]
    assert told == list(cards.values())
    assert remove_all(tmp_path) == []


def test_it_is_known_which_versions_have_seen_whom(tmp_path: Path) -> None:
    register_version("one", IMAGES)
    register_version("two", IMAGES[2:])
    register_version("three")
    memory = open_memory(tmp_path)
    assert memory.list_patients() == {"C5", "C6"}
    assert memory.find_images("C5") == {"a" * 64, "b" * 64}
    assert memory.list_versions("C5") == {"1": ["train"]}
    assert memory.list_versions("C6") == {"1": ["validation"], "2": ["validation"]}


def test_it_is_recorded_once_however_often_it_is_said(tmp_path: Path) -> None:
    _, version = register_version("one", IMAGES)
    registry.describe_version(MODEL, version, {}, "Champion since.\n\n**Promoted**")
    journal = Journal(LedgerDataset(filepath=str(tmp_path / "ledger")))
    record: dict[str, Any] = {"patient": "p-1", "by": "Ada", "reason": "asked", "images": 2}
    record |= {"versions": {version: ["train"], "9": ["train"]}, "packages": {}}
    for token in ("t", "t", "u"):
        record_forgotten(MODEL, journal, record, token)
    assert [one["token"] for one in journal.read().forgotten] == ["t", "u"]
    card = registry.get_version(MODEL, version).description or ""
    assert card.count("**Forgotten:**") == 1
    assert "`p-1`" in card
