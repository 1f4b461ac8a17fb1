"""From packed pixels to a trained network, its measures and its figures."""

from __future__ import annotations

import re
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from image_classification import figures, vision
from image_classification.configuration.parameters import (
    DataProcessingParameters,
    TrainingParameters,
)
from image_classification.datasets import ImageBatches, PackedPixels
from image_classification.errors import ConfigurationError, ContractError, name_near_misses
from image_classification.gate.measure import (
    average_classes,
    count_confusions,
    measure_classes,
    measure_predictions,
)
from image_classification.gate.prediction import PROBABILITY_PREFIX, tabulate_predictions
from image_classification.intake import contract, index
from image_classification.intake.split import SPLIT_RULE
from image_classification.vision import Network

if TYPE_CHECKING:
    from image_classification.vision import PixelSource

CHUNK_IMAGES = 8192
"""How many images are read and scored at a time, to limit the memory."""

EXAMPLES_PER_CLASS = 2
MISTAKES_SHOWN = 24
PREDICTION_COLUMNS = ["image_id", "image_name", "patient", "label"]


def select_images(
    image_index: pd.DataFrame,
    contract_report: dict[str, Any],
    positive_class: str | None,
    parameters: DataProcessingParameters,
) -> tuple[pd.DataFrame, list[str], dict[str, Any]]:
    """Select the images that this run works on: every accepted one, with its split.

    Args:
        image_index: the log of the index.
        contract_report: from `check_contract`; as an input, so that the contract is checked first.
        positive_class: the class that later measures are about, or None; checked here, before
            training.
        parameters: the parameters `data_processing`.

    Returns:
        The images, with one row for each different file content; the class names in order; and a
        summary: images and patients by split and class, batches, the time of the last row of the
        index, the split rule, the contract report, and digests, which change when any image, label
        or split changes.

    Raises:
        ConfigurationError: `positive_class` is not a class. Where every folder is one and the night
            waits for more, it may still come.
        ContractError: a row of the index breaks the contract.
    """
    images = index.select_accepted(image_index)[index.IMAGE_COLUMNS]
    class_names = index.name_classes(images, parameters["classes"])
    may_come = parameters["classes"] is None and contract_report.get("waiting")
    if positive_class not in (None, *class_names) and not may_come:
        raise ConfigurationError(
            f"positive_class '{positive_class}' is not a class: allowed are "
            f"{', '.join(class_names)}, and null for none."
            f"{name_near_misses(str(positive_class), class_names)}"
        )
    if breaches := contract.check_rows(images, class_names):
        raise ContractError("The index breaks the contract: " + " ".join(breaches))
    rule = {name: value for name, value in parameters.items() if name in SPLIT_RULE}
    summary = index.summarise_images(images, class_names)
    until = {"index_until": max(image_index["recorded_at"], default="")}
    return images, class_names, {**summary, **until, "split_rule": rule, **contract_report}


def sample_images(
    image_batches: ImageBatches, image_splits: pd.DataFrame, class_names: list[str]
) -> pd.DataFrame:
    """Pick a few validation images, as encoded files, as the input example of the packaged model.

    Returns:
        Columns `image_name` (str) and `image` (the bytes of the file).
    """
    validation = image_splits[image_splits["split"] == "validation"].sort_values("image_id")
    rows = pd.concat(
        [validation[validation["label"] == name].head(EXAMPLES_PER_CLASS) for name in class_names]
    )
    return pd.DataFrame(
        {
            "image_name": rows["image_name"].to_numpy(),
            "image": image_batches.read_images(rows),
        }
    )


