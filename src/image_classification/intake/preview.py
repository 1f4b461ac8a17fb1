"""What the intake would say of images before they are delivered, as far as it can be told."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from image_classification import words
from image_classification.intake.contract import check_batch
from image_classification.intake.inspection import (
    compile_pattern,
    inspect_header,
    read_name,
    refuse_folder,
)
from image_classification.intake.picture import read_header
from image_classification.intake.tally import describe_refused
from image_classification.text import escape_text, tell_name, unify_text

COLUMNS = ["path", "label", "patient", "captured_on", "image_id", "kind", "refusal"]


def preview_batch(
    files: Iterable[tuple[str, bytes]], parameters: Mapping[str, Any]
) -> tuple[list[str], list[str]]:
    """Look at images that are about to be delivered: at their names and headers, not their pixels.

    Args:
        files: path below the batch, and content, of each image.
        parameters: `data_processing`.

    Returns:
        Sentences about what is there and what would be refused, and about why the intake would
        set the batch aside.

    Raises:
        ConfigurationError: `name_pattern` is not a regular expression, or has an unknown group.
    """
    pattern = compile_pattern(parameters["name_pattern"])
    limits = (parameters["minimum_image_side_px"], parameters["maximum_image_pixels"])
    rows = []
    for path, content in files:
        place = PurePosixPath(path)
        label = unify_text(place.parent.name)
        patient, date = read_name(place.name, "", pattern, parameters["captured_on_format"])
        _, _, refusal = inspect_header(content, *limits)
        refusal = refuse_folder(label, parameters["classes"]) or refusal
        kind = "" if refusal else read_header(content).kind
        digest = hashlib.sha256(content).hexdigest()
        rows.append((escape_text(path), label, patient, date, digest, kind, refusal))
    table = pd.DataFrame(rows, columns=COLUMNS)
    said = [
        f"Classes: {_count(table['label'])}.",
        f"{words.current().groups.capitalize()}: {_span(table['patient'])}.",
        f"Dates: {_span(table['captured_on'])}.",
        f"Kinds: {_count(table.loc[table['refusal'] == '', 'kind'])}.",
        *_describe_repeated(table[table["refusal"] == ""]),
        *describe_refused(table),
    ]
    return said, check_batch(table, parameters["classes"], parameters["contract"])


def _count(values: pd.Series[str]) -> str:
    counts = sorted(Counter(values).items())
    return ", ".join(f"{count} {tell_name(value)}" for value, count in counts) or "none"


def _span(values: pd.Series[str]) -> str:
    """Return how many values there are, the first and the last one, and how many names lack one."""
    told, missing = sorted(set(values) - {""}), int((values == "").sum())
    span = f", from {escape_text(told[0])} to {escape_text(told[-1])}" if len(told) > 1 else ""
    span = f" ({escape_text(told[0])})" if len(told) == 1 else span
    lacking = f"; {missing} names tell none" if missing else ""
    return f"{len(told)}{span}{lacking}"


def _describe_repeated(usable: pd.DataFrame) -> list[str]:
    """Say how many images are there twice, and how many of these under two labels."""
    labels = usable.groupby("image_id")["label"].nunique()
    repeated, conflicts = len(usable) - len(labels), int((labels > 1).sum())
    said = [f"Repeated: {repeated} images; each counts once."] if repeated else []
    if conflicts:
        first = usable.loc[usable["image_id"] == labels.index[labels > 1][0], "path"].iloc[0]
        said.append(f"Conflicts: {conflicts} images have two labels, the first is '{first}'.")
    return said
