"""Places that images may be read from: folders, and prefixes of URLs."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from urllib.parse import unquote

from image_classification.datasets.file import decode_name

LOCAL_PROTOCOLS = ("file", "local")
LONGEST_PLACE = 8192
"""No file has a longer path, and what is encoded again and again takes time to be decoded."""

UNCLEAR = re.compile(r"[\x00-\x1f\x7f\\]")
"""Characters that one program passes over in a URL, and another does not."""


def find_local_path(place: str) -> str | None:
    """Return the local path that a path or URL names, None where it is elsewhere."""
    protocol, separator, rest = place.partition("://")
    if not protocol or not separator:
        return place
    return rest if protocol.lower() in LOCAL_PROTOCOLS and "::" not in place else None


def find_allowed(place: str, allowed: Sequence[str]) -> str | None:
    """Return the first of the allowed places that holds this one, or is it; None if none does.

    Of local places all links are followed, and the result is the real path of the folder. A URL
    must begin with an allowed one, up to a "/", and must neither lead out of it nor chain another
    (``zip://…::file://…``).
    """
    canonical = _canonise(place)
    roots = filter(None, map(_canonise, allowed))
    return next((root for root in roots if canonical and _holds(root, canonical)), None)


def _holds(root: str, place: str) -> bool:
    return place == root or place.startswith(f"{root.rstrip('/')}/")


def _canonise(place: str) -> str:
    """Return a form in which places can be compared; "" for what has none."""
    if len(place) > LONGEST_PLACE:
        return ""
    path = find_local_path(place)
    if path is not None:
        return "" if "\0" in path else os.path.realpath(decode_name(path))
    if "::" in place or UNCLEAR.search(place):
        return ""
    protocol, _, rest = place.partition("://")
    plain = rest
    while (decoded := unquote(plain)) != plain:
        plain = decoded
    if ".." in re.split(r"[/\\?]", plain):
        return ""
    host, separator, below = rest.lstrip("/").partition("/")
    below = re.sub("/+", "/", below)
    return f"{protocol.lower()}://{host.lower()}{separator}{below}".rstrip("/")
