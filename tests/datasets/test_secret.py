"""The signing key of a bucket: one for all workers, and nobody else's to read."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest

from image_classification.champion import signature
from image_classification.datasets import cache
from image_classification.datasets.secret import find_key

KEY = "memory://bucket/keys/signing.pem"


@pytest.fixture(autouse=True)
def worker(tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    fsspec.filesystem("memory").store.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "_folder", f"{tmp_path}/one")
        yield patch


def test_it_is_made_once_and_all_workers_have_it(
    worker: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(4) as pool:
        places = set(pool.map(find_key, [KEY] * 4))
    (first,) = map(Path, places)
    worker.setattr(cache, "_folder", f"{tmp_path}/two")
    second = Path(find_key(KEY))
    assert first != second
    assert first.read_bytes() == second.read_bytes()
    assert first.with_suffix(".pub").read_bytes() == second.with_suffix(".pub").read_bytes()
    store = fsspec.filesystem("memory").store
    assert set(store) == {"/keys/signing.pem", "/keys/signing.pub"}


def test_a_key_of_a_disk_is_used_where_it_lies(tmp_path: Path) -> None:
    assert find_key(f"{tmp_path}/keys/signing.pem") == f"{tmp_path}/keys/signing.pem"
    assert list(tmp_path.iterdir()) == []


def test_nobody_else_can_read_it() -> None:
    place = Path(find_key(KEY))
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700


def test_a_worker_uses_the_key_that_lies_there_now() -> None:
    find_key(KEY)
    other = signature.make_private_key()
    fsspec.filesystem("memory").pipe_file("/keys/signing.pem", other)
    place = Path(find_key(KEY))
    assert place.read_bytes() == other
    assert place.with_suffix(".pub").read_bytes() == signature.derive_public_key(other)
    assert not signature_needs_key(place)


def signature_needs_key(place: Path) -> bool:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signature, "_signing", {"method": "key", "private_key": str(place)})
        return signature.needs_key()
