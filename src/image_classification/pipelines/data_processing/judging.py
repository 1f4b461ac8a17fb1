"""May a batch join the training set? Contract, drift, and what the champion says of labels."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from image_classification import vision
from image_classification.configuration.parameters import DataProcessingParameters
from image_classification.datasets import (
    BatchTables,
    ImageBatches,
    PackedPixels,
    RegisteredNetwork,
)
from image_classification.datasets.fault import describe_error
from image_classification.datasets.folder import CLOSED_FOLDER, describe_left_out
from image_classification.datasets.label import LABEL_COLUMNS
from image_classification.errors import DataError
from image_classification.intake import contract, index, screening, statistic
from image_classification.intake.admission import sample_patients
from image_classification.intake.tally import describe_refused
from image_classification.text import escape_text

logger = logging.getLogger(__name__)

REFERENCE_IMAGES = 3000
"""A batch is compared with about this many accepted images: enough to know the patients, and
quickly scored."""

REFERENCE_COLUMNS = ["image_id", "path", "label", "patient", *statistic.STATISTICS]

CHUNK_IMAGES = 2048
"""Images that the champion looks at together: this bounds memory."""

MAXIMUM_SUSPECTS = 24
"""At most this many images are shown to a reviewer."""

UNJUDGED = "It cannot be judged: {}. The next intake tries again (see the log of screen_batches)."

NO_INSPECTIONS = pd.DataFrame(
    columns=["image_id", "path", "label", "patient", "refusal"], dtype=str
)
"""Those of a batch that cannot be read."""

CLOSED = (
    "{} folders cannot be opened by the user of the intake, the first is '{}'. Give read access "
    "(chmod -R a+rX), reject this batch, and deliver it again."
)


class Judge:
    """Screens batches against the images accepted so far."""

    def __init__(
        self,
        images: pd.DataFrame,
        image_batches: ImageBatches,
        pixels: PackedPixels,
        champion: RegisteredNetwork | None,
        parameters: DataProcessingParameters,
    ) -> None:
        """Look at a sample of the accepted images with the champion."""
        self._batches = image_batches
        self._pixels = pixels
        self._champion = champion
        self._parameters = parameters
        columns = images.columns.intersection(REFERENCE_COLUMNS)  # an empty log has fewer
        accepted = images.loc[images["status"] == index.ACCEPTED, columns]
        self._reference = self._gather(self._drop_lost(sample_patients(accepted, REFERENCE_IMAGES)))

    def screen(
        self, batch: str, image_inspections: BatchTables
    ) -> tuple[dict[str, Any], pd.DataFrame]:
        """Return the record of one batch, and its usable images.

        Args:
            batch: its name.
            image_inspections: holds a row per file of the batch.

        Returns:
            The record: `verdict` (accepted, held or quarantined), `reasons` and `notes`
            (sentences), `numbers`, counts of `files`, `images` and `patients`, `suspects` (the most
            suspicious images), `champion` (the version that looked at it, or None) and
            `screened_at`. A batch that cannot be judged is `waiting`, with the error: the next run
            judges it again.
        """
        inspections = NO_INSPECTIONS
        try:
            inspections = image_inspections.read(batch)
            return self._screen(batch, inspections), index.select_usable(inspections)
        except Exception as error:
            logger.warning("Batch '%s' cannot be judged", batch, exc_info=True)
            nothing = screening.Screening(
                held=False, reasons=[], notes=[], numbers={}, suspicion=np.zeros(0)
            )
            reasons = [UNJUDGED.format(describe_error(error))]
            record = self._record(inspections, nothing, verdict="waiting", reasons=reasons)
            return record, index.select_usable(inspections)

    def _screen(self, batch: str, inspections: pd.DataFrame) -> dict[str, Any]:
        usable = index.select_usable(inspections)
        labels, faults = self._read_labels(batch)
        breaches = self._find_breaches(batch, inspections) + faults
        left_out = self._batches.list_left_out(batch)
        if closed := left_out.get(CLOSED_FOLDER):
            breaches.append(CLOSED.format(len(closed), escape_text(closed[0])))
        evidence = self._gather(usable)
        found = screening.screen_batch(evidence, self._reference, self._parameters["screening"])
        verdict = "quarantined" if breaches else "held" if found.held else "accepted"
        record = self._record(
            inspections, found, verdict=verdict, reasons=[*breaches, *found.reasons]
        )
        notes = [
            *describe_refused(inspections),
            *describe_left_out(left_out),
            *_name_missing(labels, inspections),
        ]
        return record | {
            "notes": [*record["notes"], *notes],
            "left_out": {kind: len(paths) for kind, paths in left_out.items()},
            "depositor": self._batches.read_depositor(batch),
        }

    def _record(
        self,
        inspections: pd.DataFrame,
        found: screening.Screening,
        *,
        verdict: str,
        reasons: list[str],
    ) -> dict[str, Any]:
        usable = index.select_usable(inspections)
        order = found.suspicion.argsort()[::-1][:MAXIMUM_SUSPECTS]
        suspects = usable[["image_id", "path", "label", "patient"]].iloc[order]
        return {
            "verdict": verdict,
            "reasons": reasons,
            "notes": found.notes,
            "numbers": found.numbers,
            "files": len(inspections),
            "refused": int((inspections["refusal"] != "").sum()),
            "images": len(usable),
            "patients": int(usable["patient"].nunique()),
            "suspects": suspects.to_dict("records"),
            "champion": self._champion.version if self._champion else None,
            "screened_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    def _find_breaches(self, batch: str, inspections: pd.DataFrame) -> list[str]:
        """Return in which ways a batch by itself breaks the contract."""
        if fault := self._batches.read_manifest(batch).get("fault"):
            return [fault]
        return contract.check_batch(
            inspections, self._parameters["classes"], self._parameters["contract"]
        )

    def _read_labels(self, batch: str) -> tuple[pd.DataFrame, list[str]]:
        """Return the table of labels of a batch, and why it cannot be read."""
        try:
            return self._batches.read_labels(batch), []
        except DataError as error:
            return pd.DataFrame(columns=LABEL_COLUMNS, dtype=str), [str(error)]

    def _gather(self, images: pd.DataFrame) -> screening.Evidence:
        """Look at images with the champion, if there is one."""
        if self._champion is None or images.empty:
            return screening.Evidence(images)
        network = self._champion.network
        seen = [
            vision.embed_pixels(
                network, self._read_pixels(images.iloc[start : start + CHUNK_IMAGES])
            )
            for start in range(0, len(images), CHUNK_IMAGES)
        ]
        probabilities, embeddings = (np.concatenate(part) for part in zip(*seen, strict=True))
        return screening.Evidence(images, self._champion.class_names, embeddings, probabilities)

    def _drop_lost(self, images: pd.DataFrame) -> pd.DataFrame:
        """Return images without those whose files the champion needs and nobody can read."""
        size_px = self._champion.network.input_shape[1] if self._champion else 0
        ids = images["image_id"].tolist()
        if self._champion is None or self._pixels.image_ids(size_px).issuperset(ids):
            return images
        lost = [content is None for content in self._batches.try_read_images(images)]
        for path in images["path"][lost]:
            logger.warning(
                "'%s' is not compared with: it is gone, or was changed. Restore it", path
            )
        return images[~np.array(lost)]

    def _read_pixels(self, images: pd.DataFrame) -> npt.NDArray[np.uint8]:
        """Return pixels at the champion's size: the packed ones, or else decoded from the files."""
        size_px = self._champion.network.input_shape[1] if self._champion else 0
        ids = images["image_id"].tolist()
        if self._pixels.image_ids(size_px).issuperset(ids):
            return self._pixels.read(ids, size_px)
        paths = images["path"].tolist()
        pixels, reasons = vision.decode_sound_images(self._batches.read_images(images), size_px)
        for path, reason in zip(paths, reasons, strict=True):
            if reason:  # of an image accepted before such ones were refused: no night stops for it
                logger.warning("'%s' is judged as if it were black: %s", path, reason)
        return pixels


def _name_missing(labels: pd.DataFrame, inspections: pd.DataFrame) -> list[str]:
    """Say how many rows of the table of labels are of no image of the batch."""
    named = labels["image_name"]
    missing = named[~named.isin(inspections["image_name"])]
    if missing.empty:
        return []
    first = escape_text(missing.iloc[0])
    count = f"{len(missing)} rows of labels.csv that name no image of the batch"
    return [f"Left out: {count}, the first is '{first}'."]
