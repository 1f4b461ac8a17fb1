"""The project file: what holds over what, what is refused, and what other files take from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from shipped import CONF

from image_classification import words
from image_classification.configuration.loader import LOADER_ARGUMENTS, ReadOnceConfigLoader
from image_classification.configuration.parameters import check_parameters
from image_classification.configuration.plain import PlainConfiguration
from image_classification.configuration.project import (
    KEYS,
    OPTIONAL,
    PROJECT_VARIABLE,
    fill_in,
    make_words,
    read_project,
)
from image_classification.errors import ConfigurationError

CLOTHES: dict[str, Any] = {
    "title": "Clothes",
    "model_name": "clothes",
    "words": {"group": "garment", "image": "photo"},
    "classes": ["coat", "shirt", "shoe"],
    "positive_class": None,
    "name_pattern": None,
    "captured_on_format": "%Y",
    "image_size_px": 32,
    "symmetries": "mirror",
    "minimum_image_side_px": 8,
    "maximum_image_pixels": 1000,
    "minimum_class_share": 0.05,
    "minimum_groups": 1,
    "floors": None,
}


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A project's `conf`, with all files of ours but the project file, which is of clothes."""
    for env in ("base", "production"):
        (tmp_path / "conf" / env).mkdir(parents=True)
    for file in (CONF / "base").glob("*.yml"):
        (tmp_path / "conf" / "base" / file.name).write_text(file.read_text())
    write(tmp_path / "conf" / "base" / "project.yml", CLOTHES)
    return tmp_path / "conf"


def write(path: Path, content: object) -> Path:
    path.write_text(yaml.safe_dump(content))
    return path


def open_loader(conf: Path, env: str = "production") -> ReadOnceConfigLoader:
    return ReadOnceConfigLoader(str(conf), env=env, **LOADER_ARGUMENTS)


def test_one_file_is_all_that_another_domain_changes(conf: Path) -> None:
    loader = open_loader(conf)
    parameters = loader["parameters"]
    check_parameters(parameters)
    data = parameters["data_processing"]
    assert data["classes"] == ["coat", "shirt", "shoe"]
    assert data["name_pattern"] is None
    assert (data["minimum_image_side_px"], data["maximum_image_pixels"]) == (8, 1000)
    assert data["captured_on_format"] == "%Y"
    assert data["contract"]["minimum_class_share"] == 0.05
    assert data["contract"]["minimum_patients"] == 1
    assert (parameters["image_size_px"], parameters["positive_class"]) == (32, None)
    assert parameters["training"]["symmetries"] == "mirror"
    assert parameters["promotion"]["floors"] == {}
    assert parameters["registered_model_name"] == loader["globals"]["registered_model_name"]
    assert loader["catalog"]["registered_versions"]["model_name"] == "clothes"
    assert words.current().count_groups(2) == "2 garments"


def test_the_shipped_file_has_every_key_and_says_what_it_is_for() -> None:
    text = (CONF / "base" / "project.yml").read_text()
    assert set(yaml.safe_load(text)) == {*OPTIONAL, *KEYS}
    check_parameters(open_loader(CONF, "test")["parameters"])


def test_the_keys_that_an_environment_had_before_hold_over_the_project_file(conf: Path) -> None:
    production = conf / "production"
    write(production / "parameters.yml", {"positive_class": "shoe", "image_size_px": 48})
    data = {"classes": ["hat", "shoe"], "name_pattern": "x", "contract": {"minimum_patients": 4}}
    write(production / "parameters_data_processing.yml", {"data_processing": data})
    write(production / "parameters_promotion.yml", {"promotion": {"floors": {"auc": 0.7}}})
    write(production / "globals.yml", {"registered_model_name": "hats"})
    loader = open_loader(conf)
    parameters = loader["parameters"]
    assert (parameters["positive_class"], parameters["image_size_px"]) == ("shoe", 48)
    found = parameters["data_processing"]
    assert (found["classes"], found["name_pattern"]) == (["hat", "shoe"], "x")
    assert found["contract"]["minimum_patients"] == 4
    assert parameters["promotion"]["floors"] == {"auc": 0.7}
    assert parameters["registered_model_name"] == "hats"
    assert loader["catalog"]["registered_versions"]["model_name"] == "hats"


