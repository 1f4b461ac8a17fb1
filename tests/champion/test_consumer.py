"""What a consumer finds of a model: answers, times and files. In this process, with no real one."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow.pyfunc
import pandas as pd
import pytest

from image_classification.champion import consumer

CELLS = pd.DataFrame(
    {
        "image_name": ["a", "b"],
        "image": [b"x", b"y"],
        "probability_ring": [0.5, 0.25],
        "probability_healthy": [0.5, 0.75],
        "category": ["ring", "healthy"],
    }
)


class Model:
    """Stands for a loaded model: answers as it is told to, and remembers what it was asked."""

    def __init__(self, ring: list[float], healthy: list[float]) -> None:
        self.metadata = SimpleNamespace(model_id="m-1")
        self.answer = pd.DataFrame({"probability_ring": ring, "probability_healthy": healthy})
        self.asked: list[pd.DataFrame] = []

    def predict(self, images: pd.DataFrame) -> pd.DataFrame:
        self.asked.append(images)
        return self.answer.head(len(images))


@pytest.fixture
def lend(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let `mlflow.pyfunc.load_model` give this model, with these golden cells."""

    def lend_model(model: Model, golden: pd.DataFrame | None = CELLS) -> None:
        def load(folder: str) -> Model:
            (Path(folder) / "network").write_bytes(b"0" * 2_500_000)
            if golden is not None:
                (Path(folder) / "below").mkdir()
                golden.to_parquet(Path(folder) / "below" / consumer.GOLDEN_CELLS)
            return model

        monkeypatch.setattr(mlflow.pyfunc, "load_model", load)

    return lend_model


@pytest.mark.parametrize(
    ("ring", "healthy", "difference"),
    [
        ([0.5, 0.25], [0.5, 0.75], 0.0),
        ([0.5, 0.25], [0.5, 0.5], 0.25),
        ([0.625, 0.25], [0.5, 0.875], 0.125),
        ([0.25, 0.25], [0.5, 0.875], 0.25),
    ],
)
def test_the_largest_difference_of_any_probability_of_any_image_counts(
    lend: Any, tmp_path: Path, ring: list[float], healthy: list[float], difference: float
) -> None:
    model = Model(ring, healthy)
    lend(model)
    found = consumer.consume_model(tmp_path, 0)
    assert found["golden_difference"] == difference
    assert found["golden_cells"] == 2
    assert found["model_id"] == "m-1"
    assert found["latency_ms"] is None
    assert [list(images) for images in model.asked] == [["image_name", "image"]]
    assert 2.5 < found["size_mb"] < 2.6
    assert found["files_digest"] == consumer.digest_files(tmp_path)


def test_a_model_without_golden_cells_is_loaded_and_not_asked(lend: Any, tmp_path: Path) -> None:
    model = Model([], [])
    lend(model, None)
    found = consumer.consume_model(tmp_path, 9)
    assert (found["golden_cells"], found["golden_difference"]) == (0, None)
    assert found["latency_ms"] is None
    assert found["size_mb"] == 2.5
    assert model.asked == []


def test_the_latency_is_the_median_of_one_image_after_warming_up(
    lend: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Model([0.5, 0.25], [0.5, 0.75])
    lend(model)
    # Loading takes 3 s; two calls to warm up take long; then 20, 10 and 40 ms.
    moments = [100.0, 103.0]
    for seconds in (5.0, 7.0, 0.020, 0.010, 0.040):
        moments += [200.0, 200.0 + seconds]
    clock = iter(moments)
    monkeypatch.setattr(consumer, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    found = consumer.consume_model(tmp_path, 3)
    assert found["load_s"] == 3.0
    assert found["latency_ms"] == pytest.approx(20.0)
    assert [len(images) for images in model.asked] == [2, 1, 1, 1, 1, 1]


def test_what_was_found_is_written_as_json(lend: Any, tmp_path: Path) -> None:
    lend(Model([0.5, 0.25], [0.5, 0.75]))
    consumer.main(str(tmp_path), str(tmp_path / "answer"), "0")
    assert json.loads((tmp_path / "answer").read_text())["golden_difference"] == 0.0


def test_the_digest_sees_names_and_contents_and_not_what_loading_leaves(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "a").write_text("one")
    digest = consumer.digest_files(tmp_path)
    (tmp_path / "code" / "a.pyc").write_text("byte code")
    (tmp_path / consumer.DOWNLOAD_NOTE).write_text("model_version: '3'")
    assert consumer.digest_files(tmp_path) == digest
    (tmp_path / "a").write_text("two")
    assert consumer.digest_files(tmp_path) != digest
    (tmp_path / "a").write_text("one")
    (tmp_path / "a").rename(tmp_path / "b")
    assert consumer.digest_files(tmp_path) != digest


def test_the_digest_does_not_depend_on_where_the_files_lie(tmp_path: Path) -> None:
    for folder, names in (("one", ("a", "b")), ("two", ("b", "a"))):
        for name in names:
            (tmp_path / folder / "below").mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / "below" / name).write_text(name)
    assert consumer.digest_files(tmp_path / "one") == consumer.digest_files(tmp_path / "two")
