"""The check that the lock is what pyproject.toml asks for: it notices, and names no index."""

from __future__ import annotations

import subprocess
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]


def check(resolve: str) -> subprocess.CompletedProcess[str]:
    """Run it with a command of ours in the place of uv: ``$1`` is the file that it resolves."""
    return subprocess.run(
        [PROJECT / ".ci" / "check_lock", "bash", "-c", resolve, "resolve"],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_lock_that_stays_as_it_is_passes() -> None:
    done = check("true")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_hashes_of_other_files_of_the_same_release_are_no_difference() -> None:
    assert check("""sed -i 's/sha256:./sha256:0/' "$1" """).returncode == 0


def test_another_version_and_another_package_are_shown_with_the_remedy() -> None:
    done = check("""sed -i 's/^mlflow==.* /mlflow==0.1 /; $a new-package==1.0' "$1" """)
    assert done.returncode == 1
    assert "> mlflow==0.1" in done.stdout
    assert "> new-package==1.0" in done.stdout
    assert "Run: make lock" in done.stderr


def test_where_nothing_can_be_resolved_the_reason_is_told_without_an_address() -> None:
    done = check("echo 'no route to `https://ada:secret@nowhere.invalid/`' >&2; exit 2")
    assert done.returncode == 1
    assert "no route to `<index>`" in done.stderr
    assert "secret" not in done.stderr
    assert "invalid" not in done.stderr
