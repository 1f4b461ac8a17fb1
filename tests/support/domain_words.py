"""Words that only one project may use: the one that is shipped, about malaria."""

from __future__ import annotations

import re

DOMAIN = re.compile(
    r"\b(patients?|cells?|malaria|parasitized|uninfected|blood|smears?)\b", re.IGNORECASE
)
