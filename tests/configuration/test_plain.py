"""Read without Kedro, the configuration is the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from image_classification.configuration.loader import LOADER_ARGUMENTS, ReadOnceConfigLoader
from image_classification.configuration.location import find_configuration
from image_classification.configuration.plain import PATTERNS, PlainConfiguration
from image_classification.errors import ConfigurationError

CONF = find_configuration()
ENVIRONMENTS = sorted(folder.name for folder in CONF.iterdir() if folder.is_dir())
ODD = {
    "base/globals.yml": "root: ${env:ROOT,/data}\nimages: ${.root}/images\n_hidden: 1\nn: 1e-3\n",
    "base/parameters.yml": "a: {b: 1, c: [1, 2]}\npositive_class: Ma\u0308dchen\n_kept: 1\n",
    "base/parameters/more.yml": "d: ${globals:images}\ne: ${globals:missing,7}\n",
    "base/nested/parameters_deep.json": '{"f": "${runtime_params:f,8}"}',
    "base/.hidden/parameters.yml": "g: 1\n",
    "base/parameters.txt": "h: 1\n",
    "base/catalog.yml": "_root: ${globals:root}/x\nx: {type: A, filepath: '${_root}/y'}\n",
    "top/globals.yml": "root: /other\n",
    "top/parameters.yml": "a: {c: [3]}\n",
    "top/catalog.yml": "x: {type: B}\n",
}
"""Files of a project, each with something that is read in a way of its own."""


def read_by_kedro(conf: Path, env: str, kind: str) -> object:
    return ReadOnceConfigLoader(str(conf), env=env, **LOADER_ARGUMENTS)[kind]


@pytest.mark.parametrize("kind", sorted(set(PATTERNS) - {"airflow"}))
@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_each_environment_is_read_as_kedro_reads_it(env: str, kind: str) -> None:
    assert PlainConfiguration(CONF, env)[kind] == read_by_kedro(CONF, env, kind)


@pytest.mark.parametrize("kind", ["globals", "parameters", "catalog"])
@pytest.mark.parametrize("env", ["base", "top"])
def test_what_is_odd_is_read_as_kedro_reads_it(tmp_path: Path, env: str, kind: str) -> None:
    for name, text in ODD.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = PlainConfiguration(tmp_path, env)[kind]
    assert found == read_by_kedro(tmp_path, env, kind)
    assert found


def test_the_resolvers_of_others_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "text")
    OmegaConf.register_resolver(
        "globals", lambda _: "kept", replace=True, annotation_validation="off"
    )
    assert PlainConfiguration(CONF, "test")["catalog"]["ledger"]["filepath"].endswith("/ledger")
    assert OmegaConf.create({"a": "${globals:b}"})["a"] == "kept"
    OmegaConf.clear_resolver("globals")


def test_only_the_environment_that_is_everybodys_own_may_be_missing(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "globals.yml").write_text("a: 1")
    assert PlainConfiguration(tmp_path)["globals"] == {"a": 1}
    with pytest.raises(ConfigurationError, match="There is no environment 'production'"):
        PlainConfiguration(tmp_path, "production")["globals"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "There is no environment 'base'"),
        ({"base/catalog.yml": "a: [", "local/x.yml": ""}, "catalog.yml' is not YAML"),
        (
            {
                "base/globals.yml": "a: 1",
                "local/globals.yml": "",
                "base/catalog.yml": "a: ${globals:b}",
            },
            "there is no 'b'",
        ),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, files: dict[str, str], message: str) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        PlainConfiguration(tmp_path)["catalog"]
