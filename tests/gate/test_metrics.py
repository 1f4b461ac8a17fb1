"""Parameters, metrics, plots and the synthetic cells."""

from __future__ import annotations

import copy
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from image_classification import figures
from image_classification.configuration.parameters import check_parameters
from image_classification.errors import ConfigurationError
from image_classification.gate.metrics import (
    measure_calibration_error,
    measure_classes,
    measure_predictions,
    tabulate_predictions,
)
from image_classification.local.synthetic import make_cells

BASE = Path(__file__).resolve().parents[2] / "conf" / "base"


@pytest.fixture
def parameters() -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for path in BASE.glob("parameters*.yml"):
        merged |= yaml.safe_load(path.read_text())
    return copy.deepcopy(merged)


class TestParameters:
    def test_the_files_of_base_are_valid(self, parameters: dict[str, Any]) -> None:
        check_parameters(parameters)
        check_parameters(parameters | {"run_id": "retraining/x", "mlflow_run_id": "y"})

    def test_every_misspelt_key_is_named_with_the_one_that_was_meant(
        self, parameters: dict[str, Any]
    ) -> None:
        for section, value in parameters.items():
            keys = [(section,)]
            if isinstance(value, dict):
                keys += [(section, key) for key in value]
            for *parents, key in keys:
                wrong = copy.deepcopy(parameters)
                level = wrong
                for parent in parents:
                    level = level[parent]
                level[f"{key}x"] = level.pop(key)
                with pytest.raises(ConfigurationError) as raised:
                    check_parameters(wrong)
                assert f"Did you mean '{key}'?" in str(raised.value)
                assert f"{key}' is missing" in str(raised.value)

    def test_all_faults_are_listed_at_once(self, parameters: dict[str, Any]) -> None:
        parameters["training"]["epochs"] = 0
        parameters["training"]["dropout"] = "much"
        parameters["image_size_px"] = 8
        with pytest.raises(ConfigurationError) as raised:
            check_parameters(parameters)
        for name in ("training.epochs", "training.dropout", "image_size_px"):
            assert name in str(raised.value)
        assert "Received: 'much'" in str(raised.value)

    def test_splits_must_leave_images_to_train_on(self, parameters: dict[str, Any]) -> None:
        parameters["data_processing"] |= {"validation_share": 0.5, "test_share": 0.5}
        with pytest.raises(ConfigurationError, match=r"must be below 1.*0.5 \+ 0.5"):
            check_parameters(parameters)


def predictions(labels: str, scores: list[float]) -> pd.DataFrame:
    table = pd.DataFrame({"label": list(labels)})
    given = np.array(scores)
    return tabulate_predictions(table, np.stack([given, 1 - given], axis=1), ["p", "u"])


class TestMetrics:
    def test_measures_of_a_known_table(self) -> None:
        table = predictions("pppuu", [0.9, 0.8, 0.4, 0.3, 0.6])
        measures = measure_predictions(table, ["p", "u"], "p")
        assert measures["accuracy"] == pytest.approx(3 / 5)
        assert measures["sensitivity"] == pytest.approx(2 / 3)
        assert measures["specificity"] == pytest.approx(1 / 2)
        assert measures["f1"] == pytest.approx(2 / 3)
        assert measures["auc"] == pytest.approx(5 / 6)
        assert measure_classes(table, ["p", "u"])["u"]["images"] == 2

    @pytest.mark.filterwarnings("error")
    def test_probabilities_of_a_network_which_sum_to_one_but_for_rounding_are_measured(
        self,
    ) -> None:
        given = np.random.default_rng(0).dirichlet(np.ones(3), 50).astype(np.float32)
        given *= np.float32(1 + 1e-6)
        labels = pd.DataFrame({"label": list("abcab" * 10)})
        table = tabulate_predictions(labels, given, list("abc"))
        exact = tabulate_predictions(labels, given / given.sum(axis=1, keepdims=True), list("abc"))
        measures = measure_predictions(table, list("abc"), "a")
        assert measures == pytest.approx(measure_predictions(exact, list("abc"), "a"), rel=1e-5)

    def test_sensitivity_is_about_the_positive_class(self) -> None:
        table = predictions("pppuu", [0.9, 0.8, 0.4, 0.3, 0.6])
        other = measure_predictions(table, ["p", "u"], "u")
        assert other["sensitivity"] == pytest.approx(1 / 2)
        assert other["specificity"] == pytest.approx(2 / 3)

    def test_three_classes_are_measured_against_the_rest(self) -> None:
        labels = pd.DataFrame({"label": list("abcabc")})
        probabilities = np.tile(np.eye(3), (2, 1)) * 0.8 + 0.2 / 3
        table = tabulate_predictions(labels, probabilities, list("abc"))
        measures = measure_predictions(table, list("abc"), "b")
        assert {measures[name] for name in ("accuracy", "auc", "sensitivity", "f1")} == {1.0}


