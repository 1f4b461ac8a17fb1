"""A command about the project itself: propose the file that another domain changes."""

from __future__ import annotations

import textwrap
from pathlib import Path

import click
import yaml

from image_classification.commands.console import report_errors, say
from image_classification.configuration.location import find_configuration
from image_classification.configuration.project import PROJECT_FILE, PROJECT_VARIABLE
from image_classification.datasets import delivery
from image_classification.errors import DataError
from image_classification.intake.guess import Guess, guess_project
from image_classification.intake.picture import Header, read_header
from image_classification.text import escape_text, unify_text

LOOKED_AT = 500
"""Images whose header is read: spread over all of them."""

WIDTH = 100


@click.command("new-project")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--from",
    "images",
    type=click.Path(path_type=Path),
    required=True,
    help="A folder of images with a sub-folder per class, or a zip of one.",
)
@report_errors
def new_project(folder: Path, images: Path) -> None:
    """Propose the file of a project, FOLDER/project.yml, from a folder of images.

    Classes, groups, dates and sizes are guessed from names and headers. Each guess says why: read
    the file before it is used. FOLDER may be an environment, such as conf/leaves.
    """
    file = folder / PROJECT_FILE
    if file.exists():
        raise DataError(f"'{file}' is there already. Name another folder, or remove the file.")
    guesses = look_at(delivery.Source(images))
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(render_project(guesses, images), encoding="utf-8")
    for guess in guesses:
        say(f"{guess.key}: {_dump(guess.value)}")
        say(textwrap.indent(textwrap.fill(guess.reason, WIDTH - 4), "    "))
    say(f"\nWritten to {file}. Read it, correct it, then {_tell_how_to_use(file)}")


def look_at(source: delivery.Source) -> list[Guess]:
    """Return what the images of a folder or zip tell of their project.

    Raises:
        DataError: none of those looked at can be read.
    """
    chosen = source.files[:: -(-len(source.files) // LOOKED_AT)]
    headers = [header for content in source.read(chosen) if (header := _try_header(content))]
    if not headers:
        raise DataError(f"'{source.path}' holds no image that can be read: nothing can be guessed.")
    images = [(unify_text(file.parent.name), unify_text(file.name)) for file in source.files]
    return guess_project(source.path.stem, images, headers)


def render_project(guesses: list[Guess], images: Path) -> str:
    """Return a project file: a comment over each value says why it was guessed."""
    opening = (
        f"Guessed from {escape_text(images.name)} by image-classification new-project. Read each "
        "value before it is used; conf/base/project.yml of the project tells what each is for."
    )
    parts = [_comment(opening)]
    parts += [f"{_comment(guess.reason)}{guess.key}: {_dump(guess.value)}\n" for guess in guesses]
    return "\n".join(parts)


def _try_header(content: bytes) -> Header | None:
    try:
        return read_header(content)
    except ValueError:
        return None


def _comment(text: str) -> str:
    lines = textwrap.wrap(escape_text(text), WIDTH - 2, break_long_words=False)
    return "".join(f"# {line}\n" for line in lines)


def _dump(value: object) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6)
    return text.removesuffix("...\n").strip()


def _tell_how_to_use(file: Path) -> str:
    conf = find_configuration()
    place = file.resolve()
    if place.parent.parent != conf:
        return f"use it: export {PROJECT_VARIABLE}={place}"
    if place.parent.name == "local":
        return "it is in force, wherever KEDRO_ENV names no other environment."
    return f"use it: export KEDRO_ENV={place.parent.name}"
