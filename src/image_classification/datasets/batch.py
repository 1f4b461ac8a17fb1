"""Batches that were taken in: where their images are kept, as they arrived."""

from __future__ import annotations

import json
import logging
import os
import posixpath
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import fsspec
import pandas as pd

from image_classification.datasets.arrival import (
    MANIFEST,
    MARKERS,
    IncomingBatch,
    list_taken,
)
from image_classification.datasets.cache import has_digest, read_by_digest
from image_classification.datasets.dataset import FilesystemDataset
from image_classification.datasets.depositor import find_depositor, is_own
from image_classification.datasets.fault import describe_error, is_passing
from image_classification.datasets.file import (
    PARTIAL,
    NotRegularError,
    exists,
    is_local,
    read_file,
    write_whole,
)
from image_classification.datasets.folder import (
    list_images,
    list_left_out,
    may_pass,
    read_files,
    try_read_files,
)
from image_classification.datasets.label import LABEL_COLUMNS, find_labels, read_labels
from image_classification.datasets.neighbour import MARK
from image_classification.datasets.removal import remove_taken
from image_classification.datasets.taken import Deliveries, Delivery, leave_out_taken
from image_classification.datasets.transfer import Transfer, measure
from image_classification.errors import DataError
from image_classification.intake.forgotten import LEFT_OUT
from image_classification.text import escape_text

logger = logging.getLogger(__name__)

NOT_READ = "image of a batch that is not read"


