"""Batches of image files to an index with splits, and packed pixels."""

from __future__ import annotations

import hashlib
import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

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
from image_classification.errors import (
    ContractError,
    DataError,
)
from image_classification.intake import contract, index, statistic
from image_classification.intake.admission import admit_together
from image_classification.intake.inspection import (
    compile_pattern,
    inspect_header,
    read_name,
    refuse_folder,
)
from image_classification.intake.status import find_statuses, make_rows, read_statuses
from image_classification.pipelines.data_processing.judging import Judge

logger = logging.getLogger(__name__)

CHUNK_IMAGES, CHUNK_BYTES = 1024, 2**28
"""Images read, decoded and written together, and the size of their files: bounds memory."""

INSPECTION_COLUMNS = [
    *("path", "image_name", "label", "size_bytes", "image_id", "width", "height", "refusal"),
    *("packed_px", "patient", "captured_on", "labelled_by", "labelled_on", "batch", "first_seen"),
]


def collect_batches(
    incoming_batches: Inbox, parameters: DataProcessingParameters
) -> Iterator[IncomingBatch]:
    """Find the batches that have arrived whole.

    Args:
        incoming_batches: what lies in the incoming folder.
        parameters: `data_processing`.

    Yields:
        Each batch that carries the marker `_READY`, or in which nothing has changed for
        `settle_minutes`. Saving it moves it out of the incoming folder.
    """
    now = datetime.now(UTC)
    for path in incoming_batches.stray:
        logger.warning("'%s' lies in no batch: put it into incoming/<batch>/<class>/", path)
    for batch in incoming_batches.batches:
        if batch.is_complete(parameters["settle_minutes"], now):
            yield batch
        else:
            logger.info("Batch '%s' is not complete yet: it is left alone", batch.delivered_as)


