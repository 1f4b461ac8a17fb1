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


Confidence = Annotated[float, Ge(0.5), Lt(1)]
Gain = Annotated[float, Ge(-1), Le(1)]


class ExpectedLoss(TypedDict):
    """A switch to what may be worse loses little on average; see `posterior`.

    Attributes:
        maximum_loss: share of accuracy.
        prior_patients: imagined patients, who count beside those compared on.
        prior_gain: of each of them, a share of accuracy: what a challenger is better by, since it
            has had more patients to learn from.
    """

    maximum_loss: Share
    prior_patients: Annotated[float, Ge(2)]
    prior_gain: Gain


class NonInferiority(TypedDict):
    """At least as good, and surely not worse by more than a margin.

    Attributes:
        margin: share of accuracy; the lower end of the interval must be above minus this.
        confidence: of the two-sided interval over patients.
    """

    margin: Share
    confidence: Confidence


class Superiority(TypedDict):
    """Surely better.

    Attributes:
        confidence: of the two-sided interval over patients, whose lower end must be above
            `minimum_gain`.
        significance: the exact McNemar test's p-value may not be above it; 1 switches it off.
        minimum_patients: fewer validation patients are no ground for a comparison.
    """

    confidence: Confidence
    significance: Annotated[float, Gt(0), Le(1)]
    minimum_patients: Annotated[int, Ge(2)]


class Improvement(TypedDict):
    """When a challenger is better enough: the rule in force, and what each rule asks for.

    Attributes:
        rule: the one that decides.
        minimum_gain: share of accuracy that the challenger must be better by, in every rule; the
            rules judge how sure that is.
        resamples: of the bootstrap.
        confidence: written for `superiority`, before there were other rules, and still read so;
            see `settle_improvement`.
        significance: the same.
        minimum_patients: the same.
    """

    rule: NotRequired[Literal["expected_loss", "non_inferiority", "superiority"]]
    minimum_gain: Gain
    expected_loss: NotRequired[ExpectedLoss]
    non_inferiority: NotRequired[NonInferiority]
    superiority: NotRequired[Superiority]
    resamples: Annotated[int, Ge(100)]
    confidence: NotRequired[Confidence]
    significance: NotRequired[Annotated[float, Gt(0), Le(1)]]
    minimum_patients: NotRequired[Annotated[int, Ge(2)]]


WRITTEN_BEFORE = ("confidence", "significance", "minimum_patients")
"""Keys of a policy from when `superiority` was the only rule; they stand in its own section now."""

SHOWN_CONFIDENCE = 0.95
"""Of the interval that is shown where the rule in force does not decide by one."""


def settle_improvement(improvement: Mapping[str, Any]) -> Any:
    """Return `improvement` with its rule, whenever it was written.

    A policy that names one of `WRITTEN_BEFORE` was written for `superiority`, and means it.

    Returns:
        The policy with a `rule`, a section for it, and `confidence`, that of the interval to show.
    """
    before = {key: improvement[key] for key in WRITTEN_BEFORE if key in improvement}
    settled = {key: value for key, value in improvement.items() if key not in before}
    if before:
        settled["rule"] = "superiority"
        settled["superiority"] = {**improvement.get("superiority", {}), **before}
    wanted = settled[settled["rule"]]
    return settled | {"confidence": wanted.get("confidence", SHOWN_CONFIDENCE)}


def explain_old_keys(improvement: Mapping[str, Any]) -> str:
    """Return what to do about the keys that were written before; "" where there are none."""
    before = [key for key in WRITTEN_BEFORE if key in improvement]
    if not before:
        return ""
    return (
        f"promotion.improvement: {', '.join(before)} belong to the rule 'superiority', which "
        "therefore decides, as it did before there were other rules. To keep it, set rule: "
        "superiority and move them below superiority; for the rule that is the default now, leave "
        "them out."
    )


def settle_floors(policy: PromotionPolicy, majority: Mapping[str, Any] | None) -> Floors:
    """Return the floors; where accuracy has none, it is the commonest class and a margin.

    Whoever always names the commonest class has its share right, so a fixed floor would be too much
    for ten classes, and nothing for two of which one is rare. At most half of what that leaves is
    asked for.

    Args:
        policy: `floor_above_majority` is the margin; without it no floor is added.
        majority: `share` of the commonest label among the validation images; None where the
            comparison was made before it was kept.
    """
    margin = policy.get("floor_above_majority")
    if "accuracy" in policy["floors"] or margin is None or majority is None:
        return policy["floors"]
    share = majority["share"]
    return {"accuracy": round(min(share + margin, (1 + share) / 2), 4), **policy["floors"]}


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
        floor_above_majority: see `settle_floors`; policies of before have none.
        improvement: how much better than the champion, and how surely.
        guardrails: what may not get worse by more than this, however large the gain. The accuracy
            on the worst patient is each model's own, of those with `minimum_patient_images`.
        limits: what the packaged model may cost.
        maximum_run_age_hours: a run of an older date may train, and never promotes.
        golden_tolerance: largest difference of a probability between the registered model's answer
            and the one stored with it.
        lease_minutes: how long a change of champion may take, from its entry in the ledger until it
            is verified. After that, or once its process is gone, whoever looks next ends it.
    """

    mode: Literal["auto", "approve", "dry_run"]
    floors: Floors
    floor_above_majority: Share
    improvement: Improvement
    guardrails: Guardrails
    limits: Limits
    maximum_run_age_hours: Limit
    golden_tolerance: Limit
    lease_minutes: Limit
