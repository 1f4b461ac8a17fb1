"""The storage is closed to other users of the machine, but for where they deliver."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from image_classification.configuration.storage import close_storage, read_mode
from image_classification.errors import ConfigurationError

NOBODY = 65534


@pytest.fixture(autouse=True)
def _same_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A storage of an earlier release, open to all."""
    for name in ("incoming", "index", "mlflow"):
        (tmp_path / "storage" / name).mkdir(parents=True)
    return tmp_path / "storage"


def close(root: Path, incoming_mode: int = 0o700, incoming: str = "") -> None:
    close_storage(str(root), incoming or str(root / "incoming"), 0o700, incoming_mode)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_by_default_nobody_else_enters(root: Path) -> None:
    close(root)
    assert (mode_of(root), mode_of(root / "incoming")) == (0o700, 0o700)


def test_a_new_storage_is_made_closed(tmp_path: Path) -> None:
    close(tmp_path / "new")
    assert mode_of(tmp_path / "new") == 0o700
    assert mode_of(tmp_path / "new" / "incoming") == 0o700


@pytest.mark.parametrize(
    ("incoming_mode", "root_mode"), [(0o2770, 0o710), (0o733, 0o711), (0o750, 0o710)]
)
def test_who_delivers_passes_through_and_finds_the_rest_closed(
    root: Path, incoming_mode: int, root_mode: int
) -> None:
    close(root, incoming_mode)
    assert mode_of(root) == root_mode
    assert mode_of(root / "incoming") == incoming_mode
    assert {mode_of(root / name) for name in ("index", "mlflow")} == {0o700}
    (root / "made_later").mkdir()
    assert mode_of(root / "made_later") == 0o700


def test_batches_that_arrive_elsewhere_open_nothing_here(root: Path, tmp_path: Path) -> None:
    close(root, 0o777, str(tmp_path / "drop"))
    assert (mode_of(root), mode_of(tmp_path / "drop")) == (0o700, 0o777)


def test_no_folder_is_opened_further_than_it_was(root: Path) -> None:
    (root / "index").chmod(0o500)
    close_storage(str(root), str(root / "incoming"), 0o770, 0o733)
    assert mode_of(root / "index") == 0o500


def test_storage_that_is_no_folder_is_left_alone(tmp_path: Path) -> None:
    close_storage("s3://bucket/cells", "s3://drop", 0o700, 0o700)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", ["700", "0700", "2770", "0733", "1777"])
def test_a_mode_is_read_as_octal_digits(mode: str) -> None:
    assert read_mode("incoming_mode", mode) == int(mode, 8)


@pytest.mark.parametrize("mode", ["", "rwx", "0o700", "0600", "0070", "80", "77777", 448])
def test_what_is_no_mode_is_refused(mode: str) -> None:
    with pytest.raises(ConfigurationError, match="'incoming_mode' is a folder's mode"):
        read_mode("incoming_mode", mode)


def try_as_nobody(tasks: list[Callable[[], object]]) -> str:
    """Return what came of each task in a process of another user: ``d``one or ``r``efused."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        for task in tasks:
            try:
                task()
            except PermissionError:
                os.write(writer, b"r")
            else:
                os.write(writer, b"d")
        os._exit(0)
    os.wait()
    os.close(writer)
    with os.fdopen(reader) as said:
        return said.read()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_another_user_delivers_and_reads_nothing() -> None:
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        root = Path(folder, "storage")
        (root / "mlflow").mkdir(parents=True)
        (root / "mlflow" / "mlflow.db").write_text("runs")
        close(root, 0o733)
        said = try_as_nobody(
            [
                (root / "incoming" / "batch").mkdir,
                lambda: list(root.iterdir()),
                lambda: list((root / "incoming").iterdir()),
                (root / "mlflow" / "mlflow.db").read_text,
                (root / "new").mkdir,
            ]
        )
        assert said == "drrrr"
        assert (root / "incoming" / "batch").is_dir()
