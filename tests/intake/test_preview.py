"""What would be said of images before they are delivered."""

from __future__ import annotations

import pytest
from laboratory import read_parameters
from samples import draw_cells, draw_image

from image_classification.errors import ConfigurationError
from image_classification.intake.preview import preview_batch

CELLS = draw_cells(["Parasitized", "Uninfected"], 20)


def test_a_sound_batch_is_summed_up_and_nothing_is_refused() -> None:
    said, breaches = preview_batch(CELLS.items(), read_parameters())
    assert said == [
        "Classes: 20 Parasitized, 20 Uninfected.",
        "Patients: 40, from C0 to C9.",
        "Dates: 1 (2015-09-18).",
        "Kinds: 40 PNG.",
    ]
    assert breaches == []


def test_classes_that_are_numbers_are_told_from_their_counts() -> None:
    files = {f"{number}/{number}.png": draw_image(number) for number in (3, 7)}
    said, _ = preview_batch(files.items(), {**read_parameters(), "classes": None})
    assert said[0] == "Classes: 1 '3', 1 '7'."


def test_what_would_quarantine_it_is_said_as_the_intake_says_it() -> None:
    files = {"Parasitised/1.png": draw_image(1), "Parasitized/2.png": b"no image"}
    said, breaches = preview_batch(files.items(), read_parameters())
    assert said[1:4] == [
        "Patients: 0; 2 names tell none.",
        "Dates: 0; 2 names tell none.",
        "Kinds: none.",
    ]
    assert len(breaches) == 2
    assert "(contract.maximum_refused_share)" in breaches[0]
    assert "'Parasitised'" in breaches[1]


def test_images_that_are_there_twice_are_counted() -> None:
    same = draw_image(999)
    files = {"Parasitized/1.png": same, "Parasitized/2.png": same, "Uninfected/3.png": same}
    said, _ = preview_batch([*CELLS.items(), *files.items()], read_parameters())
    assert "Repeated: 2 images; each counts once." in said
    assert "Conflicts: 1 images have two labels, the first is 'Parasitized/1.png'." in said


def test_names_are_shown_escaped() -> None:
    files = {"Parasitized\x1b[31m/1.png": draw_image(1)}
    said, _ = preview_batch(files.items(), read_parameters())
    assert said[0] == r"Classes: 1 Parasitized\x1b[31m."


def test_a_pattern_that_is_none_is_an_error_of_the_configuration() -> None:
    with pytest.raises(ConfigurationError):
        preview_batch([], read_parameters() | {"name_pattern": "("})
