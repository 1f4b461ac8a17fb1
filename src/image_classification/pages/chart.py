"""Charts as SVG that lies in the page: lines, points and bars that follow the page's colours.

Every name that is written into a chart is escaped by `markupsafe`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

Point = tuple[float, float]

ROW_PX = 24
CHARACTER_PX = 7.2
"""About as wide as a letter of a label is."""


@dataclass
class Chart:
    """A plane with two axes that marks are drawn into.

    Attributes:
        title: what the chart shows, for whoever cannot see it.
        x_range: ends of the horizontal axis.
        y_range: ends of the vertical axis.
        width: in user units, as all lengths.
        height: the same.
        left: room for the labels of the vertical axis.
    """

    title: str
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    width: float = 480
    height: float = 260
    left: float = 46
    right: float = 26
    top: float = 12
    bottom: float = 40
    _marks: list[Markup] = field(default_factory=list)

    def place_x(self, value: float) -> float:
        """Return where a value lies on the horizontal axis."""
        low, high = self.x_range
        return self.left + (value - low) / ((high - low) or 1) * (
            self.width - self.left - self.right
        )

    def place_y(self, value: float) -> float:
        """Return where a value lies on the vertical axis."""
        low, high = self.y_range
        room = self.height - self.top - self.bottom
        return self.height - self.bottom - (value - low) / ((high - low) or 1) * room

    def add(self, mark: str, *values: object) -> None:
        """Add an element, with each value escaped."""
        self._marks.append(Markup(mark).format(*values))  # noqa: S704 - `mark` is a literal

    def rule_x(self, ticks: Iterable[tuple[float, str]], title: str = "") -> None:
        """Draw the horizontal axis: a line and a label for each tick, and what it tells."""
        bottom = self.height - self.bottom
        for value, label in ticks:
            x = self.place_x(value)
            self.add(
                '<line class="grid" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>',
                *(x, x, self.top, bottom),
            )
            self.add(
                '<text x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>', x, bottom + 15, label
            )
        if title:
            self.add(
                '<text class="axis" x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>',
                (self.left + self.width - self.right) / 2,
                self.height - 5,
                title,
            )

    def rule_y(self, ticks: Iterable[tuple[float, str]]) -> None:
        """Draw the vertical axis: a line and a label for each tick."""
        for value, label in ticks:
            y = self.place_y(value)
            self.add(
                '<line class="grid" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>',
                *(self.left, self.width - self.right, y, y),
            )
            self.add(
                '<text x="{:.1f}" y="{:.1f}" text-anchor="end">{}</text>',
                self.left - 7,
                y + 4,
                label,
            )

    def draw_line(self, points: Sequence[Point], style: str) -> None:
        """Draw a line through points."""
        path = " ".join(f"{self.place_x(x):.1f},{self.place_y(y):.1f}" for x, y in points)
        self.add('<polyline class="line {}" points="{}"/>', style, path)

    def draw_area(self, bounds: Sequence[tuple[float, float, float]], style: str) -> None:
        """Fill what lies between two lines: of each place, the lower and the upper end."""
        corners = [(x, low) for x, low, _ in bounds] + [(x, high) for x, _, high in bounds[::-1]]
        path = " ".join(f"{self.place_x(x):.1f},{self.place_y(y):.1f}" for x, y in corners)
        self.add('<polygon class="area {}" points="{}"/>', style, path)

    def draw_points(self, points: Iterable[tuple[float, float, str]], style: str) -> None:
        """Draw points; each tells its text where somebody points at it."""
        for x, y, told in points:
            self.add(
                '<circle class="dot {}" cx="{:.1f}" cy="{:.1f}" r="4"><title>{}</title></circle>',
                *(style, self.place_x(x), self.place_y(y), told),
            )

    def write(self, x: float, y: float, text: str, anchor: str = "start", style: str = "") -> None:
        """Write text at a place of the drawing, in user units."""
        self.add(
            '<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>',
            *(style, x, y, anchor, text),
        )

    def render(self) -> Markup:
        """Return the SVG."""
        head = '<svg class="chart" viewBox="0 0 {:.0f} {:.0f}" role="img" aria-label="{}">'
        opening = Markup(head).format(  # noqa: S704 - `head` is a literal
            self.width, self.height, self.title
        )
        return opening + Markup("").join(self._marks) + Markup("</svg>")


def scale_shares(values: Iterable[float], least_span: float = 0.05) -> tuple[float, float]:
    """Return ends of an axis for shares, 0 to 1, that leave some room around the values."""
    known = [value for value in values if not math.isnan(value)]
    low, high = min(known, default=0.0), max(known, default=1.0)
    room = max(high - low, least_span) * 0.12
    return max(0.0, low - room), min(1.0, max(high + room, low + least_span))


def tick_shares(ends: tuple[float, float], most: int = 7) -> list[tuple[float, str]]:
    """Return at most so many ticks of an axis of shares, labelled in per cent."""
    steps = (0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5)
    step = next(step for step in steps if (ends[1] - ends[0]) / step <= most - 1)
    first = math.ceil(ends[0] / step - 1e-9)
    last = math.floor(ends[1] / step + 1e-9)
    return [(number * step, f"{100 * number * step:g} %") for number in range(first, last + 1)]


def tick_numbers(low: float, high: float) -> list[tuple[float, str]]:
    """Return at most six ticks of an axis of any numbers."""
    raw = (high - low) / 5 or 1.0
    size = 10 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= raw)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [(number * step, f"{number * step:.6g}") for number in range(first, last + 1)]


def tick_counts(last: int) -> list[tuple[float, str]]:
    """Return ticks of an axis that counts from 1."""
    step = max(1, -(-last // 8))
    return [(number, str(number)) for number in range(1, last + 1, step)]
