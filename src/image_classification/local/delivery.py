"""Images into the image folder: from a folder, from the published zip, or synthetic."""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from image_classification.errors import DataError
from image_classification.synthetic import make_cells

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
FIRST_SHARE = 0.7


@dataclass(frozen=True)
class Delivery:
    """Images that arrive together; `write` puts them into a folder and counts them."""

    name: str
    write: Callable[[Path], int]


def plan_deliveries(data: Path | None) -> list[Delivery]:
    """Plan two deliveries: the first images, and fresh ones.

    Args:
        data: a folder with one sub-folder per class, or a zip of one; None for synthetic cells.

    Raises:
        DataError: there is no such folder or zip, or it holds no class folders.
    """
    if data is None:
        return [
            Delivery("synthetic cells of 80 patients", lambda to: make_cells(to, range(1, 81), 20)),
            Delivery(
                "fresh synthetic cells of 40 more patients",
                lambda to: make_cells(to, range(81, 121), 20, captured_on="20150602"),
            ),
        ]
    files = _list_zip(data) if data.suffix == ".zip" else _list_folder(data)
    if len({label for label, _ in files}) < 2:
        raise DataError(
            f"'{data}' holds no images in two or more class folders. Expected "
            f"<class>/<image> files ending in {', '.join(SUFFIXES)}, or a zip of them."
        )
    ordered = sorted(files, key=lambda file: (_captured_on(file[1].name), file[1].name))
    cut = int(FIRST_SHARE * len(ordered))
    return [
        Delivery(f"the first {cut} images of {data.name} by date", _writer(data, ordered[:cut])),
        Delivery(f"the {len(ordered) - cut} images after them", _writer(data, ordered[cut:])),
    ]


def _list_folder(data: Path) -> list[tuple[str, PurePosixPath]]:
    if not data.is_dir():
        raise DataError(f"'{data}' is neither a folder nor a .zip file.")
    paths = [path.relative_to(data) for path in data.rglob("*")]
    return list(_with_labels(PurePosixPath(path.as_posix()) for path in paths))


def _list_zip(data: Path) -> list[tuple[str, PurePosixPath]]:
    if not data.is_file():
        raise DataError(f"'{data}' does not exist.")
    try:
        with zipfile.ZipFile(data) as archive:
            return list(_with_labels(PurePosixPath(name) for name in archive.namelist()))
    except zipfile.BadZipFile:
        raise DataError(f"'{data}' is not a zip file, or not a whole one.") from None


def _with_labels(paths: Iterator[PurePosixPath]) -> Iterator[tuple[str, PurePosixPath]]:
    """Yield the class folder and the path of each image; each name once per class.

    The archive on Kaggle holds every image twice, once in a folder inside the folder.
    """
    seen: set[tuple[str, str]] = set()
    for path in paths:
        key = (path.parent.name, path.name)
        if path.suffix.lower() in SUFFIXES and path.parent.name and key not in seen:
            seen.add(key)
            yield path.parent.name, path


def _captured_on(name: str) -> str:
    match = re.search(r"\d{8}", name)
    return match[0] if match else ""


def _writer(data: Path, files: Sequence[tuple[str, PurePosixPath]]) -> Callable[[Path], int]:
    def write(to: Path) -> int:
        for label in {label for label, _ in files}:
            (to / label).mkdir(parents=True, exist_ok=True)
        if data.suffix == ".zip":
            with zipfile.ZipFile(data) as archive:
                for label, path in files:
                    (to / label / path.name).write_bytes(archive.read(str(path)))
        else:
            for label, path in files:
                shutil.copy2(data / path, to / label / path.name)
        return len(files)

    return write
