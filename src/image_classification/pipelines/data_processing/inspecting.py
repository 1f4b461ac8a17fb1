"""Inspect the files of a batch: read, hash and decode them, a chunk at a time."""

from __future__ import annotations

import hashlib
import logging
import posixpath
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from image_classification import vision, words
from image_classification.configuration.parameters import DataProcessingParameters
from image_classification.datasets import ImageBatches, PixelShard
from image_classification.datasets.budget import Budget
from image_classification.datasets.fault import describe_error, is_passing
from image_classification.datasets.file import NotRegularError
from image_classification.datasets.purge import purge_batch
from image_classification.errors import DataError
from image_classification.intake import index, statistic
from image_classification.intake.forgotten import NOBODY, Forgotten
from image_classification.intake.inspection import (
    compile_pattern,
    inspect_header,
    read_name,
    read_patient,
    refuse_folder,
)
from image_classification.intake.limit import MIB, ArrivalLimits, describe_size

logger = logging.getLogger(__name__)

CHUNK_IMAGES = 1024
"""Images that are read, decoded and written together: this bounds memory."""

CHUNK_BYTES = 2**28
"""The files of a chunk are together no larger than this, unless it is a single file."""

FILE_COLUMNS = [
    "path",
    "image_name",
    "label",
    "size_bytes",
    "image_id",
    "width",
    "height",
    "refusal",
    "packed_px",
]
"""What is known of a file once it is decoded."""

COLUMNS = [
    *FILE_COLUMNS,
    "patient",
    "captured_on",
    "labelled_by",
    "labelled_on",
    "batch",
    "first_seen",
]
"""What is known of a file once its batch is inspected, beside the image statistics."""


class _Content(NamedTuple):
    """The content of a file, None if it cannot be opened, its sha256, and why not."""

    data: bytes | None
    image_id: str
    fault: str


