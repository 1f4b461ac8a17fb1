"""Where the project and its configuration lie, in a checkout and without one."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
from pathlib import Path

import pytest
from kedro.utils import find_kedro_project

from image_classification.configuration import location
from image_classification.configuration.location import (
    VARIABLE,
    find_configuration,
    find_project_path,
    name_log_configuration,
)
from image_classification.errors import ConfigurationError

OWN = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text('[tool.kedro]\npackage_name = "other"\n')
    (tmp_path / "conf" / "base").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize("below", ["", "conf/base"])
def test_it_is_the_project_that_we_work_in_as_kedro_finds_it(
    project: Path, below: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project / below)
    assert find_project_path() == project == find_kedro_project(Path.cwd())


@pytest.mark.parametrize("content", [None, b"[project]\n", b"\xff"])
def test_elsewhere_it_is_this_one(
    tmp_path: Path, content: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if content is not None:
        (tmp_path / "pyproject.toml").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    assert find_project_path() == OWN


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory in no project, of a package that was installed from a wheel."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(location, "MARK", "no project has this")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_archive(file: Path, **files: str) -> Path:
    """Write an archive as `kedro package` does; `base__globals` is conf/base/globals.yml."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"conf/{name.replace('__', '/')}.yml")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return file


def test_without_a_project_there_is_no_configuration_until_one_is_named(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_project_path() == nowhere
    with pytest.raises(ConfigurationError, match=f"{nowhere}' is no project.*{VARIABLE}"):
        find_configuration()
    monkeypatch.setenv(VARIABLE, str(write_archive(nowhere / "conf.tar.gz", base__globals="a: 1")))
    assert (find_configuration() / "base" / "globals.yml").read_text() == "a: 1"


def test_relative_places_lie_below_the_folder_of_the_archive_wherever_a_process_works(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = write_archive(nowhere / "opt" / "conf.tar.gz", base__globals="")
    monkeypatch.setenv(VARIABLE, str(archive))
    (nowhere / "elsewhere").mkdir()
    monkeypatch.chdir(nowhere / "elsewhere")
    assert find_project_path() == nowhere / "opt"


@pytest.mark.parametrize("named", ["conf", ".", "conf/"])
def test_a_folder_is_used_where_it_lies(
    project: Path, named: str, nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, named)
    assert find_configuration() == project / "conf"


def test_what_is_named_holds_over_the_project_of_a_dag_file_and_that_over_the_one_we_work_in(
    project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path_factory.mktemp("work")
    monkeypatch.chdir(work)
    assert find_configuration(project) == project / "conf"
    assert find_configuration(work) == find_configuration() == OWN / "conf"
    archive = write_archive(work / "conf.tar.gz", base__globals="a: 1")
    monkeypatch.setenv(VARIABLE, str(archive))
    assert find_configuration(project) == find_configuration() != project / "conf"


def test_what_was_unpacked_is_as_in_the_archive_each_time(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(write_archive(nowhere / "a.tar.gz", base__globals="a: 1")))
    first = find_configuration()
    kept = first / "base" / "globals.yml"
    kept.write_text("a: 2")
    assert find_configuration() == first
    assert kept.read_text() == "a: 1"
    monkeypatch.setenv(VARIABLE, str(write_archive(nowhere / "b.tar.gz", base__globals="a: 3")))
    assert find_configuration() != first


def test_nobody_else_decides_what_was_unpacked(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = nowhere / "temporary" / f"image-classification-{os.geteuid()}"
    prepared.mkdir()
    prepared.chmod(0o777)
    monkeypatch.setenv(VARIABLE, str(write_archive(nowhere / "a.tar.gz", base__globals="a: 1")))
    assert not find_configuration().is_relative_to(prepared)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "conf.tar.gz' cannot be read as the archive of a configuration: .*No such file"),
        (b"a: 1", "conf.tar.gz' cannot be read as the archive"),
        ({"local__globals": "a: 1"}, "conf.tar.gz' holds no configuration: .* 'base'"),
        ({"base__a": "a: 1", "../../../outside": "a: 1"}, "cannot be read .* outside"),
    ],
)
def test_what_is_no_configuration_is_refused_with_the_remedy(
    nowhere: Path,
    content: bytes | dict[str, str] | None,
    complaint: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    archive = nowhere / "conf.tar.gz"
    if isinstance(content, dict):
        write_archive(archive, **content)
    elif content is not None:
        archive.write_bytes(content)
    monkeypatch.setenv(VARIABLE, str(archive))
    with pytest.raises(ConfigurationError, match=f"(?s){complaint}.*kedro package"):
        find_configuration()
    assert not list(nowhere.rglob("outside.yml"))


@pytest.mark.parametrize("is_there", [False, True])
def test_kedro_logs_as_the_configuration_says(
    nowhere: Path, is_there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    logging = {"logging": "version: 1"} if is_there else {}
    archive = write_archive(nowhere / "conf.tar.gz", base__globals="", **logging)
    monkeypatch.setenv(VARIABLE, str(archive))
    monkeypatch.setattr(os, "environ", dict(os.environ))
    os.environ.pop("KEDRO_LOGGING_CONFIG")
    name_log_configuration()
    named = os.environ.get("KEDRO_LOGGING_CONFIG")
    assert named == (str(find_configuration() / "logging.yml") if is_there else None)
