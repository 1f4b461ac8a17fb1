"""The logged model in this process: what a call costs beside its network, and what it answers."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from kedro.runner import SequentialRunner
from kedro_datasets.tensorflow import TensorFlowModelDataset
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel
from packaged_model import package
from samples import draw_image

from image_classification import vision
from image_classification.errors import DataError
from image_classification.vision import HeldPixels, scoring
from image_classification.vision.colour import GREY_WARNING, mark_learnt_colours

CLASSES = ["healthy", "ring"]
PROBABILITIES = [f"probability_{name}" for name in CLASSES]
IMAGES = pd.DataFrame(
    {"image_name": [f"{n}.png" for n in range(5)], "image": [draw_image(n) for n in range(5)]}
)


@pytest.fixture(scope="module")
def network() -> keras.Model:
    vision.set_seed(0)
    return vision.build_network("small", 16, 2, 0.0)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, network: keras.Model) -> PyFuncModel:
    return package(tmp_path_factory.mktemp("packaged") / "here", network, CLASSES, IMAGES)


@pytest.fixture(scope="module")
def expected(network: keras.Model) -> np.ndarray:
    return np.asarray(
        network.predict(vision.decode_images(IMAGES["image"].tolist(), 16), verbose=0)
    )


def held_network(model: PyFuncModel) -> Any:
    return model.unwrap_python_model().loaded_catalog["network"].load()


def assert_right(answer: pd.DataFrame, expected: np.ndarray) -> None:
    assert list(answer) == ["image_name", *PROBABILITIES, "category"]
    assert answer["image_name"].tolist() == IMAGES["image_name"][: len(expected)].tolist()
    np.testing.assert_allclose(answer[PROBABILITIES], expected, rtol=1e-5)
    best = answer[PROBABILITIES].idxmax(axis=1).str.removeprefix("probability_")
    assert answer["category"].tolist() == best.tolist()


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_model_answers_as_its_network(
    model: PyFuncModel, expected: np.ndarray, count: int
) -> None:
    assert_right(model.predict(IMAGES.head(count)), expected[:count])


def test_no_call_copies_loads_or_traces_the_network(
    model: PyFuncModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the network was saved, loaded or predicted with by Keras")

    model.predict(IMAGES.head(1))
    network = held_network(model)
    for name in ("__reduce__", "_unpickle_model", "predict"):
        monkeypatch.setattr(keras.Model, name, refuse)
    monkeypatch.setattr(SequentialRunner, "_run", refuse)

    for count in (1, 5, 2, 1):
        model.predict(IMAGES.head(count))

    assert held_network(model) is network
    assert copy.deepcopy(network) is network
    assert scoring._compile(network).experimental_get_tracing_count() == 1


@pytest.mark.parametrize(
    "params",
    [
        {"runner": "os.abort"},
        {"runner": "mlflow.end_run"},
        {"runner": "ThreadRunner"},
        {"inference.batch_size": 0},
        {"inference.batch_size": 10**9},
        {"network": "/etc/passwd"},
    ],
)
def test_a_caller_names_nothing_that_the_model_calls_or_keeps(
    model: PyFuncModel,
    expected: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    params: dict[str, Any],
) -> None:
    def refuse(*names: Any) -> None:
        raise AssertionError(f"a caller had {names} loaded")

    monkeypatch.setattr("kedro_mlflow.mlflow.kedro_pipeline_model.load_obj", refuse)
    assert_right(model.predict(IMAGES, params=params), expected)
    assert_right(model.predict(IMAGES), expected)
    assert model.metadata.get_params_schema() is None


@pytest.mark.parametrize("value", [__file__, f"file://{__file__}", "https://example.org/1.png", ""])
def test_a_caller_has_no_file_and_no_address_read(
    model: PyFuncModel, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    images = pd.DataFrame({"image_name": ["a", "b"], "image": [draw_image(1), value]})
    with pytest.raises(DataError, match=r"Image b: .* no path and no URL\. Received: str"):
        model.predict(images)


def test_a_row_without_an_image_is_named(model: PyFuncModel) -> None:
    images = pd.DataFrame({"image_name": ["a", None], "image": [draw_image(1), None]})
    with pytest.raises(DataError, match=r"Image 1: .* Received: NoneType"):
        model.unwrap_python_model().predict(None, images)


def test_a_model_without_names_numbers_its_images(model: PyFuncModel) -> None:
    answer = model.predict(IMAGES[["image"]])

    assert answer["image_name"].tolist() == ["0", "1", "2", "3", "4"]


def test_an_image_without_a_name_among_others_has_the_number_of_its_row(
    model: PyFuncModel,
) -> None:
    answer = model.predict(IMAGES.assign(image_name=["x", None, "", "0", "4.png"]))

    assert answer["image_name"].tolist() == ["x", "1", "2", "0", "4.png"]


def test_a_grey_image_is_answered_with_a_warning_where_the_model_learnt_from_colours(
    tmp_path: Path, network: keras.Model
) -> None:
    learnt = keras.models.clone_model(network)
    learnt.set_weights(network.get_weights())
    mark_learnt_colours(learnt, HeldPixels(vision.decode_images([draw_image(1)], 16)))
    of_colours = package(tmp_path / "colours", learnt, CLASSES, IMAGES)
    images = IMAGES.assign(image=[draw_image(0, mode="L"), *IMAGES["image"][1:]])

    answer = of_colours.predict(images)

    assert answer["warning"].tolist() == [GREY_WARNING, "", "", "", ""]
    plain = vision.score_images(network, 5, images["image"].tolist().__getitem__)
    np.testing.assert_allclose(answer[PROBABILITIES], plain, rtol=1e-5)
    assert "warning" not in of_colours.predict(IMAGES)


def test_an_image_that_cannot_be_decoded_is_named(model: PyFuncModel) -> None:
    images = IMAGES.assign(image=[*IMAGES["image"][:4], b"no image"])

    with pytest.raises(DataError, match=r"Image 4\.png: the file cannot be decoded"):
        model.predict(images)

    assert len(model.predict(IMAGES)) == 5


def test_a_table_without_images_is_refused(model: PyFuncModel) -> None:
    with pytest.raises(MlflowException, match=r"missing inputs \['image'\]"):
        model.predict(IMAGES[["image_name"]])


def test_a_model_packaged_with_the_runner_and_dataset_of_before_answers_the_same(
    tmp_path: Path, network: keras.Model, expected: np.ndarray
) -> None:
    before = package(
        tmp_path / "before", network, CLASSES, IMAGES, kpm_kwargs={}, dataset=TensorFlowModelDataset
    )

    assert type(before.unwrap_python_model().runner) is SequentialRunner
    assert_right(before.predict(IMAGES), expected)


@pytest.fixture
def mixed(network: keras.Model) -> keras.Model:
    """The same weights, computing in bfloat16."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    mixed = vision.build_network("small", 16, 2, 0.0)
    keras.config.set_dtype_policy(before)
    mixed.set_weights(network.get_weights())
    return mixed


def test_a_network_of_mixed_precision_answers_nearly_as_an_exact_one(
    tmp_path: Path, mixed: keras.Model, expected: np.ndarray
) -> None:
    model = package(tmp_path / "mixed", mixed, CLASSES, IMAGES)

    answer = model.predict(IMAGES)

    assert held_network(model).layers[2].compute_dtype == "bfloat16"
    np.testing.assert_allclose(answer[PROBABILITIES], expected, atol=0.02)