def inspect_images(
    image_batches: ImageBatches,
    known_inspections: BatchTables,
    image_size_px: int,
    parameters: DataProcessingParameters,
) -> Iterator[tuple[PixelShard, dict[str, pd.DataFrame]]]:
    """Read, hash and decode the files of the batches that no earlier run has inspected.

    Args:
        image_batches: the batches taken in.
        known_inspections: what earlier runs found.
        image_size_px: side of the packed images, in pixels.
        parameters: `data_processing`.

    Yields:
        Packed pixels, a shard at a time, and the inspections of a batch once it is done: one row
        per file with `INSPECTION_COLUMNS` and the statistics of `statistic.describe_pixels`.
        `image_id` is the sha256 of the file; `refusal` says why it cannot be used, "" if it can.

    Raises:
        ConfigurationError: `name_pattern` is not a regular expression, or has an unknown group.
    """
    pattern = compile_pattern(parameters["name_pattern"])
    for batch in sorted(set(image_batches.names()) - set(known_inspections.names())):
        files = image_batches.list_files(batch)
        logger.info("Batch '%s': %d files", batch, len(files))
        parts = []
        for inspected, shard in _inspect_files(image_batches, files, image_size_px, parameters):
            parts.append(inspected)
            yield shard, {}
            logger.info("Inspected %d of %d files", sum(map(len, parts)), len(files))
        yield (
            PixelShard.empty(image_size_px),
            {batch: _complete_inspections(parts, image_batches, batch, pattern, parameters)},
        )
    # Kedro wants one item at least of a node with two outputs.
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

    A batch that breaks the contract by itself is `quarantined`. One whose images, or the champion's
    disagreement with its labels, are far from what is known is `held`. Both wait for a review. A
    batch with which the training set would break the contract is `waiting`, and judged again
    together with those that come later.

    Args:
        image_inspections: of `inspect_images`.
        known_screenings: of earlier runs.
        batch_reviews: what people answered: those batches are judged no more.
        known_images: the log of the index.
        image_batches: the batches taken in.
        inspected_pixels: of `inspect_images`.
        open_champion: loads the champion; called only where there is a batch to judge.
        parameters: `data_processing`.

    Returns:
        A report of this run (`judged`: verdict and reasons of each batch; `stops`: why nothing may
        be trained on tonight), and the screenings, a record per batch judged.
    """
    answered = {review["batch"] for review in batch_reviews.values()}
    due = [
        batch
        for batch in image_inspections.names()
        if batch not in known_screenings
        or (known_screenings[batch]["verdict"] == "waiting" and batch not in answered)
    ]
    if not due:
        return {"judged": {}, "stops": []}, {}
    images = index.settle_index(known_images)
    judge = Judge(images, image_batches, inspected_pixels, open_champion(), parameters)
    screenings, candidates = {}, {}
    for batch in due:
        inspections = image_inspections.read(batch)
        screenings[batch] = judge.screen(batch, inspections)
        if screenings[batch]["verdict"] == "accepted":
            candidates[batch] = judge.preview(inspections)
    for batch, breaches in admit_together(images, candidates, parameters).items():
        screenings[batch] |= {"verdict": "waiting", "reasons": breaches}
    stops = []
    for batch, record in screenings.items():
        _log_screening(batch, record)
        if record["verdict"] in ("quarantined", "waiting") and not _is_old(
            record, known_screenings.get(batch)
        ):
            stops += [f"Batch '{batch}' is {record['verdict']}: {why}" for why in record["reasons"]]
    return {"judged": screenings, "stops": stops}, screenings


def index_images(
    image_inspections: BatchTables,
    batch_screenings: Records,
    batch_reviews: Records,
    known_index: pd.DataFrame,
    parameters: DataProcessingParameters,
) -> tuple[dict[str, pd.DataFrame], dict[str, Any], pd.DataFrame]:
    """Add the batches that were screened, or reviewed, to the index.

    Args:
        image_inspections: of `inspect_images`.
        batch_screenings: of `screen_batches`.
        batch_reviews: what people answered; the last answer about a batch holds.
        known_index: the log of the index.
        parameters: `data_processing`.

    Returns:
        The quarantine of these batches (`path`, `label`, `image_id`, `reason`: files that cannot
        be used, repeated contents, and both files of a conflict of labels); how many images got
        which status; and the rows to add to the log.

    Raises:
        ConfigurationError: the split rule was changed, so that patients would move.
    """
    index.check_splits_stay(known_index, parameters)
    known = read_statuses(known_index)
    statuses = find_statuses(batch_screenings, batch_reviews)
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    columns = ["batch", "path", "label", "image_id", "status"]
    quarantine: dict[str, pd.DataFrame] = {}
    rows: list[pd.DataFrame] = []
    log = known_index[columns]
    for batch, status in statuses.items():
        if known.get(batch) == status:
            continue
        inspections = image_inspections.read(batch)
        # What the batch before has added: joined only where another one follows.
        log = index.join_rows([log, *(added[columns] for added in rows[-1:])])
        others = log[log["batch"] != batch] if batch in known else log
        quarantine[batch] = (
            index.describe_quarantine(inspections, others)
            if status["status"] == index.ACCEPTED
            else index.describe_refusals(inspections)
        )
        rows.append(make_rows(inspections, parameters).assign(**status, recorded_at=now))
    added = index.join_rows(rows) if rows else known_index.head(0)
    return quarantine, _count_statuses(added, quarantine), added


def check_contract(
    image_index: pd.DataFrame, intake_report: dict[str, Any], parameters: DataProcessingParameters
) -> dict[str, Any]:
    """Stop the night before training where the data break the contract.

    Args:
        image_index: the log of the index.
        intake_report: of `screen_batches`.
        parameters: `data_processing`.

    Returns:
        The contract in force, and when it was last kept.

    Raises:
        ContractError: a batch of tonight breaks the contract, or the training set does.
    """
    if intake_report["stops"]:
        raise ContractError(
            "Tonight's data break the contract, and nothing is trained on. The index is as it was; "
            "the batches wait. Mend the parameters or answer the review, then run again:\n"
            + _list_lines(intake_report["stops"])
        )
    images = index.select_accepted(image_index[[*index.SETTLING_COLUMNS, "patient", "split"]])
    class_names = index.name_classes(images, parameters["classes"])
    if breaches := contract.check_images(images, class_names, parameters["contract"]):
        raise ContractError(
            "The training set breaks the contract (data_processing.contract), and nothing is "
            "trained on. Reject the batch that is at fault (image-classification review), or "
            f"change the limits:\n{_list_lines(breaches)}"
        )
    return {"contract": dict(parameters["contract"]), "images": len(images)}


def pack_images(
    image_batches: ImageBatches,
    image_index: pd.DataFrame,
    known_pixels: PackedPixels,
    image_size_px: int,
) -> Iterator[PixelShard]:
    """Decode and resize the accepted images that are not packed at this size yet.

    `inspect_images` packs at the size in force when a batch arrives; this is for other sizes.

    Args:
        image_batches: the batches taken in.
        image_index: the log of the index.
        known_pixels: what is packed.
        image_size_px: side of the packed images, in pixels.

    Yields:
        Shards of at most `CHUNK_IMAGES` images, uint8.
    """
    new = image_index.head(0)
    # Nearly always there is nothing to do, and nothing is settled or listed.
    if (image_index["packed_px"] != image_size_px).any():
        images = index.select_accepted(image_index)
        new = images[images["packed_px"] != image_size_px]
        new = new[~new["image_id"].isin(known_pixels.image_ids(image_size_px))]
    logger.info("%d images are new at %d px", len(new), image_size_px)
    packed = 0
    for chunk in _cut_chunks(new):
        contents = image_batches.read(chunk["path"].tolist())
        yield PixelShard(chunk["image_id"].tolist(), vision.decode_images(contents, image_size_px))
        packed += len(chunk)
        logger.info("Packed %d of %d images", packed, len(new))


class _Content(NamedTuple):
    """A file that was read: None where it is not there or closed, and its sha256."""

    data: bytes | None
    image_id: str


def _cut_chunks(files: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Cut a table of files into parts that are small enough to be held, of one file at least."""
    ends = files["size_bytes"].to_numpy(np.int64).cumsum()
    start = 0
    while start < len(files):
        before = ends[start - 1] if start else 0
        fitting = int(np.searchsorted(ends, before + CHUNK_BYTES, side="right"))
        end = min(max(fitting, start + 1), start + CHUNK_IMAGES)
        yield files.iloc[start:end].reset_index(drop=True)
        start = end


