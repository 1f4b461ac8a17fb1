"""From what is known to a page: templates that escape every value, styles that lie in the page."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from image_classification.gate.number import MINUS, format_change
from image_classification.pages import POLICY
from image_classification.pages.story import format_day, format_minute
from image_classification.text import escape_lines

LARGEST_PAGE_BYTES = 3_000_000


def render_page(template: str, values: Mapping[str, Any]) -> str:
    """Return a page as HTML.

    Args:
        template: the name of a file of `templates/`.
        values: what it shows.
    """
    return _make_environment().get_template(template).render(policy=POLICY, **values)


@cache
def _make_environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("image_classification.pages", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    environment.filters |= {
        "day": format_day,
        "minute": format_minute,
        "percent": lambda share: f"{100 * share:.1f} %",
        "percent0": lambda share: f"{100 * share:.0f} %",
        "number": lambda count: f"{count:,}",
        "change": _tell_change,
    }
    return environment


def _finalize(value: Any) -> Any:
    """Return a value as a page can hold it: escaped where it is no text of UTF-8."""
    return escape_lines(value) if type(value) is str and not value.isprintable() else value


def _tell_change(change: float, in_points: bool) -> str:
    return format_change(change, in_points=in_points).replace("-", MINUS)