def train_network(
    packed_pixels: PackedPixels,
    image_splits: pd.DataFrame,
    class_names: list[str],
    image_size_px: int,
    parameters: TrainingParameters,
) -> tuple[
    Network,
    list[float],
    list[float],
    list[float],
    list[float],
    dict[str, list[dict[str, float]]],
    dict[str, list[float]],
    dict[str, Any],
]:
    """Train a new network on the train split, by a fixed schedule.

    Args:
        packed_pixels: the pixels of every image of `image_splits` at `image_size_px`.
        image_splits: from `select_images`.
        class_names: the classes, in the order of the network's outputs.
        image_size_px: side of the images, in pixels.
        parameters: the parameters `training`.

    Returns:
        The network; four lists with a value for each epoch: accuracy and loss in training, accuracy
        and loss on validation; learning rate and images per second as metrics; all six together;
        and the setup: the device, the precision, and where the pixels were.
    """
    train = _gather("train", packed_pixels, image_splits, class_names, image_size_px)
    validation = _gather("validation", packed_pixels, image_splits, class_names, image_size_px)
    build = partial(
        vision.build_network,
        parameters["network"],
        image_size_px,
        len(class_names),
        parameters["dropout"],
        parameters["weights"],
    )
    network, history, setup = vision.fit_network(
        build,
        train,
        validation,
        epochs=parameters["epochs"],
        batch_size=parameters["batch_size"],
        learning_rate=parameters["learning_rate"],
        weight_decay=parameters["weight_decay"],
        label_smoothing=parameters["label_smoothing"],
        seed=parameters["seed"],
        precision=parameters["precision"],
        symmetries=parameters["symmetries"],
    )
    pace = {
        name: [{"value": value, "step": step} for step, value in enumerate(values)]
        for name, values in {
            "learning_rate": history.learning_rate,
            "images_per_second": history.images_per_second,
        }.items()
    }
    return (
        network,
        history.train_accuracy,
        history.train_loss,
        history.validation_accuracy,
        history.validation_loss,
        pace,
        asdict(history),
        setup,
    )


def answer_golden_cells(
    network: Network, images: pd.DataFrame, class_names: list[str]
) -> pd.DataFrame:
    """Let the network classify the input example. A promoted model must give the same answers.

    Returns:
        `images`, with a probability per class and the `category`. The table is stored with the
        model.
    """
    contents = images["image"].tolist()
    probabilities = vision.score_images(network, len(contents), contents.__getitem__)
    return tabulate_predictions(images, probabilities, class_names)


def evaluate_network(
    network: Network,
    packed_pixels: PackedPixels,
    image_splits: pd.DataFrame,
    class_names: list[str],
    image_size_px: int,
    positive_class: str | None,
) -> tuple[
    pd.DataFrame,
    pd.DataFrame,
    dict[str, dict[str, float]],
    dict[str, dict[str, float]],
    float,
    dict[str, Any],
]:
    """Score the validation images and the test images, and measure both.

    Returns:
        The predictions on validation and on test (one row per image: `image_id`, `image_name`,
        `patient`, `label`, a probability per class, `category`); the measures of each for
        MLflow, with recall and precision of each class; the accuracy on the test images; and a
        report with the measures of each class, their macro averages and the confusion matrix.
    """
    predictions, measures, report = {}, {}, {}
    for split in ("validation", "test"):
        rows = image_splits[image_splits["split"] == split]
        source = packed_pixels.select(rows["image_id"].tolist(), image_size_px)
        table = tabulate_predictions(rows[PREDICTION_COLUMNS], _score(network, source), class_names)
        predictions[split] = table
        measures[split] = measure_predictions(table, class_names, positive_class)
        classes = measure_classes(table, class_names)
        report[split] = {
            **measures[split],
            "positive_class": positive_class,
            "classes": classes,
            "macro": average_classes(classes),
            "confusion": {"classes": class_names, "rows": count_confusions(table, class_names)},
        }
    return (
        predictions["validation"],
        predictions["test"],
        _as_mlflow_metrics(measures["validation"] | _name_class_measures(report["validation"])),
        _as_mlflow_metrics(measures["test"] | _name_class_measures(report["test"])),
        measures["test"]["accuracy"],
        report,
    )


