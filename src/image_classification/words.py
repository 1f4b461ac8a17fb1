"""The words of the project: what people read calls an image, and what must not be split, by these.

Kept in `conf/base/project.yml`; `configuration.project` reads them, and puts them in force as a
configuration is opened, which each command, task and `kedro run` does first. Like a locale they
hold for the whole process, so that no rule of the gate has to pass them on. Wherever a sentence, a
heading or an axis is made::

    from image_classification import words

    f"on {words.current().count_images(1200)} of {words.current().count_groups(20)}"
    # "on 1,200 cells of 20 patients"; of clothes "on 1,200 photos of 20 garments"

Ask for them when the sentence is made, never as a module is imported. Keys, columns, parameters and
names of files do not follow them: the column stays `patient` whatever it holds. What is decided,
stored and compared never depends on a word.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """How people are told of a project.

    Attributes:
        title: of the project, a few words: "Malaria in blood cells".
        group: what must not be split, since its images are alike: a patient, a field, a garment.
        groups: several of them.
        image: what one image shows: a cell, a leaf, a digit.
        images: several of them.
    """

    title: str = "Image classification"
    group: str = "group"
    groups: str = "groups"
    image: str = "image"
    images: str = "images"

    def count_groups(self, count: int) -> str:
        """Return a number of groups: "1 patient", "1,200 patients"."""
        return f"{count:,} {self.name_groups(count)}"

    def count_images(self, count: int) -> str:
        """Return a number of images: "1 cell", "1,200 cells"."""
        return f"{count:,} {self.image if count == 1 else self.images}"

    def name_groups(self, count: int) -> str:
        """Return the word for so many groups: "patient" for one, "patients" for others."""
        return self.group if count == 1 else self.groups

    def tell_key(self, key: str) -> str:
        """Return a key as people read it: "worst_patient" as "worst garment"."""
        return " ".join(self._translate(part) for part in key.split("_"))

    def _translate(self, part: str) -> str:
        ours = {"patient": self.group, "patients": self.groups}
        return {**ours, "cell": self.image, "cells": self.images}.get(part, part)


_in_force = Words()


def current() -> Words:
    """Return the words in force; until a configuration is opened, those that fit any project."""
    return _in_force


def use(words: Words) -> None:
    """Put words in force for the whole process."""
    global _in_force  # noqa: PLW0603 - as a locale is one for a process
    _in_force = words
