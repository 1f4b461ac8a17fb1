"""Files that are inspected: bad ones in quarantine with the reason, good ones a chunk at a time."""

from __future__ import annotations

import io
import json
import queue
import threading
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from laboratory import Laboratory
from PIL import Image
from samples import CELLS, POSITIVE, draw_bomb, draw_image, fill_folder, name_cell

from image_classification.datasets.budget import Budget
from image_classification.pipelines.data_processing import inspecting


def draw_transparent() -> bytes:
    content = io.BytesIO()
    Image.new("RGBA", (12, 10), (90, 60, 120, 254)).save(content, "PNG")
    return content.getvalue()


BAD_FILES = {
    "empty": (b"", "the file is empty (0 bytes)"),
    "no image": (
        b"These are not the bytes you are looking for.",
        "cannot be read as an image: it has no known format; PNG, JPEG, BMP, TIFF, GIF are allowed",
    ),
    "truncated": (draw_image(99)[:200], "cannot be decoded"),
    "truncated in the header": (draw_image(99)[:20], "cannot be read as an image"),
    "transparent": (draw_transparent(), "the image has pixels that are not opaque"),
    "WebP": (draw_image(99, kind="WEBP"), "the format is WEBP: PNG, JPEG, BMP, TIFF, GIF are"),
    "CMYK": (draw_image(99, mode="CMYK", kind="JPEG"), "the colour mode is CMYK, which is no RGB"),
    "truncated JPEG": (draw_image(99, (64, 64), kind="JPEG")[:-900], "cannot be decoded"),
    "truncated TIFF": (draw_image(99, (64, 64), kind="TIFF")[:5000], "cannot be"),
    "small": (draw_image(99, (3, 30)), "3 x 30 pixels: at least 4 a side are required"),
    "large": (draw_bomb(2001, 2000), "2001 x 2000 pixels: at most 4000000 pixels"),
    "large enough for Pillow's warning": (draw_bomb(12_000, 10_000), "12000 x 10000 pixels"),
    "large enough for Pillow's error": (draw_bomb(60_000, 60_000), "exceeds limit of"),
}


class TestTime:
    """What is too slow is set aside, whatever of the night follows."""

    def test_a_batch_that_takes_too_long_is_quarantined(
        self, laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        laboratory.deliver("a", CELLS)
        laboratory.deliver("b", CELLS)
        check_time = Budget.check_time

        def check(budget: Budget) -> None:
            if inspected:
                budget = Budget(laboratory.parameters["arrival"], *place, spent_s=3601)
            inspected.append(1)
            check_time(budget)

        inspected: list[int] = []
        images = laboratory.catalog().load("image_batches")
        place = (images.filesystem, images.root)
        monkeypatch.setattr(Budget, "check_time", check)
        laboratory.take_in()
        assert laboratory.verdict("a")["verdict"] == "accepted"
        assert laboratory.verdict("b")["verdict"] == "quarantined"
        assert laboratory.verdict("b")["reasons"][0].startswith(
            "40 of 40 files: the batch cannot be inspected: it took longer than 60 minutes "
            "(arrival.maximum_minutes). "
        )

    def test_the_minutes_of_its_copy_count(self, laboratory: Laboratory) -> None:
        folder = laboratory.storage / "images" / "b"
        fill_folder(folder, CELLS)
        manifest = {"delivery": "", "taken_at": "2026-11-22T10:00:00+00:00", "spent_s": 3601}
        (folder / "_BATCH.json").write_text(json.dumps(manifest))
        laboratory.take_in()
        assert laboratory.verdict("b")["verdict"] == "quarantined"


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
        assert reasons[f"b/{POSITIVE}/gone.png"] == (
            "the file cannot be opened: it is a link to a file that is not there"
        )
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
        sound = type(batches).try_open

        def record(self: object, paths: list[str]) -> object:
            read.put(paths)
            return sound(self, paths)

        monkeypatch.setattr(type(batches), "try_open", record)
        monkeypatch.setattr(inspecting, "CHUNK_IMAGES", 16)
        files = batches.list_files("b")
        chunks = inspecting._read_ahead(batches, files, laboratory.parameters["arrival"])
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
