"""The words of the project, as sentences take them."""

from __future__ import annotations

from image_classification import words
from image_classification.words import Words


def test_one_and_several_are_counted() -> None:
    clothes = Words(group="garment", groups="garments", image="photo", images="photos")
    assert clothes.count_groups(1) == "1 garment"
    assert clothes.count_groups(1200) == "1,200 garments"
    assert clothes.count_images(1) == "1 photo"
    assert clothes.count_images(0) == "0 photos"
    assert clothes.name_groups(2) == "garments"


def test_words_in_force_are_those_of_the_whole_process() -> None:
    leaves = Words(image="leaf", images="leaves")
    words.use(leaves)
    assert words.current() is leaves


def test_words_of_no_project_fit_any() -> None:
    assert Words().count_groups(2) == "2 groups"
