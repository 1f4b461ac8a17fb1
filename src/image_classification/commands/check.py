"""The command that looks over the storage, and mends what can be made again."""

from __future__ import annotations

import sys

import click
import pandas as pd
from kedro.framework.context import KedroContext

from image_classification import words
from image_classification.champion import package, registry
from image_classification.commands.console import (
    load_entry,
    open_context,
    open_dataset,
    report_errors,
    save_entry,
    say,
)
from image_classification.configuration import names
from image_classification.datasets.damage import ASIDE, Damage, find_damage, move_aside
from image_classification.errors import RegistryError
from image_classification.intake import index
from image_classification.pipelines.data_processing.nodes import index_images

PART_IMAGES = 1000
"""Images that are read at a time."""


@click.command()
@click.option("--repair", is_flag=True, help="Mend what can be made again.")
@report_errors
def check(*, repair: bool) -> None:
    """Look over the whole storage for files that are not what was written.

    It reads index, pixels, records and images, and the packaged files of the champion. With
    --repair, what can be made again is moved to the folder `damaged` of the storage, and made
    again now or by the next intake. It exits with 1 if anything is left that is not what it was.
    """
    context = open_context()
    root = str(context.config_loader["globals"]["storage_root"])
    found = find_damage(root)
    for damage in found:
        say(f"{damage.path}: {damage.fault}\n  - {damage.remedy}")
    left = found
    if repair:
        left = [damage for damage in found if not damage.can_repair]
        _repair(context, root, [damage for damage in found if damage.can_repair])
    lost = [
        *_find_lost_images(context, left),
        *_find_broken_champion(context),
        *_find_forgotten(context, left),
    ]
    for sentence in lost:
        say(sentence)
    if left or lost:
        raise click.exceptions.Exit(1)
    say("All else is whole." if found else "All that was looked at is what was written.")


def names_index(damages: list[Damage]) -> bool:
    """Return whether a part of the index itself is damaged: then nothing is known of its images."""
    return any(damage.path.startswith("index/images/") for damage in damages)


def _repair(context: KedroContext, root: str, damages: list[Damage]) -> None:
    for damage in damages:
        move_aside(root, damage)
        say(f"{damage.path}: moved to {ASIDE}/")
    if names_index(damages):
        added = restore_index(context)
        say(f"{added} rows of the index were made again from the inspections of the batches.")


def restore_index(context: KedroContext) -> int:
    """Add to the index what inspections, screenings and reviews say and it does not hold.

    A patient keeps the split that the newest registered version saw it in.

    Returns:
        How many rows were added.
    """
    log = load_entry(context, names.KNOWN_INDEX)
    kept = _read_splits(context, log)
    quarantine, _, _, added = index_images(
        load_entry(context, names.IMAGE_INSPECTIONS),
        load_entry(context, names.BATCH_SCREENINGS),
        load_entry(context, names.BATCH_REVIEWS),
        load_entry(context, names.LABEL_CORRECTIONS),
        pd.concat([log, kept], ignore_index=True) if len(kept) else log,
        context.params["data_processing"],
    )
    save_entry(context, names.IMAGE_INDEX, added)
    save_entry(context, names.QUARANTINED_IMAGES, quarantine)
    return len(added)


def _read_splits(context: KedroContext, log: pd.DataFrame) -> pd.DataFrame:
    """Return a row without an image for each patient that the index does not know any more."""
    model_name = str(context.params["registered_model_name"])
    for version in reversed(registry.list_versions(model_name)):
        try:
            images = registry.read_images(model_name, str(version.version))
        except RegistryError:
            continue
        patients = images[["patient", "split"]].drop_duplicates("patient")
        lost = patients[~patients["patient"].isin(log["patient"])]
        return lost.reindex(columns=log.columns, fill_value="").assign(status=index.REJECTED)
    return log.head(0)


def _find_lost_images(context: KedroContext, left: list[Damage]) -> list[str]:
    """Return a sentence for each accepted image whose file is gone, or was changed."""
    if names_index(left):
        say("The images are not looked at: which there are, only a whole index tells.")
        return []
    images = index.select_accepted(load_entry(context, names.IMAGE_INDEX))
    batches = load_entry(context, names.IMAGE_BATCHES)
    lost = []
    parts = range(0, len(images), PART_IMAGES)
    with click.progressbar(parts, label="images", file=sys.stderr) as starts:
        for start in starts:
            part = images.iloc[start : start + PART_IMAGES]
            contents = batches.try_read_images(part)
            lost += [
                path for path, content in zip(part["path"], contents, strict=True) if not content
            ]
    return [
        f"images/{path}: it is gone, or not what was indexed\n  - restore it from a backup, or "
        "reject its batch (image-classification review) and deliver it again"
        for path in lost
    ]


def _find_forgotten(context: KedroContext, left: list[Damage]) -> list[str]:
    """Return a sentence where somebody who is forgotten is known all the same."""
    listed = open_dataset(context, names.FORGOTTEN_PATIENTS)
    begun = len(listed.list_unfinished())
    known: set[str] = set()
    if not names_index(left):
        known = listed.load().select(load_entry(context, names.IMAGE_INDEX)["patient"])
    if not begun and not known:
        return []
    told = words.current().count_groups(max(begun, len(known)))
    remedy = "end it: image-classification forget --resume --yes"
    return [f"{told} to be forgotten: still known here, or known again\n  - {remedy}"]


def _find_broken_champion(context: KedroContext) -> list[str]:
    model_name = str(context.params["registered_model_name"])
    if registry.find_champion(model_name) is None:
        return []
    try:
        with package.open_parts(model_name, registry.CHAMPION):
            return []
    except RegistryError as error:
        return [f"The champion: {error}"]