def _read_ahead(
    image_batches: ImageBatches, files: pd.DataFrame
) -> Iterator[tuple[pd.DataFrame, list[_Content]]]:
    """Read and hash files, a chunk at a time: the next ones while these are decoded."""
    chunks = list(_cut_chunks(files))

    def read(chunk: pd.DataFrame) -> list[_Content]:
        contents = image_batches.try_read(chunk["path"].tolist())
        return [_Content(data, hashlib.sha256(data or b"").hexdigest()) for data in contents]

    with ThreadPoolExecutor(max_workers=1) as reader:
        ahead = [reader.submit(read, chunk) for chunk in chunks[:1]]
        for number, chunk in enumerate(chunks):
            contents = ahead.pop().result()
            ahead += [reader.submit(read, following) for following in chunks[number + 1 :][:1]]
            yield chunk, contents


def _inspect_files(
    image_batches: ImageBatches,
    files: pd.DataFrame,
    image_size_px: int,
    parameters: DataProcessingParameters,
) -> Iterator[tuple[pd.DataFrame, PixelShard]]:
    """Yield the inspections of some files, and the pixels of those that can be used.

    While one chunk is described and saved, the next is decoded, and the one after it read.
    """
    waiting: list[tuple[pd.DataFrame, Future[tuple[Any, list[str]]]]] = []
    with ThreadPoolExecutor(max_workers=1) as decoder:
        for chunk, contents in _read_ahead(image_batches, files):
            table = _inspect_headers(chunk, contents, parameters)
            readable = table.index[table["refusal"] == ""]
            datas = [contents[row].data or b"" for row in readable]
            decoding = decoder.submit(vision.decode_sound_images, datas, image_size_px)
            waiting.append((table, decoding))
            if len(waiting) > 1:
                yield _describe_chunk(*waiting.pop(0), image_size_px)
        for table, decoding in waiting:
            yield _describe_chunk(table, decoding, image_size_px)


