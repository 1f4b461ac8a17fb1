from __future__ import annotations

import pytest

from image_classification import errors
from image_classification.errors import ImageClassificationError, name_near_misses


@pytest.mark.parametrize(
    ("received", "hint"),
    [
        ("epoch", " Did you mean 'epochs'?"),
        ("batchsize", " Did you mean 'batch_size'?"),
        ("zzz", ""),
        ("", ""),
    ],
)
def test_a_name_like_an_allowed_one_is_suggested_and_no_other(received: str, hint: str) -> None:
    assert name_near_misses(received, ["epochs", "batch_size"]) == hint


def test_nothing_is_suggested_where_nothing_is_allowed() -> None:
    assert name_near_misses("epochs", []) == ""


def test_every_error_of_the_package_can_be_caught_as_one() -> None:
    found = [thing for name, thing in vars(errors).items() if name.endswith("Error")]

    assert len(found) >= 5
    assert all(issubclass(error, ImageClassificationError) for error in found)
