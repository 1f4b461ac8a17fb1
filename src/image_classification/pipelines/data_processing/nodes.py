"""Image files to an index, splits and packed pixels."""

from __future__ import annotations

import hashlib
import io
import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pandas as pd
from PIL import Image, UnidentifiedImageError

from image_classification import vision
from image_classification.datasets import ImageFolder, PackedPixels, PixelShard
from image_classification.errors import ConfigurationError, DataError, name_near_misses
from image_classification.parameters import DataProcessingParameters

logger = logging.getLogger(__name__)

CHUNK_IMAGES = 2048
"""Images read, decoded and written together: bounds memory, and what a kill can lose."""

FILE_KEY = ["path", "size_bytes", "modified_at"]
NAME_GROUPS = ("patient", "captured_on")
INDEX_COLUMNS = [
    "image_id",
    "image_name",
    "path",
    "label",
    "patient",
    "captured_on",
    "width",
    "height",
]
QUARANTINE_COLUMNS = ["path", "label", "image_id", "reason"]


def index_images(
    raw_images: ImageFolder,
    known_inspections: pd.DataFrame,
    parameters: DataProcessingParameters,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """List every usable image once, and every refused one with its reason.

    Only files not known to be usable (same path, size and time) are read.

    Args:
        raw_images: the folder, one sub-folder per class.
        known_inspections: what earlier runs found, one row per file; may be empty.
        parameters: `data_processing`.

    Returns:
        The inspections (one row per file now in the folder), the image index (one row per
        content: `image_id` sha256, `image_name`, `path`, `label`, `patient`, `captured_on` ISO
        date or "", `width` and `height` in pixels), and the quarantine (`path`, `label`,
        `image_id`, `reason`).

    Raises:
        DataError: a class folder is unknown, fewer than two classes have images, or more than
            `maximum_refused_share` of the files are refused.
        ConfigurationError: `name_pattern` is not a regular expression, or has an unknown group.
    """
    pattern = _compile_pattern(parameters["name_pattern"])
    files = raw_images.files
    _check_labels(files["label"], parameters["classes"])
    if raw_images.ignored:
        logger.info("Ignored %d files that are not images by their suffix", raw_images.ignored)
    inspections = _inspect_files(raw_images, known_inspections, parameters)
    judged = _refuse_repeated_content(inspections)
    refused = judged["reason"] != ""
    quarantine = judged.loc[refused, QUARANTINE_COLUMNS].reset_index(drop=True)
    _check_refused_share(quarantine, len(judged), parameters["maximum_refused_share"])
    index = judged[~refused].reset_index(drop=True)
    _check_classes_remain(files["label"], index["label"])
    names = _read_names(index, pattern, parameters["captured_on_format"])
    index = index.join(names)[INDEX_COLUMNS]
    logger.info(
        "Indexed %d images of %d patients; %d files in quarantine",
        *(len(index), index["patient"].nunique(), len(quarantine)),
    )
    return inspections, index, quarantine


def assign_splits(
    image_index: pd.DataFrame, positive_class: str, parameters: DataProcessingParameters
) -> tuple[pd.DataFrame, list[str], dict[str, Any]]:
    """Put each patient into train, validation or test, for ever.

    The split depends on the patient's name and the salt alone, so a new night moves nobody.

    Args:
        image_index: of `index_images`.
        positive_class: the class that later measures are about; checked here, before any work.
        parameters: `data_processing`.

    Returns:
        The index with a column `split`, the class names in order, and a summary: images and
        patients by split and class, and `data_digest`, which changes when any image, label or
        split does.

    Raises:
        DataError: a class has no image in one of the splits.
        ConfigurationError: `positive_class` is not a class.
    """
    class_names = sorted(parameters["classes"] or image_index["label"].unique())
    if positive_class not in class_names:
        raise ConfigurationError(
            f"positive_class '{positive_class}' is not a class: allowed are "
            f"{', '.join(class_names)}.{name_near_misses(positive_class, class_names)}"
        )
    split_of = {
        patient: _split_patient(patient, parameters) for patient in image_index["patient"].unique()
    }
    splits = image_index.assign(split=image_index["patient"].map(split_of))
    _check_splits(splits, class_names)
    return splits, class_names, _summarise_splits(splits, class_names)


def pack_images(
    raw_images: ImageFolder,
    image_splits: pd.DataFrame,
    known_pixels: PackedPixels,
    image_size_px: int,
) -> Iterator[PixelShard]:
    """Decode and resize the images that are not packed at this size yet, a shard at a time.

    Args:
        raw_images: the folder that the images lie in.
        image_splits: of `assign_splits`.
        known_pixels: what earlier runs packed.
        image_size_px: side of the packed images, in pixels.

    Yields:
        Shards of at most `CHUNK_IMAGES` images, uint8.
    """
    new = image_splits[~image_splits["image_id"].isin(known_pixels.image_ids(image_size_px))]
    logger.info("%d of %d images are new at %d px", len(new), len(image_splits), image_size_px)
    for start in range(0, len(new), CHUNK_IMAGES):
        chunk = new.iloc[start : start + CHUNK_IMAGES]
        contents = raw_images.read(chunk["path"].tolist())
        yield PixelShard(chunk["image_id"].tolist(), vision.decode_images(contents, image_size_px))
        logger.info("Packed %d of %d images", start + len(chunk), len(new))


def _check_labels(labels: pd.Series, allowed: Sequence[str] | None) -> None:
    found = sorted(labels.unique())
    if "" in found:
        raise DataError(
            f"{(labels == '').sum()} images lie directly in the image folder: each must lie in the "
            "folder of its class."
        )
    if allowed is not None:
        for label in found:
            if label not in allowed:
                raise DataError(
                    f"Label folder '{label}' is not a class: data_processing.classes allows "
                    f"{', '.join(allowed)}.{name_near_misses(label, allowed)} Rename the folder, "
                    "or add the class to the parameter."
                )
    if len(found) < 2:
        raise DataError(
            f"Only one class has images: '{found[0]}'. A classifier needs two or more class "
            "folders with images."
        )


def _check_classes_remain(found: pd.Series, indexed: pd.Series) -> None:
    lost = sorted(set(found) - set(indexed))
    if lost:
        raise DataError(
            f"All images of the class '{lost[0]}' are refused: its {(found == lost[0]).sum()} "
            "files are no usable images, or lie in another class folder too. Mend or remove them."
        )


def _inspect_files(
    raw_images: ImageFolder, known: pd.DataFrame, parameters: DataProcessingParameters
) -> pd.DataFrame:
    """Return one row per file now in the folder, reading only files not known to be usable."""
    # The others anew: the limit that refused a file, or let it pass, may have been changed.
    within = known["width"] * known["height"] <= parameters["maximum_image_pixels"]
    known = known[(known["refusal"] == "") & within]
    known = known.drop(columns=["image_name", "label"], errors="ignore")
    merged = raw_images.files.merge(known, on=FILE_KEY, how="left")
    new = merged.index[merged["image_id"].isna()]
    logger.info("%d files, %d of them new", len(merged), len(new))
    columns = ["image_id", "width", "height", "refusal"]
    merged[columns] = merged[columns].astype(object)
    inspect = partial(_inspect_content, maximum_pixels=parameters["maximum_image_pixels"])
    for start in range(0, len(new), CHUNK_IMAGES):
        rows = new[start : start + CHUNK_IMAGES]
        contents = raw_images.read(merged.loc[rows, "path"].tolist())
        # Around the threads, not in each: the filters are those of the process. The size limit
        # is ours, checked before anything is decoded.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with ThreadPoolExecutor() as pool:
                found = list(pool.map(inspect, contents))
        merged.loc[rows, columns] = pd.DataFrame(found, columns=columns, index=rows, dtype=object)
        logger.info("Inspected %d of %d new files", start + len(rows), len(new))
    return merged.astype({"image_id": str, "width": int, "height": int, "refusal": str})


def _inspect_content(content: bytes, maximum_pixels: int) -> tuple[str, int, int, str]:
    """Return sha256, width, height and the reason to refuse the file, "" for none."""
    image_id = hashlib.sha256(content).hexdigest()
    if not content:
        return image_id, 0, 0, "the file is empty (0 bytes)"
    try:
        with Image.open(io.BytesIO(content)) as image:
            width, height, mode, kind = *image.size, image.mode, image.format
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        return image_id, 0, 0, f"the file cannot be read as an image: {_one_line(error)}"
    if width * height > maximum_pixels:
        reason = f"{width} x {height} pixels: at most {maximum_pixels} pixels are allowed"
    elif kind not in ("PNG", "JPEG", "BMP"):
        reason = f"the format is {kind}: PNG, JPEG and BMP are allowed"
    elif mode != "RGB":
        reason = f"the colour mode is {mode}: RGB is allowed"
    else:
        reason = vision.find_decoding_error(content)
    return image_id, width, height, reason


def _refuse_repeated_content(inspections: pd.DataFrame) -> pd.DataFrame:
    """Add the column `reason`: count each content once, and none that has two labels."""
    reason = inspections["refusal"].copy()
    usable = inspections[inspections["refusal"] == ""]
    repeated = usable[usable["image_id"].duplicated(keep=False)]
    for _, group in repeated.groupby("image_id"):
        if group["label"].nunique() > 1:
            paths = ", ".join(group["path"])
            reason[group.index] = f"the same image has more than one label: {paths}"
        else:
            reason[group.index[1:]] = f"duplicate of {group['path'].iloc[0]}"
    return inspections.assign(reason=reason)


def _check_refused_share(quarantine: pd.DataFrame, file_count: int, maximum: float) -> None:
    refused = quarantine[~quarantine["reason"].str.startswith("duplicate of")]
    if len(refused) <= maximum * file_count:
        for path, reason in refused[["path", "reason"]].head(20).itertuples(index=False):
            logger.warning("Refused %s: %s", path, reason)
        return
    examples = "\n".join(
        f"  - {path}: {reason}"
        for path, reason in refused[["path", "reason"]].head(10).itertuples(index=False)
    )
    raise DataError(
        f"{len(refused)} of {file_count} images are refused, more than the allowed share of "
        f"{maximum:.1%} (data_processing.maximum_refused_share). Mend or remove them:\n{examples}"
    )


def _compile_pattern(name_pattern: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(name_pattern)
    except re.error as error:
        raise ConfigurationError(
            f"data_processing.name_pattern is not a regular expression: {error}. Received: "
            f"{name_pattern!r}."
        ) from None
    for group in pattern.groupindex:
        # Unnoticed, a misspelt `patient` would put images of one patient into several splits.
        if group not in NAME_GROUPS:
            raise ConfigurationError(
                f"data_processing.name_pattern has an unknown group '{group}': allowed are "
                f"{', '.join(NAME_GROUPS)}.{name_near_misses(group, NAME_GROUPS)}"
            )
    return pattern


def _read_names(index: pd.DataFrame, pattern: re.Pattern[str], date_format: str) -> pd.DataFrame:
    """Return `patient` and `captured_on` of each image from its name."""
    rows = [
        _read_name(name, path, pattern, date_format)
        for name, path in zip(index["image_name"], index["path"], strict=True)
    ]
    return pd.DataFrame(rows, columns=["patient", "captured_on"], index=index.index)


def _read_name(name: str, path: str, pattern: re.Pattern[str], date_format: str) -> tuple[str, str]:
    match = pattern.match(name)
    found: Mapping[str, str | None] = match.groupdict() if match else {}
    date = found.get("captured_on")
    try:
        captured_on = (
            datetime.strptime(date, date_format).replace(tzinfo=UTC).date().isoformat()
            if date
            else ""
        )
    except ValueError:
        captured_on = ""
    # A file whose name tells no patient is a group of its own.
    return found.get("patient") or path, captured_on


def _split_patient(patient: str, parameters: DataProcessingParameters) -> str:
    digest = hashlib.sha256(f"{parameters['split_salt']}/{patient}".encode()).digest()
    place = int.from_bytes(digest[:8]) / 2**64
    if place < parameters["test_share"]:
        return "test"
    if place < parameters["test_share"] + parameters["validation_share"]:
        return "validation"
    return "train"


def _check_splits(splits: pd.DataFrame, class_names: Sequence[str]) -> None:
    for name in class_names:
        images = splits[splits["label"] == name]
        patients = images["patient"].nunique()
        missing = [
            split for split in ("train", "validation", "test") if split not in set(images["split"])
        ]
        if missing:
            raise DataError(
                f"Class '{name}' has no image in the split {' and '.join(missing)}: its "
                f"{len(images)} images are of {patients} patients, and a patient belongs to one "
                "split. Add patients of this class, or change data_processing.split_salt or the "
                "shares before the first training."
            )


def _summarise_splits(splits: pd.DataFrame, class_names: Sequence[str]) -> dict[str, Any]:
    keys = splits["image_id"] + " " + splits["label"] + " " + splits["split"]
    digest = hashlib.sha256("\n".join(sorted(keys)).encode()).hexdigest()
    return {
        "data_digest": digest,
        "images": len(splits),
        "patients": int(splits["patient"].nunique()),
        "captured_until": max(splits["captured_on"], default=""),
        "splits": {
            split: {
                "images": len(rows),
                "patients": int(rows["patient"].nunique()),
                "classes": {name: int((rows["label"] == name).sum()) for name in class_names},
            }
            for split, rows in splits.groupby("split")
        },
    }


def _one_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
