"""The promotion policy, as data: the schema of `promotion` in the parameters.

Floors and guardrails may be set on any measure of `measure.MEASURES`; their keys follow from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired

from annotated_types import Ge, Gt, Le, Lt
from typing_extensions import TypedDict

from image_classification.gate.measure import MEASURES, Measure

Share = Annotated[float, Ge(0), Le(1)]
Count = Annotated[int, Ge(1)]
Limit = Annotated[float, Gt(0)]


def list_floors(measures: Iterable[Measure]) -> dict[str, Any]:
    """Return the keys of `floors` and their types: each measure of which more is better."""
    return {
        measure.name: NotRequired[Share if measure.in_points else float]
        for measure in measures
        if measure.larger_is_better
    }


def list_guardrails(measures: Iterable[Measure]) -> dict[str, Any]:
    """Return the keys of `guardrails` and their types: how much worse each measure may get."""
    return {
        **{
            measure.guardrail: NotRequired[Share if measure.in_points else Annotated[float, Ge(0)]]
            for measure in measures
        },
        "maximum_worst_patient_fall": Share,
        "minimum_patient_images": Count,
    }


if TYPE_CHECKING:
    Floors = Mapping[str, float]
    Guardrails = Mapping[str, Any]
else:
    Floors = TypedDict("Floors", list_floors(MEASURES))
    Guardrails = TypedDict("Guardrails", list_guardrails(MEASURES))


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
        floors: what every champion must reach on validation, whoever it replaces.
        improvement: how much better than the champion, and how surely.
        guardrails: what may not get worse by more than this, however large the gain. The accuracy
            on the worst patient is each model's own, of those with `minimum_patient_images`.
        limits: what the packaged model may cost.
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
