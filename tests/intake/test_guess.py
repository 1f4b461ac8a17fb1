"""What is guessed of a project from names and headers, and why."""

from __future__ import annotations

import re
from typing import Any

import pytest

from image_classification.intake.guess import Guess, guess_pattern, guess_project
from image_classification.intake.picture import Header


def name_all(shape: str, count: int = 240, classes: int = 2) -> list[tuple[str, str]]:
    """Return class and name of images; `shape` may use the class, a group of 10, and a number."""
    return [
        (f"class{n % classes}", shape.format(label=f"class{n % classes}", g=n // 10, n=n, k=n // 2))
        for n in range(count)
    ]


def guess(
    images: list[tuple[str, str]], *headers: Header, name: str = "leaves"
) -> dict[str, Guess]:
    found = guess_project(name, images, headers or [Header(100, 80, "PNG", plain=True)])
    return {one.key: one for one in found}


@pytest.mark.parametrize(
    ("shape", "group"),
    [
        ("field{g}_{n:04d}.png", "field3"),
        ("field{g}-20150918-{n:04d}.png", "field3"),
        ("{label}_p{g:03d}_{n}.jpg", "p003"),
        ("C{g}P61ThinF_IMG_20150918_144104_cell_{n}.png", "C3"),
        ("{g:03d}_{n:04d}.png", "003"),
        ("20150918 {g:02d}x {n}.png", "03x"),
    ],
)
def test_the_part_of_a_name_that_recurs_is_the_group(shape: str, group: str) -> None:
    images = name_all(shape)
    pattern, groups, said = guess_pattern(images)
    assert pattern is not None
    assert group in groups
    assert len(groups) == 24
    assert "24 groups" in said
    match = re.match(pattern, images[35][1])
    assert match is not None
    assert match["group"] == group
    assert ("20150918" in shape) == ("captured_on" in match.groupdict())
    if "20150918" in shape:
        assert match["captured_on"] == "20150918"


@pytest.mark.parametrize(
    "shape",
    [
        "{n:05d}.png",  # a number each
        "{label}_{k:05d}.png",  # counted anew in each class
        "{label}.{n}.png",  # the class alone recurs
        "img.png",  # nothing tells them apart
        "20150918_{n:05d}.png",  # a date is no group
    ],
)
def test_what_only_counts_or_names_the_class_is_no_group(shape: str) -> None:
    pattern, groups, said = guess_pattern(name_all(shape))
    assert not groups
    assert "a group of its own" in said
    assert (pattern is not None) == shape.startswith("2015")


def test_too_few_groups_for_three_splits_are_none() -> None:
    assert guess_pattern(name_all("field{g}_{n}.png", count=50))[1] == {}
    assert len(guess_pattern(name_all("field{g}_{n}.png", count=60))[1]) == 6


def test_classes_are_the_folders_and_each_guess_says_why() -> None:
    found = guess(name_all("field{g}_{n}.png", classes=3))
    assert found["classes"].value == ["class0", "class1", "class2"]
    assert "class0 80" in found["classes"].reason
    assert found["title"].value == "Leaves"
    assert found["model_name"].value == "leaves-classifier"
    assert found["words"].value["group"] == "field"
    assert all(one.reason.endswith(".") for one in found.values())


def test_the_word_of_groups_that_have_none_fits_any() -> None:
    assert guess(name_all("p{g}_{n}.png"))["words"].value["groups"] == "groups"
    assert guess(name_all("{n}.png"))["words"].value["group"] == "group"


@pytest.mark.parametrize(
    ("classes", "positive"),
    [
        (("Healthy", "rust"), "rust"),
        (("a", "b"), None),
        (("healthy", "normal"), None),
        (("healthy", "rust", "mildew"), None),
    ],
)
def test_the_positive_class_is_the_one_looked_for(classes: tuple[str, ...], positive: Any) -> None:
    images = [(name, f"{number}.png") for number in range(20) for name in classes]
    assert guess(images)["positive_class"].value == positive


@pytest.mark.parametrize(
    ("sides", "read", "smallest"),
    [((8,), 16, 8), ((28,), 32, 16), ((32,), 32, 16), ((200, 300, 12), 64, 12), ((48,), 48, 16)],
)
def test_sizes_follow_from_the_images(sides: tuple[int, ...], read: int, smallest: int) -> None:
    headers = [Header(side + 5, side, "PNG", plain=True) for side in sides]
    found = guess(name_all("{n}.png"), *headers)
    assert found["image_size_px"].value == read
    assert found["minimum_image_side_px"].value == smallest
    assert found["maximum_image_pixels"].value == 4_000_000
    large = guess(name_all("{n}.png"), Header(3000, 2000, "JPEG", plain=True))
    assert large["maximum_image_pixels"].value == 12_000_000
    assert "JPEG" in large["image_size_px"].reason


def test_a_rare_class_is_allowed_to_be_as_rare_as_it_is() -> None:
    images = [("a", f"{n}.png") for n in range(950)] + [("b", f"{n}.png") for n in range(50)]
    found = guess(images)["minimum_class_share"]
    assert found.value == pytest.approx(0.025)
    assert "'b' is the rarest class, 50 of 1000" in found.reason
    assert guess(name_all("{n}.png"))["minimum_class_share"].value == 0.1


def test_few_groups_of_a_class_ask_for_one_in_each_split() -> None:
    many = guess(name_all("field{g}_{n}.png", count=600))["minimum_groups"]
    few = guess(name_all("field{g}_{n}.png", count=120))["minimum_groups"]
    assert (many.value, few.value) == (2, 1)
    assert "12 groups alone" in few.reason


def test_without_groups_the_shipped_number_stays() -> None:
    found = guess(name_all("{n}.png"))["minimum_groups"]
    assert (found.value, found.reason) == (2, "As shipped: of each class in each split.")


@pytest.mark.parametrize(("groups", "asked"), [(29, 1), (30, 2)])
def test_thirty_groups_of_the_rarest_class_are_enough(groups: int, asked: int) -> None:
    images = name_all("field{g}_{n}.png", count=10 * groups)
    found = guess(images)["minimum_groups"]
    assert found.value == asked
    assert f" {groups} groups" in found.reason


def test_no_floor_is_guessed_and_the_commonest_class_is_told() -> None:
    found = guess([("a", f"{n}.png") for n in range(30)] + [("b", f"{n}.png") for n in range(10)])
    assert found["floors"].value is None
    assert "30 of 40 images (75%)" in found["floors"].reason
