"""What lies beside the images of a batch and is none of them, by its name alone."""

from __future__ import annotations

import posixpath
import re
from fnmatch import translate
from functools import lru_cache

READ_SUFFIXES = (
    ".png",
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".bmp",
    ".tif",
    ".tiff",
    ".gif",
)
"""How the files of formats that are read are called; `.jfif` is a JPEG, saved by a browser."""

OTHER_SUFFIXES = (
    ".webp",
    ".avif",
    ".heic",
    ".heif",
    ".jxl",
    ".jp2",
    ".j2k",
    ".jpx",
    ".ppm",
    ".pgm",
    ".psd",
    ".dib",
    ".svs",
    ".dcm",
    ".dng",
    ".nef",
    ".cr2",
    ".arw",
    ".orf",
)
"""Images, too: each is looked at, and refused with what it is."""

IMAGE_SUFFIXES = READ_SUFFIXES + OTHER_SUFFIXES

DEBRIS = "debris of disks and programs"
HIDDEN = "hidden"

DEBRIS_FOLDERS = frozenset(
    {
        # macOS
        "__macosx",
        ".spotlight-v100",
        ".trashes",
        ".fseventsd",
        ".temporaryitems",
        ".documentrevisions-v100",
        ".appledouble",
        ".appledb",
        ".appledesktop",
        "network trash folder",
        "temporary items",
        # Windows, Linux
        "$recycle.bin",
        "system volume information",
        "found.000",
        "lost+found",
        ".trash",
        ".thumbnails",
        ".xvpics",
        # Synology, QNAP
        "@eadir",
        "#recycle",
        "#snapshot",
        "@tmp",
        "@sharebin",
        ".@__thumb",
        "@recycle",
        "@recently-snapshot",
        ".@upload_cache",
        ".streams",
        # programs that synchronise, keep versions, or edit
        ".dropbox.cache",
        ".sync",
        ".stfolder",
        ".stversions",
        ".tmp.drivedownload",
        ".tmp.driveupload",
        ".git",
        ".svn",
        ".hg",
        ".dvc",
        ".ipynb_checkpoints",
        "__pycache__",
        ".idea",
        ".vscode",
        ".picasaoriginals",
    }
)
"""Folders that no person makes, in small letters; nothing below them is an image of the batch."""

DEBRIS_FILES = frozenset(
    {
        ".ds_store",
        ".localized",
        ".volumeicon.icns",
        ".apdisk",
        "icon\r",
        ".metadata_never_index",
        "thumbs.db",
        "ehthumbs.db",
        "ehthumbs_vista.db",
        "desktop.ini",
        "folder.htt",
        ".dropbox",
        ".dropbox.attr",
        ".owncloudsync.log",
        ".directory",
        ".hidden",
        ".nomedia",
        "picasa.ini",
        ".picasa.ini",
        "zbthumbnail.info",
        ".bridgesort",
        ".bridgelabelsandratings",
        ".gitignore",
        ".gitattributes",
        ".gitkeep",
        ".stignore",
        ".syncignore",
    }
)

DEBRIS_NAMES = re.compile(
    "|".join(
        translate(pattern)
        for pattern in (
            "._*",
            "~$*",
            ".~lock.*",
            "*~",
            "#*#",
            ".#*",
            ".*.sw?",
            "*.swp",
            "*.bak",
            "*.tmp",
            "*.temp",
            "*.part",
            "*.partial",
            "*.filepart",
            "*.crdownload",
            "*.download",
            "*.!ut",
            "*.!sync",
            "*.aria2",
            "*.opdownload",
            "*@synoeastream",
            "*@synoresource",
            ".nfs????????????*",
            ".fuse_hidden*",
            ".goutputstream-*",
            ".syncthing.*",
            "~syncthing~*",
            "._sync_*",
            ".sync_*",
            ".trash-*",
            "*.lnk",
            "*.url",
            "*.webloc",
        )
    )
)
"""Names of files, and of folders, that programs leave."""


def explain_left_out(path: str) -> str:
    """Return why a file of this path below a batch is no image of it; "" where it is one.

    The reason is the kind that it is counted as: the ending of its name, or who leaves such files.
    """
    folder, _, name = path.lower().rpartition("/")
    ending = posixpath.splitext(name)[1]
    is_image = ending in IMAGE_SUFFIXES
    reason = _judge_folder(folder)
    if not is_image or name[0] in "._~#$":  # else no pattern fits
        own = name in DEBRIS_FILES or DEBRIS_NAMES.match(name) or name in DEBRIS_FOLDERS
        reason = DEBRIS if own else reason or (HIDDEN if name.startswith(".") else "")
    return reason or ("" if is_image else ending or "without an ending")


@lru_cache(maxsize=1024)
def _judge_folder(path: str) -> str:
    """Return why nothing below a folder, its path in small letters, is an image; "" else."""
    parts = path.split("/")
    if not DEBRIS_FOLDERS.isdisjoint(parts) or any(map(DEBRIS_NAMES.match, parts)):
        return DEBRIS
    return HIDDEN if any(part.startswith(".") for part in parts) else ""
