"""What lies beside the images of a batch, by its name."""

from __future__ import annotations

import pytest

from image_classification.datasets.leftover import DEBRIS, HIDDEN, explain_left_out


@pytest.mark.parametrize(
    "path",
    [
        *("Parasitized/a.png", "a.JPG", "x/y/a.jfif", "a.jpe", "a.gif", "a.webp", "a.heic"),
        *("a (conflicted copy).png", "a~1.png", "#recycled/a.png", "a.tmp.png", "@home/a.png"),
    ],
)
def test_what_is_called_like_an_image_is_one(path: str) -> None:
    assert explain_left_out(path) == ""


@pytest.mark.parametrize(
    "path",
    [
        # macOS
        *("._a.png", "Parasitized/._a.png", "__MACOSX/Parasitized/._a.png", ".DS_Store"),
        *("Icon\r", ".Spotlight-V100/store.db", ".Trashes/501/a.png", ".AppleDouble/a.png"),
        # Windows
        *("Thumbs.db", "x/THUMBS.DB", "desktop.ini", "$RECYCLE.BIN/S-1-5/a.png", "~$table.xlsx"),
        *("System Volume Information/x", "ehthumbs.db", "cells.lnk"),
        # Synology, QNAP
        *("Parasitized/@eaDir/a.png/SYNOPHOTO_THUMB_XL.jpg", "#recycle/a.png", "#snapshot/a.png"),
        *("x/a.png@SynoEAStream", ".@__thumb/a.png", "Uninfected/.@__thumb/s100a.png"),
        *("@Recycle/a.png", "@Recently-Snapshot/a.png"),
        # editors
        *("labels.csv~", ".labels.csv.swp", "#labels.csv#", ".#labels.csv", ".~lock.labels.csv#"),
        *(".ipynb_checkpoints/a.png", ".git/index", "labels.csv.bak"),
        # programs that synchronise or download
        *(".dropbox", ".dropbox.cache/a.png", ".stfolder/x", ".stversions/a.png", "a.png.part"),
        *("~syncthing~a.png.tmp", ".syncthing.a.png.tmp", ".sync/Archive/a.png", "a.crdownload"),
        *("._sync_0123.db", ".tmp.drivedownload/1", "a.png.filepart", ".nfs0000000000a1b2c3"),
        *("lost+found", ".Trash-1000/files/a.png"),
    ],
)
def test_debris_is_known_as_such(path: str) -> None:
    assert explain_left_out(path) == DEBRIS


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (".a.png", HIDDEN),
        (".old/a.png", HIDDEN),
        (".old/notes.txt", HIDDEN),
        ("a.TXT", ".txt"),
        ("x/README", "without an ending"),
        ("a.zip", ".zip"),
    ],
)
def test_other_files_are_counted_by_their_kind(path: str, kind: str) -> None:
    assert explain_left_out(path) == kind
