"""The names that `vision` offers."""

from __future__ import annotations

import pytest

from image_classification import vision


def test_a_name_that_vision_does_not_offer_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'decode_image'"):
        _ = vision.decode_image


def test_every_name_that_vision_offers_is_there() -> None:
    for name in vision.__all__:
        assert getattr(vision, name) is not None
