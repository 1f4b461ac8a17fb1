"""What `kedro package` writes runs in a folder that is no project."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from arrivals import deliver_cells

pytestmark = pytest.mark.end_to_end

PROJECT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what git has of the project, in which `kedro package` was run."""
    folder = tmp_path_factory.mktemp("packaged")
    names = subprocess.run(
        ["git", "ls-files", "-z", "src", "conf", "pyproject.toml", "README.md", "LICENSE"],
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    for name in filter(None, names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((PROJECT / name).read_bytes())
    subprocess.run([BIN / "kedro", "package"], cwd=folder, check=True, capture_output=True)
    return folder / "dist"


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from image_classification.local.synthetic import make_cells

    folder = tmp_path_factory.mktemp("cells")
    make_cells(folder, range(1, 7), 4)
    return folder


def test_wheel_and_archive_take_images_in_without_a_checkout(
    packaged: Path, cells: Path, tmp_path: Path
) -> None:
    (wheel,) = packaged.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    deliver_cells(cells, tmp_path / "storage")
    environment = {
        **{name: value for name, value in os.environ.items() if name != "KEDRO_LOGGING_CONFIG"},
        "PYTHONPATH": str(tmp_path / "site"),  # before the checkout that the tests run in
        "IMAGE_CLASSIFICATION_CONFIGURATION": str(packaged / "conf-image_classification.tar.gz"),
        "IMAGE_CLASSIFICATION_STORAGE": str(tmp_path / "storage"),
        "KEDRO_ENV": "test",
    }

    def run(*command: str) -> str:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    found = run(sys.executable, "-c", "import image_classification as i; print(i.__file__)")
    assert Path(found.strip()).is_relative_to(tmp_path / "site")
    said = run(sys.executable, "-m", "image_classification", "--pipelines", "data_processing")
    assert "6/6  pack_images" in said  # its logging.yml is in force
    assert "first" in run(str(BIN / "image-classification"), "batches")
