"""A batch is judged alone: whatever is wrong with one, the others of the night are taken in."""

from __future__ import annotations

import os
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from laboratory import Laboratory
from samples import CELLS, NEGATIVE, POSITIVE, draw_image, name_cell, zip_files

from image_classification.datasets import ImageBatches
from image_classification.intake import screening

ZIP = zip_files({f"{POSITIVE}/{name_cell(n)}": draw_image(n) for n in range(100, 104)})
CENTRAL = ZIP.index(b"PK\x01\x02")


def night(laboratory: Laboratory) -> dict[str, str]:
    """Let a night pass beside a good batch; return the verdict of each batch."""
    label = (laboratory.parameters["classes"] or [POSITIVE])[0]
    laboratory.deliver(
        "z-good", {path.replace(POSITIVE, label): content for path, content in CELLS.items()}
    )
    laboratory.take_in()
    index = laboratory.index()
    assert (index.loc[index["batch"] == "z-good", "status"] == "accepted").sum() == 40
    records = laboratory.catalog().load("batch_screenings")
    return {name: record["verdict"] for name, record in records.items()}


def put(laboratory: Laboratory, name: str, content: bytes) -> None:
    laboratory.incoming.mkdir(parents=True, exist_ok=True)
    (laboratory.incoming / name).write_bytes(content)
    (laboratory.incoming / f"{name}._READY").touch()


UNREADABLE = [
    ZIP[:6] + b"\1" + ZIP[7 : CENTRAL + 8] + b"\1" + ZIP[CENTRAL + 9 :],
    ZIP[:50] + b"\xff" * 9 + ZIP[59:],
    ZIP[:900] + ZIP[1000:],
    ZIP[:200],
    zip_files({f"{POSITIVE}/{'x' * 300}.png": b"x"}),
    zip_files({f"{POSITIVE}/a.png": b"x", f"{POSITIVE}/a.png/b.png": b"x"}),
    b"",
    b"Rar!",
    zip_files({f"{POSITIVE}/{'deep/' * 1000}1.png": draw_image(100)}),
    zip_files({f"{POSITIVE}/a.png": b"x", f"../{POSITIVE}\\a.png": b"y"}),
    zip_files({f"{POSITIVE}/{n}.png": bytes(2**23) for n in range(9)}, zipfile.ZIP_DEFLATED),
    ZIP[: ZIP.index(b"PK\5\6") + 16] + b"\xff" * 4 + ZIP[-2:],
]


def test_zips_that_cannot_be_read_are_quarantined_with_their_reasons(
    laboratory: Laboratory,
) -> None:
    contents = {f"a{number}": content for number, content in enumerate(UNREADABLE)}
    for name, content in contents.items():
        put(laboratory, f"{name}.zip", content)
    verdicts = dict.fromkeys(contents, "quarantined") | {"z-good": "accepted"}
    assert night(laboratory) == verdicts
    for name in contents:
        (reason,) = laboratory.verdict(name)["reasons"]
        assert reason.startswith(f"'{name}.zip' ")
    assert list(laboratory.incoming.iterdir()) == []
    laboratory.take_in()
    before = laboratory.snapshot()
    laboratory.take_in()
    assert laboratory.snapshot() == before


def test_a_folder_called_like_a_zip_is_a_batch_as_any(laboratory: Laboratory) -> None:
    laboratory.deliver("x.zip", {path: draw_image(n) for n, path in enumerate(CELLS, 100)})
    assert night(laboratory) == {"x.zip": "accepted", "z-good": "accepted"}


def test_a_batch_of_the_longest_name_is_a_batch_as_any(laboratory: Laboratory) -> None:
    laboratory.deliver("x" * 255, {path: draw_image(n) for n, path in enumerate(CELLS, 100)})
    assert night(laboratory) == {"x" * 100: "accepted", "z-good": "accepted"}


def test_names_that_are_not_utf8_are_kept_escaped_and_their_images_are_read(
    laboratory: Laboratory,
) -> None:
    folder = laboratory.deliver("a", {f"{POSITIVE}/{name_cell(100)}": draw_image(100)})
    odd = {b"C101_caf\xe9.png": r"C101_caf\xe9.png", b"C102_\\xe9.png": r"C102_\x5cxe9.png"}
    for number, name in enumerate(odd, 101):
        path = os.fsencode(folder / POSITIVE) + b"/" + name
        Path(os.fsdecode(path)).write_bytes(draw_image(number))
    other = Path(os.fsdecode(os.fsencode(folder / NEGATIVE) + b"/\xff\xfe"))
    other.mkdir(parents=True)
    (other / "1.png").write_bytes(draw_image(103))
    laboratory.parameters["contract"]["maximum_refused_share"] = 0.5
    laboratory.parameters["classes"] = None

    assert night(laboratory)["a"] in ("accepted", "held")

    index = laboratory.index()
    names = set(index.loc[index["batch"] == "a", "image_name"])
    assert names == {name_cell(100), "1.png", *odd.values()}
    assert r"\xff\xfe" in set(index["label"])
    images = laboratory.catalog().load("image_batches")
    paths = index.loc[index["batch"] == "a", "path"].tolist()
    assert sorted(images.read(paths)) == sorted(draw_image(n) for n in range(100, 104))


