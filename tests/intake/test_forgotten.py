"""Patients who are forgotten are known by keyed digests of their names."""

from __future__ import annotations

from image_classification.intake.forgotten import NOBODY, Forgotten, digest_patient

KEY = b"key of this storage"


def test_a_patient_is_known_by_a_digest_that_needs_the_key() -> None:
    digest = digest_patient("C5", KEY)
    assert "C5" not in digest
    assert len(digest) == 64
    assert digest != digest_patient("C5", b"another key")
    forgotten = Forgotten(frozenset({digest}), KEY)
    assert forgotten.knows("C5")
    assert not forgotten.knows("C50")
    assert forgotten.select(["C5", "C6", "C5"]) == {"C5"}


def test_where_nobody_is_forgotten_no_key_is_asked_for() -> None:
    assert not NOBODY.knows("C5")
    assert NOBODY.select(["C5"]) == set()
