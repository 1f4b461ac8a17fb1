"""The schema of the parameters: each range at its edge, and types taken at their word."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from shipped import read_files, read_shipped

from image_classification.configuration.networks import list_networks
from image_classification.configuration.parameters import RUN_KEYS, check_parameters
from image_classification.errors import ConfigurationError

BASE = Path(__file__).resolve().parents[2] / "conf" / "base"

OUT_OF_RANGE = {
    "image_size_px": [15, 513, 64.5, "64"],
    "positive_class": [1, ["a"]],
    "may_loosen": [None, "promotion.mode", [1]],
    "registered_model_name": [
        "",
        None,
        ".",
        " ",
        "a/b",
        "a:b",
        "it's",
        "a#b",
        "a\n",
        " a",
        "a" * 251,
    ],
    "data_processing.classes": ["Parasitized", [1, 2], ["Parasitized"]],
    "data_processing.name_pattern": [1],
    "data_processing.captured_on_format": [None],
    "data_processing.maximum_image_pixels": [0, "4000000"],
    "data_processing.settle_minutes": [-1, "30"],
    "data_processing.minimum_image_side_px": [0, 1.5],
    "data_processing.arrival.maximum_files": [0, 1.5],
    "data_processing.arrival.maximum_total_gib": [0, "50"],
    "data_processing.arrival.maximum_file_mib": [0, None],
    "data_processing.arrival.maximum_ratio": [0.5],
    "data_processing.arrival.maximum_depth": [0],
    "data_processing.arrival.maximum_name_bytes": [0],
    "data_processing.arrival.maximum_minutes": [0, None],
    "data_processing.arrival.minimum_free_gib": [-1],
    "data_processing.corrections.policy": ["", "accept", None],
    "data_processing.corrections.trusted_uids": [None, ["osei"], 1001],
    "data_processing.contract.maximum_refused_share": [-0.01, 1.01],
    "data_processing.contract.minimum_class_share": [-0.01, 1.01],
    "data_processing.contract.minimum_patients": [0, 2.5],
    "data_processing.screening.minimum_known_patients": [2, "15"],
    "data_processing.screening.maximum_blank_share": [-0.01, 1.01],
    "data_processing.screening.maximum_look_distance": [0, "2"],
    "data_processing.screening.maximum_embedding_distance": [0, -1],
    "data_processing.screening.maximum_strange_share": [-0.01, 1.01],
    "data_processing.screening.maximum_disagreement_share": [-0.01, 1.01],
    "data_processing.screening.maximum_contradiction_share": [-0.01, 1.01],
    "data_processing.split_salt": [None],
    "data_processing.validation_share": [0, 1, "0.2"],
    "data_processing.test_share": [0, 1],
    "data_processing.enough_validation_patients": [0, 1.5, None],
    "data_processing.enough_test_patients": [0, "40"],
    "review.batch": [None],
    "review.about": ["", "images", None],
    "review.answer": ["yes", None],
    "review.by": [None],
    "review.reason": [None],
    "training.force": ["yes", 1, None],
    "training.min_new_images": [-1, 1.5],
    "training.network": ["tiny", None],
    "training.weights": ["gone.keras", "gone.weights.h5", str(BASE / "catalog.yml"), None],
    "training.precision": ["bfloat16", None],
    "training.epochs": [0, 2.5, "3", True],
    "training.batch_size": [0],
    "training.learning_rate": [0, 1.5, "0.003"],
    "training.weight_decay": [-0.01],
    "training.label_smoothing": [-0.01, 1],
    "training.dropout": [-0.01, 1],
    "training.seed": [-1, 2**31],
    "inference.batch_size": [0],
    "inference.images": [None, 1],
    "promotion.mode": ["ask", None, True],
    **{
        f"promotion.{section}.{name}": [-0.01, 1.01, "0.8"]
        for section in ("floors", "guardrails")
        for name in read_shipped("promotion")[section]
        if name != "minimum_patient_images"
    },
    "promotion.improvement.minimum_gain": [-1.01, 1.01],
    "promotion.improvement.rule": ["newest", None],
    "promotion.improvement.resamples": [99, 1000.5],
    "promotion.improvement.expected_loss.maximum_loss": [-0.01, 1.01],
    "promotion.improvement.expected_loss.prior_patients": [1.9],
    "promotion.improvement.expected_loss.prior_gain": [-1.01, 1.01],
    "promotion.improvement.non_inferiority.margin": [-0.01, 1.01],
    "promotion.improvement.non_inferiority.confidence": [0.49, 1],
    "promotion.improvement.superiority.confidence": [0.49, 1],
    "promotion.improvement.superiority.significance": [0, 1.01],
    "promotion.improvement.superiority.minimum_patients": [1],
    "promotion.guardrails.minimum_patient_images": [0],
    "promotion.limits.maximum_load_s": [0],
    "promotion.limits.maximum_latency_ms": [0],
    "promotion.limits.maximum_size_mb": [0, "100"],
    "promotion.maximum_run_age_hours": [0],
    "training.symmetries": ["", "flip", None],
    "promotion.floor_above_majority": [-0.1, 1.1],
    "promotion.golden_tolerance": [0],
    "promotion.lease_minutes": [0],
    "rollback.version": ["", 0, None],
    "rollback.reason": [None],
    "rollback.by": [1],
    "retention.mode": ["remove", ""],
    "retention.runs_nights": [6, None],
    "retention.versions_nights": [6, 30.5],
    "retention.logs_nights": [6],
    "retention.pixels_nights": [6],
    "hindsight.maximum_decisions": [0],
    "hindsight.maximum_decision_images": [0],
    "hindsight.maximum_images": [0],
    "hindsight.minimum_images": [0],
    "hindsight.minimum_patients": [1],
    "hindsight.confidence": [0.49, 1],
    "hindsight.resamples": [99],
    "hindsight.tolerated_loss": [-0.01, 1.01],
    "monitoring.minimum_images": [0, 1.5],
    "monitoring.minimum_patients": [1, "6"],
    "monitoring.maximum_days": [0],
    "monitoring.maximum_accuracy_fall": [-0.01, 1.01],
    "monitoring.confidence": [0.49, 1],
    "monitoring.resamples": [99],
}
IN_RANGE = {
    "image_size_px": [16, 512],
    "data_processing.classes": [None, ["a", "b", "c"]],
    "data_processing.settle_minutes": [None, 0, 0.5],
    "data_processing.contract.maximum_refused_share": [0, 1, 0.5],
    "data_processing.screening.minimum_known_patients": [3],
    "data_processing.corrections.policy": ["ask", "trust"],
    "data_processing.corrections.trusted_uids": [[], [0, 1001]],
    "review.about": ["batch", "labels"],
    "review.answer": ["", "accept", "reject"],
    "training.min_new_images": [0],
    "training.network": list(list_networks()),
    "training.precision": ["auto", "float32", "mixed_bfloat16", "mixed_float16"],
    "training.learning_rate": [1, 1e-6],
    "training.seed": [0, 2**31 - 1],
    "promotion.mode": ["auto", "approve", "dry_run"],
    "promotion.improvement.minimum_gain": [-1, 0, 1],
    "promotion.improvement.rule": ["expected_loss", "non_inferiority", "superiority"],
    "promotion.improvement.superiority.significance": [1],
    "monitoring.minimum_patients": [2],
    "monitoring.maximum_accuracy_fall": [0, 1],
}


@pytest.fixture(scope="module")
def _shipped() -> dict[str, Any]:
    return read_files("base", "parameters*.yml") | {"registered_model_name": "cells"}


@pytest.fixture
def parameters(_shipped: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(_shipped)


def list_leaves(section: dict[str, Any], parent: str = "") -> set[str]:
    leaves = set()
    for key, value in section.items():
        below = list_leaves(value, f"{parent}{key}.") if isinstance(value, dict) else None
        leaves |= {f"{parent}{key}"} if below is None else below
    return leaves


def change(parameters: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    *parents, key = path.split(".")
    level = parameters
    for parent in parents:
        level = level[parent]
    assert key in level
    level[key] = value
    return parameters


@pytest.mark.parametrize(
    ("path", "value"), [(path, value) for path, values in OUT_OF_RANGE.items() for value in values]
)
def test_a_value_that_is_not_allowed_is_named_with_what_came(
    parameters: dict[str, Any], path: str, value: object
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        check_parameters(change(parameters, path, value))

    message = str(refused.value)
    assert f"'{path}" in message
    assert "Received: " in message
    assert message.count("  - ") == message.count(f"'{path}")


@pytest.mark.parametrize(
    ("path", "value"), [(path, value) for path, values in IN_RANGE.items() for value in values]
)
def test_values_at_the_edge_are_allowed(
    parameters: dict[str, Any], path: str, value: object
) -> None:
    check_parameters(change(parameters, path, value))


def test_each_parameter_is_tried_out_of_its_range(parameters: dict[str, Any]) -> None:
    assert set(OUT_OF_RANGE) == list_leaves(parameters)


def test_a_section_that_is_no_table_is_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"'training': .*dictionary.*Received: 'small'"):
        check_parameters(parameters | {"training": "small"})


def test_a_key_that_resembles_nothing_is_refused_with_those_allowed_there(
    parameters: dict[str, Any],
) -> None:
    parameters["promotion"]["zzz"] = 1

    with pytest.raises(ConfigurationError) as refused:
        check_parameters(parameters)

    allowed = "Allowed here: floor_above_majority, floors, "
    assert f"'promotion.zzz' is not a parameter. {allowed}" in str(refused.value)


def test_the_keys_that_address_a_run_are_no_parameters_of_a_section(
    parameters: dict[str, Any],
) -> None:
    check_parameters(parameters | dict.fromkeys(RUN_KEYS, "anything"))
    parameters["training"] |= {RUN_KEYS[0]: "anything"}

    with pytest.raises(ConfigurationError, match=f"'training.{RUN_KEYS[0]}' is not a parameter"):
        check_parameters(parameters)


def test_the_files_of_base_are_valid(parameters: dict[str, Any]) -> None:
    check_parameters(parameters)
    check_parameters(parameters | {"run_id": "retraining/x", "mlflow_run_id": "y"})


def test_every_misspelt_key_is_named_with_the_one_that_was_meant(
    parameters: dict[str, Any],
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


def test_all_faults_are_listed_at_once(parameters: dict[str, Any]) -> None:
    parameters["training"]["epochs"] = 0
    parameters["training"]["dropout"] = "much"
    parameters["image_size_px"] = 8
    with pytest.raises(ConfigurationError) as raised:
        check_parameters(parameters)
    for name in ("training.epochs", "training.dropout", "image_size_px"):
        assert name in str(raised.value)
    assert "Received: 'much'" in str(raised.value)


def test_splits_must_leave_images_to_train_on(parameters: dict[str, Any]) -> None:
    parameters["data_processing"] |= {"validation_share": 0.5, "test_share": 0.5}
    with pytest.raises(ConfigurationError, match=r"must be below 1.*0.5 \+ 0.5"):
        check_parameters(parameters)


def test_a_network_that_resembles_another_is_refused_with_its_name(
    parameters: dict[str, Any],
) -> None:
    with pytest.raises(
        ConfigurationError, match=r"'training.network': Network 'smal' is unknown.*mean 'small'\?"
    ):
        check_parameters(change(parameters, "training.network", "smal"))


def test_images_too_small_for_the_network_are_refused(parameters: dict[str, Any]) -> None:
    change(parameters, "training.network", "mobilenet")
    check_parameters(change(parameters, "image_size_px", 32))

    with pytest.raises(
        ConfigurationError, match=r"'mobilenet' reads images of 32 px and more.*image_size_px 31"
    ):
        check_parameters(change(parameters, "image_size_px", 31))


def test_a_file_of_weights_that_is_there_is_allowed(
    parameters: dict[str, Any], tmp_path: Path
) -> None:
    for name in ("start.keras", "start.weights.h5"):
        (tmp_path / name).touch()
        check_parameters(change(parameters, "training.weights", str(tmp_path / name)))
