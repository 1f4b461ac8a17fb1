"""Batches: delivered, listed, and answered for."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest
from samples import draw_cells, draw_image, fill_folder, zip_files
from terminal import call, find_slow_imports

from image_classification.commands import batch

pytestmark = pytest.mark.usefixtures("in_laboratory")


def test_batches_are_listed_with_what_became_of_them() -> None:
    result = call("batches")
    assert result.exit_code == 0
    assert result.output == "few: accepted (4 images)\nfirst: accepted (60 images)\n"


def test_batches_are_listed_without_the_libraries_that_judge_them() -> None:
    assert find_slow_imports("batches") == set()


def test_a_batch_that_is_delivered_waits_in_the_incoming_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGE_CLASSIFICATION_INCOMING", str(tmp_path / "incoming"))
    fill_folder(tmp_path / "new", draw_cells(["Parasitized", "Uninfected"], 1))
    result = call("deliver", str(tmp_path / "new"), "--name", "second", "--labelled-by", "Ada")
    assert f"Delivered 2 images as batch 'second' to {tmp_path}/incoming" in result.output
    assert call("batches").output.endswith("second: in the incoming folder\n")


def test_what_is_delivered_to_a_project_with_a_name_is_no_batch_of_one_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGE_CLASSIFICATION_INCOMING", str(tmp_path / "incoming"))
    fill_folder(tmp_path / "new", draw_cells(["Parasitized", "Uninfected"], 1))
    (tmp_path / "project.yml").write_text("name: leaves\n")
    with monkeypatch.context() as patch:
        patch.setenv("IMAGE_CLASSIFICATION_PROJECT", str(tmp_path / "project.yml"))
        assert call("deliver", str(tmp_path / "new")).exit_code == 0
    assert (
        "leaves-test: left alone in the incoming folder\n  - it is the folder of another project"
        in call("batches").output
    )


def test_what_is_delivered_is_shown_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_CLASSIFICATION_INCOMING", str(tmp_path / "incoming"))
    files = draw_cells(["Parasitized", "Uninfected"], 30)
    first = next(iter(files))
    files |= {"Parasitized/C900_no_date.png": b"", "Uninfected/again.png": files[first]}
    files |= {"Parasitised/C901P1_x.jpg": draw_image(901, kind="JPEG"), "notes.txt": b"hello"}
    fill_folder(tmp_path / "new", files)
    result = call("deliver", str(tmp_path / "new"), "--name", "second", "--dry-run")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        f"'{tmp_path}/new' holds 63 images:",
        "  Classes: 1 Parasitised, 31 Parasitized, 31 Uninfected.",
        "  Patients: 60, from C0 to C99; 3 names tell none.".replace("C99", "C9"),
        "  Dates: 1 (2015-09-18); 3 names tell none.",
        "  Kinds: 61 PNG.",
        "  Repeated: 1 images; each counts once.",
        f"  Conflicts: 1 images have two labels, the first is '{first}'.",
        (
            "  Refused: 1 (its folder is not a class (data_processing.classes)), the first is "
            "'Parasitised/C901P1_x.jpg'."
        ),
        (
            "  Refused: 1 (the file is empty (0 bytes)), the first is "
            "'Parasitized/C900_no_date.png'."
        ),
        "  Left out: 1 (.txt), the first is 'notes.txt'.",
        result.output.splitlines()[-1],
    ]
    assert result.output.splitlines()[-1].startswith("  The intake would quarantine it: ")
    assert not (tmp_path / "incoming").exists()
    assert "Delivered 63 images" in call("deliver", str(tmp_path / "new")).output


@pytest.mark.parametrize("kind", ["torn", "password", "bomb", "closed"])
def test_what_the_intake_would_not_read_is_not_delivered_and_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("IMAGE_CLASSIFICATION_INCOMING", str(tmp_path / "incoming"))
    content = zip_files({"Parasitized/1.png": b"1"})
    path = tmp_path / "new.zip"
    if kind == "password":
        entry = content.index(b"PK\x01\x02") + 8
        content = content[:6] + b"\1" + content[7:entry] + b"\1" + content[entry + 1 :]
    elif kind == "bomb":
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for number in range(9):
                archive.writestr(f"Parasitized/{number}.png", bytes(2**23))
        content = file.getvalue()
    elif kind == "closed":
        path.mkdir()
        scan = os.scandir

        def refuse(folder: str = ".") -> object:
            if str(folder) == str(path):
                raise PermissionError(13, "Permission denied")
            return scan(folder)

        monkeypatch.setattr(os, "scandir", refuse)
    if kind != "closed":
        path.write_bytes(content[:-9] if kind == "torn" else content)
    result = call("deliver", str(path))
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    said = {"torn": "not a whole zip", "password": "password", "bomb": "times its size"}
    assert said.get(kind, "cannot be opened") in result.output
    assert not (tmp_path / "incoming").exists()


def test_a_batch_without_the_marker_is_listed_with_what_it_waits_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGE_CLASSIFICATION_INCOMING", str(tmp_path))
    fill_folder(tmp_path / "copied", draw_cells(["Parasitized"], 1))
    assert call("batches").output.endswith(
        "copied: in the incoming folder\n  - It carries no marker _READY and was unchanged for 0 "
        "minutes: after 30 it counts as complete.\n"
    )


def test_a_terminal_shows_what_was_measured_as_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "is_terminal", lambda: True)
    shown = call("review", "few").output
    assert "**few** is accepted: 4 images of 2 patients" in shown
    assert "Images that show nothing" in shown
    assert "|" not in shown


def test_a_review_is_shown_and_then_answered() -> None:
    shown = call("review", "few")
    assert shown.exit_code == 0, shown.output
    assert "**few** is accepted: 4 images of 2 patients" in shown.output
    sheet = shown.output.partition("Contact sheet: ")[2].strip()
    assert Path(sheet).read_bytes().startswith(b"\x89PNG")
    refused = call("review", "few", "--reject", "--by", "Ada")
    assert refused.exit_code != 0
    assert "A review needs review.reason" in str(refused.output) + str(refused.exception)
    answered = call("review", "few", "--reject", "--by", "Ada", "--reason", "stale slides")
    assert answered.exit_code == 0, answered.output
    assert "Recorded: reject 'few', by Ada" in answered.output


def test_a_batch_is_taken_back_as_it_was_delivered_and_rejected(
    delivered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGE_CLASSIFICATION_INCOMING", str(tmp_path / "incoming"))
    folder = tmp_path / "to mend"
    result = call("take-back", "first", "--to", str(folder), "--by", "Ada")
    assert result.exit_code == 0, result.output
    assert "Copied 61 files of batch 'first'" in result.output
    assert f"image-classification deliver '{folder}'" in result.output
    images = {path.relative_to(delivered): path.read_bytes() for path in delivered.rglob("*.png")}
    assert {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.png")} == images
    assert (folder / "labels.csv").is_file()
    assert sorted(path.name for path in folder.iterdir()) == [
        "Parasitized",
        "Uninfected",
        "labels.csv",
    ]
    assert "answered before: reject by Ada" in call("review", "first").output
    again = call("deliver", str(folder), "--name", "mended")
    assert "Delivered 60 images as batch 'mended'" in again.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["deliver", "/nowhere"], "is neither a folder nor a .zip file"),
        (["review", "frist"], "Did you mean 'first'?"),
        (["take-back", "frist", "--to", "x"], "Did you mean 'first'?"),
        (["take-back", "first", "--to", "/"], "'/' exists already"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(arguments: list[str], message: str) -> None:
    result = call(*arguments)
    assert result.exit_code != 0
    assert message in result.output
    assert "Traceback" not in result.output
