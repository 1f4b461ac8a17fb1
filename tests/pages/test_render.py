"""Templates: what they escape, and that nothing is left open."""

from __future__ import annotations

import pytest
from jinja2 import UndefinedError

from image_classification.pages.render import render_page


def test_a_value_that_is_missing_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        render_page("night.html.j2", {})