def calibrate(groups: list[tuple[float, int, int]]) -> float:
    """Return the calibration error of groups: confidence, images, and how many are right."""
    confidences = [confidence for confidence, images, _ in groups for _ in range(images)]
    right = [number < wins for _, images, wins in groups for number in range(images)]
    return measure_calibration_error(np.array(confidences), np.array(right))


class TestCalibration:
    @pytest.mark.parametrize(
        "groups",
        [
            [(0.75, 4, 3)],
            [(0.75, 400, 300)],
            [(0.5, 10, 5), (0.9, 10, 9), (1.0, 80, 80)],
            [(1.0, 1, 1)],
        ],
    )
    def test_a_model_as_right_as_it_is_sure_has_none(
        self, groups: list[tuple[float, int, int]]
    ) -> None:
        assert calibrate(groups) == pytest.approx(0, abs=1e-12)

    @pytest.mark.parametrize(
        ("groups", "error"),
        [
            # too sure, not sure enough, and always wrong
            ([(0.9, 10, 5)], 0.4),
            ([(0.6, 10, 10)], 0.4),
            ([(1.0, 7, 0)], 1.0),
            # bins of two: 10 images off by 0.3, 10 off by 0.1
            ([(0.5, 10, 8), (0.9, 10, 8)], 0.2),
            # bins of three: the fourth holds one of the first level and two of the second
            ([(0.6, 10, 10), (0.8, 20, 10)], (9 * 0.4 + 0.2 + 18 * 0.3) / 30),
        ],
    )
    def test_small_cases_counted_by_hand(
        self, groups: list[tuple[float, int, int]], error: float
    ) -> None:
        assert calibrate(groups) == pytest.approx(error)

    def test_images_of_equal_confidence_count_alike_in_any_order(self) -> None:
        confidences = np.repeat([0.7, 1.0], [13, 40])
        right = np.arange(53) % 3 > 0
        errors = set()
        for seed in range(5):
            order = np.random.default_rng(seed).permutation(53)
            errors.add(round(measure_calibration_error(confidences[order], right[order]), 12))
        assert len(errors) == 1

    def test_it_is_measured_of_the_category_called_and_lies_between_zero_and_one(self) -> None:
        sure_and_wrong = predictions("pu", [0.0, 1.0])
        sure_and_right = predictions("pu", [1.0, 0.0])
        assert measure_predictions(sure_and_wrong, ["p", "u"], "p")["calibration_error"] == 1
        assert measure_predictions(sure_and_right, ["p", "u"], "p")["calibration_error"] == 0


def test_every_figure_can_be_saved() -> None:
    table = predictions("pppuuu", [0.9, 0.8, 0.4, 0.3, 0.6, 0.1])
    tables = {"validation": table, "test": table}
    wrong = table[table["label"] != table["category"]].assign(confidence=0.6, patient="C1")
    history = {
        f"{split}_{name}": [0.5, 0.4]
        for split in ("train", "validation")
        for name in ("accuracy", "loss")
    }
    pixels = np.zeros((len(wrong), 8, 8, 3), np.uint8)
    for figure in (
        figures.plot_curves(history),
        figures.plot_confusion(tables, ["p", "u"]),
        figures.plot_roc(tables, "p"),
        figures.plot_reliability(tables, "p"),
        figures.plot_contact_sheet(wrong, pixels, len(wrong), 6),
        figures.plot_contact_sheet(wrong.head(0), pixels[:0], 0, 6),
    ):
        file = io.BytesIO()
        figure.savefig(file, format="png")
        assert file.getvalue().startswith(b"\x89PNG")


class TestSyntheticCells:
    def test_the_same_call_gives_the_same_cells(self, tmp_path: Path) -> None:
        for name in ("one", "two"):
            make_cells(tmp_path / name, range(1, 3), 3)
        for path in (tmp_path / "one").rglob("*.png"):
            twin = tmp_path / "two" / path.relative_to(tmp_path / "one")
            assert path.read_bytes() == twin.read_bytes()

    def test_colour_alone_does_not_tell_the_classes_apart(self, cells: Path) -> None:
        colours, labels = [], []
        for path in cells.rglob("*.png"):
            pixels = np.asarray(Image.open(path)).astype(float)
            inside = pixels[pixels.sum(axis=2) > 0]
            colours.append([*inside.mean(axis=0), *inside.std(axis=0)])
            labels.append(path.parent.name)
        model = make_pipeline(StandardScaler(), LogisticRegression())
        accuracy = cross_val_score(model, np.array(colours), labels, cv=5).mean()
        assert accuracy < 0.75
