"""What is delivered of a patient who is forgotten is left out, counted and said, and removed."""

from __future__ import annotations

import hashlib
import shutil

from laboratory import Laboratory
from samples import CELLS, POSITIVE, draw_image, name_cell, zip_files

from image_classification.datasets import ForgottenDataset
from image_classification.datasets.delivery import Source, deliver

RECORD = {"pseudonym": "p-1", "at": "2026-11-27", "by": "Ada", "reason": "asked for it"}
THEIRS = {
    f"{POSITIVE}/{name_cell(7, 1)}": draw_image(901),
    f"{POSITIVE}/{name_cell(7, 2)}": draw_image(902),
}
OTHERS = {path: content for path, content in CELLS.items() if "C7P7ThinF" not in path}


def forget(laboratory: Laboratory, patient: str) -> None:
    ForgottenDataset(filepath=str(laboratory.storage / "forgotten")).add(patient, RECORD)


def assert_left_out(laboratory: Laboratory, batch: str, count: int) -> None:
    record = laboratory.verdict(batch)
    assert f"Left out: {count} of patients who were forgotten, and removed." in record["notes"]
    assert laboratory.tally(batch)["left out"] == count
    assert "C7" not in set(laboratory.index()["patient"])
    assert list(laboratory.storage.rglob("C7P7*")) == []
    assert "C7P7" not in str(laboratory.snapshot())


def test_files_that_name_the_patient_are_removed_and_counted(laboratory: Laboratory) -> None:
    forget(laboratory, "C7")
    name = name_cell(7, 1)
    labels = f"image_name,labelled_by,labelled_on\n{name},Ada,2026-11-01\n"
    laboratory.deliver("some", {**OTHERS, **THEIRS}, labels_csv=labels)
    laboratory.take_in()
    assert_left_out(laboratory, "some", 2)
    assert laboratory.statuses() == {"accepted": len(OTHERS)}
    assert laboratory.tally("some")["found"] == len(OTHERS) + 2


def test_those_in_a_zip_too(laboratory: Laboratory) -> None:
    forget(laboratory, "C7")
    laboratory.incoming.mkdir()
    (laboratory.incoming / "packed.zip").write_bytes(zip_files({**OTHERS, **THEIRS}))
    (laboratory.incoming / "packed.zip._READY").touch()
    laboratory.take_in()
    assert_left_out(laboratory, "packed", 2)


def test_the_very_same_folder_may_come_again(laboratory: Laboratory) -> None:
    folder = laboratory.deliver("same", {**OTHERS, **THEIRS})
    shutil.copytree(folder, laboratory.storage.parent / "kept", copy_function=shutil.copy2)
    forget(laboratory, "C7")
    laboratory.take_in()
    for _ in range(2):
        source = Source(laboratory.storage.parent / "kept")
        deliver(source, str(laboratory.incoming), "same")
        laboratory.take_in()
        assert list(laboratory.incoming.iterdir()) == []
    assert_left_out(laboratory, "same-2", 2)
    assert laboratory.statuses() == {"accepted": len(OTHERS)}


def test_an_image_that_tells_no_patient_is_known_by_its_content(laboratory: Laboratory) -> None:
    content = draw_image(999)
    forget(laboratory, hashlib.sha256(content).hexdigest())
    laboratory.deliver("some", {**CELLS, f"{POSITIVE}/one.png": content})
    laboratory.take_in()
    assert list(laboratory.storage.rglob("one.png")) == []
    assert laboratory.tally("some") == {"found": 41, "accepted": 40, "left out": 1}
    packed = laboratory.catalog().load("packed_pixels")
    assert packed.image_ids(laboratory.size_px) == set(laboratory.index()["image_id"])
