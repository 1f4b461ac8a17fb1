"""A patient is forgotten by a command: listed first, done with --yes, ended if it was killed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from kills import Killed
from mlflow import MlflowClient
from storage_root import STORE
from terminal import call

from image_classification import tracking
from image_classification.champion import package, registry
from image_classification.champion.chain import DECIDED
from image_classification.champion.consumer import GOLDEN_CELLS
from image_classification.champion.journal import Journal
from image_classification.commands import forget
from image_classification.datasets import LedgerDataset
from image_classification.gate.verdict import KEPT
from image_classification.intake.forgotten import digest_patient

MODEL = "test-classifier"
pytestmark = pytest.mark.usefixtures("in_laboratory")


def read_log(laboratory: Path) -> pd.DataFrame:
    parts = sorted((laboratory / "index" / "images").glob("*.parquet"))
    return pd.concat([pd.read_parquet(part) for part in parts], ignore_index=True)


def choose_patient(laboratory: Path, split: str) -> str:
    log = read_log(laboratory)
    return str(log.loc[(log["split"] == split) & (log["status"] == "accepted"), "patient"].iloc[0])


def give_golden_cells(laboratory: Path, patient: str) -> None:
    """Let the champion show an image of a patient, signed."""
    tracking.connect(f"sqlite:///{laboratory / STORE}")
    version = registry.get_version(MODEL, "1")
    model_id = registry.read_model_id(version)
    assert model_id is not None
    log = read_log(laboratory).set_index("patient")
    path = laboratory / "images" / log.loc[[patient], "path"].iloc[0]
    with tracking.fetch_model(model_id) as folder:
        assert folder is not None
        cells = {"image_name": [path.name], "image": [path.read_bytes()]}
        pd.DataFrame(cells).assign(
            probability_Parasitized=0.5, probability_Uninfected=0.5
        ).to_parquet(folder / GOLDEN_CELLS)
        from registered import sign

        (folder / "model.sig").unlink()
        sign(folder)
        for name in (GOLDEN_CELLS, "model.sig"):
            tracking.attach_file(model_id, folder / name)


def find_traces(laboratory: Path, patient: str, ids: set[str]) -> list[str]:
    found = []
    for path in laboratory.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            table = pd.read_parquet(path) if path.suffix == ".parquet" else None
            text = "" if table is None else table.to_csv()
            named = f"{patient}P".encode() in content or any(i.encode() in content for i in ids)
            images = table["image"] if table is not None and "image" in table else ()
            shown = {hashlib.sha256(image).hexdigest() for image in images} & ids
            if named or shown or any(i in text for i in ids) or f"{patient}P" in path.name:
                found.append(str(path.relative_to(laboratory)))
    return found


def read_list(laboratory: Path) -> dict[str, Any]:
    paths = (laboratory / "forgotten").glob("*.json")
    return {path.stem: json.loads(path.read_text()) for path in paths}


@pytest.mark.slow
def test_it_is_listed_first_and_then_done_and_recorded_without_the_name(laboratory: Path) -> None:
    patient = choose_patient(laboratory, "validation")
    log = read_log(laboratory)
    ids = set(log.loc[log["patient"] == patient, "image_id"])
    give_golden_cells(laboratory, patient)
    before = {path: path.read_bytes() for path in laboratory.rglob("*") if path.is_file()}
    listed = call("forget", patient, "--reason", "asked for it")
    assert listed.exit_code == 0, listed.output
    assert "packages: 1" in listed.output
    assert "version 1 has seen them in: validation" in listed.output
    assert "Nothing was removed" in listed.output
    changed = {p for p in laboratory.rglob("*") if p.is_file() and before.get(p) != p.read_bytes()}
    assert {path.relative_to(laboratory).parts[0] for path in changed} <= {"keys", "logs", "mlflow"}

    done = call("forget", patient, "--reason", "asked for it", "--yes", "--anyway")
    assert done.exit_code == 0, done.output
    assert find_traces(laboratory, patient, ids) == []
    key = (laboratory / "keys" / "patients.key").read_bytes()
    (record,) = read_list(laboratory).items()
    assert record[0] == digest_patient(patient, key)
    assert record[1]["reason"] == "asked for it"
    assert record[1]["done_at"]
    entry = json.loads(max((laboratory / "ledger").glob("*.json")).read_text())
    assert (entry["step"], entry["patient"]) == ("forgotten", record[1]["pseudonym"])
    assert entry["versions"] == {"1": ["validation"]}
    (digests,) = entry["packages"].values()
    assert digests["before"] != digests["after"]
    card = MlflowClient().get_model_version(MODEL, "1").description
    assert f"`{record[1]['pseudonym']}`" in card
    # The champion is what this installation has signed, and shows somebody else.
    with package.fetch_files(MODEL, "champion") as folder:
        cells = pd.read_parquet(folder / GOLDEN_CELLS)
        assert len(cells) > 1
    assert call("check").exit_code == 0, call("check").output
    # Of a champion that a test has set by hand it says more, and nothing of the entry.
    verified = call("ledger", "--verify").output
    assert "The ledger ends at entry 1 " in verified
    assert "Entry 1" not in verified

    again = call("forget", patient, "--reason", "once more")
    assert again.exit_code == 0, again.output
    assert "0 cells are known" in again.output
    assert "Nothing is left" in call("forget", "--resume").output


@pytest.mark.slow
def test_what_was_begun_is_ended(laboratory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    patient = choose_patient(laboratory, "train")
    log = read_log(laboratory)
    ids = set(log.loc[log["patient"] == patient, "image_id"])

    def end(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(forget.Forgetting, "_record", end)
        with pytest.raises(Killed):
            call("forget", patient, "--reason", "asked for it", "--yes", "--anyway")
    assert read_list(laboratory)
    resumed = call("forget", "--resume", "--yes", "--anyway")
    assert resumed.exit_code == 0, resumed.output
    assert f"{len(ids)} cells are known" in resumed.output
    assert find_traces(laboratory, patient, ids) == []
    assert not list((laboratory / "forgotten").glob("*.work.json"))
    entry = json.loads(max((laboratory / "ledger").glob("*.json")).read_text())
    assert (entry["step"], entry["images"]) == ("forgotten", len(ids))


@pytest.mark.slow
def test_what_comes_back_from_a_backup_is_forgotten_again(laboratory: Path) -> None:
    patient = choose_patient(laboratory, "train")
    parts = {path: path.read_bytes() for path in (laboratory / "index").rglob("*.parquet")}
    typed = {"step": DECIDED, "event": KEPT, "model": MODEL, "version": "1"}
    journal = Journal(LedgerDataset(filepath=str(laboratory / "ledger")))
    journal.add(lambda _: {**typed, "comment": f"not with {patient}"})
    call("forget", patient, "--reason", "asked for it", "--yes", "--anyway")
    for path, content in parts.items():
        path.write_bytes(content)
    assert patient in set(read_log(laboratory)["patient"])
    checked = call("check")
    assert checked.exit_code == 1
    assert "1 patient to be forgotten: still known here, or known again" in checked.output
    (laboratory / "backups.json").write_text(json.dumps(["/proc/none"]))
    resumed = call("forget", "--resume", "--yes", "--anyway")
    assert resumed.exit_code == 0, resumed.output
    assert patient not in set(read_log(laboratory)["patient"])
    assert "The backups at '/proc/none' are not told" in resumed.output
    number = journal.read().entries[-1]["number"]
    assert f"The ledger names the patient in entries {number}: somebody typed" in resumed.output
    assert call("check").exit_code == 0
    (laboratory / "backups.json").unlink()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("C1000", "--reason", "why"), "Nothing is known of a patient 'C1000'."),
        (("C1", "--reason", "said by C1"), "--reason names the patient"),
        (("C1",), "--reason is empty"),
        (("C1", "--resume"), "Give either GROUP or --resume"),
        ((), "Give either GROUP or --resume"),
    ],
)
def test_what_cannot_be_done_is_said(arguments: tuple[str, ...], said: str) -> None:
    result = call("forget", *arguments)
    assert result.exit_code in (1, 2)
    assert said in result.output


def test_nothing_is_removed_under_a_running_night(laboratory: Path) -> None:
    tracking.connect(f"sqlite:///{laboratory / STORE}")
    tracking.open_run(tracking.open_experiment("image_classification"), "retraining/x", "x", {})
    result = call("forget", choose_patient(laboratory, "train"), "--reason", "why", "--yes")
    assert result.exit_code == 1
    assert "have not ended (first:" in result.output
