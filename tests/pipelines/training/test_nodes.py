"""The nodes one after another, without Kedro: three classes, by the parameters alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from laboratory import Laboratory
from matplotlib.figure import Figure
from samples import draw_image
from shipped import read_shipped

from image_classification.datasets import ImageBatches, PackedPixels, RegisteredNetwork
from image_classification.errors import ConfigurationError, DataError
from image_classification.gate.judgement import judge
from image_classification.gate.measure import (
    average_classes,
    measure_classes,
    measure_predictions,
)
from image_classification.pipelines.packaged.nodes import classify_images
from image_classification.pipelines.promotion.nodes import (
    compare_models,
    score_challenger,
    score_champion,
)
from image_classification.pipelines.training import nodes
from image_classification.pipelines.training.nodes import (
    answer_golden_cells,
    evaluate_network,
    plot_confident_mistakes,
    plot_evaluation,
    plot_training_curves,
    sample_images,
    score_baseline,
    select_images,
    train_network,
)

CONF = Path(__file__).resolve().parents[3] / "conf"
CLASSES = ["gametocyte", "healthy", "ring"]
SIZE_PX = 16
TRAINING: dict[str, Any] = {
    "network": "small",
    "weights": "",
    "epochs": 2,
    "batch_size": 16,
    "precision": "float32",
    "symmetries": "all",
    "learning_rate": 0.003,
    "weight_decay": 0.01,
    "label_smoothing": 0.05,
    "dropout": 0.0,
    "seed": 1,
}
PROBABILITIES = [f"probability_{name}" for name in CLASSES]


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    """Three images, one of each class, of each of 30 patients, are taken in."""
    laboratory = Laboratory(tmp_path_factory.mktemp("laboratory"))
    laboratory.parameters["classes"] = None
    laboratory.size_px = SIZE_PX
    files = {
        f"{name}/C{patient}_IMG_20150918_cell_{number}.png": draw_image(10 * patient + number)
        for patient in range(30)
        for number, name in enumerate(CLASSES)
    }
    laboratory.deliver("b", files)
    laboratory.take_in()
    return laboratory


@pytest.fixture(scope="module")
def batches(laboratory: Laboratory) -> ImageBatches:
    opened: ImageBatches = laboratory.catalog().load("image_batches")
    return opened


@pytest.fixture(scope="module")
def splits(laboratory: Laboratory) -> pd.DataFrame:
    splits, class_names, summary = select_images(
        laboratory.log(), {"contract": {}}, "ring", laboratory.parameters
    )
    assert class_names == CLASSES
    assert summary["images"] == len(splits) == 90
    return splits


@pytest.fixture(scope="module")
def pixels(laboratory: Laboratory) -> PackedPixels:
    packed: PackedPixels = laboratory.catalog().load("packed_pixels")
    return packed


@pytest.fixture(scope="module")
def trained(pixels: PackedPixels, splits: pd.DataFrame) -> tuple[Any, ...]:
    return train_network(pixels, splits, CLASSES, SIZE_PX, TRAINING)


@pytest.fixture(scope="module")
def evaluated(
    trained: tuple[Any, ...], pixels: PackedPixels, splits: pd.DataFrame
) -> tuple[Any, ...]:
    return evaluate_network(trained[0], pixels, splits, CLASSES, SIZE_PX, "ring")


def test_a_positive_class_that_may_still_come_is_no_error_while_the_night_waits(
    laboratory: Laboratory,
) -> None:
    log, parameters, waits = laboratory.log(), laboratory.parameters, {"waiting": "for more"}
    summary = select_images(log, waits, "late", parameters)[2]
    assert summary["waiting"] == "for more"
    for report, classes in (({"waiting": ""}, None), (waits, CLASSES)):
        with pytest.raises(ConfigurationError, match="positive_class 'late' is not a class"):
            select_images(log, report, "late", {**parameters, "classes": classes})


def test_training_gives_a_network_and_a_value_per_epoch(trained: tuple[Any, ...]) -> None:
    network, train_acc, train_loss, val_acc, val_loss, pace, history, setup = trained

    assert network.output_shape == (None, 3)
    assert [len(values) for values in (train_acc, train_loss, val_acc, val_loss)] == [2, 2, 2, 2]
    assert history["train_accuracy"] == train_acc
    assert history["validation_loss"] == val_loss
    assert set(pace) == {"learning_rate", "images_per_second"}
    assert [point["step"] for point in pace["learning_rate"]] == [0, 1]
    assert setup["precision"] == "float32"
    assert setup["pixels"] == "held by the device"


def test_both_splits_are_scored_each_with_its_own_images(
    evaluated: tuple[Any, ...], splits: pd.DataFrame
) -> None:
    for predictions, split in zip(evaluated[:2], ("validation", "test"), strict=True):
        rows = splits[splits["split"] == split]
        assert predictions["image_id"].tolist() == rows["image_id"].tolist()
        assert predictions["label"].tolist() == rows["label"].tolist()
        np.testing.assert_allclose(predictions[PROBABILITIES].sum(axis=1), 1, rtol=1e-5)
        best = predictions[PROBABILITIES].idxmax(axis=1).str.removeprefix("probability_")
        assert predictions["category"].tolist() == best.tolist()
    assert not set(evaluated[0]["patient"]) & set(evaluated[1]["patient"])


def test_each_class_is_measured_for_mlflow_and_the_report_has_averages_and_confusions(
    evaluated: tuple[Any, ...],
) -> None:
    predictions, _, measures, *_ = evaluated
    report = evaluated[-1]["validation"]
    for name in CLASSES:
        own = predictions[predictions["label"] == name]
        recall = float((own["category"] == name).mean())
        assert measures[f"recall_of_{name}"]["value"] == pytest.approx(recall)
        assert f"precision_of_{name}" in measures
    assert measures["macro_recall"]["value"] == report["macro"]["recall"]
    assert report["confusion"]["classes"] == CLASSES
    assert [sum(row) for row in report["confusion"]["rows"]] == [
        int((predictions["label"] == name).sum()) for name in CLASSES
    ]


def test_scoring_in_parts_gives_what_scoring_at_once_gives(
    trained: tuple[Any, ...],
    evaluated: tuple[Any, ...],
    pixels: PackedPixels,
    splits: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nodes, "CHUNK_IMAGES", 4)
    in_parts = evaluate_network(trained[0], pixels, splits, CLASSES, SIZE_PX, "ring")
    for one, other in zip(in_parts[:2], evaluated[:2], strict=True):
        pd.testing.assert_frame_equal(one, other, rtol=1e-5)


def test_the_baseline_is_told_with_how_many_images_it_had(
    pixels: PackedPixels, splits: pd.DataFrame
) -> None:
    metrics, report = score_baseline(pixels, splits, CLASSES, SIZE_PX, TRAINING)
    counts = splits["split"].value_counts()
    assert report["images"] == counts["validation"]
    assert report["trained_on"] == counts["train"]
    assert metrics == {"accuracy": {"value": report["accuracy"], "step": 0}}
    assert 0 <= report["accuracy"] <= 1
    of_validation = splits["split"] == "validation"
    wrong = splits.assign(label=splits["label"].where(~of_validation, "healthy"))
    assert score_baseline(pixels, wrong, CLASSES, SIZE_PX, TRAINING)[1] != report


def test_no_positive_class_is_none_that_is_missing(laboratory: Laboratory) -> None:
    _, class_names, _ = select_images(
        laboratory.log(), {"waiting": ""}, None, {**laboratory.parameters, "classes": CLASSES}
    )
    assert class_names == CLASSES


def test_measures_are_those_of_the_predictions(evaluated: tuple[Any, ...]) -> None:
    validation, test, validation_metrics, test_metrics, test_accuracy, report = evaluated

    for table, metrics in ((validation, validation_metrics), (test, test_metrics)):
        classes = measure_classes(table, CLASSES)
        expected = measure_predictions(table, CLASSES, "ring")
        expected |= {f"macro_{name}": mean for name, mean in average_classes(classes).items()}
        for name, measured in classes.items():
            expected |= {f"{key}_of_{name}": measured[key] for key in ("recall", "precision")}
        assert metrics == {name: {"value": value, "step": 0} for name, value in expected.items()}
    assert test_accuracy == test_metrics["accuracy"]["value"]
    assert report["test"]["accuracy"] == test_accuracy
    assert set(report["validation"]["classes"]) == set(CLASSES)
    images = [values["images"] for values in report["validation"]["classes"].values()]
    assert sum(images) == len(validation)


def test_figures_are_drawn_for_three_classes(
    trained: tuple[Any, ...], evaluated: tuple[Any, ...], pixels: PackedPixels
) -> None:
    validation, test = evaluated[:2]
    figures = [
        plot_training_curves(trained[6]),
        *plot_evaluation(validation, test, CLASSES, "ring"),
        plot_confident_mistakes(validation, pixels, SIZE_PX),
    ]

    assert len(figures) == 5
    assert all(isinstance(figure, Figure) for figure in figures)


def test_mistakes_shown_are_the_surest_ones_first(
    evaluated: tuple[Any, ...], pixels: PackedPixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    from image_classification import figures

    seen: list[tuple[Any, ...]] = []
    monkeypatch.setattr(figures, "plot_contact_sheet", lambda *given: seen.append(given))
    predictions = evaluated[0]

    plot_confident_mistakes(predictions, pixels, SIZE_PX)

    shown, images, mistakes, count = seen[0]
    wrong = predictions[predictions["label"] != predictions["category"]]
    assert (mistakes, count) == (len(wrong), len(predictions))
    assert len(wrong) > 0
    assert shown["confidence"].is_monotonic_decreasing
    assert set(shown["image_id"]) <= set(wrong["image_id"])
    np.testing.assert_array_equal(images, pixels.read(shown["image_id"].tolist(), SIZE_PX))


def test_input_example_has_images_of_each_class_as_files(
    batches: ImageBatches, splits: pd.DataFrame
) -> None:
    example = sample_images(batches, splits, CLASSES)

    assert list(example) == ["image_name", "image"]
    validation = splits[splits["split"] == "validation"]
    labels = [
        # One name may lie in several class folders; the number at its end tells the class.
        CLASSES[int(name.removesuffix(".png")[-1])]
        for name in example["image_name"]
    ]
    assert labels == [name for name in CLASSES for _ in range(2)]
    assert set(example["image_name"]) <= set(validation["image_name"])
    assert all(content.startswith(b"\x89PNG") for content in example["image"])


def test_challenger_and_champion_are_scored_alike_from_the_files(
    trained: tuple[Any, ...],
    evaluated: tuple[Any, ...],
    batches: ImageBatches,
    splits: pd.DataFrame,
) -> None:
    network = trained[0]
    champion = RegisteredNetwork(network, CLASSES, "4")

    challenger_scores = score_challenger(network, CLASSES, batches, splits)
    champion_scores, scoring = score_champion(lambda: champion, CLASSES, batches, splits)

    assert set(challenger_scores["model_version"]) == {""}
    assert set(champion_scores["model_version"]) == {"4"}
    assert scoring == {"fault": ""}
    pd.testing.assert_frame_equal(
        challenger_scores.drop(columns="model_version"),
        champion_scores.drop(columns="model_version"),
    )
    packed = evaluated[0].set_index("image_id").loc[challenger_scores["image_id"]]
    np.testing.assert_allclose(
        challenger_scores[PROBABILITIES], packed[PROBABILITIES], rtol=1e-4, atol=1e-6
    )
    assert challenger_scores["image_id"].is_monotonic_increasing


def test_a_registered_challenger_is_scored_with_its_own_classes_and_version(
    trained: tuple[Any, ...], batches: ImageBatches, splits: pd.DataFrame
) -> None:
    registered = RegisteredNetwork(trained[0], ["ring", "healthy", "gametocyte"], "9")

    scores = score_challenger(registered, CLASSES, batches, splits)

    assert set(scores["model_version"]) == {"9"}
    assert [name for name in scores if name.startswith("probability_")] == [
        "probability_ring",
        "probability_healthy",
        "probability_gametocyte",
    ]


def test_scores_without_a_champion_have_the_columns_and_no_rows(
    trained: tuple[Any, ...], batches: ImageBatches, splits: pd.DataFrame
) -> None:
    nothing, scoring = score_champion(lambda: None, CLASSES, batches, splits)

    assert len(nothing) == 0
    assert scoring == {"fault": ""}
    assert list(nothing) == list(score_challenger(trained[0], CLASSES, batches, splits))


def test_three_classes_come_to_a_decision_through_the_files_between_the_tasks(
    trained: tuple[Any, ...], batches: ImageBatches, splits: pd.DataFrame, tmp_path: Path
) -> None:
    policy = read_shipped("promotion", env="test")
    champion = RegisteredNetwork(trained[0], CLASSES, "1")
    champion_scores, scoring = score_champion(lambda: champion, CLASSES, batches, splits)
    scores = {
        "challenger": score_challenger(trained[0], CLASSES, batches, splits),
        "champion": champion_scores,
    }
    for name, table in scores.items():
        table.to_csv(tmp_path / name, index=False)

    comparison, _ = compare_models(
        pd.read_csv(tmp_path / "challenger"),
        pd.read_csv(tmp_path / "champion"),
        scoring,
        CLASSES,
        "ring",
        policy,
    )

    direct, _ = compare_models(
        scores["challenger"], scores["champion"], scoring, CLASSES, "ring", policy
    )
    assert comparison["champion"]["version"] == "1"
    assert comparison["tests"]["gain"] == 0
    assert comparison["challenger"]["metrics"] == pytest.approx(direct["challenger"]["metrics"])
    assert judge(comparison, None, policy)["verdict"] == "promote"


def test_golden_cells_are_the_example_with_what_the_network_answers(
    trained: tuple[Any, ...], batches: ImageBatches, splits: pd.DataFrame
) -> None:
    example = sample_images(batches, splits, CLASSES)

    golden = answer_golden_cells(trained[0], example, CLASSES)

    pd.testing.assert_frame_equal(golden[["image_name", "image"]], example)
    answers = classify_images(example, trained[0], CLASSES, 2)
    np.testing.assert_allclose(golden[PROBABILITIES], answers[PROBABILITIES], atol=1e-6)


def test_packaged_model_gives_a_row_per_image_in_order(
    trained: tuple[Any, ...], batches: ImageBatches, splits: pd.DataFrame
) -> None:
    example = sample_images(batches, splits, CLASSES)

    table = classify_images(example, trained[0], CLASSES, 2)

    assert list(table) == ["image_name", *PROBABILITIES, "category"]
    assert table["image_name"].tolist() == example["image_name"].tolist()
    np.testing.assert_allclose(table[PROBABILITIES].sum(axis=1), 1, rtol=1e-5)


def test_packaged_model_numbers_nameless_images_and_reads_no_path(
    trained: tuple[Any, ...], batches: ImageBatches
) -> None:
    files = batches.list_files("b")["path"].head(3).tolist()
    contents = pd.DataFrame({"image": batches.read(files)})

    table = classify_images(contents, trained[0], CLASSES, 256)

    assert table["image_name"].tolist() == ["0", "1", "2"]
    with pytest.raises(DataError, match="no path and no URL"):
        classify_images(pd.DataFrame({"image": files}), trained[0], CLASSES, 256)


def test_packaged_model_gives_no_rows_for_no_images(trained: tuple[Any, ...]) -> None:
    table = classify_images(pd.DataFrame({"image": []}), trained[0], CLASSES, 256)

    assert len(table) == 0
    assert list(table) == ["image_name", *PROBABILITIES, "category"]


def test_packaged_model_refuses_a_table_without_images(trained: tuple[Any, ...]) -> None:
    with pytest.raises(DataError, match=r"no column 'image'.*Received columns: picture"):
        classify_images(pd.DataFrame({"picture": [b""]}), trained[0], CLASSES, 256)


def test_packaged_model_names_an_image_that_cannot_be_decoded(trained: tuple[Any, ...]) -> None:
    images = pd.DataFrame({"image": [draw_image(), b"no image"], "image_name": ["good", "bad"]})

    with pytest.raises(DataError, match="Image bad: the file cannot be decoded"):
        classify_images(images, trained[0], CLASSES, 256)
