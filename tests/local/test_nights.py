"""What the demonstration prints and keeps of each night."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from image_classification import words
from image_classification.configuration.plain import PlainConfiguration
from image_classification.configuration.project import PROJECT_VARIABLE
from image_classification.gate.measure import MEASURES
from image_classification.local import nights
from image_classification.local.services import Stack


def test_the_history_holds_the_measures_that_are_marked_for_it() -> None:
    shown = [measure for measure in MEASURES if measure.shown_first]
    assert list(nights.SHOWN) == [measure.name for measure in shown]
    assert nights.SHOWN[:5] == ("accuracy", "auc", "sensitivity", "specificity", "f1")
    assert all(measure.larger_is_better for measure in shown)


def test_a_night_is_kept_with_these_measures_of_both_models() -> None:
    metrics = {"metrics": dict.fromkeys(nights.SHOWN, 0.9)}
    entry = {"event": "promoted", "decision": {"challenger": metrics, "champion": metrics}}
    version: Any = SimpleNamespace(
        version=2, tags={"data_digest": "d", "images": "40", "patients": "4"}
    )
    row = nights._summarise(1, "first", "promoted v2\n", version, entry)
    for name in nights.SHOWN:
        assert (row[f"challenger_{name}"], row[f"champion_{name}"]) == (0.9, 0.9)
    assert (row["images"], row["version"], row["outcome"]) == (40, "2", "promoted v2")
    first = nights._summarise(1, "first", "", None, {})
    assert (first["challenger_accuracy"], first["decision"]) == (None, "nothing trained")


def test_a_night_that_waits_is_told_from_one_that_was_stopped() -> None:
    said = "skipped: Waiting for more: no image is accepted yet. 0 patients are known."
    row = nights._summarise(1, "first", f"{said}\n\nMLflow run: http://mlflow/run", None, {})
    assert (row["decision"], row["outcome"]) == ("waiting for more", said)
    stopped = nights._summarise(1, "first", "failed: check_contract. ...", None, {})
    assert stopped["decision"] == "nothing trained"


def test_the_history_is_printed_in_the_words_of_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plot = SimpleNamespace(savefig=lambda *_, **__: None)
    monkeypatch.setattr(nights.figures, "plot_history", lambda _: plot)
    words.use(words.Words("Digits", "writer", "writers", "digit", "digits"))
    metrics = {"challenger": {"metrics": {"accuracy": 0.96748}}}
    version: Any = SimpleNamespace(
        version=1, tags={"data_digest": "d", "images": "898", "patients": "43"}
    )
    rows = [
        nights._summarise(1, "first", "skipped: too few", None, {}),
        nights._summarise(2, "second", "kept", version, {"event": "kept", "decision": metrics}),
    ]
    stack: Any = SimpleNamespace(folder=tmp_path)
    nights._keep_history(pd.DataFrame(rows), stack)
    head, waiting, judged = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert head[2:4] == ["writers", "version"]
    assert waiting == ["1", "-", "-", "-", "-", "-", "waiting", "for", "more"]
    assert judged == ["2", "898", "43", "1", "0.9675", "-", "kept"]


def make_images(folder: Path, *classes: str) -> Path:
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(8):
            Image.new("L", (8, 8), number).save(folder / name / f"writer{number}_{name}.png")
    return folder


def test_data_of_other_classes_gets_a_project_file_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(PROJECT_VARIABLE, "")  # so that it is taken back after the test
    stack = Stack("demo", tmp_path)
    nights._propose_project(make_images(tmp_path / "digits", "0", "1", "2"), stack)
    parameters = PlainConfiguration(env="base")["parameters"]
    assert parameters["data_processing"]["classes"] == ["0", "1", "2"]
    assert parameters["registered_model_name"] == "digits-classifier"
    assert words.current().title == "Digits"
    told = capsys.readouterr().out
    assert "digits is not about Parasitized, Uninfected" in told
    assert "classes: ['0', '1', '2']" in told


def test_data_of_the_project_or_of_one_that_is_named_needs_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = Stack("demo", tmp_path)
    monkeypatch.delenv(PROJECT_VARIABLE, raising=False)
    nights._propose_project(make_images(tmp_path / "cells", "Parasitized", "Uninfected"), stack)
    assert not stack.project_file.exists()
    named = tmp_path / "named.yml"
    named.write_text("classes: [a, b]\npositive_class: null\n")
    monkeypatch.setenv(PROJECT_VARIABLE, str(named))
    nights._propose_project(make_images(tmp_path / "digits", "0", "1"), stack)
    assert not stack.project_file.exists()
