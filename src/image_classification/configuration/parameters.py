"""The schema of `conf/*/parameters*.yml`: every key, its type and its range.

Nodes receive plain dictionaries, whose types stand here; kedro-mlflow logs each key as a parameter
of MLflow. A misspelt key or a value out of range fails before any work starts.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict, is_typeddict

from image_classification.configuration.networks import (
    check_network,
    check_network_name,
    check_weights,
)
from image_classification.errors import ConfigurationError, name_near_misses
from image_classification.gate.hindsight import HindsightParameters
from image_classification.gate.policy import PromotionPolicy, explain_old_keys
from image_classification.gate.trend import MonitoringParameters
from image_classification.intake.contract import ContractParameters
from image_classification.intake.limit import ArrivalLimits
from image_classification.intake.proposal import CorrectionParameters
from image_classification.intake.screening import ScreeningParameters

logger = logging.getLogger(__name__)

ProperShare = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]


def check_model_name(name: str) -> None:
    """Check the name of the registered model: MLflow refuses some only when it is registered.

    Raises:
        ConfigurationError: the name is not allowed.
    """
    refused = sorted(set(re.findall(r"""[/:\\'"`#?%]|[^ -~\w]""", name)))
    if refused or not name.strip(". ") or name != name.strip() or len(name) > 250:
        raise ConfigurationError(
            "a name may be up to 250 letters, digits and signs, but none of / : \\ ' \" ` # ? %, "
            f"and no space at either end. Received: {name!r}"
        )


def _checked_by(check: Callable[[str], None]) -> AfterValidator:
    """Return a check of ours for the schema, which lists its fault among the others."""

    def validate(value: str) -> str:
        try:
            check(value)
        except ConfigurationError as error:
            raise ValueError(str(error)) from None
        return value

    return AfterValidator(validate)


RUN_KEYS = (
    *("run_id", "named_places"),
    *("mlflow_run_id", "mlflow_experiment_id", "mlflow_run_name"),
)
"""Runtime parameters that address the catalog and MLflow; Kedro merges them in with the rest."""


class DataProcessingParameters(TypedDict):
    """How batches become an index, splits and packed pixels."""

    classes: Annotated[list[str], Field(min_length=2)] | None
    name_pattern: str | None
    captured_on_format: str
    settle_minutes: Annotated[float, Field(ge=0)] | None
    minimum_image_side_px: Count
    maximum_image_pixels: Count
    split_salt: str
    validation_share: ProperShare
    test_share: ProperShare
    enough_validation_patients: Count
    enough_test_patients: Count
    arrival: ArrivalLimits
    corrections: CorrectionParameters
    contract: ContractParameters
    screening: ScreeningParameters


class ReviewParameters(TypedDict):
    """A person's answer about a batch; empty in all runs but those of `review`.

    Attributes:
        batch: its name.
        about: whether the `batch` may join, or whether the `labels` hold that it brings for images
            that are known under others.
        answer: "" for none yet.
        by: who answers.
        reason: why.
    """

    batch: str
    about: Literal["batch", "labels"]
    answer: Literal["", "accept", "reject"]
    by: str
    reason: str


class TrainingParameters(TypedDict):
    """The network and its schedule.

    Attributes:
        force: train although too few images are new.
        min_new_images: nothing is trained if fewer images are new or gone since the newest
            version.
        network: the name of a file of `vision/networks/`.
        weights: a file that the network's weights are read from; "" draws them at random.
        symmetries: how images may be turned in training, and still show the same.
    """

    force: bool
    min_new_images: Annotated[int, Field(ge=0)]
    network: Annotated[str, _checked_by(check_network_name)]
    weights: Annotated[str, _checked_by(check_weights)]
    epochs: Count
    batch_size: Count
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"]
    symmetries: Literal["all", "mirror", "none"]
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    weight_decay: Annotated[float, Field(ge=0)]
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    seed: Annotated[int, Field(ge=0, lt=2**31)]


class InferenceParameters(TypedDict):
    """What is scored, and how many images at a time.

    Attributes:
        images: a folder or a list; "" for the folder that the environment names.
        batch_size: images that the network scores at a time.
    """

    images: str
    batch_size: Count


class RollbackParameters(TypedDict):
    """What a rollback is asked for; without a reason in all runs but those of `rollback`."""

    version: Annotated[str, Field(min_length=1)] | Annotated[int, Field(ge=1)]
    reason: str
    by: str


Nights = Annotated[int, Field(ge=7)]


class RetentionParameters(TypedDict):
    """How long is kept what decides nothing any more.

    Attributes:
        mode: `dry_run` lists what is old, `apply` removes it.
        runs_nights: folders of runs, and MLflow runs that neither a version nor the ledger names.
        versions_nights: packages of versions that were never champion.
        logs_nights: logs of `kedro run` and of Airflow's tasks.
        pixels_nights: pixels at sizes that are not in use.
    """

    mode: Literal["dry_run", "apply"]
    runs_nights: Nights
    versions_nights: Nights
    logs_nights: Nights
    pixels_nights: Nights


@with_config(ConfigDict(extra="forbid"))
class Parameters(TypedDict):
    """All parameters."""

    image_size_px: Annotated[int, Field(ge=16, le=512)]
    positive_class: str | None
    may_loosen: list[str]
    registered_model_name: Annotated[str, _checked_by(check_model_name)]
    data_processing: DataProcessingParameters
    review: ReviewParameters
    training: TrainingParameters
    inference: InferenceParameters
    promotion: PromotionPolicy
    rollback: RollbackParameters
    monitoring: MonitoringParameters
    hindsight: HindsightParameters
    retention: RetentionParameters


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Check all parameters against the schema, and list every fault at once.

    Args:
        parameters: the merged content of the parameters files and the run's own parameters.

    Raises:
        ConfigurationError: a key is unknown or missing, a value is not allowed, or two values do
            not go together.
    """
    received = {key: value for key, value in parameters.items() if key not in RUN_KEYS}
    try:
        _make_schema().validate_python(received, strict=True)
    except ValidationError as error:
        faults = "\n".join(f"  - {_describe(fault)}" for fault in error.errors())
        raise ConfigurationError(
            f"The parameters (conf/*/parameters*.yml, --params, or the trigger form) are wrong:\n"
            f"{faults}"
        ) from None
    data = received["data_processing"]
    if data["validation_share"] + data["test_share"] >= 1:
        raise ConfigurationError(
            "data_processing.validation_share + data_processing.test_share must be below 1, to "
            f"leave images to train on. Received: {data['validation_share']} + "
            f"{data['test_share']}."
        )
    _check_rule(received["promotion"]["improvement"])
    check_network(received["training"]["network"], received["image_size_px"])


@cache
def _make_schema() -> TypeAdapter[Parameters]:
    """Return the schema, which takes longer to make than parameters take to check."""
    return TypeAdapter(Parameters)


def _check_rule(improvement: Mapping[str, Any]) -> None:
    """Check that the rule in force has its numbers; say what to do about keys written before.

    Raises:
        ConfigurationError: the section of the rule is missing.
    """
    if remedy := explain_old_keys(improvement):
        logger.warning(remedy)
        return
    rule = improvement.get("rule")
    if rule is None or rule not in improvement:
        wanted = f"'promotion.improvement.{rule or 'rule'}'"
        raise ConfigurationError(
            f"{wanted} is missing. The rule that decides has a section of its name, as in "
            "conf/base/parameters_promotion.yml."
        )


def _describe(fault: Any) -> str:
    path = [str(part) for part in fault["loc"]]
    name = ".".join(path)
    if fault["type"] == "extra_forbidden":
        allowed = _keys_at(path[:-1])
        return (
            f"'{name}' is not a parameter.{name_near_misses(path[-1], allowed)} "
            f"Allowed here: {', '.join(sorted(allowed))}."
        )
    if fault["type"] == "missing":
        return f"'{name}' is missing."
    if fault["type"] == "value_error":
        return f"'{name}': {fault['ctx']['error']} Received: {fault['input']!r}."
    return f"'{name}': {fault['msg']}. Received: {fault['input']!r}."


def _keys_at(path: list[str]) -> list[str]:
    schema: Any = Parameters
    for part in path:
        schema = get_type_hints(schema).get(part)
        if not is_typeddict(schema):
            return []
    return list(get_type_hints(schema))
