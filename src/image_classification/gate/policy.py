"""The promotion policy, as data: the schema of `promotion` in the parameters."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt
from typing_extensions import TypedDict

Share = Annotated[float, Ge(0), Le(1)]
Count = Annotated[int, Ge(1)]
Limit = Annotated[float, Gt(0)]


class Floors(TypedDict):
    """What every champion must reach on validation, whoever it replaces. Shares."""

    accuracy: Share
    sensitivity: Share
    auc: Share


class Improvement(TypedDict):
    """How much better than the champion, and how surely.

    Attributes:
        minimum_gain: share of accuracy; the lower end of the interval must be above it.
        confidence: of the two-sided interval over patients.
        significance: the exact McNemar test's p-value may not be above it; 1 switches it off.
        resamples: of the bootstrap.
        minimum_patients: fewer validation patients are no ground for a comparison.
    """

    minimum_gain: Annotated[float, Ge(-1), Le(1)]
    confidence: Annotated[float, Ge(0.5), Lt(1)]
    significance: Annotated[float, Gt(0), Le(1)]
    resamples: Annotated[int, Ge(100)]
    minimum_patients: Annotated[int, Ge(2)]


class Guardrails(TypedDict):
    """What may not get worse by more than this, however large the gain. Shares."""

    maximum_sensitivity_fall: Share
    maximum_calibration_error_rise: Share
    maximum_worst_patient_fall: Share
    minimum_patient_images: Annotated[int, Ge(1)]


class Limits(TypedDict):
    """What the packaged model may cost, measured in a fresh process."""

    maximum_load_s: Limit
    maximum_latency_ms: Limit
    maximum_size_mb: Limit


class PromotionPolicy(TypedDict):
    """`promotion` of the parameters: the whole policy, as data.

    Attributes:
        mode: what follows a verdict to promote: `auto` does, `approve` asks a person, `dry_run`
            records it and moves nothing.
        maximum_run_age_hours: a run of an older date may train, and never promotes.
        golden_tolerance: largest difference of a probability between the registered model's answer
            and the one stored with it.
    """

    mode: Literal["auto", "approve", "dry_run"]
    floors: Floors
    improvement: Improvement
    guardrails: Guardrails
    limits: Limits
    maximum_run_age_hours: Limit
    golden_tolerance: Limit