def test_names_that_look_the_same_are_one_class_one_patient_and_one_image(
    laboratory: Laboratory,
) -> None:
    """macOS delivers decomposed names, people type composed ones."""
    composed, decomposed = "B\u00e4", "Ba\u0308"
    laboratory.parameters |= {
        "classes": [f"{decomposed}r", NEGATIVE],
        "name_pattern": "(?P<patient>B\u00e4[0-9]+)",
    }
    table = "image_name,labelled_by,labelled_on\n"
    for batch, form, other in (("a", composed, decomposed), ("b", decomposed, composed)):
        files = {f"{form}r/{form}7_{batch}.png": draw_image(ord(batch))}
        rows = f"{other}7_{batch}.png,Ada,2026-11-22\n"
        laboratory.deliver(batch, files, labels_csv=table + rows)
    night(laboratory)
    rows = laboratory.index()
    rows = rows[rows["batch"].isin(["a", "b"])]
    assert set(rows["label"]) == {f"{composed}r"}
    assert set(rows["patient"]) == {f"{composed}7"}
    assert rows["labelled_by"].tolist() == ["Ada", "Ada"]
    images = laboratory.catalog().load("image_batches")
    assert len(images.read(rows["path"].tolist())) == 2


def test_names_that_a_screen_or_a_page_would_obey_are_shown_escaped(
    laboratory: Laboratory, caplog: pytest.LogCaptureFixture
) -> None:
    evil = "\x1b[31m<img src=x>![p](http:"
    laboratory.deliver("a", {f"{evil}/{name_cell(100)}": draw_image(100)})
    night(laboratory)
    assert "\x1b[31m" not in caplog.text
    assert r"\x1b[31m<img" in caplog.text
    laboratory.answer("a", "")
    shown = laboratory.catalog().load("review_summary")
    assert r"\\x1b\[31m\<img src=x>!\[p\](http:" in shown


def test_rows_of_labels_that_name_no_image_are_counted(laboratory: Laboratory) -> None:
    table = f"image_name,labelled_by,labelled_on\n{name_cell(100)},b,c\ngone.png,b,c\nx,b,c\n"
    laboratory.deliver("a", {f"{POSITIVE}/{name_cell(100)}": draw_image(100)}, labels_csv=table)
    night(laboratory)
    said = "2 rows of labels.csv that name no image of the batch, the first is 'gone.png'"
    assert f"Left out: {said}." in laboratory.verdict("a")["notes"]


def fail(error: BaseException) -> Callable[..., object]:
    """Return what fails for the batch `a` alone, whatever it is asked."""

    def raise_it(*arguments: object, **_: object) -> object:
        if any(str(given) == "a" or str(given).startswith("['a/") for given in arguments):
            raise error
        return SOUND[raise_it](*arguments)  # type: ignore[index]

    return raise_it


SOUND: dict[object, Callable[..., object]] = {}


def break_method(patch: pytest.MonkeyPatch, owner: object, name: str, error: BaseException) -> None:
    broken = fail(error)
    SOUND[broken] = getattr(owner, name)
    patch.setattr(owner, name, broken)


@pytest.mark.parametrize("method", ["list_files", "read_manifest", "read_labels"])
def test_an_error_that_nobody_thought_of_refuses_the_files_of_one_batch(
    laboratory: Laboratory, method: str
) -> None:
    laboratory.deliver("a", {f"{POSITIVE}/{name_cell(100)}": draw_image(100)})
    with pytest.MonkeyPatch.context() as patch:
        break_method(patch, ImageBatches, method, ZeroDivisionError("of a library"))
        assert night(laboratory)["a"] in ("quarantined", "waiting")
    assert any("of a library" in reason for reason in laboratory.verdict("a")["reasons"])


def test_a_disk_that_fails_leaves_the_batch_to_the_next_night(laboratory: Laboratory) -> None:
    laboratory.deliver("a", {f"{POSITIVE}/{name_cell(100)}": draw_image(100)})
    with pytest.MonkeyPatch.context() as patch:
        break_method(patch, ImageBatches, "list_files", OSError(5, "Input/output error"))
        assert night(laboratory) == {"z-good": "accepted"}
    laboratory.take_in()
    assert laboratory.verdict("a")["verdict"] == "accepted"


