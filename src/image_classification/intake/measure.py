"""What is measured of a batch, as people read it: with its unit, what is usual and the limit.

The one table of these: the question to a reviewer, the terminal, the page of the night and the
contact sheet take theirs from here. `screening` measures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from image_classification import words

LIMIT = "limit_maximum_"
"""Before the name of a measure, in the numbers of a screening: its limit."""

USUAL = "usual_"
"""Likewise: what nine of ten known groups keep."""

LABEL_SLACK = 1.5
"""A limit of labels rises to so many times what is usual: a weak champion opposes many."""

HEADINGS = ("What was measured", "This batch", "Usual", "Limit")

DISTANCES = (
    "A distance of 1.0 times is what 95 % of the known {groups} keep from the nearest other one."
)


@dataclass(frozen=True)
class Measure:
    """A number that a batch may be held by.

    Attributes:
        name: in the numbers of a screening; its limit is the parameter `maximum_<name>`.
        title: what people read, with places for the words of the project.
        is_share: of images; else it is a multiple of the distance that is usual.
        is_bound: it is the lower end of what the share may be.
        usual: at most so much, where the numbers do not tell it; None where they do.
    """

    name: str
    title: str
    is_share: bool = True
    is_bound: bool = False
    usual: float | None = None

    def format(self, value: float) -> str:
        """Return a value with its unit, as in ``28 %`` or ``2.0 times``."""
        if not self.is_share:
            return f"{value:.1f} times"
        return f"{100 * value:.0f} %" if value == 0 or value >= 0.095 else f"{100 * value:.1f} %"


MEASURES = (
    Measure("blank_share", "Images that show nothing", usual=0.0),
    Measure(
        "look_distance",
        "How far the most unlike {group} is from the nearest known one, by light and colour",
        is_share=False,
        usual=1.0,
    ),
    Measure(
        "embedding_distance",
        "How far the most unlike {group} is from the nearest known one, to the champion",
        is_share=False,
        usual=1.0,
    ),
    Measure(
        "strange_share",
        "Images of one {group}, or of all, that look like no known {group}'s",
        is_bound=True,
        usual=0.01,
    ),
    Measure(
        "disagreement_share",
        "Images of one {group}, or of all, that the champion calls otherwise than their label",
    ),
    Measure(
        "contradiction_share",
        "The same, where the champion is sure",
        is_bound=True,
    ),
)


@dataclass(frozen=True)
class Reading:
    """A measure of one batch, in words.

    Attributes:
        title: what was measured.
        found: in the batch, with its unit.
        usual: what is usual, likewise.
        limit: likewise.
        is_beyond: whether it is beyond its limit.
    """

    title: str
    found: str
    usual: str
    limit: str
    is_beyond: bool

    def __str__(self) -> str:
        return f"{self.title}: {self.found} (usual {self.usual}, limit {self.limit})"


def read_measures(numbers: Mapping[str, float]) -> list[Reading]:
    """Return what was measured of a batch, in the words of the project.

    Args:
        numbers: of its screening; what could not be measured is left out.
    """
    return [_read(one, numbers) for one in MEASURES if one.name in numbers]


def _read(measure: Measure, numbers: Mapping[str, float]) -> Reading:
    value, limit = numbers[measure.name], numbers[f"{LIMIT}{measure.name}"]
    usual = measure.usual
    if usual is None:
        usual = numbers[f"{USUAL}{measure.name}"]
        limit = raise_limit(limit, usual)
    return Reading(
        title=_fill(measure.title),
        found=f"at least {measure.format(value)}" if measure.is_bound else measure.format(value),
        usual="none" if usual == 0 and measure.is_share else f"up to {measure.format(usual)}",
        limit=measure.format(limit),
        is_beyond=value > limit,
    )


def raise_limit(limit: float, usual: float) -> float:
    """Return the limit of a share of labels, where so much is usual among known groups."""
    return max(limit, LABEL_SLACK * usual)


def tabulate_measures(readings: list[Reading]) -> list[str]:
    """Return the lines of a Markdown table, as a terminal shows it, too; none of no reading."""
    if not readings:
        return []
    rows = [
        (one.title, f"**{one.found}**" if one.is_beyond else one.found, one.usual, one.limit)
        for one in readings
    ]
    widths = [max(map(len, column)) for column in zip(HEADINGS, *rows, strict=True)]
    head, *body = [f"| {' | '.join(map(str.ljust, row, widths))} |" for row in (HEADINGS, *rows)]
    rule = f"|{'|'.join('-' * (width + 2) for width in widths)}|"
    told = [_fill(DISTANCES)] if any("times" in one.found for one in readings) else []
    return [head, rule, *body, *(("", *told) if told else ())]


def _fill(text: str) -> str:
    spoken = words.current()
    return text.format(group=spoken.group, groups=spoken.groups)
