"""Nothing of a patient is left in a storage, and nothing of another patient is missing."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from kills import Killed, kill_at
from laboratory import Laboratory
from samples import CELLS, NEGATIVE, POSITIVE, draw_image, name_cell

from image_classification.datasets.purge import Storage
from image_classification.intake.inspection import compile_pattern, read_patient
from image_classification.intake.scrub import Person

PATIENT, KEY = "C7", b"key of this storage"
IMAGES = {f"{POSITIVE}/{name_cell(7, cell)}": draw_image(900 + cell) for cell in range(3)}
OTHERS = {f"{NEGATIVE}/{name_cell(70, cell)}": draw_image(950 + cell) for cell in range(3)}
STEPS = ((os, "replace"), (os, "unlink"), (os, "remove"), (os, "fsync"))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    """A batch of `CELLS`, which has an image of the patient, and one with three more."""
    laboratory = Laboratory(tmp_path_factory.mktemp("prepared"))
    laboratory.deliver("first", CELLS)
    labels = "\n".join(
        ["image_name,labelled_by,labelled_on"]
        + [f"{path.rpartition('/')[2]},Ada,2026-11-01" for path in [*IMAGES, *OTHERS]]
    )
    notes = {f"notes/{name_cell(7).replace('.png', '.txt')}": b"seen twice"}
    laboratory.deliver("second", {**IMAGES, **OTHERS, **notes}, labels_csv=labels)
    laboratory.take_in()
    return laboratory


@pytest.fixture
def known(prepared: Laboratory, tmp_path: Path) -> Laboratory:
    return prepared.copy(tmp_path / "known")


@pytest.fixture
def laboratory(tmp_path: Path) -> Laboratory:
    """A laboratory that nothing has arrived at."""
    return Laboratory(tmp_path / "laboratory")


def open_storage(laboratory: Laboratory) -> Storage:
    pattern = compile_pattern(laboratory.parameters["name_pattern"])
    places = (laboratory.storage, laboratory.storage / "images", laboratory.incoming)
    return Storage(*map(str, places), KEY, lambda name: read_patient(name, pattern))


def purge(laboratory: Laboratory, person: Person | None = None) -> Counter[str]:
    storage = open_storage(laboratory)
    done = Counter[str]()
    for change in storage.find_changes(person or storage.find_person(PATIENT, "p-7")):
        change.apply()
        done[change.kind] += 1
    return done


def find_traces(storage: Path, contents: Callable[[], list[bytes]]) -> list[str]:
    """Return the files that still hold one of some contents, digests or names."""
    found = []
    sought = [text for content in contents() for text in (content, _digest(content))]
    sought.append(b"C7P7ThinF")
    for path in storage.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            if path.suffix == ".parquet":
                content += pd.read_parquet(path).to_csv().encode()
            if any(one in content for one in sought) or "C7P7ThinF" in path.name:
                found.append(str(path.relative_to(storage)))
    return found


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def list_theirs() -> list[bytes]:
    return [*IMAGES.values(), *(c for path, c in CELLS.items() if "C7P7ThinF" in path)]


def test_nothing_of_the_patient_is_left_and_all_of_the_others_is(known: Laboratory) -> None:
    before = known.index()
    others = before[before["patient"] != PATIENT]
    run = known.storage / "runs" / "local"
    before.to_parquet(run / "image_splits.parquet")
    before[["image_id", "image_name", "patient"]].to_csv(run / "validation_predictions.csv")
    (run / "confident_mistakes.png").write_bytes(b"a picture of theirs")
    (run / "roc_curve.png").write_bytes(b"a curve")
    assert find_traces(known.storage, list_theirs)

    done = purge(known)
    assert find_traces(known.storage, list_theirs) == []
    after = known.index()
    pd.testing.assert_frame_equal(after.sort_index(), others.sort_index())
    packed = known.catalog().load("packed_pixels")
    assert packed.image_ids(known.size_px) == set(others["image_id"])
    packed.read(others["image_id"].tolist(), known.size_px)
    assert known.catalog().load("image_batches").try_read_images(after.reset_index(drop=True))
    assert (run / "confident_mistakes.png").read_bytes()[:4] == b"\x89PNG"
    assert (run / "roc_curve.png").read_bytes() == b"a curve"
    assert done["batches"] == 2
    # The numbers still add up to what was delivered.
    assert known.tally("first") == {"found": 40, "accepted": 39, "left out": 1}
    assert known.tally("second") == {"found": 7, "accepted": 3, "left out": 4}
    assert purge(known) == {}
    known.take_in()
    pd.testing.assert_frame_equal(known.index().sort_index(), others.sort_index())


def test_an_image_whose_name_tells_no_patient_is_not_sought_by_its_name(
    laboratory: Laboratory,
) -> None:
    same = {f"{POSITIVE}/one.png": draw_image(1)}
    laboratory.deliver("first", {**same, **{f"{NEGATIVE}/{n}.png": draw_image(n) for n in (3, 4)}})
    laboratory.deliver("second", {f"{POSITIVE}/one.png": draw_image(2)})
    laboratory.take_in()
    (content,) = same.values()
    storage = open_storage(laboratory)
    person = storage.find_person(hashlib.sha256(content).hexdigest(), "p-1")
    purge(laboratory, person)
    left = [
        path.relative_to(laboratory.storage / "images").as_posix()
        for path in (laboratory.storage / "images").rglob("one.png")
    ]
    assert left == [f"second/{POSITIVE}/one.png"]
    assert len(laboratory.index()) == 3


def test_the_same_image_under_the_name_of_another_patient_goes_too(known: Laboratory) -> None:
    content = next(iter(IMAGES.values()))
    known.deliver("again", {f"{POSITIVE}/{name_cell(8)}": content})
    known.take_in()
    purge(known)
    assert find_traces(known.storage, list_theirs) == []


def test_what_was_set_aside_or_has_only_arrived_goes_too_and_is_named_by_its_kind(
    known: Laboratory,
) -> None:
    aside = known.storage / "damaged" / "index" / "screenings" / "first.json"
    aside.parent.mkdir(parents=True)
    aside.write_bytes(b"C7P7ThinF, cut sho")
    run = known.storage / "runs" / "local"
    (run / "review_summary.md").write_bytes(b"Batch first: held")
    (run / "contact_sheet.png").write_bytes(b"pictures of theirs")
    changes = open_storage(known).find_changes(open_storage(known).find_person(PATIENT, "p-7"))
    assert (str(aside), "damaged files") in {(one.place, one.kind) for one in changes}
    unfinished = known.storage / "index" / "screenings" / "later.json.partial"
    unfinished.write_bytes(b"C7P7ThinF")
    theirs = [path.rpartition("/")[2] for path in IMAGES]
    arrived = {f"{POSITIVE}/{name}": IMAGES[f"{POSITIVE}/{name}"] for name in theirs[:2]}
    known.deliver("third", {**arrived, **OTHERS})
    note = known.storage / "runs" / "local" / "note.txt"
    note.write_bytes(b"C7 and \xff")

    done = purge(known)
    assert done["files that have arrived"] == 2
    assert done["damaged files"] == 1
    assert done["unfinished files"] == 1
    assert done["tables, records and pages"] >= 1
    assert None not in done
    assert not aside.exists()
    assert not unfinished.exists()
    assert (run / "contact_sheet.png").read_bytes()[:4] == b"\x89PNG"
    assert note.read_bytes() == b"p-7 and \xff"
    left = [path.name for path in (known.incoming / "third").rglob("*.png")]
    assert sorted(left) == sorted(path.rpartition("/")[2] for path in OTHERS)
    assert find_traces(known.storage, list_theirs) == []
    assert purge(known) == {}


def test_zips_that_nobody_has_looked_into_are_named(laboratory: Laboratory) -> None:
    laboratory.incoming.mkdir(parents=True)
    (laboratory.incoming / "packed.zip").write_bytes(b"")
    (laboratory.storage / "images" / "torn").mkdir(parents=True)
    (laboratory.storage / "images" / "torn" / "torn.zip").write_bytes(b"")
    names = [path.rpartition("/")[2] for path in open_storage(laboratory).list_closed()]
    assert sorted(names) == ["packed.zip", "torn.zip"]


@pytest.mark.slow
def test_a_purge_that_was_killed_anywhere_is_ended_by_the_next_one(
    known: Laboratory, tmp_path: Path
) -> None:
    person = open_storage(known).find_person(PATIENT, "p-7")
    whole = known.copy(tmp_path / "whole")
    with kill_at(-1, steps=STEPS) as points:
        purge(whole, person)
    assert len(points) > 30
    for point in range(0, len(points), 3):
        copy = known.copy(tmp_path / f"killed-{point}")
        with kill_at(point, steps=STEPS), pytest.raises(Killed):
            purge(copy, person)
        purge(copy, person)
        assert copy.snapshot().keys() == whole.snapshot().keys()
        assert find_traces(copy.storage, list_theirs) == []
        assert copy.tally("second") == whole.tally("second")
        assert copy.index().to_csv() == whole.index().to_csv()
