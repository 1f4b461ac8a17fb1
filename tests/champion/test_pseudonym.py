"""Patients in the ledger: named so that only the key of the storage leads back."""

from __future__ import annotations

from judgement import make_comparison

from image_classification.champion.pseudonym import hide_patient, hide_patients, reveal_patients

KEY, OTHER = b"a key", b"another key"


def test_a_patient_has_one_name_under_a_key_and_another_under_another() -> None:
    name = hide_patient("C1", KEY)
    assert name == hide_patient("C1", KEY)
    assert name.startswith("p-")
    assert len({name, hide_patient("C1", OTHER), hide_patient("C2", KEY)}) == 3


def test_a_comparison_names_no_patient_any_more() -> None:
    comparison = make_comparison()
    hidden = hide_patients(comparison, KEY)
    assert not {"C1", "C2", "C12"} & set(hidden["validation_patients"])
    assert [part["patient"] for part in hidden["slices"]] == [
        hide_patient(name, KEY) for name in ("C1", "C2")
    ]
    assert hidden["tests"] == comparison["tests"]
    assert comparison["slices"][0]["patient"] == "C1"


def test_only_patients_who_are_still_known_can_be_named_again() -> None:
    text = f"worst: {hide_patient('C1', KEY)}, then {hide_patient('C2', KEY)}"
    told = reveal_patients(text, ["C1", "C9"], KEY)
    assert told == f"worst: C1, then {hide_patient('C2', KEY)}"
    assert reveal_patients(text, ["C1"], OTHER) == text
    assert reveal_patients("accuracy 0.9", iter(()), KEY) == "accuracy 0.9"
