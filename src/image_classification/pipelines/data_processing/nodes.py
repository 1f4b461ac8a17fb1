"""The nodes of `data_processing`: from batches of image files to an index and packed pixels."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from image_classification import vision
from image_classification.configuration.parameters import DataProcessingParameters
from image_classification.datasets import (
    BatchTables,
    ImageBatches,
    Inbox,
    IncomingBatch,
    OpenNetwork,
    PackedPixels,
    PixelShard,
    Records,
)
from image_classification.datasets.fault import describe_error
from image_classification.errors import ContractError, DataError, RegistryError
from image_classification.intake import contract, index
from image_classification.intake.admission import admit_together
from image_classification.intake.correction import list_due
from image_classification.intake.forgotten import Forgotten
from image_classification.intake.inspection import compile_pattern
from image_classification.intake.proposal import is_trusted
from image_classification.intake.split import assign_splits
from image_classification.intake.status import (
    find_statuses,
    list_accepted,
    read_statuses,
)
from image_classification.intake.waiting import describe_missing
from image_classification.pipelines.data_processing.correcting import follow_batches, state_labels
from image_classification.pipelines.data_processing.inspecting import cut_chunks, inspect_batch
from image_classification.pipelines.data_processing.joining import count_statuses, join_batches
from image_classification.pipelines.data_processing.judging import Judge
from image_classification.text import escape_text

logger = logging.getLogger(__name__)


def collect_batches(
    incoming_batches: Inbox, parameters: DataProcessingParameters
) -> Iterator[IncomingBatch]:
    """Find the batches that have arrived whole.

    Args:
        incoming_batches: what lies in the incoming folder.
        parameters: `data_processing`.

    Yields:
        Each batch that carries the marker `_READY`, or of which all that is seen has not changed
        for `settle_minutes`. To save a batch is to move it out of the incoming folder.
    """
    now = datetime.now(UTC)
    for path in incoming_batches.stray:
        logger.warning(
            "'%s' lies in no batch: put it into incoming/<batch>/<class>/", escape_text(path)
        )
    for name, reason in incoming_batches.aside.items():
        logger.warning("'%s' stays in the incoming folder: %s", escape_text(name), reason)
    for batch in incoming_batches.batches:
        if batch.is_complete(parameters["settle_minutes"], now) or batch.is_left:
            # What is left of one that was taken in is removed.
            yield replace(batch, limits=parameters["arrival"])
        else:
            wait = batch.describe_wait(parameters["settle_minutes"], now)
            logger.info("Batch '%s' is left alone. %s", batch.delivered_as, wait)


def inspect_images(
    image_batches: ImageBatches,
    known_inspections: BatchTables,
    image_size_px: int,
    forgotten_patients: Forgotten,
    parameters: DataProcessingParameters,
) -> Iterator[tuple[PixelShard, dict[str, pd.DataFrame]]]:
    """Read, hash and decode the files of the batches that no earlier run has inspected.

    Args:
        image_batches: the batches taken in.
        known_inspections: what earlier runs found.
        image_size_px: side of the packed images, in pixels.
        forgotten_patients: whose files are removed, and counted.
        parameters: `data_processing`.

    Yields:
        Packed pixels, a shard at a time, and the inspections of a batch once it is done: one row
        per file, with `inspecting.COLUMNS` and the statistics of `statistic.describe_pixels`.
        `image_id` is the sha256 of the file; `refusal` says why it cannot be used, "" if it can.

    Raises:
        ConfigurationError: `name_pattern` is not a regular expression, or has an unknown group.
    """
    compile_pattern(parameters["name_pattern"])  # before any work
    for batch in sorted(set(image_batches.names()) - set(known_inspections.names())):
        yield from inspect_batch(
            image_batches, batch, image_size_px, parameters, forgotten_patients
        )
    # Kedro needs at least one item of a node with two outputs.
    yield PixelShard.empty(image_size_px), {}


def screen_batches(  # noqa: PLR0913, PLR0917 - a catalog entry each
    image_inspections: BatchTables,
    known_screenings: Records,
    batch_reviews: Records,
    known_images: pd.DataFrame,
    image_batches: ImageBatches,
    inspected_pixels: PackedPixels,
    open_champion: OpenNetwork,
    parameters: DataProcessingParameters,
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Judge each new batch: take it into the training set, hold it for a person, or let it wait.

    A batch that breaks the contract by itself is `quarantined`. A batch is `held` if its images are
    far from what is known, or if the champion disagrees with too many of its labels. Both wait for
    a review. A batch with which the training set would break the contract is `waiting`: it is
    judged again, together with those that come later. A batch that brings too few patients joins,
    and the night waits for more; see `check_contract`.

    Args:
        image_inspections: of `inspect_images`.
        known_screenings: of earlier runs.
        batch_reviews: what people answered; these batches are not judged again.
        known_images: the log of the index.
        image_batches: the batches taken in.
        inspected_pixels: of `inspect_images`.
        open_champion: loads the champion; called only if there is a batch to judge.
        parameters: `data_processing`.

    Returns:
        A report of this run (`judged`: the record of each batch; `set_aside`: the first reason of
        each batch that was set aside tonight, for the first time), and the screenings, a record
        per batch judged.
    """
    answered = {review["batch"] for review in batch_reviews.values()}
    due = [
        batch
        for batch in image_inspections.names()
        if batch not in known_screenings
        or (known_screenings[batch]["verdict"] == "waiting" and batch not in answered)
    ]
    if not due:
        return {"judged": {}, "set_aside": []}, {}
    images = index.settle_index(known_images)
    set_aside: list[str] = []
    champion = None
    try:
        champion = open_champion()
    except RegistryError as error:  # the batches are judged by all else that is known of them
        set_aside.append(f"The champion says nothing of tonight's labels: {describe_error(error)}")
        logger.warning("%s", set_aside[0])
    judge = Judge(images, image_batches, inspected_pixels, champion, parameters)
    screenings, usable = {}, {}
    for batch in due:
        screenings[batch], images_of_batch = judge.screen(batch, image_inspections)
        if screenings[batch]["verdict"] == "accepted":
            usable[batch] = images_of_batch[["image_id", "label", "patient"]]
    trusted = {
        batch
        for batch in usable
        if is_trusted(screenings[batch].get("depositor"), parameters["corrections"])
    }
    candidates = _preview(usable, trusted, known_images, parameters)
    for batch, breaches in admit_together(images, candidates, parameters).items():
        screenings[batch] |= {"verdict": "waiting", "reasons": breaches}
    for batch, record in screenings.items():
        _log_screening(batch, record)
        if record["verdict"] != "accepted" and not _is_old(record, known_screenings.get(batch)):
            more = len(record["reasons"]) - 1
            set_aside.append(
                f"Batch '{batch}' is {record['verdict']}: {record['reasons'][0]}"
                f"{f' There are {more} more reasons.' if more else ''}"
            )
    return {"judged": screenings, "set_aside": set_aside}, screenings


