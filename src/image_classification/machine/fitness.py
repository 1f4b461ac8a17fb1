"""Will this machine do? Python and its packages, the folder of the data, its disk and its clock."""

from __future__ import annotations

import os
import re
import shutil
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from image_classification.machine import environment
from image_classification.machine.place import find_unusable

OLDEST_PYTHON, NEWEST_PYTHON = (3, 11), (3, 13)

LEAST_FREE_MB, FEW_FREE_MB = 1_000, 5_000
"""Free space below which a night fails, and below which it may."""

CLOCK_TOLERANCE_S = 60

LOCK = "requirements.lock"

PINNED = re.compile(r"^([A-Za-z0-9_.-]+)(?:\[[^]]*\])?==([^ ;\\]+)", re.MULTILINE)
"""A package of a lock file, and its version."""


@dataclass(frozen=True)
class Finding:
    """What was found wrong, or worth knowing.

    Attributes:
        about: what was looked at, in a word.
        sentence: what was found.
        remedy: what to do; "" for a finding that nobody has to act on.
    """

    about: str
    sentence: str
    remedy: str = ""

    def __str__(self) -> str:
        shown = f"{self.about}: {self.sentence}"
        return f"{shown}\n  - {self.remedy}" if self.remedy else shown


def examine(project: Path, storage: str) -> Iterator[Finding]:
    """Look at the machine; change nothing of it.

    Args:
        project: the folder that holds `conf/`.
        storage: the root of the data, a folder or a URL.
    """
    for sentence in environment.ignored:
        yield Finding("environment", sentence)
    yield from _examine_python(project)
    if "://" not in storage:
        yield from _examine_folder(Path(storage))


def _examine_python(project: Path) -> Iterator[Finding]:
    running = sys.version_info[:2]
    if not OLDEST_PYTHON <= running <= NEWEST_PYTHON:
        yield Finding(
            "python",
            f"Python {running[0]}.{running[1]} is none of 3.11, 3.12 and 3.13.",
            "make install PYTHON=python3.11",
        )
    lock = project / LOCK
    if not lock.is_file():
        return
    locked: dict[str, set[str]] = {}
    for name, version in PINNED.findall(lock.read_text(encoding="utf-8")):
        locked.setdefault(_unify(name), set()).add(version)  # one for each Python, say
    installed = _list_installed()
    required = _list_required()
    others = {name for name in locked.keys() & installed if installed[name] not in locked[name]}
    missing = (required & locked.keys()) - installed.keys()
    remedy = "make install"
    if missing:
        yield Finding("packages", f"{_list_shortly(missing)}: not installed.", remedy)
    if direct := others & required:
        yield Finding("packages", f"{_list_shortly(direct)}: not as {LOCK} says.", remedy)
    if further := others - required:
        yield Finding("packages", f"{_list_shortly(further)}: not as {LOCK} says.")


def _list_shortly(names: set[str]) -> str:
    first = sorted(names)[:3]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(first)}{more}"


def _list_installed() -> dict[str, str]:
    """Return the version of each installed package, as the names of their records say."""
    found: dict[str, str] = {}
    for place in {sysconfig.get_path(kind) for kind in ("purelib", "platlib")}:
        for entry in os.scandir(place):
            name, _, version = entry.name.removesuffix(".dist-info").partition("-")
            if version and entry.name.endswith(".dist-info"):
                found[_unify(name)] = version
    return found


def _list_required() -> set[str]:
    """Return the packages that the project needs, whatever its extras are."""
    try:
        asked = metadata.requires("image-classification") or []
    except metadata.PackageNotFoundError:
        return set()
    needed = (each for each in asked if ";" not in each)
    return {_unify(re.split(r"[\[<>=!~ ]", each, maxsplit=1)[0]) for each in needed}


def _unify(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _examine_folder(root: Path) -> Iterator[Finding]:
    choose = "Name another folder in IMAGE_CLASSIFICATION_STORAGE."
    if fault := find_unusable(root):
        yield Finding("storage", f"'{root}' cannot be used: {fault}", choose)
        return
    folder = root
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as probe:
            probe.write(b"x")
            probe.flush()
            written = os.fstat(probe.fileno()).st_mtime
    except OSError as error:
        yield Finding("storage", f"'{folder}' cannot be written: {error.strerror}.", choose)
        return
    yield from _examine_disk(folder)
    newest = max([written, *(entry.stat().st_mtime for entry in _list_folder(root))])
    if (ahead := newest - time.time()) > CLOCK_TOLERANCE_S:
        yield Finding(
            "clock",
            f"'{root}' holds what was written {ahead / 60:.0f} minutes from now.",
            "Set the clock of this machine, or that of the file server.",
        )


def _examine_disk(folder: Path) -> Iterator[Finding]:
    free_mb = shutil.disk_usage(folder).free // 1_000_000
    sentence = f"{free_mb} MB are free at '{folder}'."
    if free_mb < LEAST_FREE_MB:
        yield Finding("disk", sentence, "Make room, or move the storage to another disk.")
    elif free_mb < FEW_FREE_MB:
        yield Finding("disk", sentence)


def _list_folder(root: Path) -> list[os.DirEntry[str]]:
    try:
        return list(os.scandir(root))
    except OSError:  # it is made by the first run
        return []
