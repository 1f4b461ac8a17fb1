"""Code that came with a model sees little and reaches nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from image_classification.champion import sandbox

confined = pytest.mark.skipif(not sandbox.can_confine(), reason="this machine confines nothing")


def run(code: str, folder: Path) -> str:
    """Run Python code confined; return what it prints."""
    command = sandbox.confine([sys.executable, "-I", "-c", code], str(folder))
    environment = sandbox.make_environment(str(folder))
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def test_the_environment_holds_no_secret(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "s3cret")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "s3cret")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    assert "s3cret" not in run("import os; print(os.environ)", work)
    assert set(sandbox.make_environment("home")) <= {
        *sandbox.PASSED_ON, *sandbox.QUIET, "HOME", "TMPDIR"
    }  # fmt: skip


@confined
def test_it_reads_no_hidden_folder_and_writes_its_own(
    tmp_path: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "storage").mkdir()
    (tmp_path / "storage" / "key").write_text("s3cret")
    monkeypatch.setattr(sandbox, "_hidden", set())
    sandbox.hide("s3://bucket/storage", str(tmp_path / "storage" / "key"))
    seen = run(f"import os; print(os.listdir({str(tmp_path / 'storage')!r}))", work)
    assert "PermissionError" in seen or seen == "[]\n"
    run("open('answer', 'w').write('here')", work)
    assert (work / "answer").read_text() == "here"
    assert (tmp_path / "storage" / "key").read_text() == "s3cret"


@confined
@pytest.mark.parametrize("place", [sysconfig.get_path("purelib"), sandbox._SHARED_MEMORY, "{}"])
def test_it_leaves_no_file_behind_that_runs_or_is_read_outside(
    tmp_path: Path, work: Path, place: str
) -> None:
    """A file among the installed packages would run in the next process that is not confined."""
    file = Path(place.format(tmp_path), "left-behind.pth")
    run(f"open({str(file)!r}, 'w').write('import os')", work)
    assert not file.exists()


@confined
def test_it_changes_no_setting_of_the_machine(work: Path) -> None:
    assert "Read-only file system" in run("open('/proc/sys/vm/swappiness', 'a')", work)


@confined
def test_it_has_a_folder_for_its_temporary_files(work: Path) -> None:
    assert run("import tempfile; print(tempfile.mkdtemp())", work).startswith(f"{work}/")


@confined
def test_a_mount_that_stays_open_is_told_and_nothing_is_confined_by_halves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.can_confine.cache_clear()
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"1 1 0:1 / {tmp_path}\\040 rw - x x rw\n")
    monkeypatch.setattr(sandbox, "_MOUNTS", mounts)
    assert sandbox.can_confine()  # nobody reaches a mount that is not there
    sandbox.can_confine.cache_clear()
    (tmp_path.parent / f"{tmp_path.name} ").mkdir()
    assert not sandbox.can_confine()
    assert "not confined: mount: " in caplog.text
    sandbox.can_confine.cache_clear()


def test_the_folder_of_passwords_is_among_the_hidden(
    tmp_path: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = tmp_path / "stack"
    stack.mkdir()
    monkeypatch.setattr(sandbox, "_hidden", set())
    monkeypatch.setenv(sandbox.PASSWORDS, str(stack / "passwords.json"))
    assert stack.resolve() in sandbox._find_hidden([work])


@confined
def test_it_reaches_no_network_no_other_process_and_cannot_undo_it(work: Path) -> None:
    code = "import socket; socket.create_connection(('127.0.0.1', 1), 5)"
    assert "Network is unreachable" in run(code, work)
    parent = f"import os; print(os.path.exists('/proc/{os.getpid()}'))"
    assert run(parent, work) == "False\n"
    undo = "import subprocess; print(subprocess.run(['umount', '/proc']).returncode)"
    assert not run(undo, work).endswith("\n0\n")


@confined
def test_it_cannot_take_all_memory(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "MemoryError" in run(f"bytearray({sandbox.MEMORY_BYTES + 2**30})", work)


@confined
def test_what_it_needs_is_never_hidden(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_hidden", set())
    sandbox.hide(str(work.parent), "")
    assert run("print('runs')", work) == "runs\n"


def test_where_a_machine_confines_nothing_it_runs_all_the_same(
    work: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.can_confine.cache_clear()
    monkeypatch.setattr(sandbox, "_enter", lambda: ["unshare", "--no-such-option"])
    assert sandbox.confine(["a", "b"], str(work)) == ["a", "b"]
    assert "not confined" in caplog.text
    sandbox.can_confine.cache_clear()
