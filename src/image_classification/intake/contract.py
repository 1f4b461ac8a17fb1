"""The data contract: what is required of a batch and of the training set, checked by Pandera."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, NamedTuple

import pandas as pd
from annotated_types import Ge, Le
from typing_extensions import TypedDict

from image_classification.errors import name_near_misses
from image_classification.intake.index import SPLITS


class ContractParameters(TypedDict):
    """What is required of a batch, and of the set that is trained on."""

    maximum_refused_share: Annotated[float, Ge(0), Le(1)]
    minimum_class_share: Annotated[float, Ge(0), Le(1)]
    minimum_patients: Annotated[int, Ge(1)]


MAXIMUM_CASES = 20
"""At most so many breaches of one rule are reported."""


class Breach(NamedTuple):
    """A value that breaks a rule: in which column, and which rule."""

    column: str
    value: Any
    rule: str


def check_batch(
    inspections: pd.DataFrame, classes: Sequence[str] | None, contract: ContractParameters
) -> list[str]:
    """Check a batch by itself.

    Args:
        inspections: a row per file, `label` and `refusal` ("" for usable) among the columns.
        classes: the labels that are allowed; None for any.
        contract: the limits.

    Returns:
        A sentence for each breach; empty for none.
    """
    maximum = contract["maximum_refused_share"]
    refused = (inspections["refusal"] != "").mean() if len(inspections) else 1.0
    share = pd.Series([float(refused)])
    labels = pd.Series(sorted(set(inspections["label"]) - {""}), dtype=str)
    return [
        *(
            f"{value:.1%} of the {len(inspections)} files are no usable images; at most "
            f"{maximum:.1%} is allowed (contract.maximum_refused_share)."
            for _, value in _find_faults(share, "le", maximum)
        ),
        *(
            _name_label(value, classes)
            for _, value in _find_faults(labels, *_allow_labels(classes))
        ),
    ]


def check_rows(images: pd.DataFrame, class_names: Sequence[str]) -> list[str]:
    """Check images one by one: each content once, a known class and split, a patient, a size.

    Args:
        images: images with their splits, one row per content.
        class_names: the classes.

    Returns:
        A sentence for each breach; empty for none.
    """
    return [
        f"{breach.column} of an image: {breach.value!r} breaks {breach.rule}."
        for breach in _find_breaches(_describe_images(class_names), images)
    ]


def check_images(
    images: pd.DataFrame, class_names: Sequence[str], contract: ContractParameters
) -> list[str]:
    """Check the set that would be trained on and compared on, as a whole.

    Args:
        images: the accepted images with their splits, one row per content.
        class_names: the classes.
        contract: the limits.

    Returns:
        A sentence for each breach; empty for none.
    """
    minimum, patients = contract["minimum_class_share"], contract["minimum_patients"]
    # Grouped first: a few rows per patient are counted faster than all images.
    groups = images.value_counts(["patient", "label", "split"], sort=False)
    return [
        *(
            f"There are {value} classes ({', '.join(class_names)}); a classifier needs two."
            for _, value in _find_faults(pd.Series([len(class_names)]), "ge", 2)
        ),
        *(
            f"Patient '{patient}' is in {value} splits; one is allowed."
            for patient, value in _find_faults(_count_splits(groups), "eq", 1)
        ),
        *(
            f"Class '{name}' has {value:.1%} of the images; at least {minimum:.1%} is "
            "required (contract.minimum_class_share)."
            for name, value in _find_faults(_measure_balance(groups, class_names), "ge", minimum)
        ),
        *(
            f"{group}: {value} patients; at least {patients} are required "
            "(contract.minimum_patients)."
            for group, value in _find_faults(_count_patients(groups, class_names), "ge", patients)
        ),
    ]


Columns = dict[str, tuple[type, dict[str, Any]]]
"""The type and the checks of each column: for a check of Pandera, by name, its argument."""


def _describe_images(class_names: Sequence[str]) -> Columns:
    return {
        "image_id": (str, {"str_matches": r"^[0-9a-f]{64}$", "unique": True}),
        "label": (str, {"isin": list(class_names)}),
        "patient": (str, {"str_matches": "."}),
        "split": (str, {"isin": list(SPLITS)}),
        "width": (int, {"ge": 1}),
        "height": (int, {"ge": 1}),
    }


def _allow_labels(classes: Sequence[str] | None) -> tuple[str, Any]:
    return ("isin", list(classes)) if classes else ("str_matches", ".")


def _name_label(label: str, classes: Sequence[str] | None) -> str:
    return (
        f"Label folder '{label}' is not a class; allowed: {', '.join(classes or ())} "
        f"(data_processing.classes).{name_near_misses(label, classes or ())}"
    )


def _count_splits(groups: pd.Series) -> pd.Series:
    """Return in how many splits each patient is; `groups` are images by patient, label, split."""
    pairs = {(patient, split) for patient, _, split in groups.index}
    return pd.Series(Counter(patient for patient, _ in sorted(pairs)), dtype=int)


def _measure_balance(groups: pd.Series, class_names: Sequence[str]) -> pd.Series:
    counts: Counter[str] = Counter()
    for (_, label, _), count in zip(groups.index, groups, strict=True):
        counts[label] += count
    return pd.Series({name: counts[name] / max(counts.total(), 1) for name in class_names})


def _count_patients(groups: pd.Series, class_names: Sequence[str]) -> pd.Series:
    counts = Counter((label, split) for _, label, split in groups.index)
    rows = {
        f"Class '{name}' in the split {split}": counts[name, split]
        for name in class_names
        for split in SPLITS
    }
    return pd.Series(rows)


def _find_faults(values: pd.Series, rule: str, allowed: Any) -> Iterator[tuple[Any, Any]]:
    """Yield place and value of what breaks a rule, at most `MAXIMUM_CASES` of it.

    Args:
        values: one per thing that is checked.
        rule: the name of one of Pandera's checks.
        allowed: its argument.
    """
    import pandera.pandas as pa  # noqa: PLC0415 - takes a second, and most tasks need none of it

    # Without a schema: for a few numbers, making one takes ten times as long as checking them.
    if (faults := getattr(pa.Check, rule)(allowed)(values).failure_cases) is not None:
        yield from faults.head(MAXIMUM_CASES).items()


def _find_breaches(columns: Columns, table: pd.DataFrame) -> Iterator[Breach]:
    """Yield what breaks the rules, at most `MAXIMUM_CASES` of it."""
    import pandera.pandas as pa  # noqa: PLC0415 - takes a second, and most tasks need none of it

    schema = pa.DataFrameSchema(
        {name: _make_column(pa, dtype, checks) for name, (dtype, checks) in columns.items()}
    )
    try:
        schema.validate(table, lazy=True)
    except pa.errors.SchemaErrors as error:
        for _, case in error.failure_cases.head(MAXIMUM_CASES).iterrows():
            yield Breach(case["column"], case["failure_case"], case["check"])


def _make_column(pa: Any, dtype: type, checks: dict[str, Any]) -> Any:
    rules = [getattr(pa.Check, name)(value) for name, value in checks.items() if name != "unique"]
    return pa.Column(dtype, rules, unique=checks.get("unique", False), coerce=True)
