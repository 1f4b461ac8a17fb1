"""A store is tried before anything is written to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fsspec
import pytest

from image_classification.datasets import store
from image_classification.datasets.store import check_store
from image_classification.errors import ConfigurationError


@pytest.fixture
def bucket() -> str:
    fsspec.filesystem("memory").store.clear()
    return "memory://bucket/cells"


def test_a_store_that_keeps_the_condition_is_accepted_each_time(bucket: str) -> None:
    check_store(bucket)
    check_store(bucket)
    assert list(fsspec.filesystem("memory").store) == ["/cells/.written-once"]


@pytest.mark.parametrize("is_used", [False, True])
def test_a_store_that_ignores_the_condition_is_refused(
    bucket: str, is_used: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_used:  # copied from a store that kept it
        check_store(bucket)
    filesystem = fsspec.filesystem("memory", use_listings_cache=False)
    write = filesystem.pipe_file
    monkeypatch.setattr(filesystem, "pipe_file", lambda *what, mode: write(*what) or mode)
    with pytest.raises(ConfigurationError, match="let the same file be created twice"):
        check_store(bucket)


def test_a_folder_needs_no_trial(tmp_path: Path) -> None:
    check_store(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError("Access Denied"), "Access Denied"),
        (FileNotFoundError("The specified bucket does not exist"), "make the bucket"),
        (type("NoCredentialsError", (Exception,), {"__module__": "botocore"})("none"), "none"),
    ],
)
def test_what_cannot_be_written_to_is_refused_with_the_remedy(
    bucket: str, error: Exception, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_with(monkeypatch, error)
    with pytest.raises(ConfigurationError, match=f"Nothing can be written.*{said}"):
        check_store(bucket)


def test_a_network_that_is_down_is_no_fault_of_the_configuration(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_with(monkeypatch, TimeoutError("later"))
    with pytest.raises(TimeoutError):
        check_store(bucket)


@pytest.mark.parametrize(
    ("address", "error", "said"),
    [
        ("s3://cells", ImportError("Install s3fs"), r"image-classification\[s3\]"),
        ("gs://cells", ImportError("gcsfs"), r"image-classification\[gcs\]"),
        ("abfs://cells", ImportError("adlfs"), r"image-classification\[azure\]"),
        ("s4://cells", ValueError("Protocol not known: s4"), "none of s3://.*Protocol not known"),
    ],
)
def test_a_protocol_that_is_not_known_is_refused_by_name(
    address: str, error: Exception, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: str) -> Any:
        raise error

    monkeypatch.setattr(store, "open_filesystem", fail)
    with pytest.raises(ConfigurationError, match=said):
        check_store(address)


def fail_with(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(store, "create_file", fail)
