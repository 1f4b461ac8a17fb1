"""One picture in every encoding: intake, scoring and the packaged model read the same pixels."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from encodings_table import ENCODINGS, SIDE, Pixels, save
from laboratory import Laboratory
from mlflow.pyfunc import PyFuncModel
from packaged_model import package
from PIL import Image
from samples import POSITIVE, draw_image, fill_folder

from image_classification.datasets import ImageSource, RegisteredNetwork
from image_classification.errors import DataError
from image_classification.intake.picture import FORMATS
from image_classification.pipelines.inference.nodes import list_images, score_images

CLASSES = [f"{number:03}" for number in range(3 * SIDE * SIDE)]
PROBABILITIES = [f"probability_{name}" for name in CLASSES]
EACH = pytest.mark.parametrize("name", ENCODINGS)


@pytest.fixture(scope="module")
def network() -> keras.Model:
    """A network that answers the pixels that it is given."""
    inputs = keras.Input((SIDE, SIDE, 3))
    return keras.Model(inputs, keras.layers.Flatten()(inputs))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, network: keras.Model) -> PyFuncModel:
    images = pd.DataFrame({"image_name": ["1.png"], "image": [draw_image(1)]})
    return package(tmp_path_factory.mktemp("packaged") / "here", network, CLASSES, images)


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory, network: keras.Model) -> pd.DataFrame:
    """All of them scored in one run, under one suffix: only the content counts."""
    folder = tmp_path_factory.mktemp("scored")
    fill_folder(folder, {f"{name}.png": ENCODINGS[name].content for name in ENCODINGS})
    (folder / "list.txt").write_text("\n".join(f"{name}.png" for name in ENCODINGS))
    source = ImageSource("nowhere")
    images = list_images(source, str(folder / "list.txt"))
    champion = RegisteredNetwork(network, CLASSES, "4")
    table = score_images(images, source, champion, "cells", 256)
    return table.set_axis(list(ENCODINGS))


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    """All of them delivered in one batch and inspected."""
    laboratory = Laboratory(tmp_path_factory.mktemp("laboratory"))
    laboratory.size_px = SIDE
    laboratory.deliver(
        "b", {f"{POSITIVE}/{name}.png": file.content for name, file in ENCODINGS.items()}
    )
    laboratory.take_in("collect_batches", "inspect_images")
    return laboratory


@pytest.fixture(scope="module")
def inspections(laboratory: Laboratory) -> pd.DataFrame:
    table = laboratory.catalog().load("image_inspections").read("b")
    return table.set_index("image_name")


def as_pixels(row: pd.Series) -> Pixels:
    return row[PROBABILITIES].to_numpy(dtype=np.uint8).reshape(SIDE, SIDE, 3)


def read_inspected(laboratory: Laboratory, content: bytes) -> Pixels:
    packed = laboratory.catalog().load("inspected_pixels")
    return packed.read([hashlib.sha256(content).hexdigest()], SIDE)[0]


@EACH
def test_intake_scoring_and_the_packaged_model_read_what_is_meant_or_say_why_not(
    name: str,
    laboratory: Laboratory,
    inspections: pd.DataFrame,
    scores: pd.DataFrame,
    model: PyFuncModel,
) -> None:
    content, meant = ENCODINGS[name]
    asked = pd.DataFrame({"image_name": [name], "image": [content]})
    refusal = inspections.loc[f"{name}.png", "refusal"]
    row = scores.loc[name]
    if isinstance(meant, str):
        assert refusal.startswith(meant.format("read as an image"))
        assert row["error"].startswith(meant.format("decoded"))
        assert row[PROBABILITIES].isna().all()
        with pytest.raises(DataError, match=re.escape(f"{name}: {meant.format('decoded')}")):
            model.predict(asked)
        return
    assert (refusal, row["error"]) == ("", "")
    np.testing.assert_array_equal(read_inspected(laboratory, content), meant)
    np.testing.assert_array_equal(as_pixels(row), meant)
    np.testing.assert_array_equal(as_pixels(model.predict(asked).iloc[0]), meant)


def test_the_documented_table_tells_what_becomes_of_every_encoding() -> None:
    page = (Path(__file__).parents[2] / "docs" / "image-files.md").read_text()
    lines = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("|")]
    rows = {cells[0]: cells[1:] for cells in lines}
    for name, (_, meant) in ENCODINGS.items():
        kind, mode, *_ = [*name.partition(",")[0].split(" ", 1), ""]
        if mode in ("", "several"):
            assert mode or f"`{kind}`" in next(cell for cell in rows if "WEBP" in cell)
        elif "," not in name:
            row = rows["MPO of phones" if kind == "MPO" else kind]
            assert f"`{mode}`" in row[1 if isinstance(meant, str) else 0], name


MODES = (
    *("1", "L", "P", "PA", "LA", "La", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB"),
    *("HSV", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"),
)
"""All modes that Pillow knows."""


def test_every_format_and_mode_that_pillow_can_write_is_in_the_table() -> None:
    Image.init()
    known = {name.partition(",")[0] for name in ENCODINGS}
    for kind in Image.SAVE:
        written = [mode for mode in MODES if can_write(kind, mode)]
        if kind in (*FORMATS, "MPO"):
            assert {f"{kind} {mode}" for mode in written} <= known
        else:
            assert kind in known or not written, kind


def can_write(kind: str, mode: str) -> bool:
    try:
        save(Image.new(mode, (5, 5)), kind)
    except Exception:  # noqa: BLE001 - each format refuses in its own way
        return False
    return True