def _inspect_headers(
    files: pd.DataFrame, contents: Sequence[_Content], parameters: DataProcessingParameters
) -> pd.DataFrame:
    """Return the files with `image_id`, `width`, `height` and `refusal`, as far as is known."""
    limits = (parameters["minimum_image_side_px"], parameters["maximum_image_pixels"])
    with warnings.catch_warnings():
        # The size limit is ours, checked before anything is decoded.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        found = [inspect_header(content.data, *limits) for content in contents]
    labels = files["label"].tolist()
    return files.assign(
        image_id=[content.image_id for content in contents],
        width=[width for width, _, _ in found],
        height=[height for _, height, _ in found],
        refusal=[
            refuse_folder(label, parameters["classes"]) or refusal
            for label, (_, _, refusal) in zip(labels, found, strict=True)
        ],
    )


def _describe_chunk(
    table: pd.DataFrame, decoding: Future[tuple[Any, list[str]]], image_size_px: int
) -> tuple[pd.DataFrame, PixelShard]:
    """Add to inspected files what their pixels tell; return them and the pixels."""
    readable = np.flatnonzero(table["refusal"] == "")
    pixels, reasons = decoding.result()
    refusals = table["refusal"].to_numpy(dtype=object, copy=True)
    refusals[readable] = reasons
    statistics = np.full((len(table), len(statistic.STATISTICS)), np.nan, np.float32)
    statistics[readable] = statistic.describe_pixels(pixels)
    sound = [place for place, reason in enumerate(reasons) if not reason]
    ids = table["image_id"].iloc[readable[sound]].tolist()
    table = table.assign(refusal=refusals.tolist(), packed_px=image_size_px).join(
        pd.DataFrame(statistics, columns=list(statistic.STATISTICS))
    )
    return table, PixelShard(ids, pixels if len(sound) == len(pixels) else pixels[sound])


def _complete_inspections(
    parts: Sequence[pd.DataFrame],
    image_batches: ImageBatches,
    batch: str,
    pattern: re.Pattern[str],
    parameters: DataProcessingParameters,
) -> pd.DataFrame:
    """Join the parts of a batch, and add patient, date and who labelled each image."""
    columns = [*INSPECTION_COLUMNS[:9], *statistic.STATISTICS]
    table = index.join_rows(parts) if parts else pd.DataFrame(columns=columns)
    names = [
        read_name(name, image_id, pattern, parameters["captured_on_format"])
        for name, image_id in zip(
            table["image_name"].tolist(), table["image_id"].tolist(), strict=True
        )
    ]
    table = table.assign(
        patient=pd.Series([patient for patient, _ in names], dtype=str),
        captured_on=pd.Series([date for _, date in names], dtype=str),
        labelled_by="",
        labelled_on="",
        batch=batch,
        first_seen=image_batches.read_manifest(batch)["taken_at"],
    )
    try:
        labelled = image_batches.read_labels(batch).set_index("image_name")
    except DataError as error:  # the batch is quarantined for it
        logger.warning("%s", error)
        return table
    if labelled.empty or table.empty:
        return table
    found = labelled.reindex(table["image_name"]).fillna("")
    return table.assign(**{str(name): values.tolist() for name, values in found.items()})


def _count_statuses(added: pd.DataFrame, quarantine: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    counts = added["status"].value_counts()
    summary = {name: int(counts.get(name, 0)) for name in index.LASTING_ORDER}
    summary["quarantined_files"] = sum(map(len, quarantine.values()))
    logger.info(
        "%d images accepted, %d held, %d rejected; %d files in quarantine", *summary.values()
    )
    return {**summary, "batches": sorted(quarantine)}


def _log_screening(batch: str, record: Mapping[str, Any]) -> None:
    level = logging.INFO if record["verdict"] == "accepted" else logging.WARNING
    logger.log(level, "Batch '%s' (%d images): %s", batch, record["images"], record["verdict"])
    for reason in record["reasons"]:
        logger.log(level, "  %s", reason)


def _is_old(record: Mapping[str, Any], known: Mapping[str, Any] | None) -> bool:
    """Return whether an earlier night met the same trouble, and stopped for it."""
    return known is not None and known["reasons"] == record["reasons"]


def _list_lines(lines: Sequence[str]) -> str:
    return "\n".join(f"  - {line}" for line in lines)
