"""A batch that arrives is taken in whole, counted once, with its origin known."""

from __future__ import annotations

import hashlib
import io
import os
import queue
import re
import threading
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from laboratory import Laboratory
from PIL import Image
from samples import NEGATIVE, POSITIVE, draw_bomb, draw_cells, draw_image, name_cell

from image_classification import vision
from image_classification.errors import ConfigurationError, ContractError
from image_classification.pipelines.data_processing import inspecting

CELLS = draw_cells([POSITIVE, NEGATIVE], 20)


@pytest.fixture
def laboratory(tmp_path: Path) -> Laboratory:
    """A laboratory that nothing has arrived at; limits that small batches keep."""
    return Laboratory(tmp_path)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    """One batch of 40 images of 40 patients is taken in. Do not change it."""
    laboratory = Laboratory(tmp_path_factory.mktemp("first"))
    laboratory.deliver("first", CELLS)
    laboratory.take_in()
    return laboratory


@pytest.fixture
def filled(first: Laboratory, tmp_path: Path) -> Laboratory:
    """One batch of 40 images of 40 patients is taken in."""
    return first.copy(tmp_path)


def zip_files(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path, data in files.items():
            archive.writestr(path, data)
    return content.getvalue()


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
        self, laboratory: Laboratory
    ) -> None:
        laboratory.parameters["settle_minutes"] = 10
        laboratory.deliver("first", CELLS)
        folder = laboratory.deliver(
            "slow", {f"{POSITIVE}/{name_cell(500)}": draw_image(500)}, ready=False
        )
        laboratory.take_in()
        assert folder.exists()
        assert len(laboratory.index()) == 40

        (file,) = folder.rglob("*.png")
        ago = time.time() - 11 * 60
        os.utime(file, (ago, ago))
        laboratory.take_in()

        assert not folder.exists()
        assert len(laboratory.index()) == 41

    def test_one_late_file_keeps_the_whole_batch_back(self, laboratory: Laboratory) -> None:
        laboratory.parameters["settle_minutes"] = 10
        folder = laboratory.deliver("slow", CELLS, ready=False)
        files = sorted(folder.rglob("*.png"))
        ago = time.time() - 11 * 60
        for file in files[1:]:
            os.utime(file, (ago, ago))
        laboratory.take_in("collect_batches")
        assert folder.exists()
        os.utime(files[0], (ago, ago))
        laboratory.take_in("collect_batches")
        assert not folder.exists()

    def test_without_a_settle_time_the_marker_alone_counts(self, laboratory: Laboratory) -> None:
        laboratory.parameters["settle_minutes"] = None
        folder = laboratory.deliver("slow", CELLS, ready=False)
        for file in folder.rglob("*.png"):
            os.utime(file, (0, 0))
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

    def test_a_damaged_zip_is_kept_as_it_is_quarantined_and_stops_the_night_once(
        self, filled: Laboratory
    ) -> None:
        content = zip_files(CELLS)[:-300]
        (filled.incoming / "torn.zip").write_bytes(content)
        (filled.incoming / "torn.zip._READY").touch()

        with pytest.raises(
            ContractError, match=r"'torn' is quarantined: 'torn\.zip' is not a whole"
        ):
            filled.take_in()

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
        assert report == {"judged": {}, "stops": []}
        assert filled.snapshot() == before

    def test_only_the_files_of_a_new_batch_are_read(
        self, filled: Laboratory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from image_classification.datasets import folder

        read: list[str] = []
        sound = folder.try_read_files

        def record(filesystem: object, root: str, paths: list[str]) -> object:
            read.extend(paths)
            return sound(filesystem, root, paths)

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

    def test_two_labels_are_a_conflict_that_names_both_files(self, filled: Laboratory) -> None:
        path = f"{POSITIVE}/{name_cell(0)}"
        filled.deliver("other", {f"{NEGATIVE}/{name_cell(0)}": CELLS[path]})

        filled.take_in()

        assert filled.statuses() == {"accepted": 39, "conflict": 1}
        row = filled.index()[filled.index()["status"] == "conflict"].iloc[0]
        assert row["label"] == ""
        quarantine = filled.quarantine()
        assert set(quarantine["path"]) == {f"first/{path}", f"other/{NEGATIVE}/{name_cell(0)}"}
        for reason in quarantine["reason"]:
            assert "more than one label" in reason
            assert f"first/{path} ({POSITIVE})" in reason
            assert f"other/{NEGATIVE}/{name_cell(0)} ({NEGATIVE})" in reason

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
        with pytest.raises(ContractError, match=f"labels.csv of batch 'odd' {message}"):
            filled.take_in()
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


BAD_FILES = {
    "empty": (b"", "the file is empty (0 bytes)"),
    "no image": (
        b"These are not the bytes you are looking for.",
        "cannot be read as an image: it has no known format; PNG, JPEG, BMP, TIFF are allowed",
    ),
    "truncated": (draw_image(99)[:200], "cannot be decoded"),
    "truncated in the header": (draw_image(99)[:20], "cannot be read as an image"),
    "greyscale": (draw_image(99, mode="L"), "the colour mode is L: RGB is allowed"),
    "transparent": (draw_image(99, mode="RGBA"), "the colour mode is RGBA: RGB is allowed"),
    "palette": (draw_image(99, mode="P"), "the colour mode is P: RGB is allowed"),
    "GIF": (draw_image(99, mode="P", kind="GIF"), "the format is GIF: PNG, JPEG, BMP, TIFF"),
    "CMYK": (draw_image(99, mode="CMYK", kind="JPEG"), "the colour mode is CMYK"),
    "truncated JPEG": (draw_image(99, (64, 64), kind="JPEG")[:-900], "cannot be decoded"),
    "truncated TIFF": (draw_image(99, (64, 64), kind="TIFF")[:5000], "cannot be"),
    "small": (draw_image(99, (3, 30)), "3 x 30 pixels: at least 4 a side are required"),
    "large": (draw_bomb(2001, 2000), "2001 x 2000 pixels: at most 4000000 pixels"),
    "large enough for Pillow's warning": (draw_bomb(12_000, 10_000), "12000 x 10000 pixels"),
    "large enough for Pillow's error": (draw_bomb(60_000, 60_000), "exceeds limit of"),
}


class TestBadFiles:
    def test_bad_files_go_to_quarantine_each_with_its_reason_and_the_rest_goes_on(
        self, laboratory: Laboratory
    ) -> None:
        laboratory.parameters["contract"]["maximum_refused_share"] = 0.3
        bad = {f"{POSITIVE}/{kind}.png": content for kind, (content, _) in BAD_FILES.items()}
        laboratory.deliver("b", CELLS | bad)

        report = laboratory.take_in()

        assert report["judged"]["b"]["verdict"] == "accepted"
        assert len(laboratory.index()) == 40
        reasons = laboratory.quarantine().set_index("path")["reason"]
        assert sorted(reasons.index) == sorted(f"b/{path}" for path in bad)
        for kind, (_, reason) in BAD_FILES.items():
            told = reasons[f"b/{POSITIVE}/{kind}.png"]
            assert reason in told
            assert "\n" not in told

    def test_a_file_that_cannot_be_opened_and_one_in_no_class_folder_are_refused(
        self, laboratory: Laboratory
    ) -> None:
        folder = laboratory.deliver("b", CELLS | {"top.png": draw_image(99)})
        (folder / POSITIVE / "gone.png").symlink_to(folder / "nowhere.png")
        laboratory.take_in()
        reasons = laboratory.quarantine().set_index("path")["reason"]
        assert reasons[f"b/{POSITIVE}/gone.png"] == "the file cannot be opened"
        assert reasons["b/top.png"] == "the file lies in no class folder"
        assert len(laboratory.index()) == 40

    @pytest.mark.parametrize("side", [2001, 12_000, 60_000])
    def test_an_image_too_large_is_refused_without_decoding_it(
        self, filled: Laboratory, monkeypatch: pytest.MonkeyPatch, side: int
    ) -> None:
        def refuse(*_: object, **__: object) -> None:
            pytest.fail("the image was decoded")

        monkeypatch.setattr(Image.Image, "load", refuse)
        filled.parameters["contract"]["maximum_refused_share"] = 1.0
        filled.deliver("b", {f"{POSITIVE}/{name_cell(9000)}": draw_bomb(side, side)})
        filled.take_in()
        assert len(filled.quarantine()) == 1

    def test_warning_filters_which_all_threads_share_are_changed_in_the_main_thread_alone(
        self, laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bombs = {
            f"{POSITIVE}/{name_cell(9000 + n)}": draw_bomb(12_000, 9_000 + n) for n in range(50)
        }
        laboratory.parameters["contract"]["maximum_refused_share"] = 1.0
        laboratory.deliver("b", CELLS | bombs)
        laboratory.take_in("collect_batches")
        before, threads = list(warnings.filters), []

        class Recorded(warnings.catch_warnings):
            def __enter__(self) -> None:
                threads.append(threading.current_thread())
                super().__enter__()

        with monkeypatch.context() as patch:
            patch.setattr(inspecting.warnings, "catch_warnings", Recorded)
            laboratory.take_in("inspect_images")

        assert set(threads) == {threading.main_thread()}
        assert warnings.filters == before

    def test_the_next_files_are_read_while_these_are_decoded(
        self, laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        laboratory.deliver("b", CELLS)
        laboratory.take_in("collect_batches")
        batches = laboratory.catalog().load("image_batches")
        read: queue.Queue[list[str]] = queue.Queue()
        sound = type(batches).try_read

        def record(self: object, paths: list[str]) -> object:
            read.put(paths)
            return sound(self, paths)

        monkeypatch.setattr(type(batches), "try_read", record)
        monkeypatch.setattr(inspecting, "CHUNK_IMAGES", 16)
        files = batches.list_files("b")
        chunks = inspecting._read_ahead(batches, files)
        first, contents = next(chunks)
        assert [content.data for content in contents] == batches.read(first["path"].tolist())
        asked = read.get(timeout=30) + read.get(timeout=30)
        assert asked == files["path"].tolist()[:32]
        assert read.empty()
        assert [len(chunk) for chunk, _ in chunks] == [16, 8]

    def test_no_more_bytes_are_held_together_than_allowed(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(inspecting, "CHUNK_IMAGES", 3)
        monkeypatch.setattr(inspecting, "CHUNK_BYTES", 100)
        files = pd.DataFrame({"size_bytes": [10, 20, 30, 40, 60, 500, 1, 99, 2]})
        chunks = [chunk["size_bytes"].tolist() for chunk in inspecting.cut_chunks(files)]
        assert chunks == [[10, 20, 30], [40, 60], [500], [1, 99], [2]]
        assert list(inspecting.cut_chunks(files.head(0))) == []

    def test_inspecting_in_small_chunks_changes_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tables = []
        for chunk in (2048, 7):
            monkeypatch.setattr(inspecting, "CHUNK_IMAGES", chunk)
            laboratory = Laboratory(tmp_path / str(chunk))
            laboratory.deliver("b", CELLS | {f"{POSITIVE}/{name_cell(9000)}": b""})
            laboratory.take_in()
            catalog = laboratory.catalog()
            table = catalog.load("image_inspections").read("b").drop(columns="first_seen")
            tables.append((table, catalog.load("packed_pixels")))
        pd.testing.assert_frame_equal(tables[0][0], tables[1][0])
        ids = tables[0][0]["image_id"][tables[0][0]["refusal"] == ""].tolist()
        np.testing.assert_array_equal(*(pixels.read(ids, 8) for _, pixels in tables))


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
        decode, counts = vision.decode_images, []

        def count(contents: list[bytes], size_px: int) -> np.ndarray:
            counts.append((len(contents), size_px))
            return decode(contents, size_px)

        monkeypatch.setattr(vision, "decode_images", count)
        filled.size_px = 12
        filled.take_in()
        filled.take_in()
        assert counts == [(40, 12)]
        assert len(filled.catalog().load("packed_pixels").image_ids(12)) == 40

    def test_held_images_are_packed_but_not_at_sizes_asked_for_later(
        self, laboratory: Laboratory
    ) -> None:
        laboratory.deliver("b", CELLS)
        laboratory.take_in()
        laboratory.deliver(
            "bad", {f"{POSITIVE}/{name_cell(500)}": draw_image(500), f"{POSITIVE}/x.png": b""}
        )
        with pytest.raises(ContractError):
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


def test_a_changed_split_rule_is_refused_and_says_what_to_do(filled: Laboratory) -> None:
    filled.parameters["validation_share"] = 0.5
    with pytest.raises(
        ConfigurationError, match=r"was changed: patient '.*' is in 'train' and would"
    ):
        filled.take_in()
    filled.parameters["validation_share"] = 0.2
    filled.take_in()


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
    with pytest.raises(ContractError):
        filled.take_in()
    assert all(re.search(r"[.?]$", reason) for reason in filled.verdict("bad")["reasons"])
