"""What a folder of images tells of the project that it is for: each value is a guess, and says why.

Names and headers are looked at, no pixels. A person reads the guesses before they are used.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from image_classification.intake.picture import Header
from image_classification.text import tell_name

PART = re.compile(r"[^_\-. ]+")
DATE = re.compile(r"(?<!\d)(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?!\d)")
DATE_GROUP = r"(?=.*?(?<!\d)(?P<captured_on>(?:19|20)\d{6})(?!\d))"
GROUP_PLACES = 5
"""So many parts of a name may be the one that tells its group."""

MINIMUM_GROUPS = 6
"""Fewer cannot lie in three splits, two in each."""

NOT_SPLIT = (
    "Images of a group are never split between training and judging: correct it if alike images "
    "have something else in common."
)

ENOUGH_GROUPS = 30
"""Of so many of a class, 15 % drawn for the test split are hardly ever fewer than two."""

SIDES_PX = (16, 24, 32, 48, 64)
"""What a network may read; more than the last is a choice for who has the time."""

HARMLESS = ("healthy", "normal", "uninfected", "negative", "good", "ok", "benign", "none", "no")
"""Names of the one of two classes that is not the one looked for."""

SHARE_OF_TWO = 0.1
"""`minimum_class_share` as it is shipped."""

Groups = Mapping[str, set[str]]
"""Groups of images that must not be split, by name: the classes that each has images of."""


@dataclass(frozen=True)
class Guess:
    """A value of the project file.

    Attributes:
        key: of the file.
        value: what is proposed.
        reason: why, a sentence or two.
    """

    key: str
    value: Any
    reason: str


def guess_project(
    name: str, images: Sequence[tuple[str, str]], headers: Iterable[Header]
) -> list[Guess]:
    """Return a guess for each key of a project file, in the order in which people read them.

    Args:
        name: of the folder.
        images: class folder and file name of each image.
        headers: of some of the images, at least one.
    """
    counts = Counter(label for label, _ in images)
    classes = sorted(counts)
    pattern, groups, said = guess_pattern(images)
    word = _name_group(groups)
    sides = _measure(list(headers))
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "image"
    return [
        Guess("title", slug.replace("-", " ").capitalize(), "The name of the folder."),
        Guess("model_name", f"{slug}-classifier", "The name of the folder."),
        Guess(
            "words",
            {"group": word, "groups": f"{word}s", "image": "image", "images": "images"},
            "What people read calls what must not be split, and what one image shows, by these. "
            "Say your own: field and leaf, garment and photo.",
        ),
        Guess(
            "classes",
            classes,
            f"The folders: {', '.join(f'{tell_name(name)} {counts[name]}' for name in classes)}.",
        ),
        _guess_positive(classes),
        Guess("name_pattern", pattern, said),
        Guess("captured_on_format", "%Y%m%d", "How the date is written, where names tell one."),
        *_guess_sizes(sides),
        _guess_share(counts),
        _guess_groups(groups),
        Guess(
            "floors",
            None,
            f"No floor of its own: accuracy must beat the commonest class, {max(counts.values())} "
            f"of {len(images)} images ({max(counts.values()) / len(images):.0%}), by "
            "promotion.floor_above_majority. Set some once you know what is good enough: "
            "{accuracy: 0.9}.",
        ),
    ]


def guess_pattern(
    images: Sequence[tuple[str, str]],
) -> tuple[str | None, Groups, str]:
    """Return the pattern of the names, the groups that it tells, and why.

    Args:
        images: class folder and file name of each image.
    """
    names = [name for _, name in images]
    dated = sum(bool(DATE.search(name)) for name in names) >= 0.95 * len(names)
    date = DATE_GROUP if dated else ""
    when = "the eight digits are a date" if dated else "no date is told"
    for place in range(GROUP_PLACES):
        for part, shape in ((r"[A-Za-z]+\d+", "letters with a number"), (r"[^_\-. ]+", "text")):
            pattern = f"^{date}(?:[^_\\-. ]+[_\\-. ]+){{{place}}}(?P<group>{part})"
            pattern = pattern.replace("(?:[^_\\-. ]+[_\\-. ]+){0}", "")
            groups = _group(pattern, images)
            if groups:
                told = ", ".join(sorted(groups)[:3])
                recurs = (
                    f"Part {place + 1} of the name ({shape}) recurs: {len(groups)} groups, such"
                )
                size = f"{len(names) / len(groups):.0f} images each"
                return pattern, groups, f"{recurs} as {told}, with {size}; {when}. {NOT_SPLIT}"
    said = (
        f"No part of the names recurs as a group would; {when}. Each image counts as a group of "
        "its own. If several images show the same thing, name them so that a part tells which, or "
        "the accuracy will be too good."
    )
    return (f"^{date}" if dated else None), {}, said


def _group(pattern: str, images: Sequence[tuple[str, str]]) -> Groups:
    """Return the groups that a pattern finds; nothing where these are no groups."""
    compiled = re.compile(pattern)
    found = [(label, compiled.match(name)) for label, name in images]
    pairs = Counter((label, match["group"]) for label, match in found if match)
    groups: dict[str, set[str]] = {}
    for label, group in pairs:
        groups.setdefault(group, set()).add(label)
    labels = {label.lower() for label, _ in images}
    number_alone = all(group.isdigit() for group in groups)
    counted = number_alone and pairs.total() == len(pairs)  # 1, 2, 3 … in each class
    is_group = (
        pairs.total() >= 0.95 * len(images)
        and MINIMUM_GROUPS <= len(groups) <= len(images) / 2
        and not counted
        and not {group.lower() for group in groups} <= labels
        and not all(DATE.fullmatch(group) for group in groups)
        and any(character.isdigit() for group in groups for character in group)
    )
    return groups if is_group else {}


def _name_group(groups: Groups) -> str:
    """Return the word that all names of groups begin with, such as "field"; "group" for none."""
    starts = {(re.match(r"[A-Za-z]*", group) or [""])[0].lower() for group in groups}
    word = starts.pop() if len(starts) == 1 else ""
    return word if len(word) > 2 else "group"


def _guess_positive(classes: Sequence[str]) -> Guess:
    harmless = [name for name in classes if name.lower() in HARMLESS]
    if len(classes) == 2 and len(harmless) == 1:
        (sought,) = set(classes) - set(harmless)
        reason = f"Of two classes, '{harmless[0]}' is not the one that is looked for."
        return Guess("positive_class", sought, f"{reason} Sensitivity is the recall of the other.")
    reason = (
        "None: sensitivity, specificity, F1 and AUC are means over the classes. Name one if "
        "missing it is worse than missing another."
    )
    return Guess("positive_class", None, reason)


def _measure(headers: Sequence[Header]) -> dict[str, Any]:
    sides = [min(header.width, header.height) for header in headers]
    kinds = Counter(header.kind for header in headers)
    return {
        "smallest": min(sides),
        "usual": int(median(sides)),
        "pixels": max(header.width * header.height for header in headers),
        "kinds": ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()),
        "count": len(sides),
    }


def _guess_sizes(sides: Mapping[str, Any]) -> list[Guess]:
    usual, smallest, pixels = sides["usual"], sides["smallest"], sides["pixels"]
    read = next((side for side in SIDES_PX if side >= usual), SIDES_PX[-1])
    looked = f"Of {sides['count']} images looked at ({sides['kinds']})"
    return [
        Guess(
            "image_size_px",
            read,
            f"{looked}, half have a shorter side of {usual} pixels or more. The network reads "
            f"squares of {read}; more takes longer. Grey images are read as they are.",
        ),
        Guess(
            "symmetries",
            "none",
            "Names and headers do not tell it. If an image that is turned or mirrored shows the "
            "same (a leaf from above), say all; if left and right alone may change places (a shoe, "
            "a car), say mirror: there is more to learn from then.",
        ),
        Guess(
            "minimum_image_side_px",
            max(1, min(16, smallest)),
            f"The smallest of them has a side of {smallest} pixels; a smaller one is refused.",
        ),
        Guess(
            "maximum_image_pixels",
            max(4_000_000, 2 * pixels),
            f"The largest of them has {pixels} pixels; a much larger one is refused unread.",
        ),
    ]


def _guess_share(counts: Counter[str]) -> Guess:
    rarest, images = min(counts, key=lambda name: (counts[name], name)), counts.total()
    share = counts[rarest] / images * len(counts) / 2  # as of two classes
    told = f"'{rarest}' is the rarest class, {counts[rarest]} of {images} images"
    if share > 1.5 * SHARE_OF_TWO:
        return Guess("minimum_class_share", SHARE_OF_TWO, f"As shipped; {told}.")
    lower = round(share / 2, 4)
    return Guess("minimum_class_share", lower, f"Half of what there is: {told}.")


def _guess_groups(groups: Groups) -> Guess:
    if not groups:
        return Guess("minimum_groups", 2, "As shipped: of each class in each split.")
    fewest = min(Counter(label for labels in groups.values() for label in labels).values())
    if fewest >= ENOUGH_GROUPS:
        return Guess("minimum_groups", 2, f"As shipped; each class has at least {fewest} groups.")
    reason = f"One class has {fewest} groups alone, too few for two in each of three splits."
    return Guess("minimum_groups", 1, reason)
