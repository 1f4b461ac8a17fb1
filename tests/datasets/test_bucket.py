"""A bucket over a real S3 interface, with faults between client and store."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bucket import ANSWERS, Gate, make_bucket, serve_store

from image_classification.datasets import (
    AppendedTableDataset,
    BatchTablesDataset,
    HoldingsDataset,
    ImageBatchesDataset,
    InboxDataset,
    PackedPixelsDataset,
    PixelShard,
    RecordsDataset,
)
from image_classification.datasets.delivery import Source, deliver
from image_classification.datasets.file import (
    create_file,
    exists,
    list_entries,
    open_filesystem,
    write_many,
)
from image_classification.datasets.folder import find_files, read_change
from image_classification.datasets.lease import open_turn
from image_classification.datasets.store import check_store
from image_classification.errors import ConfigurationError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def served() -> Iterator[Gate]:
    with pytest.MonkeyPatch.context() as patch, serve_store(patch) as gate:
        yield gate


@pytest.fixture
def gate(served: Gate) -> Iterator[Gate]:
    served.forget()
    yield served
    served.forget()


@pytest.fixture
def bucket(gate: Gate) -> str:
    address = make_bucket()
    gate.forget()
    return address


def let_fail(gate: Gate, kind: str, every: int) -> None:
    numbers = itertools.count(1)
    gate.fault = lambda *_: kind if next(numbers) % every == 0 else ""


def deliver_some(folder: Path, incoming: str, count: int = 6) -> None:
    for number in range(count):
        path = folder / "P" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"cell %d" % number)
    deliver(Source(folder), incoming, "night")


def take_in(root: str) -> list[str]:
    """Take in what has arrived; return what lies in the batches."""
    inbox = InboxDataset(filepath=f"{root}/incoming", notes=f"{root}/images")
    batches = ImageBatchesDataset(filepath=f"{root}/images")
    for batch in inbox.load().batches:
        batches.save(batch)
    taken = batches.load()
    return [path for name in taken.names() for path in taken.list_files(name)["path"]]


class TestStart:
    def test_a_store_that_keeps_conditions_is_taken_for_three_requests(
        self, gate: Gate, bucket: str
    ) -> None:
        check_store(bucket)
        gate.requests.clear()
        check_store(bucket)
        assert gate.requests == {"PUT": 1, "LIST": 1}

    def test_one_that_ignores_them_or_lists_late_is_refused(self, gate: Gate, bucket: str) -> None:
        gate.lag_s = 60
        with pytest.raises(ConfigurationError, match="in no list"):
            check_store(bucket)
        gate.keeps_conditions = False
        with pytest.raises(ConfigurationError, match="created twice"):
            check_store(bucket)

    def test_a_bucket_that_is_not_there_or_closed_is_refused(self, gate: Gate, bucket: str) -> None:
        with pytest.raises(ConfigurationError, match="make the bucket"):
            check_store("s3://cells-that-nobody-has")
        let_fail(gate, "refused", 1)
        with pytest.raises(ConfigurationError, match="Access Denied"):
            check_store(bucket)


@pytest.mark.parametrize("kind", [kind for kind in ANSWERS if kind != "refused"])
def test_what_the_store_fails_at_now_and_then_is_tried_again(
    gate: Gate, bucket: str, tmp_path: Path, kind: str
) -> None:
    let_fail(gate, kind, 3)
    check_store(bucket)
    deliver_some(tmp_path, f"{bucket}/incoming")
    assert take_in(bucket) == [f"night/P/{number}.png" for number in range(6)]
    rows = pd.DataFrame({"n": [1, 2], "at": ["1", "1"]})
    log = AppendedTableDataset(filepath=f"{bucket}/log", columns=["n", "at"], order_by="at")
    log.save(rows)
    pd.testing.assert_frame_equal(log.load(), rows)
    pixels = PixelShard(["a", "b"], np.arange(96, dtype=np.uint8).reshape(2, 4, 4, 3))
    PackedPixelsDataset(filepath=f"{bucket}/pixels").save(pixels)
    packed = PackedPixelsDataset(filepath=f"{bucket}/pixels").load()
    assert packed.read(["b"], 4).max() == 95
    turn = open_turn(f"{bucket}/lock", 20)
    turn.take()
    turn.check()
    turn.give_back()


class TestErrorsThatStay:
    """An error is never taken for "there is nothing": an index would be begun anew."""

    def test_an_index_that_cannot_be_listed_is_not_empty(self, gate: Gate, bucket: str) -> None:
        let_fail(gate, "refused", 1)
        for load in (
            AppendedTableDataset(filepath=f"{bucket}/log", columns=["n"], order_by="n").load,
            RecordsDataset(filepath=f"{bucket}/records").load,
            BatchTablesDataset(filepath=f"{bucket}/tables").load().names,
            InboxDataset(filepath=f"{bucket}/incoming").load,
            ImageBatchesDataset(filepath=f"{bucket}/images").load().names,
            lambda: PackedPixelsDataset(filepath=f"{bucket}/pixels").load().image_ids(4),
            lambda: exists(*open_filesystem(f"{bucket}/a")),
            lambda: list_entries(*open_filesystem(f"{bucket}/a")),
            lambda: find_files(*open_filesystem(f"{bucket}/a")),
            AppendedTableDataset(filepath=f"{bucket}/log", columns=["n"], order_by="n").exists,
        ):
            with pytest.raises(Exception, match=r"Denied|Forbidden"):
                load()


class TestBatch:
    @pytest.mark.parametrize("point", range(0, 24, 3))
    def test_a_move_that_breaks_off_anywhere_is_ended_by_the_next(
        self, gate: Gate, bucket: str, tmp_path: Path, point: int
    ) -> None:
        deliver_some(tmp_path, f"{bucket}/incoming", 3)
        numbers = itertools.count()
        # From some request on the store answers nothing any more, as for a process that is killed.
        gate.fault = lambda *_: "refused" if next(numbers) >= point else ""
        try:
            take_in(bucket)
        except Exception as error:  # noqa: BLE001 - of whichever library
            assert re.search("Denied|Forbidden", str(error))  # noqa: PT017
        gate.forget()
        assert take_in(bucket) == [f"night/P/{number}.png" for number in range(3)]
        filesystem, root = open_filesystem(bucket)
        assert find_files(filesystem, f"{root}/incoming") == {}

    def test_a_folder_is_copied_by_the_store_itself(
        self, gate: Gate, bucket: str, tmp_path: Path
    ) -> None:
        deliver_some(tmp_path, f"{bucket}/incoming")
        gate.requests.clear()
        take_in(bucket)
        assert gate.requests["COPY"] == 6


class TestTwoAtOnce:
    def test_the_index_has_all_rows_of_both(self, bucket: str) -> None:
        def add(writer: int) -> None:
            log = AppendedTableDataset(filepath=f"{bucket}/log", columns=["n"], order_by="n")
            for number in range(5):
                log.save(pd.DataFrame({"n": [f"{writer}-{number}"]}))

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(add, range(4)))
        log = AppendedTableDataset(filepath=f"{bucket}/log", columns=["n"], order_by="n")
        assert sorted(log.load()["n"]) == [f"{w}-{n}" for w in range(4) for n in range(5)]

    @pytest.mark.parametrize("lag_s", [0.0, 0.5])
    def test_one_of_many_creates_a_file_and_one_has_the_turn(
        self, gate: Gate, bucket: str, lag_s: float
    ) -> None:
        gate.lag_s = lag_s
        filesystem, root = open_filesystem(bucket)

        def create(number: int) -> bool:
            try:
                create_file(filesystem, f"{root}/once", b"%d" % number)
            except FileExistsError:
                return False
            return True

        inside: list[int] = []

        def write(number: int) -> int:
            turn = open_turn(f"{bucket}/lock", 5)
            turn.take()
            inside.append(number)
            held = len(inside)
            time.sleep(0.02)
            turn.check()
            inside.remove(number)
            turn.give_back()
            return held

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(create, range(8))) == 1
            assert set(pool.map(write, range(4))) == {1}


def test_names_of_all_kinds_are_kept(bucket: str) -> None:
    filesystem, root = open_filesystem(bucket)
    names = ["a b.png", "ä€.png", "50%.png", "#1?.png", "*.png", "[x].png", "a+b&c.png"]
    write_many(filesystem, ((f"{root}/in/{name}", name.encode()) for name in names))
    found: dict[str, Any] = find_files(filesystem, f"{root}/in")
    assert sorted(found) == sorted(names)


def test_what_is_old_goes_out_of_a_bucket_and_what_lies_beside_it_stays(
    bucket: str, gate: Gate
) -> None:
    root = f"{bucket}/storage"
    filesystem, place = open_filesystem(root)
    names = ("runs/retraining/old/a.json", "runs/retraining/old-2/a.json", "runs/local/a.json")
    pixels = ("pixels/32px/a.npy", "pixels/32px/a.parquet", "pixels/320px/b.npy")
    for name in (*names, *pixels):
        filesystem.pipe_file(f"{place}/{name}", b"12345")
    let_fail(gate, "slow down", 5)
    dataset = HoldingsDataset(filepath=root, model_name="cells")
    held = dataset.load()
    assert [part["name"] for part in held.list_pixels()] == ["320px", "32px"]
    folders = held.list_run_folders()
    assert [part["name"] for part in folders] == ["retraining/old-2", "retraining/old"]
    times = [read_change(facts) for facts in find_files(filesystem, place).values()]
    assert all(time and abs(datetime.now(UTC) - time) < timedelta(minutes=10) for time in times)
    for _ in range(2):
        dataset.save({"run_folders": ["retraining/old"], "pixels": ["32px"]})
    gate.forget()
    left = {path.removeprefix(f"{place}/") for path in filesystem.find(place)}
    assert {path for path in left if not path.startswith("index/.lock")} == {
        "runs/retraining/old-2/a.json",
        "runs/local/a.json",
        "pixels/320px/b.npy",
    }
