"""Where the project and its configuration lie.

This module imports no library, so that each command may ask at once.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
import tempfile
from pathlib import Path
from uuid import uuid4

from image_classification.errors import ConfigurationError
from image_classification.machine.place import locate, open_own_folder

MARK = "[tool.kedro]"
"""Stands in the `pyproject.toml` of each Kedro project."""

VARIABLE = "IMAGE_CLASSIFICATION_CONFIGURATION"
"""Names the configuration where no checkout is at hand: the archive that `kedro package` writes, or
a folder that holds `base` and the environments. It holds over that of a project."""

PACKAGE = "image_classification"
CONF, BASE = "conf", "base"

REMEDY = (
    f"Name the archive that kedro package writes (dist/conf-{PACKAGE}.tar.gz), or the folder "
    f"'{CONF}' of a project, in {VARIABLE}."
)


def find_project_path() -> Path:
    """Return the folder below which relative places lie.

    It is the folder that holds the named configuration (`VARIABLE`), else the project we work in,
    else this checkout; where the package is installed without one, the working directory.
    """
    if named := _read_variable():
        return named.parent
    here, own = Path.cwd(), Path(__file__).resolve().parents[3]
    found = (folder for folder in (here, *here.parents, own) if _is_project(folder))
    return next(found, here)


def find_configuration(project_path: Path | None = None) -> Path:
    """Return the folder that holds `base` and the environments.

    Args:
        project_path: whose configuration it is where none is named, such as the project of a DAG
            file; one without a configuration is passed over.

    Raises:
        ConfigurationError: what is named is neither such a folder nor an archive of one, or nothing
            is named and there is no project.
    """
    if named := _read_variable():
        return open_configuration(named)
    for project in (project_path, find_project_path()):
        if project is not None and (project / CONF / BASE).is_dir():
            return project / CONF
    raise ConfigurationError(
        f"There is no configuration: '{find_project_path()}' is no project. {REMEDY}"
    )


def name_log_configuration() -> None:
    """Let Kedro log as `logging.yml` of the configuration says, unless another file is named.

    Raises:
        ConfigurationError: see `find_configuration`.
    """
    file = find_configuration() / "logging.yml"
    if file.is_file():
        os.environ.setdefault("KEDRO_LOGGING_CONFIG", str(file))


def open_configuration(place: Path) -> Path:
    """Return the folder of environments that a place holds; an archive is unpacked.

    It is unpacked below the temporary folder, where only this user can write. What was unpacked
    before and is as it was is left alone.

    Raises:
        ConfigurationError: it holds no `base`, or is no archive.
    """
    folder = place if place.is_dir() else _unpack(place)
    found = next((each for each in (folder, folder / CONF) if (each / BASE).is_dir()), None)
    if found is None:
        raise ConfigurationError(
            f"'{place}' holds no configuration: there is no folder '{BASE}' in it. {REMEDY}"
        )
    return found


def _read_variable() -> Path | None:
    named = os.environ.get(VARIABLE)
    return Path(locate(named, Path.cwd())) if named else None


def _unpack(archive: Path) -> Path:
    """Return a folder with the files of an archive: a folder for each content."""
    try:
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        with tarfile.open(archive) as opened:
            own = open_own_folder(Path(tempfile.gettempdir()))
            folder = own / f"configuration-{digest[:16]}"
            for member in opened:
                place = Path(member.name)  # `tarfile.data_filter` came with Python 3.11.4
                if place.is_absolute() or ".." in place.parts:
                    raise tarfile.TarError(f"'{member.name}' would lie outside of it")
                if member.isfile() and (content := opened.extractfile(member)):
                    _write(folder / place, content.read())
    except (OSError, tarfile.TarError) as error:
        raise ConfigurationError(
            f"'{archive}' cannot be read as the archive of a configuration: {error}. {REMEDY}"
        ) from None
    return folder


def _write(file: Path, content: bytes) -> None:
    """Write a file whole, unless it is there: other processes may read it, or do the same."""
    if file.is_file() and file.read_bytes() == content:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{uuid4().hex}")
    part.write_bytes(content)
    part.replace(file)


def _is_project(folder: Path) -> bool:
    try:
        return MARK in (folder / "pyproject.toml").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