@dataclass(frozen=True)
class ImageBatches:
    """The batches taken in, read when asked for.

    Attributes:
        root: the folder that holds a folder per batch.
    """

    root: str
    filesystem: fsspec.AbstractFileSystem

    def names(self) -> list[str]:
        """Return the names of all batches, sorted."""
        return list_taken(self.filesystem, self.root)

    def read_manifest(self, batch: str) -> dict[str, Any]:
        """Return when a batch was taken in (`taken_at`, ISO 8601, UTC), and its `fault`, if any."""
        path = posixpath.join(self.root, batch, MANIFEST)
        manifest: dict[str, Any] = json.loads(self.filesystem.cat_file(path))
        return manifest

    def read_depositor(self, batch: str) -> int | None:
        """Return the uid of who has delivered a batch, or None: see `find_depositor`."""
        uid: int | None = self.read_manifest(batch).get("depositor")  # an older release noted none
        if is_local(self.filesystem) and not is_own(posixpath.join(self.root, batch, MANIFEST)):
            return None
        return uid

    def list_files(self, batch: str) -> pd.DataFrame:
        """Return one row per image file of a batch, as `list_images`; paths below `root`.

        Of a batch with a `fault` nothing is to be read: it has no rows.
        """
        manifest = self._try_read_manifest(batch)
        files = self._list_images(batch, manifest)
        return files.head(0) if "fault" in manifest else files

    def list_left_out(self, batch: str) -> dict[str, list[str]]:
        """Return the files of a batch that are no images, by kind, without the system's own."""
        folder, manifest = posixpath.join(self.root, batch), self._try_read_manifest(batch)
        found = list_left_out(self.filesystem, folder, manifest.get("not_copied"))
        own = {*MARKERS, find_labels(self.filesystem, folder)}
        left = {kind: [path for path in paths if path not in own] for kind, paths in found.items()}
        if "fault" in manifest:
            images = self._list_images(batch, manifest)["path"]
            left[NOT_READ] = images.str.removeprefix(f"{batch}/").tolist()
        left[LEFT_OUT] = manifest.get(LEFT_OUT, [])
        return {kind: paths for kind, paths in left.items() if paths}

    def list_not_copied(self, batch: str) -> dict[str, str]:
        """Return what of a batch was delivered and has no copy, and why, by path below it."""
        not_copied: dict[str, str] = self._try_read_manifest(batch).get("not_copied", {})
        return not_copied

    def _list_images(self, batch: str, manifest: Mapping[str, Any]) -> pd.DataFrame:
        folder = posixpath.join(self.root, batch)
        files, _ = list_images(self.filesystem, folder, manifest.get("not_copied"))
        return files.assign(path=batch + "/" + files["path"].astype(str))

    def _try_read_manifest(self, batch: str) -> dict[str, Any]:
        try:
            return self.read_manifest(batch)
        except FileNotFoundError:
            return {}

    def read_labels(self, batch: str) -> pd.DataFrame:
        """Return who labelled which image of a batch, and when: the batch's `labels.csv`.

        Returns:
            Columns `image_name`, `labelled_by`, `labelled_on`, all str, one row per name; no rows
            where the batch has no such file.

        Raises:
            DataError: the file cannot be read, or has other columns.
        """
        folder = posixpath.join(self.root, batch)
        found = find_labels(self.filesystem, posixpath.join(self.root, batch))
        if found is None:
            return pd.DataFrame(columns=LABEL_COLUMNS, dtype=str)
        place = posixpath.join(folder, found)
        return read_labels(lambda: read_file(self.filesystem, place, folder), batch)

    def read(self, paths: Sequence[str]) -> list[bytes]:
        """Return the content of files, by their path below `root`, in order.

        Raises:
            DataError: a file cannot be read.
        """
        return read_files(self.filesystem, self.root, paths, apart=True)

    def read_images(self, images: pd.DataFrame) -> list[bytes]:
        """Return the content of images that the index knows, in order.

        Args:
            images: with the columns `path` and `image_id`, the sha256 of the content.

        Raises:
            DataError: a file cannot be read, or is not what was indexed.
        """
        paths = images["path"].tolist()
        contents = read_by_digest(
            self.filesystem,
            images["image_id"].tolist(),
            lambda places: self.read([paths[place] for place in places]),
        )
        same = [has_digest(*pair) for pair in zip(contents, images["image_id"], strict=True)]
        if not all(same):
            first = escape_text(paths[same.index(False)])
            raise DataError(
                f"{same.count(False)} of {len(paths)} images are not what was taken in and "
                f"indexed: their files were changed since (first: '{first}'). Restore them from a "
                "backup, or reject their batch (image-classification review) and deliver it again."
            )
        return contents

    def try_read_images(self, images: pd.DataFrame) -> list[bytes | None]:
        """Return the content of images as `read_images` does; None where a file is gone or changed.

        Raises:
            OSError: a file cannot be read for another reason, such as a network that is down.
        """
        contents = self.try_read(images["path"].tolist())
        return [
            content if content is not None and has_digest(content, image_id) else None
            for content, image_id in zip(contents, images["image_id"], strict=True)
        ]

    def try_read(self, paths: Sequence[str]) -> list[bytes | None]:
        """Return the content of files as `read` does, or None for a file that is missing or closed.

        Raises:
            OSError: a file cannot be read for another reason, such as a network that is down.
        """
        contents = self.try_open(paths)
        return [content if isinstance(content, bytes) else None for content in contents]

    def try_open(self, paths: Sequence[str]) -> list[bytes | OSError]:
        """Return the content of files as `try_read` does, or why one is not read."""
        contents = try_read_files(self.filesystem, self.root, paths, apart=True)
        not_copied = cache(self.list_not_copied)  # of a batch it may be a long list
        for place, content in enumerate(contents):
            if isinstance(content, OSError) and may_pass(content):
                raise content
            if isinstance(content, FileNotFoundError):
                batch, _, path = paths[place].partition("/")
                if kind := not_copied(batch).get(path):
                    reason = kind if kind.startswith("it is ") else f"it is a {kind}"
                    contents[place] = NotRegularError(reason)
        return contents


