"""What a copy may cost."""

from __future__ import annotations

import errno
import shutil
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fsspec
import pytest

from image_classification.datasets.budget import Budget, BudgetError
from image_classification.intake.limit import DEFAULT_LIMITS, GIB


def open_budget(tmp_path: Path, protocol: str = "file", **changes: Any) -> Budget:
    limits: Any = DEFAULT_LIMITS | changes
    return Budget(limits, fsspec.filesystem(protocol), f"{tmp_path}/images")


def test_bytes_are_added_up(tmp_path: Path) -> None:
    budget = open_budget(tmp_path, maximum_total_gib=10 / GIB)
    budget.spend(4)
    budget.spend(6)
    with pytest.raises(BudgetError, match=r"GiB were written \(arrival\.maximum_total_gib\)"):
        budget.spend(1)


def test_time_runs_out_between_two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    budget, now = open_budget(tmp_path, maximum_minutes=2.0), time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 119)
    budget.spend(1)
    monkeypatch.setattr(time, "monotonic", lambda: now + 121)
    with pytest.raises(BudgetError, match=r"it took longer than 2 minutes \(arrival\.maximum_min"):
        budget.spend(1)


def test_what_was_spent_before_counts(tmp_path: Path) -> None:
    limits: Any = DEFAULT_LIMITS | {"maximum_minutes": 2.0}
    place = (fsspec.filesystem("file"), str(tmp_path))
    Budget(limits, *place, spent_s=100).check_time()
    with pytest.raises(BudgetError, match="it took longer than 2 minutes"):
        Budget(limits, *place, spent_s=121).check_time()
    assert Budget(limits, *place, spent_s=121).spent_s >= 121


def test_so_much_stays_free_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = SimpleNamespace(free=3 * GIB)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    budget = open_budget(tmp_path, minimum_free_gib=1.0)
    budget.check_space(2 * GIB)
    for ask in (budget.check_space, budget.spend):
        with pytest.raises(OSError, match=r"2\.00 GiB are to be written and 3\.00 GiB are") as told:
            ask(2 * GIB + 1)
        assert told.value.errno == errno.ENOSPC
    open_budget(tmp_path, "memory").check_space(2**60)
