"""The storage root on an object store: is the store one that can be relied on?"""

from __future__ import annotations

from image_classification.datasets.fault import describe_error, is_passing
from image_classification.datasets.file import (
    create_file,
    is_local,
    list_entries,
    open_filesystem,
)
from image_classification.errors import ConfigurationError

TRIAL = ".written-once"
"""File of the storage root that is created once. Who can create it again is on the wrong store."""

EXTRAS = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gcs",
    "gcs": "gcs",
    "az": "azure",
    "abfs": "azure",
    "abfss": "azure",
}
"""The extra of this package that holds what each protocol needs."""


def check_store(root: str) -> None:
    """Refuse an object store that does not keep the condition of a write, or lists it late.

    Locks, the ledger and its numbers rest on files that are created once. Of a store that ignores
    the condition, each writer would be told that it was the first. What is known is read from
    lists: they have to name at once what was written. A folder needs no trial.

    Args:
        root: of the storage, a folder or an fsspec URL.

    Raises:
        ConfigurationError: it ignores the condition, its lists lag behind, it cannot be written to,
            or its package is not installed.
    """
    try:
        filesystem, path = open_filesystem(root)
    except (ImportError, ValueError) as error:
        raise ConfigurationError(_explain_protocol(root, error)) from error
    if is_local(filesystem):
        return
    try:
        for _ in range(2):
            create_file(filesystem, f"{path}/{TRIAL}", b"This file is created once.\n")
    except FileExistsError:
        names = [entry["name"] for entry in list_entries(filesystem, path)]
        if f"{path}/{TRIAL}" not in names:
            raise ConfigurationError(
                f"The storage cannot lie at '{root}': a file that was written is in no list of "
                "this store yet. Use one whose lists do not lag behind (S3, Google Cloud Storage, "
                "Azure), or a folder."
            ) from None
        return
    except Exception as error:
        if is_passing(error) and "Credential" not in type(error).__name__:
            raise
        raise ConfigurationError(
            f"Nothing can be written to the storage '{root}': {describe_error(error)}. Correct "
            "IMAGE_CLASSIFICATION_STORAGE, make the bucket, or give its credentials the right to "
            "list, read, write and delete."
        ) from error
    raise ConfigurationError(
        f"The storage cannot lie at '{root}': this store let the same file be created twice. So "
        "two runs could promote at once. Use one that keeps conditional writes (S3, Google Cloud "
        "Storage, Azure), or a folder."
    )


def _explain_protocol(root: str, error: Exception) -> str:
    protocol = root.partition("://")[0]
    extra = EXTRAS.get(protocol)
    if extra is None:
        known = ", ".join(f"{name}://" for name in EXTRAS)
        return f"The storage '{root}' is no folder, and none of {known}: {describe_error(error)}."
    return (
        f"The storage '{root}' needs a package that is not installed: pip install "
        f"'image-classification[{extra}]'."
    )
