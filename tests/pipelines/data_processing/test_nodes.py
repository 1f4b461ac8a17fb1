"""A batch that arrives is taken in whole, counted once, with its origin known."""

from __future__ import annotations

import hashlib
import os
import re

import numpy as np
import pandas as pd
import pytest
from clock import set_clock
from laboratory import Laboratory
from samples import (
    CELLS,
    NEGATIVE,
    POSITIVE,
    draw_image,
    name_cell,
    zip_files,
)

from image_classification import vision
from image_classification.errors import ConfigurationError, DataError


class TestArrival:
    def test_a_ready_batch_is_in_the_index_the_same_night(self, laboratory: Laboratory) -> None:
        laboratory.deliver("2026-11-22", CELLS)

        report = laboratory.take_in()

        assert report["judged"]["2026-11-22"]["verdict"] == "accepted"
        index = laboratory.index()
        assert len(index) == 40
        assert set(index["batch"]) == {"2026-11-22"}
        assert set(index["status"]) == {"accepted"}
        row = index.loc[f"2026-11-22/{POSITIVE}/{name_cell(0)}"]
        content = CELLS[f"{POSITIVE}/{name_cell(0)}"]
        assert row["image_id"] == hashlib.sha256(content).hexdigest()
        assert (row["width"], row["height"]) == (12, 10)
        assert (row["size_bytes"], row["label"]) == (len(content), POSITIVE)
        assert (row["patient"], row["captured_on"]) == ("C0", "2015-09-18")
        assert row["image_name"] == name_cell(0)

    def test_it_leaves_the_incoming_folder_and_its_files_stay_as_they_arrived(
        self, laboratory: Laboratory
    ) -> None:
        laboratory.deliver("b", CELLS)
        laboratory.take_in()
        assert list(laboratory.incoming.iterdir()) == []
        for path, content in CELLS.items():
            assert (laboratory.storage / "images" / "b" / path).read_bytes() == content

    def test_a_batch_without_marker_is_left_alone_until_it_has_settled(
        self, laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        laboratory.parameters["settle_minutes"] = 10
        laboratory.deliver("first", CELLS)
        folder = laboratory.deliver(
            "slow", {f"{POSITIVE}/{name_cell(500)}": draw_image(500)}, ready=False
        )
        laboratory.take_in()
        assert folder.exists()
        assert len(laboratory.index()) == 40

        set_clock(monkeypatch, 11)
        laboratory.take_in()

        assert not folder.exists()
        assert len(laboratory.index()) == 41

    def test_one_late_file_keeps_the_whole_batch_back(
        self, laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        laboratory.parameters["settle_minutes"] = 10
        folder = laboratory.deliver("slow", CELLS, ready=False)
        set_clock(monkeypatch, 9)
        laboratory.take_in("collect_batches")
        laboratory.deliver("slow", {f"{POSITIVE}/{name_cell(500)}": b""}, ready=False)
        os.utime(folder / POSITIVE / name_cell(500), (0, 0))
        set_clock(monkeypatch, 18)
        laboratory.take_in("collect_batches")
        assert folder.exists()
        set_clock(monkeypatch, 29)
        laboratory.take_in("collect_batches")
        assert not folder.exists()

    def test_without_a_settle_time_the_marker_alone_counts(
        self, laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        laboratory.parameters["settle_minutes"] = None
        folder = laboratory.deliver("slow", CELLS, ready=False)
        set_clock(monkeypatch, 100_000)
        laboratory.take_in("collect_batches")
        assert folder.exists()

    @pytest.mark.parametrize("wrapper", ["", "cell_images/"])
    def test_a_zip_is_a_batch_laid_out_as_the_published_archive(
        self, laboratory: Laboratory, wrapper: str
    ) -> None:
        laboratory.incoming.mkdir()
        archive = laboratory.incoming / "night.zip"
        archive.write_bytes(zip_files({f"{wrapper}{path}": data for path, data in CELLS.items()}))
        laboratory.take_in("collect_batches")
        assert archive.exists()
        (laboratory.incoming / "night.zip._READY").touch()

        laboratory.take_in()

        assert list(laboratory.incoming.iterdir()) == []
        assert len(laboratory.index()) == 40
        assert set(laboratory.index()["batch"]) == {"night"}
        assert set(laboratory.index()["label"]) == {POSITIVE, NEGATIVE}

    def test_a_zip_cannot_write_outside_its_batch(self, laboratory: Laboratory) -> None:
        laboratory.incoming.mkdir()
        evil = {
            f"../../{POSITIVE}/x.png": draw_image(700),
            f"/abs/{POSITIVE}/y.png": draw_image(701),
        }
        (laboratory.incoming / "night.zip").write_bytes(zip_files(CELLS | evil))
        (laboratory.incoming / "night.zip._READY").touch()
        laboratory.take_in()
        outside = [
            path for path in laboratory.storage.rglob("[xy].png") if "images/night" not in str(path)
        ]
        assert outside == []
        assert len(laboratory.index()) == 42

    def test_a_damaged_zip_is_kept_as_it_is_and_quarantined(self, filled: Laboratory) -> None:
        content = zip_files(CELLS)[:-300]
        (filled.incoming / "torn.zip").write_bytes(content)
        (filled.incoming / "torn.zip._READY").touch()

        said = "Batch 'torn' is quarantined: 'torn.zip' is not a whole"
        assert filled.take_in()["set_aside"][0].startswith(said)

        assert (filled.storage / "images" / "torn" / "torn.zip").read_bytes() == content
        assert filled.statuses() == {"accepted": 40}
        filled.take_in()

    def test_a_name_used_before_gets_a_number(self, filled: Laboratory) -> None:
        filled.deliver("first", {f"{POSITIVE}/{name_cell(500)}": draw_image(500)})
        filled.take_in()
        assert filled.index()["batch"].value_counts().to_dict() == {"first": 40, "first-2": 1}

    def test_a_name_with_spaces_and_slashes_is_made_safe(self, laboratory: Laboratory) -> None:
        laboratory.deliver("Lab A, 22 Nov", CELLS)
        laboratory.take_in()
        assert set(laboratory.index()["batch"]) == {"Lab-A-22-Nov"}

    def test_png_jpeg_bmp_and_tiff_are_taken(self, laboratory: Laboratory) -> None:
        kinds = {"a.png": "PNG", "b.jpg": "JPEG", "c.bmp": "BMP", "d.tif": "TIFF", "e.TIFF": "TIFF"}
        files = {
            f"{POSITIVE}/{name_cell(600 + number)}-{name}": draw_image(600 + number, kind=kind)
            for number, (name, kind) in enumerate(kinds.items())
        }
        laboratory.deliver("b", CELLS | files)
        laboratory.take_in()
        assert len(laboratory.index()) == 45

    def test_a_tiff_has_the_pixels_of_the_same_png(self, laboratory: Laboratory) -> None:
        both = [draw_image(1, (40, 30), kind=kind) for kind in ("PNG", "TIFF")]
        pixels = vision.decode_images(both, 16)
        np.testing.assert_array_equal(pixels[0], pixels[1])

    def test_images_that_lie_in_no_batch_are_named_in_the_log(
        self, laboratory: Laboratory, caplog: pytest.LogCaptureFixture
    ) -> None:
        laboratory.deliver("b", CELLS)
        (laboratory.incoming / "lost.png").write_bytes(draw_image(1))
        laboratory.take_in()
        assert "'lost.png' lies in no batch" in caplog.text
        assert (laboratory.incoming / "lost.png").exists()


class TestRepetition:
    def test_a_second_intake_changes_nothing(self, filled: Laboratory) -> None:
        before = filled.snapshot()
        report = filled.take_in()
        assert report == {"judged": {}, "set_aside": []}
        assert filled.snapshot() == before

    def test_only_the_files_of_a_new_batch_are_read(
        self, filled: Laboratory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from image_classification.datasets import folder

        read: list[str] = []
        sound = folder.try_read_files

        def record(filesystem: object, root: str, paths: list[str], **options: bool) -> object:
            read.extend(paths)
            return sound(filesystem, root, paths, **options)

        monkeypatch.setattr("image_classification.datasets.batch.try_read_files", record)
        monkeypatch.setattr(folder, "try_read_files", record)
        filled.deliver("second", {f"{POSITIVE}/{name_cell(500)}": draw_image(500)})
        filled.take_in()
        assert read == [f"second/{POSITIVE}/{name_cell(500)}"]

    def test_the_same_content_is_counted_once_and_named(self, filled: Laboratory) -> None:
        path = f"{POSITIVE}/{name_cell(0)}"
        filled.deliver("again", {path: CELLS[path], f"{POSITIVE}/copy.png": CELLS[path]})
        filled.take_in()
        assert len(filled.index()) == 40
        quarantine = filled.quarantine().set_index("path")["reason"]
        assert quarantine.to_dict() == {
            f"again/{path}": f"duplicate of first/{path}",
            f"again/{POSITIVE}/copy.png": f"duplicate of first/{path}",
        }

    def test_duplicates_are_not_held_against_a_batch(self, laboratory: Laboratory) -> None:
        copies = {f"{POSITIVE}/copy{n}.png": CELLS[f"{POSITIVE}/{name_cell(0)}"] for n in range(30)}
        laboratory.deliver("b", CELLS | copies)
        assert laboratory.take_in()["judged"]["b"]["verdict"] == "accepted"
        assert len(laboratory.index()) == 40

    def test_a_conflict_within_one_batch_is_found_too(self, laboratory: Laboratory) -> None:
        same = {f"{label}/{name_cell(900)}": draw_image(900) for label in (POSITIVE, NEGATIVE)}
        laboratory.deliver("b", CELLS | same)
        laboratory.take_in()
        assert laboratory.statuses() == {"accepted": 40, "conflict": 1}
        assert len(laboratory.quarantine()) == 2


class TestProvenance:
    def test_who_labelled_an_image_and_when_is_kept(self, laboratory: Laboratory) -> None:
        name = name_cell(0)
        table = f"image_name,labelled_by,labelled_on\n{name},Dr. Osei,2026-11-20\n"
        laboratory.deliver("b", CELLS, labels_csv=table)
        laboratory.take_in()
        row = laboratory.index().loc[f"b/{POSITIVE}/{name}"]
        assert (row["labelled_by"], row["labelled_on"]) == ("Dr. Osei", "2026-11-20")
        assert laboratory.index()["labelled_by"].value_counts()[""] == 39

    def test_a_table_of_labels_inside_a_zip_is_found(self, laboratory: Laboratory) -> None:
        name = name_cell(0)
        table = f"image_name,labelled_by,labelled_on\n{name},Dr. Osei,2026-11-20\n".encode()
        files = {f"cell_images/{path}": data for path, data in CELLS.items()}
        laboratory.incoming.mkdir()
        archive = zip_files(files | {"cell_images/labels.csv": table})
        (laboratory.incoming / "b.zip").write_bytes(archive)
        (laboratory.incoming / "b.zip._READY").touch()
        laboratory.take_in()
        row = laboratory.index().loc[f"b/cell_images/{POSITIVE}/{name}"]
        assert row["labelled_by"] == "Dr. Osei"

    @pytest.mark.parametrize(
        ("table", "message"),
        [
            ("name,by\nx,y\n", "has no column image_name, labelled_by, labelled_on"),
            ("image_name,labelled_by,labelled_on\na,b,c\na,d,e\n", "names 'a' more than once"),
            ('image_name,labelled_by,labelled_on\n"', "cannot be read"),
        ],
    )
    def test_a_wrong_table_of_labels_quarantines_the_batch_and_says_why(
        self, filled: Laboratory, table: str, message: str
    ) -> None:
        files = {f"{POSITIVE}/{name_cell(500)}": draw_image(500)}
        filled.deliver("odd", files, labels_csv=table)
        (reason,) = filled.take_in()["judged"]["odd"]["reasons"]
        assert reason.startswith(f"labels.csv of batch 'odd' {message}")
        assert filled.verdict("odd")["verdict"] == "quarantined"
        assert filled.statuses() == {"accepted": 40, "held": 1}

    def test_an_image_whose_name_tells_no_patient_is_a_group_of_its_own(
        self, laboratory: Laboratory
    ) -> None:
        files = {
            f"{label}/smear.png": draw_image(90 + len(label)) for label in (POSITIVE, NEGATIVE)
        }
        laboratory.deliver("b", CELLS | files)
        laboratory.take_in()
        rows = laboratory.index().loc[[f"b/{path}" for path in files]]
        assert rows["patient"].tolist() == rows["image_id"].tolist()
        assert set(rows["captured_on"]) == {""}

    def test_a_date_that_does_not_exist_is_left_empty(self, laboratory: Laboratory) -> None:
        name = name_cell(500, date="20159999")
        laboratory.deliver("b", CELLS | {f"{POSITIVE}/{name}": draw_image(99)})
        laboratory.take_in()
        row = laboratory.index().loc[f"b/{POSITIVE}/{name}"]
        assert (row["patient"], row["captured_on"]) == ("C500", "")

    def test_a_wrong_name_pattern_is_refused(self, laboratory: Laboratory) -> None:
        laboratory.parameters["name_pattern"] = r"^(?P<pateint>C\d+)"
        laboratory.deliver("b", CELLS)
        with pytest.raises(ConfigurationError, match=r"'pateint'.*Did you mean 'patient'"):
            laboratory.take_in()

    def test_first_seen_is_when_the_batch_was_taken_in(self, filled: Laboratory) -> None:
        manifest = filled.catalog().load("image_batches").read_manifest("first")
        assert set(filled.index()["first_seen"]) == {manifest["taken_at"]}


class TestPacking:
    def test_the_pixels_of_a_batch_are_packed_when_it_is_inspected(
        self, filled: Laboratory
    ) -> None:
        index = filled.index()
        catalog = filled.catalog()
        packed = catalog.load("packed_pixels").read(index["image_id"].tolist(), 8)
        contents = catalog.load("image_batches").read(index["path"].tolist())
        np.testing.assert_array_equal(packed, vision.decode_images(contents, 8))

    def test_another_size_is_packed_from_the_files_once(
        self, filled: Laboratory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        decode, counts = vision.decode_sound_images, []

        def count(contents: list[bytes], size_px: int) -> tuple[np.ndarray, list[str]]:
            counts.append((len(contents), size_px))
            return decode(contents, size_px)

        monkeypatch.setattr(vision, "decode_sound_images", count)
        filled.size_px = 12
        filled.take_in()
        filled.take_in()
        assert counts == [(40, 12)]
        assert len(filled.catalog().load("packed_pixels").image_ids(12)) == 40

    @pytest.mark.parametrize("left", [0, 100])
    def test_pixels_that_were_cut_on_the_disk_are_packed_again(
        self, filled: Laboratory, left: int
    ) -> None:
        ids = filled.index()["image_id"].tolist()
        before = filled.catalog().load("packed_pixels").read(ids, 8)
        (shard,) = filled.storage.rglob("8px/*.npy")
        shard.write_bytes(shard.read_bytes()[:left])
        filled.take_in()
        np.testing.assert_array_equal(filled.catalog().load("packed_pixels").read(ids, 8), before)

    def test_an_image_that_was_changed_since_is_not_packed_in_its_place(
        self, filled: Laboratory
    ) -> None:
        path = filled.index()["path"].iloc[0]
        (filled.storage / "images" / path).write_bytes(draw_image(1))
        filled.size_px = 12
        with pytest.raises(DataError, match=rf"were changed since \(first: '{path}'\)"):
            filled.take_in("pack_images")

    def test_an_accepted_image_that_is_no_longer_read_is_named_with_what_to_do(
        self, filled: Laboratory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = filled.index()["path"].iloc[0]
        cmyk = draw_image(1, mode="CMYK", kind="JPEG")
        (filled.storage / "images" / path).write_bytes(cmyk)
        monkeypatch.setattr("image_classification.datasets.batch.has_digest", lambda *_: True)
        filled.size_px = 12
        with pytest.raises(DataError, match=rf"'{path}' is an .* at 12 px: .* CMYK.*Reject its"):
            filled.take_in("pack_images")

    def test_held_images_are_packed_but_not_at_sizes_asked_for_later(
        self, laboratory: Laboratory
    ) -> None:
        laboratory.deliver("b", CELLS)
        laboratory.take_in()
        laboratory.deliver(
            "bad", {f"{POSITIVE}/{name_cell(500)}": draw_image(500), f"{POSITIVE}/x.png": b""}
        )
        laboratory.take_in()
        assert len(laboratory.catalog().load("packed_pixels").image_ids(8)) == 41
        laboratory.size_px = 12
        laboratory.take_in()
        assert len(laboratory.catalog().load("packed_pixels").image_ids(12)) == 40


def test_the_split_of_a_patient_is_for_ever(filled: Laboratory) -> None:
    splits = filled.index().set_index("patient")["split"].to_dict()
    more = {
        f"{NEGATIVE}/{name_cell(patient, 7)}": draw_image(5000 + patient) for patient in range(20)
    }
    filled.deliver("second", more)
    filled.take_in()
    again = filled.index().groupby("patient")["split"].unique()
    assert all(list(found) == [splits[patient]] for patient, found in again.items())


def test_a_changed_split_rule_is_for_new_patients_alone(filled: Laboratory) -> None:
    before = filled.index().set_index("patient")["split"].to_dict()
    filled.parameters |= {"split_salt": "other", "validation_share": 0.01, "test_share": 0.98}
    known = {
        f"{NEGATIVE}/{name_cell(patient, 7)}": draw_image(5000 + patient) for patient in (0, 1)
    }
    new = {f"{NEGATIVE}/{name_cell(600 + n)}": draw_image(600 + n) for n in range(10)}
    filled.deliver("second", known | new)
    filled.take_in()
    after = filled.index().groupby("patient")["split"].unique().map(list).to_dict()
    assert {patient: after[patient] for patient in before} == {
        patient: [split] for patient, split in before.items()
    }
    assert {tuple(after[f"C{600 + n}"]) for n in range(10)} <= {("test",), ("validation",)}


def test_a_share_falls_when_a_split_has_enough_patients(filled: Laboratory) -> None:
    filled.parameters |= {"enough_validation_patients": 1, "enough_test_patients": 1}
    more = {f"{NEGATIVE}/{name_cell(600 + n)}": draw_image(600 + n) for n in range(60)}
    filled.deliver("second", more)
    filled.take_in()
    joined = filled.index()[filled.index()["batch"] == "second"]["split"].value_counts()
    assert joined["train"] > 50  # 39 in the full shares


def test_a_held_batch_keeps_its_splits_when_it_is_accepted_later(held: Laboratory) -> None:
    before = held.index().set_index("patient")["split"].to_dict()
    held.parameters |= {"enough_validation_patients": 1, "enough_test_patients": 1}
    for answer, at in (("accept", "10"), ("reject", "11"), ("accept", "12")):
        held.review("blank", answer, at=f"2026-11-22T{at}:00:00+00:00")
        held.take_in()
        assert held.index().set_index("patient")["split"].to_dict() == before
    assert held.statuses() == {"accepted": 50}


def test_the_index_is_made_anew_from_the_batches_where_it_was_removed(filled: Laboratory) -> None:
    import shutil

    before = filled.index().drop(columns="recorded_at")
    shutil.rmtree(filled.storage / "index")
    filled.take_in()
    pd.testing.assert_frame_equal(filled.index().drop(columns="recorded_at"), before)


def test_the_log_is_only_added_to(filled: Laboratory) -> None:
    before = {name: data for name, data in filled.snapshot().items() if "index/images" in name}
    filled.deliver("second", {f"{POSITIVE}/{name_cell(500)}": draw_image(500)})
    filled.take_in()
    after = {name: data for name, data in filled.snapshot().items() if "index/images" in name}
    assert len(after) == len(before) + 1
    assert all(after[name] == data for name, data in before.items())


def test_every_sentence_of_a_reason_ends_so_that_it_can_be_read(filled: Laboratory) -> None:
    filled.deliver("bad", {f"Nonsense/{name_cell(500)}": draw_image(500)})
    filled.take_in()
    assert all(re.search(r"[.?]$", reason) for reason in filled.verdict("bad")["reasons"])
