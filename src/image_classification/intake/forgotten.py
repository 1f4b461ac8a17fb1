"""Patients who are to be forgotten: known by a keyed digest of their name alone."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass

PURPOSE = b"forgotten:"
"""Keeps these digests apart from the pseudonyms of the ledger, which the same key makes."""

LEFT_OUT = "forgotten"
"""Why a file of a batch is left out: its patient is forgotten. The kind tells no name."""


def digest_patient(patient: str, key: bytes) -> str:
    """Return the digest of a patient's name, 64 hex digits; without the key nobody can try names.

    Args:
        patient: the name; of an image that tells no patient, the sha256 of its file.
        key: of the storage.
    """
    return hmac.new(key, PURPOSE + patient.encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Forgotten:
    """The patients who are forgotten.

    Attributes:
        digests: of their names, as `digest_patient` makes them.
        key: of the storage.
    """

    digests: frozenset[str] = frozenset()
    key: bytes = b""

    def knows(self, patient: str) -> bool:
        """Return whether a patient is one of them."""
        return bool(self.digests) and digest_patient(patient, self.key) in self.digests

    def select(self, patients: Iterable[str]) -> set[str]:
        """Return those patients who are among them."""
        if not self.digests:  # nearly always
            return set()
        return {patient for patient in set(patients) if self.knows(patient)}


NOBODY = Forgotten()
