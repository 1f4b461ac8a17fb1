"""Who vouches for the files of a packaged model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from image_classification.champion import signature
from image_classification.errors import SignatureError


@pytest.fixture(autouse=True)
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(signature, "_signing", None)
    path = tmp_path / "keys" / "signing.pem"
    signature.use({"method": "key", "private_key": str(path)})
    return path


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "network").write_text("weights")
    return folder


def test_without_a_project_nothing_can_be_checked(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signature, "_signing", None)
    assert not signature.is_used()
    with pytest.raises(SignatureError, match="No project is loaded"):
        signature.check_folder(files, "v1")


def test_the_key_is_made_once_and_only_its_owner_reads_it(key: Path) -> None:
    for expected in (True, False):
        with signature.make_key() as is_first:
            assert is_first is expected
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.parent.stat().st_mode & 0o777 == 0o700
    assert b"PUBLIC KEY" in key.with_suffix(".pub").read_bytes()


def test_who_was_killed_while_making_the_key_is_followed_with_the_same_one(
    key: Path, files: Path
) -> None:
    making = signature.make_key()
    making.__enter__()
    signature.sign_folder(files)
    making.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    with signature.make_key() as is_first:
        assert is_first
    signature.check_folder(files, "v1")


def test_a_consumer_checks_it_with_the_command_of_the_library(key: Path, files: Path) -> None:
    with signature.make_key():
        signature.sign_folder(files)
    command = [sys.executable, "-m", "model_signing", "verify", "key", str(files)]
    command += ["--signature", str(files / signature.SIGNATURE)]
    command += ["--public_key", str(key.with_suffix(".pub")), "--no-ignore-git-paths"]
    command += ["--ignore-paths", str(files / signature.SIGNATURE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_key_that_cannot_be_used_is_an_error_of_ours(key: Path, files: Path) -> None:
    key.parent.mkdir()
    key.write_text("no key")
    with pytest.raises(
        SignatureError, match=r"cannot be signed by method 'key'.*Nothing was logged"
    ):
        signature.sign_folder(files)


def test_a_damaged_signature_is_an_error_of_ours(files: Path) -> None:
    with signature.make_key():
        pass
    for content in ("", "{}", "no JSON"):
        (files / signature.SIGNATURE).write_text(content)
        with pytest.raises(SignatureError, match="v1 is not what was packaged and signed"):
            signature.check_folder(files, "v1")
