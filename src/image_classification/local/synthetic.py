"""Plausible blood cells, made from a seed, so that everything runs without a download.

Each patient has a stain, a light and a focus of their own, as in real smears. A *Parasitized*
cell holds one to three small rings with a dark dot, the young form of *Plasmodium*. An
*Uninfected* cell holds scratches with as much of the same dye: shape alone tells them apart, so
a network has to learn, and the colours are of little use.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

Canvas = npt.NDArray[np.floating]

DYE = np.array([-70.0, -95.0, -25.0])
"""Change of red, green and blue where the dye is full: to violet."""


def make_cells(
    folder: Path,
    patients: range,
    cells_per_patient: int,
    captured_on: str = "20150601",
    seed: int = 0,
) -> int:
    """Write cells as PNG files below ``folder/<class>/``, named as the NIH malaria set is.

    Two patients of three are infected and have cells of both classes; the third is healthy.

    Args:
        folder: made if it does not exist; files of the same name are replaced.
        patients: numbers of the patients. The same patient looks the same in every call.
        cells_per_patient: images of each.
        captured_on: YYYYMMDD, in the names.
        seed: other seeds give other cells.

    Returns:
        How many images were written.
    """
    for name in ("Parasitized", "Uninfected"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for patient in patients:
        look = _Look(np.random.default_rng([seed, patient]))
        random = np.random.default_rng([seed, patient, int(captured_on)])
        for cell in range(cells_per_patient):
            infected = patient % 3 != 0 and cell % 3 != 0
            name = (
                f"C{patient}P{patient}ThinF_IMG_{captured_on}_{100000 + patient % 100:06d}"
                f"_cell_{cell}.png"
            )
            label = "Parasitized" if infected else "Uninfected"
            draw_cell(look, infected, random).save(folder / label / name)
    return len(patients) * cells_per_patient


class _Look:
    """What the cells of one patient share: stain, light and focus."""

    def __init__(self, random: np.random.Generator) -> None:
        self.colour = np.array([222.0, 160.0, 170.0]) + random.normal(0, 14, 3)
        self.shade = random.uniform(8, 26)
        self.blur = random.uniform(0.4, 1.3)
        self.radius = random.uniform(48, 62)


def draw_cell(look: _Look, infected: bool, random: np.random.Generator) -> Image.Image:
    """Draw one cell on black, 90 to 180 pixels a side."""
    radius = look.radius * random.uniform(0.85, 1.2)
    height, width = (int(2 * radius * random.uniform(1.03, 1.2)) for _ in range(2))
    y, x = np.mgrid[0:height, 0:width]
    y, x = (y / (height / 2) - 1).astype(np.float32), (x / (width / 2) - 1).astype(np.float32)
    angle = np.arctan2(y, x)
    wobble = sum(
        random.normal(0, 0.025) * np.cos(order * angle + random.uniform(0, 7))
        for order in range(2, 6)
    )
    inside = np.hypot(x, y) < 0.96 + wobble
    light = 1 + 0.05 * (random.normal() * x + random.normal() * y)
    pallor = np.exp(-(x**2 + y**2) / 0.35)  # a red cell is thinner in its middle
    noise = random.normal(0, 3.5, (height, width, 1))
    cell = look.colour * light[..., None] + look.shade * (pallor[..., None] - 0.5) + noise
    cell += _dye(x, y, infected, random)[..., None] * DYE
    cell[~inside] = 0
    image = Image.fromarray(np.clip(cell, 0, 255).astype(np.uint8), "RGB")
    blurred = np.array(image.filter(ImageFilter.GaussianBlur(look.blur)))
    blurred[~inside] = 0
    return Image.fromarray(blurred, "RGB")


def _dye(x: Canvas, y: Canvas, infected: bool, random: np.random.Generator) -> Canvas:
    """Return the density of the dye, 0 to 1: rings with a dot, or as much of it in scratches."""
    rings = np.zeros_like(x)
    for _ in range(random.integers(1, 4)):
        distance, direction = random.uniform(0, 0.6), random.uniform(0, 2 * np.pi)
        away = np.hypot(x - distance * np.cos(direction), y - distance * np.sin(direction))
        size = random.uniform(0.13, 0.22)
        rings += 0.75 * np.exp(-(((away - size) / 0.05) ** 2))
        turn = random.uniform(0, 2 * np.pi)
        dot_x = distance * np.cos(direction) + size * np.cos(turn)
        dot_y = distance * np.sin(direction) + size * np.sin(turn)
        rings += np.exp(-((x - dot_x) ** 2 + (y - dot_y) ** 2) / 0.004)
    amount = float(np.clip(rings, 0, 1).sum())
    if infected:
        return np.clip(rings, 0, 1)
    scratches = np.zeros_like(x)
    for _ in range(random.integers(1, 4)):
        at_x, at_y = random.uniform(-0.45, 0.45, 2)
        turn, length = random.uniform(0, np.pi), random.uniform(0.12, 0.3)
        along = (x - at_x) * np.cos(turn) + (y - at_y) * np.sin(turn)
        across = (y - at_y) * np.cos(turn) - (x - at_x) * np.sin(turn)
        scratches += np.exp(-((along / length) ** 4) - (across / 0.06) ** 2)
    spread: Canvas = np.clip(scratches * amount / scratches.sum(), 0, 1)
    return spread