def cut_chunks(files: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Cut a table of files into parts small enough to be held in memory, of at least one file."""
    ends = files["size_bytes"].to_numpy(np.int64).cumsum()
    start = 0
    while start < len(files):
        before = ends[start - 1] if start else 0
        fitting = int(np.searchsorted(ends, before + CHUNK_BYTES, side="right"))
        end = min(max(fitting, start + 1), start + CHUNK_IMAGES)
        yield files.iloc[start:end].reset_index(drop=True)
        start = end


def _hash_content(found: bytes | OSError) -> _Content:
    data = found if isinstance(found, bytes) else None
    fault = f": {found}" if isinstance(found, NotRegularError) else ""
    return _Content(data, hashlib.sha256(data or b"").hexdigest(), fault)


def _read_ahead(
    image_batches: ImageBatches, files: pd.DataFrame, limits: ArrivalLimits
) -> Iterator[tuple[pd.DataFrame, list[_Content]]]:
    """Read and hash files, a chunk at a time; the next chunk is read while this one is decoded."""
    chunks = list(cut_chunks(files))

    def read(chunk: pd.DataFrame) -> list[_Content]:
        large = [size > limits["maximum_file_mib"] * MIB for size in chunk["size_bytes"]]
        paths = [path for path, no in zip(chunk["path"], large, strict=True) if not no]
        opened = iter(image_batches.try_open(paths))
        return [
            _hash_content(NotRegularError(describe_size(size, limits)) if no else next(opened))
            for size, no in zip(chunk["size_bytes"], large, strict=True)
        ]

    with ThreadPoolExecutor(max_workers=1) as reader:
        ahead = [reader.submit(read, chunk) for chunk in chunks[:1]]
        for number, chunk in enumerate(chunks):
            contents = ahead.pop().result()
            ahead += [reader.submit(read, following) for following in chunks[number + 1 :][:1]]
            yield chunk, contents


def inspect_batch(
    image_batches: ImageBatches,
    batch: str,
    image_size_px: int,
    parameters: DataProcessingParameters,
    forgotten: Forgotten = NOBODY,
) -> Iterator[tuple[PixelShard, dict[str, pd.DataFrame]]]:
    """Yield the pixels of a batch, a shard at a time, and its inspections once it is done.

    Files of forgotten patients are removed, and counted in the manifest of the batch.

    Whatever goes wrong is this batch's affair. Where another try may mend it, the batch is left to
    the next run. Otherwise all of its files are refused for that reason.
    """
    empty = PixelShard.empty(image_size_px)
    pattern = compile_pattern(parameters["name_pattern"])
    try:
        spent_s = image_batches.read_manifest(batch).get("spent_s", 0.0)
        limits, place = parameters["arrival"], (image_batches.filesystem, image_batches.root)
        budget = Budget(limits, *place, spent_s)
        guard = _Guard(image_batches, batch, pattern, forgotten)
        guard.remove_named()
        files = image_batches.list_files(batch)
        logger.info("Batch '%s': %d files", batch, len(files))
        parts = []
        for found in inspect_files(image_batches, files, image_size_px, parameters):
            inspected, shard = guard.remove_seen(*found)
            parts.append(inspected)
            yield shard, {}
            budget.check_time()
            logger.info("Inspected %d of %d files", sum(map(len, parts)), len(files))
        yield empty, {batch: complete_inspections(parts, image_batches, batch, pattern, parameters)}
    except Exception as error:
        reason = describe_error(error)
        if is_passing(error):
            logger.warning("Batch '%s' is left to the next intake: %s", batch, reason)
            return
        logger.warning("Batch '%s' cannot be inspected: %s", batch, reason, exc_info=True)
        yield empty, {batch: _refuse_batch(image_batches, batch, image_size_px, reason)}


class _Guard:
    """Keeps the images of forgotten patients out of a batch."""

    def __init__(
        self,
        image_batches: ImageBatches,
        batch: str,
        pattern: re.Pattern[str],
        forgotten: Forgotten,
    ) -> None:
        self._image_batches, self._batch = image_batches, batch
        self._pattern, self._forgotten = pattern, forgotten

    def remove_named(self) -> None:
        """Remove the files whose names tell a forgotten patient."""
        if not self._forgotten.digests:  # nearly always
            return

        def owns(path: str) -> bool:
            return self._forgotten.knows(read_patient(posixpath.basename(path), self._pattern))

        self._purge(owns)

    def remove_seen(
        self, inspected: pd.DataFrame, shard: PixelShard
    ) -> tuple[pd.DataFrame, PixelShard]:
        """Remove images that tell no patient, and are themselves what is forgotten."""
        theirs = self._forgotten.select(inspected["image_id"])
        if not theirs:
            return inspected, shard
        gone = inspected["image_id"].isin(theirs)
        self._purge(set(inspected.loc[gone, "path"]).__contains__)
        kept = [place for place, one in enumerate(shard.image_ids) if one not in theirs]
        ids = [shard.image_ids[place] for place in kept]
        return inspected[~gone].reset_index(drop=True), PixelShard(ids, shard.pixels[kept])

    def _purge(self, owns: Callable[[str], bool]) -> None:
        if count := purge_batch(self._image_batches, self._batch, owns, self._forgotten.key):
            logger.warning(
                "Batch '%s': %d files of %s who were forgotten are left out, and removed",
                self._batch,
                count,
                words.current().groups,
            )


def inspect_files(
    image_batches: ImageBatches,
    files: pd.DataFrame,
    image_size_px: int,
    parameters: DataProcessingParameters,
) -> Iterator[tuple[pd.DataFrame, PixelShard]]:
    """Yield the inspections of some files, and the pixels of those that can be used.

    While one chunk is described and saved, the next one is decoded, and the one after it is read.
    """
    waiting: list[tuple[pd.DataFrame, Future[tuple[Any, list[str]]]]] = []
    with ThreadPoolExecutor(max_workers=1) as decoder:
        for chunk, contents in _read_ahead(image_batches, files, parameters["arrival"]):
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
    """Return the files with `image_id`, `width`, `height`, and `refusal` as far as headers tell."""
    limits = (parameters["minimum_image_side_px"], parameters["maximum_image_pixels"])
    with warnings.catch_warnings():
        # This project has a size limit of its own, checked before anything is decoded.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        found = [inspect_header(content.data, *limits) for content in contents]
    labels = files["label"].tolist()
    return files.assign(
        image_id=[content.image_id for content in contents],
        width=[width for width, _, _ in found],
        height=[height for _, height, _ in found],
        refusal=[
            refuse_folder(label, parameters["classes"]) or refusal + content.fault
            for label, (_, _, refusal), content in zip(labels, found, contents, strict=True)
        ],
    )


def _describe_chunk(
    table: pd.DataFrame, decoding: Future[tuple[Any, list[str]]], image_size_px: int
) -> tuple[pd.DataFrame, PixelShard]:
    """Add what the pixels tell to a table of inspected files; return it and the pixels."""
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


def complete_inspections(
    parts: Sequence[pd.DataFrame],
    image_batches: ImageBatches,
    batch: str,
    pattern: re.Pattern[str],
    parameters: DataProcessingParameters,
) -> pd.DataFrame:
    """Join the parts of a batch, and add the patient, the date and who labelled each image."""
    columns = [*FILE_COLUMNS, *statistic.STATISTICS]
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
    except DataError as error:  # the screening quarantines the batch for it
        logger.warning("%s", error)
        return table
    if labelled.empty or table.empty:
        return table
    found = labelled.reindex(table["image_name"]).fillna("")
    return table.assign(**{str(name): values.tolist() for name, values in found.items()})


def _refuse_batch(
    image_batches: ImageBatches, batch: str, image_size_px: int, reason: str
) -> pd.DataFrame:
    """Return the inspections of a batch none of whose files can be used, for one reason."""
    try:
        files = image_batches.list_files(batch)
    except Exception:
        logger.warning("The files of batch '%s' cannot be listed", batch, exc_info=True)
        files = pd.DataFrame([[f"{batch}/", "", "", 0]], columns=FILE_COLUMNS[:4])
    return files.assign(
        image_id=hashlib.sha256(b"").hexdigest(),
        width=0,
        height=0,
        refusal=f"the batch cannot be inspected: {reason}",
        packed_px=image_size_px,
        **dict.fromkeys(statistic.STATISTICS, np.nan),
        **dict.fromkeys(["patient", "captured_on", "labelled_by", "labelled_on"], ""),
        batch=batch,
        first_seen=datetime.now(UTC).isoformat(timespec="seconds"),
    )