class ImageBatchesDataset(FilesystemDataset[IncomingBatch, ImageBatches]):
    """The folder of the batches taken in. Saving a batch moves it here from the incoming folder.

    On one disk the move is a rename. Otherwise the files are copied, the manifest is written, and
    only then is the original removed. If a save is killed, the next one goes on where it stopped.
    """

    @property
    def _deliveries(self) -> Deliveries:
        return Deliveries(self._filesystem, self._root)

    def load(self) -> ImageBatches:
        """Return the batches; nothing is listed yet."""
        return ImageBatches(self._root, self._filesystem)

    def save(self, data: IncomingBatch) -> None:
        """Take a batch in: move it here.

        A batch whose name another one has already gets a number behind its name. A zip that cannot
        be unpacked is taken in as it is, with its `fault` in the manifest. A batch that cannot be
        taken in stays where it is, which is logged: the others of the night do not wait for it.
        """
        batch = leave_out_taken(data, self._deliveries.read(data))
        try:
            self._move(batch)
        except Exception as error:
            fault = describe_error(error)
            logger.warning(
                "Batch '%s' stays in the incoming folder, at least in part, and the next intake "
                "tries again: %s. Whoever delivered it may have to give read and write access",
                escape_text(data.delivered_as),
                fault,
                exc_info=not isinstance(error, OSError | DataError),
            )
            if not is_passing(error):
                self._remember(data, fault)

    def _move(self, batch: IncomingBatch) -> None:
        """Take in what is new of a delivery, and remove all of it that was taken in."""
        known = batch.known or Delivery()
        if not batch.is_left:
            began = time.time()
            name, is_known = self._find_place(batch)
            is_gone = not is_known and self._take_in(batch, name)
            logger.info("Took in batch '%s'", name)
            if is_gone:
                self._deliveries.forget(batch)
                return
            # What is left to be removed is written down here, where no depositor can write.
            taken = {path: [size, batch.carried.get(path)] for path, size in batch.files.items()}
            kept = known.kept | self.load().list_not_copied(name)
            known = Delivery(known.files | taken, began, name, kept=kept)
            self._deliveries.write(batch, known)
        copies = self._locate(known.batch) if known.batch and is_local(self._filesystem) else None
        if left := remove_taken(batch, known, copies):
            path, reason = next(iter(left.items()))
            raise DataError(f"'{escape_text(path)}' {reason}")
        self._deliveries.forget(batch)

    def _remember(self, batch: IncomingBatch, fault: str) -> None:
        """Remember why a batch stays where it is."""
        with suppress(OSError):  # the disk may be full: then each look is a try
            known = self._deliveries.read(batch) or Delivery()
            self._deliveries.write(batch, replace(known, fault=fault, seen=batch.seen))

    def _find_place(self, batch: IncomingBatch) -> tuple[str, bool]:
        """Return the batch's name here, and whether an interrupted save has copied all of it."""
        number, name = 1, batch.name
        while True:
            if exists(self._filesystem, self._locate(name, MANIFEST)):
                manifest = self.load().read_manifest(name)
                # Of one that was purged since, what lies here is another delivery.
                if manifest["delivery"] == batch.digest and LEFT_OUT not in manifest:
                    return name, True
            elif not exists(self._filesystem, self._locate(name, MARK)):
                return name, False
            number += 1
            name = f"{batch.name}-{number}"

    def _take_in(self, batch: IncomingBatch, name: str) -> bool:
        """Rename or copy a batch; return whether nothing of it is left where it was."""
        facts: dict[str, Any] = {
            "delivered_as": batch.delivered_as,
            "delivery": batch.digest,
            "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        total, fault = measure(batch)
        if is_local(batch.filesystem) and not fault:
            facts["depositor"] = find_depositor(batch.path)
        if self._rename(batch, name, _encode(facts | fault)):
            return True
        # On a disk it is written aside first, so that the folder of a batch is never half full.
        aside = f".{name}{PARTIAL}" if is_local(self._filesystem) else name
        facts |= Transfer(batch, self._filesystem, self._locate(aside)).run(total, fault)
        write_whole(self._filesystem, self._locate(aside, MANIFEST), _encode(facts))
        if aside != name:
            os.sync()  # once for all files: after a power cut, the original may be gone
            Path(self._locate(aside)).rename(self._locate(name))
        return False

    def _rename(self, batch: IncomingBatch, name: str, manifest: bytes) -> bool:
        """Move a folder by renaming it; return False if that is not possible."""
        if batch.is_zip or not (is_local(self._filesystem) and is_local(batch.filesystem)):
            return False
        # What stays somebody else's could be changed by them here: it is copied. So is what a
        # folder holds beside files that were taken in before.
        if batch.left or os.lstat(batch.path).st_uid != os.geteuid():
            return False
        Path(self._root).mkdir(parents=True, exist_ok=True)
        try:
            write_whole(batch.filesystem, posixpath.join(batch.path, MANIFEST), manifest)
            Path(batch.path).rename(self._locate(name))
        except OSError:  # another disk, or a folder of somebody else
            with suppress(OSError):
                Path(batch.path, MANIFEST).unlink()
            return False
        return True

    def _locate(self, *parts: str) -> str:
        return posixpath.join(self._root, *parts)


def _encode(manifest: Mapping[str, Any]) -> bytes:
    return json.dumps(manifest, indent=2).encode()
