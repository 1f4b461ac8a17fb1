"""What a run may change of the rules: it may make them stricter, and loosen what is configured.

A run is triggered by a form or by `kedro run --params`; who may trigger one is not who is
responsible for the rules that a champion, or a batch, must meet. Those stand in `conf/`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from image_classification.configuration.path import list_values
from image_classification.errors import ConfigurationError, name_near_misses

GUARDED = (
    "promotion",
    "data_processing.contract",
    "data_processing.corrections",
    "data_processing.screening",
    "retention",
    "positive_class",
    "may_loosen",
)
"""The parameters that rules are made of; a section stands for all that is in it."""

MODES = {"promotion.mode": ("approve", "dry_run"), "retention.mode": ("dry_run",)}
"""The modes that every run may choose: without a person, they promote and remove nothing."""

MORE_IS_STRICTER = (
    "promotion.floors",
    "promotion.floor_above_majority",
    "promotion.improvement.minimum_gain",
    "promotion.improvement.minimum_patients",
    "promotion.improvement.confidence",
    "promotion.improvement.resamples",
    "promotion.improvement.non_inferiority.confidence",
    "promotion.improvement.superiority.confidence",
    "promotion.improvement.superiority.minimum_patients",
    "data_processing.contract.minimum_class_share",
    "data_processing.contract.minimum_patients",
    "retention.runs_nights",
    "retention.versions_nights",
    "retention.logs_nights",
    "retention.pixels_nights",
)
LESS_IS_STRICTER = (
    "promotion.improvement.expected_loss.maximum_loss",
    "promotion.improvement.expected_loss.prior_gain",
    "promotion.improvement.non_inferiority.margin",
    "promotion.improvement.significance",
    "promotion.improvement.superiority.significance",
    "promotion.guardrails",
    "promotion.limits",
    "promotion.maximum_run_age_hours",
    "promotion.golden_tolerance",
    # A move that is stuck holds up all others for as long.
    "promotion.lease_minutes",
    "data_processing.contract.maximum_refused_share",
    # With fewer known patients than `minimum_known_patients`, nobody is judged.
    "data_processing.screening",
)
"""Numbers by their stricter side. All else that is guarded has none: a run may not change it."""

ADDABLE = ("promotion.floors", "promotion.guardrails")
"""Rules of which a run may add one; elsewhere, a new key could choose another rule."""

COMPUTED = "promotion.floors.accuracy"
"""Where it is not configured it follows from the images, and one that a run adds may be lower."""


def check_bounds(configured: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Check that a run loosens no rule, but for those that the configuration names.

    Args:
        configured: the parameters as the files have them; `may_loosen` among them lists what
            a run may loosen, by name.
        asked: the parameters with the values of the run.

    Raises:
        ConfigurationError: the run loosens a rule; or `may_loosen` names what is none.
    """
    known, wanted = dict(_list_guarded(configured)), dict(_list_guarded(asked))
    may_loosen = configured["may_loosen"]
    for name in may_loosen:
        if name == "may_loosen" or not any(_is_in(path, (name,)) for path in known):
            raise ConfigurationError(
                f"may_loosen: '{name}' is no rule.{name_near_misses(name, known)} Name a parameter "
                f"below {', '.join(GUARDED[:-2])}, or '{GUARDED[-2]}'."
            )
    faults = [
        f"  - {path}: configured is {known.get(path)!r}, asked for is {value!r}. "
        f"{_describe_allowed(path, known.get(path))}"
        for path, value in wanted.items()
        if not _is_as_strict(path, known.get(path), value) and not _is_in(path, may_loosen)
    ]
    if faults:
        raise ConfigurationError(
            "A run may not loosen the rules of the configuration:\n"
            + "\n".join(faults)
            + "\nLeave the value as it is, change it in conf/*/parameters*.yml, or name it there "
            "in `may_loosen`."
        )


def _list_guarded(parameters: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((path, value) for path, value in list_values(parameters) if _is_in(path, GUARDED))


def _is_in(path: str, sections: tuple[str, ...] | list[str]) -> bool:
    return any(path == section or path.startswith(f"{section}.") for section in sections)


def _is_as_strict(path: str, configured: Any, asked: Any) -> bool:
    if asked == configured:
        return True
    if path in MODES:
        return asked in MODES[path]
    if configured is None:
        return _is_in(path, ADDABLE) and path != COMPUTED
    more, less = _is_in(path, MORE_IS_STRICTER), _is_in(path, LESS_IS_STRICTER)
    return bool((more and asked > configured) or (less and asked < configured))


def _describe_allowed(path: str, configured: Any) -> str:
    if path in MODES:
        return f"Allowed: {', '.join(sorted({configured, *MODES[path]}))}."
    if configured is None:
        return "Allowed: to leave it out."
    if _is_in(path, MORE_IS_STRICTER):
        return f"Allowed: {configured} and more."
    if _is_in(path, LESS_IS_STRICTER):
        return f"Allowed: {configured} and less."
    return f"Allowed: {configured!r} alone."