def test_a_batch_that_cannot_be_judged_waits_and_is_judged_again(laboratory: Laboratory) -> None:
    laboratory.deliver("a", {f"{POSITIVE}/{name_cell(100)}": draw_image(100)})
    sound = screening.screen_batch

    def screen(evidence: screening.Evidence, *rest: object) -> screening.Screening:
        if len(evidence.images) == 1:
            raise KeyError("contrast")
        return sound(evidence, *rest)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(screening, "screen_batch", screen)
        assert night(laboratory) == {"a": "waiting", "z-good": "accepted"}
    (reason,) = laboratory.verdict("a")["reasons"]
    assert reason.startswith("It cannot be judged: 'contrast'. The next intake tries again")
    laboratory.take_in()
    assert laboratory.verdict("a")["verdict"] == "accepted"


def test_a_batch_whose_inspections_are_damaged_waits_and_joins_nothing(
    laboratory: Laboratory,
) -> None:
    laboratory.deliver("a", {f"{POSITIVE}/{name_cell(100)}": draw_image(100)})
    laboratory.take_in("collect_batches", "inspect_images")
    table = laboratory.storage / "index" / "inspections" / "a.parquet"
    whole = table.read_bytes()
    table.write_bytes(whole[:-20])
    assert night(laboratory) == {"a": "waiting", "z-good": "accepted"}
    assert laboratory.statuses() == {"accepted": 40}
    table.write_bytes(whole)
    laboratory.take_in()
    assert laboratory.statuses() == {"accepted": 41}


def test_a_batch_that_cannot_be_taken_in_stays_where_it_is_and_is_tried_again(
    laboratory: Laboratory, caplog: pytest.LogCaptureFixture
) -> None:
    put(laboratory, "a.zip", ZIP)
    sound = Path.mkdir

    def refuse(self: Path, *arguments: object, **options: object) -> None:
        if "images/.a.partial" in self.as_posix():
            raise OSError(28, "No space left on device")
        sound(self, *arguments, **options)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "mkdir", refuse)
        assert night(laboratory) == {"z-good": "accepted"}
    assert "Batch 'a.zip' stays in the incoming folder" in caplog.text
    assert sorted(path.name for path in (laboratory.storage / "images").iterdir()) == ["z-good"]
    assert sorted(path.name for path in laboratory.incoming.iterdir()) == ["a.zip", "a.zip._READY"]
    laboratory.take_in()
    assert laboratory.verdict("a")["verdict"] == "accepted"


def test_the_commonest_reason_is_named_with_the_share_that_is_refused(
    laboratory: Laboratory,
) -> None:
    files = {f"{POSITIVE}/{name_cell(n)}": b"no image" for n in range(100, 103)}
    laboratory.deliver("a", {**files, f"{POSITIVE}/{name_cell(103)}": b""})
    assert night(laboratory)["a"] == "quarantined"
    (reason,) = laboratory.verdict("a")["reasons"]
    assert reason.startswith(
        "3 of 4 files: the file cannot be read as an image: it has no known format; PNG, JPEG, "
        "BMP, TIFF, GIF are allowed. 100.0% of the 4 files are no usable images; at most "
    )
    assert isinstance(laboratory.quarantine(), pd.DataFrame)


def test_a_file_that_is_too_large_is_refused_and_not_read(laboratory: Laboratory) -> None:
    files = {f"{POSITIVE}/{name_cell(n)}": draw_image(n) for n in range(100, 120)}
    laboratory.deliver("a", {**files, f"{POSITIVE}/C999.png": bytes(2000)})
    laboratory.parameters["arrival"]["maximum_file_mib"] = 1999 / 2**20
    assert night(laboratory) == {"a": "accepted", "z-good": "accepted"}
    (refused,) = laboratory.quarantine().to_dict("records")
    assert refused["path"] == f"a/{POSITIVE}/C999.png"
    assert "it says it is 2000 bytes: at most" in refused["reason"]
    assert "(arrival.maximum_file_mib)" in refused["reason"]


@pytest.mark.parametrize("limit", ["maximum_files", "maximum_depth"])
def test_a_batch_of_more_than_may_arrive_is_quarantined_unread(
    laboratory: Laboratory, limit: str
) -> None:
    folder = f"{POSITIVE}/x/y" if limit == "maximum_depth" else POSITIVE
    laboratory.deliver("a", {f"{folder}/{name_cell(n)}": draw_image(n) for n in range(100, 150)})
    laboratory.parameters["arrival"][limit] = 45 if limit == "maximum_files" else 2
    assert night(laboratory) == {"a": "quarantined", "z-good": "accepted"}
    record = laboratory.verdict("a")
    assert f"(arrival.{limit})" in record["reasons"][0]
    assert (record["files"], record["left_out"]) == (0, {"image of a batch that is not read": 50})