def index_images(
    image_inspections: BatchTables,
    batch_screenings: Records,
    batch_reviews: Records,
    label_corrections: Records,
    known_index: pd.DataFrame,
    parameters: DataProcessingParameters,
) -> tuple[dict[str, pd.DataFrame], dict[str, Any], dict[str, Any], pd.DataFrame]:
    """Add the batches that were screened, or reviewed, to the index, and the labels corrected.

    Args:
        image_inspections: of `inspect_images`.
        batch_screenings: of `screen_batches`.
        batch_reviews: what people answered; the last answer about a batch counts.
        label_corrections: all that were recorded; those not carried out yet are now.
        known_index: the log of the index.
        parameters: `data_processing`.

    Returns:
        The quarantine of these batches (`path`, `label`, `image_id`, `reason`: files that cannot
        be used, repeated contents, and files whose content has another label); how many images
        got which status; the corrections of labels that tonight's batches make by themselves, see
        `follow_batches`; and the rows to add to the log.
    """
    known = read_statuses(known_index)
    statuses = find_statuses(batch_screenings, batch_reviews)
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    changed = {
        batch: inspections
        for batch, status in statuses.items()
        if known.get(batch) != status
        and (inspections := _try_read(image_inspections, batch)) is not None
    }
    patients = {
        batch: inspections.loc[inspections["refusal"] == "", "patient"]
        for batch, inspections in changed.items()
    }
    splits = assign_splits(known_index, patients, list_accepted(statuses), parameters)
    answered = {batch: statuses[batch] for batch in changed}
    quarantine, log, rows = join_batches(known_index, changed, answered, splits, now)
    records = dict(label_corrections)
    delivered = follow_batches(log, answered, batch_screenings, records, parameters)
    due = list_due({**records, **delivered}, log)
    stated = state_labels(due, log, image_inspections, now)
    added = index.join_rows(rows) if rows else known_index.head(0)
    left_out = sum(
        count
        for batch in changed.keys() & batch_screenings.keys()
        for count in batch_screenings[batch].get("left_out", {}).values()
    )
    counts = count_statuses(added, stated, quarantine, left_out)
    return quarantine, counts, delivered, index.join_rows([added, stated.drop(columns="before")])


