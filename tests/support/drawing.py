"""Checks that every figure must pass, whatever it shows."""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

DPI = 20


def render(figure: Figure) -> bytes:
    """Return the figure as a PNG, small: what costs time is the layout, not the pixels."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DPI)
    return file.getvalue()


def assert_is_drawn(draw: Callable[[], Figure]) -> None:
    """Check that a figure becomes a PNG and that pyplot, which serves one thread, keeps nothing."""
    before = plt.get_fignums()
    assert render(draw()).startswith(b"\x89PNG")
    assert plt.get_fignums() == before


def assert_threads_draw_alike(draw: Callable[[], Figure]) -> None:
    """Check that two threads that draw a figure at once get the same one."""

    def draw_quickly(_: int) -> bytes:
        figure = draw()
        figure.set_layout_engine("none")
        return render(figure)

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(draw_quickly, range(2))
    assert one == other