def score_baseline(
    packed_pixels: PackedPixels,
    image_splits: pd.DataFrame,
    class_names: list[str],
    image_size_px: int,
    parameters: TrainingParameters,
) -> tuple[dict[str, dict[str, float]], dict[str, Any]]:
    """Let a random forest on thumbnails answer validation images: how far does a simple method get?

    It is shown beside the network, and decides nothing.

    Returns:
        Its accuracy for MLflow; and a record: what it is (`name`), its `accuracy`, and on how many
        validation images (`images`), after how many in training (`trained_on`).
    """
    train = _gather("train", packed_pixels, image_splits, class_names, image_size_px)
    asked, labels = _gather("validation", packed_pixels, image_splits, class_names, image_size_px)
    answers = vision.answer_by_forest(train, asked, parameters["seed"])
    accuracy = float((answers == labels[: len(answers)]).mean())
    record = {
        "name": "random forest on thumbnails",
        "accuracy": accuracy,
        "images": len(answers),
        "trained_on": min(len(train[1]), vision.MOST_IMAGES),
    }
    return _as_mlflow_metrics({"accuracy": accuracy}), record


def plot_training_curves(training_history: dict[str, list[float]]) -> Figure:
    """Plot accuracy and loss by epoch, in training and on validation."""
    return figures.plot_curves(training_history)


def plot_evaluation(
    validation_predictions: pd.DataFrame,
    test_predictions: pd.DataFrame,
    class_names: list[str],
    positive_class: str | None,
) -> tuple[Figure, Figure, Figure]:
    """Plot the confusion matrix, the ROC curve and the reliability diagram of both splits."""
    tables = {"validation": validation_predictions, "test": test_predictions}
    return (
        figures.plot_confusion(tables, class_names),
        figures.plot_roc(tables, class_names, positive_class),
        figures.plot_reliability(tables, positive_class),
    )


def plot_confident_mistakes(
    validation_predictions: pd.DataFrame, packed_pixels: PackedPixels, image_size_px: int
) -> Figure:
    """Show the misclassified validation images of which the network was most certain."""
    columns = [
        name for name in map(str, validation_predictions) if name.startswith(PROBABILITY_PREFIX)
    ]
    confidence = validation_predictions[columns].max(axis=1)
    wrong = validation_predictions["label"] != validation_predictions["category"]
    mistakes = validation_predictions.assign(confidence=confidence)[wrong]
    shown = mistakes.sort_values("confidence", ascending=False).head(MISTAKES_SHOWN)
    pixels = packed_pixels.read(shown["image_id"].tolist(), image_size_px)
    return figures.plot_contact_sheet(shown, pixels, len(mistakes), len(validation_predictions))


def _gather(
    split: str,
    packed_pixels: PackedPixels,
    image_splits: pd.DataFrame,
    class_names: list[str],
    image_size_px: int,
) -> tuple[PixelSource, np.ndarray]:
    # Sorted by the digest of the content, so that the order does not depend on paths.
    rows = image_splits[image_splits["split"] == split].sort_values("image_id")
    numbers = {name: number for number, name in enumerate(class_names)}
    pixels = packed_pixels.select(rows["image_id"].tolist(), image_size_px)
    return pixels, rows["label"].map(numbers).to_numpy(dtype=np.int64)


def _score(network: Network, source: PixelSource) -> np.ndarray:
    """Return the probabilities of all images of a source, reading one chunk at a time."""
    scored = np.empty((source.shape[0], network.output_shape[-1]), np.float32)
    for rows, pixels in vision.read_chunks(source, CHUNK_IMAGES):
        scored[rows] = vision.score_pixels(network, pixels)
    return scored


def _name_class_measures(report: dict[str, Any]) -> dict[str, float]:
    """Return recall and precision of each class, and their averages, by names MLflow can hold."""
    named = {f"macro_{name}": value for name, value in report["macro"].items()}
    for class_name, measured in report["classes"].items():
        shown = re.sub(r"[^\w.\- ]", "-", class_name)
        named |= {f"{name}_of_{shown}": measured[name] for name in ("recall", "precision")}
    return named


def _as_mlflow_metrics(measures: dict[str, float]) -> dict[str, dict[str, float]]:
    return {name: {"value": value, "step": 0} for name, value in measures.items()}