def check_contract(
    image_index: pd.DataFrame, intake_report: dict[str, Any], parameters: DataProcessingParameters
) -> dict[str, Any]:
    """Stop the night before training where the training set breaks the contract.

    A batch that breaks it is set aside by `screen_batches`, and stops nothing.

    Args:
        image_index: the log of the index.
        intake_report: of `screen_batches`.
        parameters: `data_processing`.

    Returns:
        The contract in force, how many images keep it, and what the training set still lacks
        (`waiting`, a sentence, "" for nothing): the night then ends before training, as it does
        where too few images are new.

    Raises:
        ContractError: the training set breaks the contract.
    """
    images = index.select_accepted(image_index[[*index.SETTLING_COLUMNS, "patient", "split"]])
    class_names = index.name_classes(images, parameters["classes"])
    breaches, missing = contract.check_images(images, class_names, parameters["contract"])
    if breaches:
        raise ContractError(
            "The training set breaks the contract (data_processing.contract), so nothing is "
            "trained. Reject the batch that is at fault (image-classification review), or change "
            f"the limits:\n{_list_lines(breaches)}"
        )
    for batch, record in intake_report["judged"].items():
        if missing and record["verdict"] == "waiting":  # it would bring what is missing, or not
            missing.append(f"batch '{batch}' is kept back ({' '.join(record['reasons'])})")
    waiting = describe_missing(missing, images["patient"].nunique())
    if waiting:
        logger.info("%s", waiting)
    return {"contract": dict(parameters["contract"]), "images": len(images), "waiting": waiting}


def pack_images(
    image_batches: ImageBatches,
    image_index: pd.DataFrame,
    known_pixels: PackedPixels,
    image_size_px: int,
) -> Iterator[PixelShard]:
    """Decode and resize the accepted images that are not packed at this size yet.

    `inspect_images` packs at the size that is configured when a batch arrives. This node packs at
    other sizes, and again what was lost or cut short on the disk.

    Args:
        image_batches: the batches taken in.
        image_index: the log of the index.
        known_pixels: what is packed.
        image_size_px: side of the packed images, in pixels.

    Yields:
        Shards of at most `inspecting.CHUNK_IMAGES` images, uint8.

    Raises:
        DataError: an accepted image cannot be decoded, or its file is not what was indexed.
    """
    new = image_index.head(0)
    # Nearly always there is nothing to do; then nothing is settled.
    if not image_index["image_id"].isin(packed_ids := known_pixels.image_ids(image_size_px)).all():
        images = index.select_accepted(image_index)
        new = images[~images["image_id"].isin(packed_ids)]
    logger.info("%d images are new at %d px", len(new), image_size_px)
    packed = 0
    for chunk in cut_chunks(new):
        paths = chunk["path"].tolist()
        contents = image_batches.read_images(chunk)
        pixels, reasons = vision.decode_sound_images(contents, image_size_px)
        _check_accepted(paths, reasons, image_size_px)
        yield PixelShard(chunk["image_id"].tolist(), pixels)
        packed += len(chunk)
        logger.info("Packed %d of %d images", packed, len(new))


def _check_accepted(paths: Sequence[str], reasons: Sequence[str], image_size_px: int) -> None:
    for path, reason in zip(paths, reasons, strict=True):
        if reason:  # it was accepted before such images were refused, or changed on the disk
            raise DataError(
                f"'{path}' is an accepted image and cannot be packed at {image_size_px} px: "
                f"{reason}. Reject its batch (image-classification review) and deliver it mended, "
                "or go back to the size before (image_size_px)."
            )


def _try_read(inspections: BatchTables, batch: str) -> pd.DataFrame | None:
    """Return the inspections of a batch; None, with a warning, where they cannot be read."""
    try:
        return inspections.read(batch)
    except Exception as error:  # noqa: BLE001 - whatever it is, the others of the night join
        logger.warning(
            "Batch '%s' joins nothing tonight: its inspections cannot be read: %s. The next intake "
            "tries again",
            batch,
            describe_error(error),
        )
        return None


def _preview(
    usable: Mapping[str, pd.DataFrame],
    trusted: Collection[str],
    log: pd.DataFrame,
    parameters: DataProcessingParameters,
) -> dict[str, pd.DataFrame]:
    """Return the images of each batch with the splits that the index would give them.

    One that a batch has under two labels counts under neither. Those of a trusted batch correct
    what is known (`corrects`).
    """
    accepted = list_accepted(read_statuses(log)) | usable.keys()
    patients = {batch: images["patient"] for batch, images in usable.items()}
    splits = assign_splits(log, patients, accepted, parameters)
    return {
        batch: images.assign(split=images["patient"].map(splits), corrects=batch in trusted)[
            ~images["image_id"].duplicated(keep=False)
        ]
        for batch, images in usable.items()
    }


def _log_screening(batch: str, record: Mapping[str, Any]) -> None:
    level = logging.INFO if record["verdict"] == "accepted" else logging.WARNING
    logger.log(level, "Batch '%s' (%d images): %s", batch, record["images"], record["verdict"])
    for reason in record["reasons"]:
        logger.log(level, "  %s", escape_text(reason))


def _is_old(record: Mapping[str, Any], known: Mapping[str, Any] | None) -> bool:
    """Return whether an earlier night has said the same."""
    return known is not None and known["reasons"] == record["reasons"]


def _list_lines(lines: Sequence[str]) -> str:
    return "\n".join(f"  - {line}" for line in lines)
