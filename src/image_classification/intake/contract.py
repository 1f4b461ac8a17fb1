"""The data contract: what is required of a batch and of the training set, checked by Pandera."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, NamedTuple

import pandas as pd
from annotated_types import Ge, Le
from typing_extensions import TypedDict

from image_classification import words
from image_classification.errors import name_near_misses
from image_classification.intake.index import SPLITS
from image_classification.text import escape_text, unify_text


class ContractParameters(TypedDict):
    """What is required of a batch, and of the set that is trained on.

    Attributes:
        maximum_refused_share: of the files of a batch.
        minimum_class_share: of the images, each class, where there are two. With more classes it
            falls as an equal share does: 0.1 of two is 0.02 of ten.
        minimum_patients: of each class in each split.
    """

    maximum_refused_share: Annotated[float, Ge(0), Le(1)]
    minimum_class_share: Annotated[float, Ge(0), Le(1)]
    minimum_patients: Annotated[int, Ge(1)]


REDELIVER = (
    "Deliver it mended, and reject this one (image-classification review); or accept it as it is."
)
"""What to do about a batch that breaks the contract by itself."""

MAXIMUM_CASES = 20
"""At most so many breaches of one rule are reported."""


class Breach(NamedTuple):
    """A value that breaks a rule: in which column, and which rule."""

    column: str
    value: Any
    rule: str


class Findings(NamedTuple):
    """What was found out about a set of images.

    Attributes:
        breaches: in which ways it breaks the contract, a sentence each.
        missing: what it lacks to be trained on, a clause each. More images may bring it.
    """

    breaches: list[str]
    missing: list[str]


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
    if inspections.empty:
        empty = f"There is no image in it: expected <class>/<image> files. {REDELIVER}"
        return [empty] if maximum < 1 else []
    classes = [unify_text(name) for name in classes] if classes else None
    refused = (inspections["refusal"] != "").mean()
    share = pd.Series([float(refused)])
    labels = pd.Series(sorted(set(inspections["label"]) - {""}), dtype=str)
    return [
        *(
            f"{_name_commonest(inspections)}{value:.1%} of the {len(inspections)} files are no "
            f"usable images; at most {maximum:.1%} is allowed (contract.maximum_refused_share). "
            f"{REDELIVER}"
            for _, value in _find_faults(share, "le", maximum)
        ),
        *(
            _name_label(value, classes)
            for _, value in _find_faults(labels, *_allow_labels(classes))
        ),
    ]


def _name_commonest(inspections: pd.DataFrame) -> str:
    """Say for which reason most of the refused files were refused; "" where there is none."""
    reasons = Counter(inspections.loc[inspections["refusal"] != "", "refusal"])
    if not reasons:
        return ""
    reason, count = reasons.most_common(1)[0]
    return f"{count} of {len(inspections)} files: {reason}. "


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
        f"{name_near_misses(str(breach.value), class_names) if breach.column == 'label' else ''}"
        for breach in _find_breaches(_describe_images(class_names), images)
    ]


def scale_class_share(share: float, class_count: int) -> float:
    """Return which share of the images each class needs, `share` being that of one of two.

    It is the same part of an equal share, however many classes there are.
    """
    return share * 2 / max(class_count, 2)


def _explain_share(class_count: int) -> str:
    named = "(contract.minimum_class_share"
    return f"{named})" if class_count <= 2 else f"{named}, which counts as for two classes)"


def check_images(
    images: pd.DataFrame, class_names: Sequence[str], contract: ContractParameters
) -> Findings:
    """Check the set that would be trained on and compared on, as a whole.

    A set with too few patients is not wrong: it waits for more. How its classes are balanced is
    judged once it is large enough, since the next batch may bring the other class.

    Args:
        images: the accepted images with their splits, one row per content.
        class_names: the classes.
        contract: the limits.
    """
    minimum = scale_class_share(contract["minimum_class_share"], len(class_names))
    # Grouped first: a few rows per patient are counted faster than all images.
    groups = images.value_counts(["patient", "label", "split"], sort=False)
    missing = _list_missing(groups, class_names, contract["minimum_patients"])
    group = words.current().group.capitalize()
    breaches = [
        f"{group} '{escape_text(patient)}' is in {value} splits; one is allowed. "
        "Reject all but one of the batches that brought images of it."
        for patient, value in _find_faults(_count_splits(groups), "eq", 1)
    ]
    if not missing:
        breaches += [
            f"Class '{escape_text(name)}' has {value:.1%} of the images; at least {minimum:.1%} is "
            f"required {_explain_share(len(class_names))}. Deliver more of it, or less of the "
            "others."
            for name, value in _find_faults(_measure_balance(groups, class_names), "ge", minimum)
        ]
    return Findings(breaches, missing)


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
        f"Label folder '{escape_text(label)}' is not a class; allowed: {', '.join(classes or ())} "
        f"(data_processing.classes).{name_near_misses(label, classes or ())} Rename the folder and "
        "deliver it again, or add the class."
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


def _list_missing(groups: pd.Series, class_names: Sequence[str], minimum: int) -> list[str]:
    """Say what the set lacks; `minimum` is the number of patients of each class in each split."""
    if groups.empty:
        return ["no image is accepted yet"]
    missing = []
    if len(class_names) < 2:
        missing.append(f"there is one class ({class_names[0]}), two are needed")
    counts = Counter((label, split) for _, label, split in groups.index)
    few = []
    for split in SPLITS:
        names = [name for name in class_names if counts[name, split] < minimum][:MAXIMUM_CASES]
        numbers = [_count_of(counts[name, split], name) for name in names]
        few += [f"the split {split} has {', '.join(numbers)}"] if numbers else []
    if few:
        needed = f"at least {minimum} of each class are needed (contract.minimum_patients)"
        missing += [*few, needed]
    return missing


def _count_of(patients: int, name: str) -> str:
    return f"{words.current().count_groups(patients)} of {name}"


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