def make_special(kind: str, path: Path, outside: Path) -> None:
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(path.parent)
            socket.socket(socket.AF_UNIX).bind(path.name)
    elif kind == "folder":
        path.mkdir()
    else:
        targets = {"device": "/dev/zero", "link": outside, "gone": "/nowhere", "circle": path.name}
        path.symlink_to(targets[kind])


@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "link", "gone", "circle"])
def test_what_is_no_file_is_refused_with_what_it_is(
    laboratory: Laboratory, tmp_path: Path, kind: str
) -> None:
    outside = tmp_path / "outside.png"
    outside.write_bytes(draw_image(200))
    files = {f"{POSITIVE}/{name_cell(n)}": draw_image(n) for n in range(100, 120)}
    folder = laboratory.deliver("a", files)
    make_special(kind, folder / POSITIVE / "C999.png", outside)
    assert night(laboratory) == {"a": "accepted", "z-good": "accepted"}
    (refused,) = laboratory.quarantine().to_dict("records")
    assert refused["path"] == f"a/{POSITIVE}/C999.png"
    out = "it is a link that leads out of its batch"
    gone = "it is a link to a file that is not there"
    others = {"link": out, "device": out, "gone": gone, "circle": gone}
    reason = others.get(kind, f"it is a {kind}, and no file")
    assert refused["reason"] == f"the file cannot be opened: {reason}"


@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "link", "gone", "circle", "folder"])
def test_a_table_of_labels_that_is_no_file_quarantines_its_batch(
    laboratory: Laboratory, tmp_path: Path, kind: str
) -> None:
    outside = tmp_path / "labels.csv"
    outside.write_text("image_name,labelled_by,labelled_on\n")
    folder = laboratory.deliver("a", {f"{POSITIVE}/{name_cell(100)}": draw_image(100)})
    make_special(kind, folder / "labels.csv", outside)
    assert night(laboratory) == {"a": "quarantined", "z-good": "accepted"}
    (reason,) = laboratory.verdict("a")["reasons"]
    assert reason.startswith("labels.csv of batch 'a' cannot be read: ")


def test_every_thing_that_lies_in_a_batch_is_counted_once(laboratory: Laboratory) -> None:
    """What is found is accepted, refused with a reason, a duplicate, or left out by kind."""
    laboratory.deliver("a", {f"{POSITIVE}/{name_cell(99)}": draw_image(99)})
    laboratory.take_in()
    cells = {f"{POSITIVE}/{name_cell(n)}": draw_image(n) for n in range(100, 130)}
    files = {
        **cells,
        f"{POSITIVE}/again.png": draw_image(100),
        f"{POSITIVE}/known.png": draw_image(99),
        f"{POSITIVE}/C131.jfif": draw_image(131, kind="JPEG"),
        f"{POSITIVE}/C132.gif": draw_image(132, mode="L", kind="GIF"),
        f"{POSITIVE}/C133.webp": draw_image(133, kind="WEBP"),
        f"{POSITIVE}/.d.png": draw_image(134),
        f"{POSITIVE}/@eaDir/x.png/SYNOPHOTO_THUMB_M.jpg": draw_image(135),
        "Thumbs.db": b"x",
        "notes.txt": b"x",
        "README": b"x",
    }
    folder = laboratory.deliver("b", files, labels_csv="image_name,labelled_by,labelled_on\n")
    (folder / "more").symlink_to(POSITIVE)
    laboratory.parameters["contract"]["maximum_refused_share"] = 0.1
    night(laboratory)

    counts = laboratory.tally("b")

    assert counts == {
        "found": len(files) + 1,
        "accepted": 32,
        "refused": 1,
        "duplicates": 2,
        "left out": 6,
    }
    assert laboratory.verdict("b")["left_out"] == {
        ".txt": 1,
        "debris of disks and programs": 2,
        "hidden": 1,
        "link to a folder": 1,
        "without an ending": 1,
    }


def test_a_folder_that_cannot_be_opened_quarantines_its_batch(laboratory: Laboratory) -> None:
    files = {f"{label}/{name_cell(100)}": draw_image(100) for label in (POSITIVE, NEGATIVE)}
    laboratory.deliver("a", files)
    scan = os.scandir

    def refuse(path: str = ".") -> object:
        if str(path).endswith(f"a/{NEGATIVE}"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "scandir", refuse)
        assert night(laboratory) == {"a": "quarantined", "z-good": "accepted"}
    assert f"the first is '{NEGATIVE}/'." in laboratory.verdict("a")["reasons"][0]
