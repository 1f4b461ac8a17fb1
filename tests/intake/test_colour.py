"""Whether the colours of an image are those of sRGB."""

from __future__ import annotations

import pytest
from encodings_table import OTHER_RED, SRGB, make_grey_profile

from image_classification.intake import colour


@pytest.mark.parametrize("profile", [None, b"", SRGB])
def test_no_profile_and_that_of_srgb_forbid_nothing(profile: bytes | None) -> None:
    assert colour.describe_foreign_colours(profile) == ""


@pytest.mark.parametrize(("gamma", "moves"), [(2.2, False), (1.0, True)])
def test_a_grey_profile_is_judged_by_what_it_does_to_grey(gamma: float, *, moves: bool) -> None:
    told = colour.describe_foreign_colours(make_grey_profile(gamma))
    assert told == (
        "its colours are those of the profile 'a scanner', not of sRGB: convert it to sRGB"
        if moves
        else ""
    )


def test_a_profile_that_moves_colours_is_named_with_what_to_do() -> None:
    told = colour.describe_foreign_colours(OTHER_RED)
    assert told.startswith("its colours are those of the profile '")
    assert told.endswith("', not of sRGB: convert it to sRGB")


@pytest.mark.parametrize(
    "profile", [b"no profile" * 20, SRGB[:200], SRGB + bytes(colour.MAXIMUM_BYTES), "text"]
)
def test_what_cannot_be_read_as_a_profile_is_refused_and_raises_nothing(profile: object) -> None:
    told = colour.describe_foreign_colours(profile)
    assert told == "its colour profile cannot be read: save it as sRGB"