def test_an_environment_replaces_whole_keys_and_a_named_file_holds_over_both(
    conf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    floors = {"floors": {"accuracy": 0.7}, "title": "Shoes"}
    write(conf / "production" / "project.yml", floors)
    assert read_project(conf, "production")["floors"] == {"accuracy": 0.7}
    assert read_project(conf, "production")["classes"] == CLOTHES["classes"]
    write(tmp_path / "leaves.yml", {"title": "Leaves", "words": {"image": "leaf"}})
    for named in ("leaves.yml", str(tmp_path / "leaves.yml")):
        monkeypatch.setenv(PROJECT_VARIABLE, named)
        found = read_project(conf, "production")
        assert (found["title"], found["floors"]) == ("Leaves", {"accuracy": 0.7})
        assert found["words"] == {"image": "leaf"}


def test_a_named_file_that_is_not_there_is_told(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PROJECT_VARIABLE, "gone.yml")
    with pytest.raises(ConfigurationError, match=r"gone\.yml.*new-project"):
        read_project(conf)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("clases: [a, b]", "'clases' is not a key.*Did you mean 'classes'"),
        ("words: {pacient: x}", r"'words\.pacient' is not a key"),
        ("words: [a]", "'words' has keys of its own"),
        ("words: {image: 3}", "'image' is a text. Received: 3"),
        ("title: 7", "'title' is a text"),
        ("model_name: null", "'model_name' is a text"),
        ("- a", "expected keys with values"),
        ("a: [", "is no YAML file"),
    ],
)
def test_what_is_wrong_in_a_project_file_is_named(conf: Path, text: str, said: str) -> None:
    (conf / "production" / "project.yml").write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        read_project(conf, "production")


def test_a_missing_key_is_named(conf: Path) -> None:
    write(conf / "base" / "project.yml", {"title": "Clothes"})
    with pytest.raises(ConfigurationError, match=r"model_name, classes.* are missing"):
        read_project(conf)


MALARIA = {"title": "Malaria", "classes": ["a", "b"], "words": {"group": "patient"}}
CLASSES = [
    ({"classes": ["coat", "shirt"]}, "Image classification", "group"),
    ({"classes": None}, "Image classification", "group"),
    (
        {"classes": ["coat", "shirt"], "words": {"group": "garment"}},
        "Image classification",
        "garment",
    ),
    ({"classes": ["coat", "shirt"], "title": "Clothes"}, "Clothes", "group"),
    ({"classes": ["a", "b", "c"]}, "Malaria", "patient"),
    ({"title": "Night shift"}, "Night shift", "patient"),
]


@pytest.mark.parametrize(("later", "title", "group"), CLASSES)
def test_where_other_classes_come_nothing_is_said_in_the_words_of_the_earlier(
    conf: Path, later: dict[str, Any], title: str, group: str
) -> None:
    write(conf / "base" / "project.yml", CLOTHES | MALARIA)
    write(conf / "production" / "project.yml", later)
    made = make_words(read_project(conf, "production"))
    assert (made.title, made.group) == (title, group)


@pytest.mark.parametrize(("classes", "group"), [(["hat"], "group"), (["shoe", "hat"], "garment")])
def test_parameters_of_other_classes_have_neutral_words_too(
    conf: Path, classes: list[str], group: str
) -> None:
    said = {"data_processing": {"classes": classes}}
    write(conf / "production" / "parameters_data_processing.yml", said)
    assert open_loader(conf)["parameters"]["data_processing"]["classes"] == classes
    assert words.current().group == group
    words.use(words.Words(group="another"))
    assert PlainConfiguration(conf, "production")["parameters"]
    assert words.current().group == group


def test_a_file_without_words_is_about_groups_and_images(conf: Path) -> None:
    silent = {key: value for key, value in CLOTHES.items() if key not in ("title", "words")}
    write(conf / "base" / "project.yml", silent)
    assert make_words(read_project(conf)) == words.Words()


def test_a_plural_follows_from_the_word() -> None:
    made = make_words({"words": {"group": "field", "image": "leaf", "images": "leaves"}})
    assert (made.groups, made.image, made.images) == ("fields", "leaf", "leaves")
    assert make_words({}) == words.Words()


def test_words_are_put_in_force_without_kedro(conf: Path) -> None:
    assert PlainConfiguration(conf, "production")["parameters"]["image_size_px"] == 32
    assert words.current().title == "Clothes"
    assert words.current().image == "photo"


def test_each_loader_has_its_own_project(conf: Path) -> None:
    ours, theirs = open_loader(conf), open_loader(CONF, "test")
    assert theirs["parameters"]["image_size_px"] == 64
    assert ours["parameters"]["image_size_px"] == 32


def test_a_policy_that_is_read_without_kedro_takes_from_the_project_file() -> None:
    content = {"promotion": {"mode": "auto", "floors": "${project:floors}"}, "x": ["${env:HOME}"]}
    filled = fill_in(content, {"floors": {"auc": 0.5}})
    assert filled == {"promotion": {"mode": "auto", "floors": {"auc": 0.5}}, "x": ["${env:HOME}"]}
    assert fill_in("${project:floors}", {"floors": None}) == {}
