"""Batches: delivered, listed, and answered for."""

from __future__ import annotations

from pathlib import Path

import pytest
from samples import draw_cells, fill_folder
from terminal import call

pytestmark = pytest.mark.usefixtures("in_laboratory")


def test_batches_are_listed_with_what_became_of_them() -> None:
    result = call("batches")
    assert result.exit_code == 0
    assert result.output == "few: accepted (4 images)\nfirst: accepted (60 images)\n"


def test_a_batch_that_is_delivered_waits_in_the_incoming_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGE_CLASSIFICATION_INCOMING", str(tmp_path / "incoming"))
    fill_folder(tmp_path / "new", draw_cells(["Parasitized", "Uninfected"], 1))
    result = call("deliver", str(tmp_path / "new"), "--name", "second", "--labelled-by", "Ada")
    assert f"Delivered 2 images as batch 'second' to {tmp_path}/incoming" in result.output
    assert call("batches").output.endswith("second: in the incoming folder\n")


def test_a_batch_without_the_marker_is_listed_with_what_it_waits_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGE_CLASSIFICATION_INCOMING", str(tmp_path))
    fill_folder(tmp_path / "copied", draw_cells(["Parasitized"], 1))
    assert call("batches").output.endswith(
        "copied: in the incoming folder\n  - It carries no marker _READY and was unchanged for 0 "
        "minutes: after 30 it counts as complete.\n"
    )


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
