"""The project file, `conf/base/project.yml`: all that another domain changes, in one place.

The other files take from it, by ``${project:classes}``; what an environment says in a file of its
own (`parameters.yml`, `globals.yml`) holds over it. Read with PyYAML alone, so that a command that
needs nothing else starts at once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from image_classification import words
from image_classification.configuration.scope import check_environments, check_name
from image_classification.errors import ConfigurationError, name_near_misses
from image_classification.machine.place import locate

PROJECT_FILE = "project.yml"
PROJECT_VARIABLE = "IMAGE_CLASSIFICATION_PROJECT"
"""Names a project file that holds over those of `conf/`: absolute, or below the project."""

KEYS = (
    "model_name",
    "classes",
    "positive_class",
    "name_pattern",
    "captured_on_format",
    "image_size_px",
    "symmetries",
    "minimum_image_side_px",
    "maximum_image_pixels",
    "minimum_class_share",
    "minimum_groups",
    "floors",
)
SPOKEN = ("title", "words")
"""What people read: left out, and where other classes come, it is neutral."""

OPTIONAL = ("name", *SPOKEN)
"""Keys that a project file may leave out."""

WORD_KEYS = ("group", "groups", "image", "images")


def read_project(conf: Path, env: str | None = None) -> dict[str, Any]:
    """Return the project file: that of `base`, over it the environment's, and the named one.

    A key of the later file replaces that of the earlier one, with all that is below it. A later
    file whose classes are all others is about another domain: of what people read (`SPOKEN`)
    nothing of the earlier ones stays.

    Args:
        conf: the folder that holds `base/` and the environments.
        env: the environment; None for `local`.

    Returns:
        All of `KEYS`, and what is said of `OPTIONAL`; nothing where there is no file.

    Raises:
        ConfigurationError: a file is no YAML of such keys, or the named one does not exist.
    """
    files = find_project_files(conf, env)
    project: dict[str, Any] = {}
    for file in files:
        content = _read(file)
        if "classes" in content and _is_of_another_domain(content["classes"], project):
            project = {key: value for key, value in project.items() if key not in SPOKEN}
        project |= content
    check_environments(project.get("name"), conf)
    if missing := [key for key in KEYS if project and key not in project]:
        raise ConfigurationError(
            f"{', '.join(map(str, files))}: {', '.join(missing)} are missing. A project file in "
            f"conf/base has all of {', '.join(KEYS)}."
        )
    return project


def find_project_files(conf: Path, env: str | None = None) -> list[Path]:
    """Return the project files that hold, each over those before it; see `read_project`.

    Raises:
        ConfigurationError: the named one does not exist.
    """
    files = [conf / folder / PROJECT_FILE for folder in ("base", env or "local")]
    files = [file for file in files if file.exists()]
    if named := os.environ.get(PROJECT_VARIABLE):
        file = Path(locate(named, conf.parent))
        if not file.is_file():
            raise ConfigurationError(
                f"{PROJECT_VARIABLE} names '{named}', and there is no such file ({file}). Make one "
                "(image-classification new-project), or unset it."
            )
        files.append(file)
    return files


def _read(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        fault = " ".join(str(error).split())
        raise ConfigurationError(f"{file} is no YAML file: {fault}") from None
    if not isinstance(content, dict):
        raise ConfigurationError(f"{file}: expected keys with values. Received: {content!r}.")
    _check_keys(file, "", content, (*OPTIONAL, *KEYS))
    check_name(content.get("name"), file)
    said = content.get("words") or {}
    if not isinstance(said, dict):
        raise ConfigurationError(f"{file}: 'words' has keys of its own. Received: {said!r}.")
    _check_keys(file, "words.", said, WORD_KEYS)
    texts = {"title": content.get("title", ""), "model_name": content.get("model_name", ""), **said}
    for key, text in texts.items():
        if not isinstance(text, str):
            raise ConfigurationError(f"{file}: '{key}' is a text. Received: {text!r}. Quote it.")
    return content


def _check_keys(
    file: Path, parent: str, content: Mapping[str, Any], allowed: tuple[str, ...]
) -> None:
    for key in content:
        if key not in allowed:
            raise ConfigurationError(
                f"{file}: '{parent}{key}' is not a key of a project file."
                f"{name_near_misses(str(key), allowed)} Allowed here: {', '.join(allowed)}."
            )


def fill_in(content: Any, project: Mapping[str, Any]) -> Any:
    """Return what a YAML file holds, read without Kedro, with what it takes from the project."""
    if isinstance(content, Mapping):
        return {key: fill_in(value, project) for key, value in content.items()}
    if isinstance(content, str) and (found := re.fullmatch(r"\$\{project:(\w+)\}", content)):
        return take(project, found[1])
    return content


def take(project: Mapping[str, Any], key: str) -> Any:
    """``${project:classes}``: a value of the project file."""
    value = project[key]
    return {} if key == "floors" and value is None else value


def settle_words(project: Mapping[str, Any], parameters: Mapping[str, Any]) -> None:
    """Put neutral words in force where the parameters are about another domain than the project.

    Args:
        project: the project file.
        parameters: of an environment or a run, which may say other classes.
    """
    classes = (parameters.get("data_processing") or {}).get("classes")
    if _is_of_another_domain(classes, project):
        words.use(words.Words())


def _is_of_another_domain(classes: Any, project: Mapping[str, Any]) -> bool:
    """Return whether a project says which classes it has, and has none of these."""
    known = project.get("classes")
    if not isinstance(known, list):
        return False
    return set(map(str, known)).isdisjoint(map(str, classes if isinstance(classes, list) else []))


def make_words(project: Mapping[str, Any]) -> words.Words:
    """Return the words of a project; a plural that it leaves out is the word and an s."""
    said = {key: word for key, word in (project.get("words") or {}).items() if word}
    for one, several in (("group", "groups"), ("image", "images")):
        if one in said:
            said.setdefault(several, f"{said[one]}s")
    title = {"title": project["title"]} if project.get("title") else {}
    return words.Words(**title, **said)
