"""What went wrong with a file: for how long, in one line, and what to do."""

from __future__ import annotations

import errno

from image_classification.errors import DataError
from image_classification.text import escape_text

LASTING_ERRNOS = frozenset(
    {
        errno.EACCES,
        errno.EEXIST,
        errno.EILSEQ,
        errno.EINVAL,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENODEV,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.ENXIO,
        errno.EPERM,
    }
)
"""Errors of a file system that lie in what was delivered. All others lie in the machine, the disk
or the network: trying again may mend them."""

PASSING_ERRORS = (ConnectionError, TimeoutError, InterruptedError, MemoryError)

NETWORK_PACKAGES = frozenset(
    {"aiobotocore", "aiohttp", "azure", "botocore", "gcsfs", "google", "requests", "s3fs"}
)
"""Packages that speak with object stores: their own errors are those of a network."""

LASTING_STATUSES = frozenset({400, 401, 403, 404, 405, 410})
"""What a store answers that will answer the same. Azure's package hands it on as `status_code`."""


REMEDY = (
    "Run 'image-classification check', which looks over the whole storage, and then 'check "
    "--repair'."
)
"""For a file that cannot be read any more."""


def is_passing(error: BaseException) -> bool:
    """Return whether another try may succeed: nothing is said against what was delivered."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno not in LASTING_ERRNOS
    if getattr(error, "status_code", None) in LASTING_STATUSES:
        return False
    package = type(error).__module__.partition(".")[0]
    return isinstance(error, PASSING_ERRORS) or package in NETWORK_PACKAGES


def describe_error(error: BaseException) -> str:
    """Return an error in one line, without a full stop; its kind where it says nothing."""
    text = " ".join(str(error).split()) or type(error).__name__
    return escape_text(text.rstrip("."))


def explain_damage(path: str, error: Exception) -> DataError:
    """Return the error of a file that cannot be read: which, why, and what to do."""
    said = describe_error(error)
    return DataError(f"'{path}' is damaged, perhaps by a power cut: {said}. {REMEDY}")
