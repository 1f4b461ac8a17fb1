"""How environments and a run's own parameters are laid over one another, and read once."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from kedro.config import MissingConfigException, OmegaConfigLoader
from shipped import CONF, read_files

from image_classification.configuration.loader import LOADER_ARGUMENTS, ReadOnceConfigLoader
from image_classification.configuration.parameters import check_parameters

# `local` is each person's own.
ENVIRONMENTS = sorted(
    path.name for path in CONF.iterdir() if path.is_dir() and path.name not in ("base", "local")
)
BASE = "training: {epochs: 8, dropout: 0.2}\ngate: {floors: {auc: 0.9, accuracy: 0.8}, mode: auto}"


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    for env in ("base", "local", "production"):
        (tmp_path / env).mkdir()
    (tmp_path / "base" / "globals.yml").write_text("size: 64\n")
    (tmp_path / "base" / "parameters.yml").write_text("image: {size_px: '${globals:size}'}\n")
    (tmp_path / "base" / "parameters_all.yml").write_text(BASE)
    return tmp_path


@pytest.fixture
def loader(conf: Path) -> ReadOnceConfigLoader:
    return make_loader(conf)


def make_loader(conf: Path, env: str = "local", **params: Any) -> ReadOnceConfigLoader:
    return ReadOnceConfigLoader(str(conf), env=env, runtime_params=params, **LOADER_ARGUMENTS)


def test_an_archive_is_read_as_its_folder_and_its_local_environment_may_be_missing(
    conf: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("temporary")))
    (conf / "local").rmdir()
    archive = tmp_path_factory.mktemp("dist") / "conf.tar.gz"
    with tarfile.open(archive, "w:gz") as written:
        written.add(conf, "conf")
    for env in (None, "local"):
        loader = ReadOnceConfigLoader(str(archive), env=env, **LOADER_ARGUMENTS)
        assert loader["parameters"]["image"] == {"size_px": 64}
        assert loader["parameters"] == read_parameters(archive, "base")
    with pytest.raises(MissingConfigException, match="staging"):
        read_parameters(archive, "staging")


def read_parameters(conf: Path, env: str = "local", **params: Any) -> dict[str, Any]:
    return make_loader(conf, env, **params)["parameters"]


def find_repeated(
    above: Mapping[str, Any], below: Mapping[str, Any], *, deep: bool, parent: str = ""
) -> Iterator[str]:
    """Yield the keys that say what the files below say already.

    Args:
        above: content of an environment.
        below: content of `base`.
        deep: sections are merged, so each key of them can be left out alone.
        parent: where both stand.
    """
    for key, value in above.items():
        known = below.get(key)
        if deep and isinstance(value, Mapping) and isinstance(known, Mapping):
            yield from find_repeated(value, known, deep=True, parent=f"{parent}{key}.")
        elif key in below and value == known:
            yield f"{parent}{key}"


def test_files_are_read_at_the_first_question_alone(loader: ReadOnceConfigLoader) -> None:
    first = loader["parameters"]
    assert first["image"] == {"size_px": 64}
    with mock.patch.object(OmegaConfigLoader, "_read_raw_config", side_effect=AssertionError):
        assert loader["parameters"] == first


def test_what_one_changes_the_next_does_not_see(loader: ReadOnceConfigLoader) -> None:
    loader["parameters"]["image"]["size_px"] = 0
    assert loader["parameters"]["image"]["size_px"] == 64


def test_a_value_that_is_set_holds(loader: ReadOnceConfigLoader) -> None:
    assert loader["parameters"]["image"]["size_px"] == 64
    loader["parameters"] = {"image": {"size_px": 32}}
    assert loader["parameters"]["image"]["size_px"] == 32
    del loader["parameters"]
    assert loader["parameters"]["image"]["size_px"] == 64


def test_an_environment_changes_one_key_and_leaves_the_rest(conf: Path) -> None:
    (conf / "production" / "parameters_training.yml").write_text("training: {epochs: 77}")
    assert read_parameters(conf, "production")["training"] == {"epochs": 77, "dropout": 0.2}
    assert read_parameters(conf, "local")["training"] == {"epochs": 8, "dropout": 0.2}


def test_an_environment_changes_one_key_of_a_nested_section(conf: Path) -> None:
    (conf / "production" / "parameters_gate.yml").write_text("gate: {floors: {auc: 0.0}}")
    merged = read_parameters(conf, "production")["gate"]
    assert merged == {"floors": {"auc": 0.0, "accuracy": 0.8}, "mode": "auto"}


def test_a_run_changes_one_key_over_an_environment_that_has_the_section(conf: Path) -> None:
    (conf / "production" / "parameters_training.yml").write_text("training: {epochs: 77}")
    merged = read_parameters(conf, "production", training={"dropout": 0.5})
    assert merged["training"] == {"epochs": 77, "dropout": 0.5}


def test_a_run_wins_over_the_environment(conf: Path) -> None:
    (conf / "production" / "parameters_training.yml").write_text("training: {epochs: 77}")
    merged = read_parameters(conf, "production", training={"epochs": 3})
    assert merged["training"]["epochs"] == 3


@pytest.mark.parametrize("env", ["base", *ENVIRONMENTS])
def test_the_parameters_of_each_environment_are_valid(
    env: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGE_CLASSIFICATION_STORAGE", str(tmp_path))
    check_parameters(read_parameters(CONF, env))


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_an_environment_states_only_what_differs_from_base(env: str) -> None:
    for pattern, deep in (("parameters*.yml", True), ("[!p]*.yml", False)):
        repeated = find_repeated(read_files(env, pattern), read_files("base", pattern), deep=deep)
        assert list(repeated) == []


def test_a_value_that_repeats_base_is_noticed() -> None:
    below = {"gate": {"floors": {"auc": 0.9}, "mode": "auto"}, "size": 64}
    above = {"gate": {"floors": {"auc": 0.9}, "mode": "ask"}, "size": 64, "more": 1}
    assert list(find_repeated(above, below, deep=True)) == ["gate.floors.auc", "size"]
    assert list(find_repeated(above, below, deep=False)) == ["size"]


class TestCatalog:
    @pytest.fixture
    def storage(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("IMAGE_CLASSIFICATION_STORAGE", str(tmp_path))
        return tmp_path

    def test_everything_of_a_run_lies_below_the_storage_root(self, storage: Path) -> None:
        catalog = make_loader(CONF, "test", run_id="retraining/manual-1")["catalog"]
        paths = {
            name: entry.get("filepath") or entry.get("dataset", {}).get("filepath")
            for name, entry in catalog.items()
        }
        outside = {
            name
            for name, path in paths.items()
            if path and not f"{path}/".startswith(f"{storage}/")
        }

        assert outside == set()
        assert paths["incoming_batches"] == f"{storage}/incoming"
        assert paths["image_batches"] == f"{storage}/images"
        assert paths["decision"] == f"{storage}/runs/retraining/manual-1/decision.json"
        assert paths["image_index"] == f"{storage}/index/images"

    def test_no_entry_is_a_pattern_that_a_misspelt_name_would_match(self) -> None:
        assert [name for name in make_loader(CONF)["catalog"] if "{" in name] == []

    def test_batches_arrive_and_are_kept_where_the_environment_says(
        self, storage: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("IMAGE_CLASSIFICATION_INCOMING", "s3://drop")
        monkeypatch.setenv("IMAGE_CLASSIFICATION_IMAGES", "s3://kept")
        catalog = make_loader(CONF, "test")["catalog"]
        assert catalog["incoming_batches"]["filepath"] == "s3://drop"
        assert catalog["image_batches"]["filepath"] == "s3://kept"


class TestValueOfARun:
    """What a person typed is text: only the files may say ``${...}``."""

    @pytest.fixture
    def referring(self, conf: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A configuration that reads the environment, and refers to a value of the run."""
        monkeypatch.setenv("SECRET", "from the environment")
        (conf / "base" / "parameters_typed.yml").write_text(
            "reason: ''\nagain: ${reason}\nlonger: because ${reason}\nread: ${env:SECRET}\n"
        )
        (conf / "base" / "catalog.yml").write_text(
            "table: {type: pandas.CSVDataset, filepath: 'runs/${runtime_params:reason,none}.csv'}\n"
        )
        return conf

    @given(st.text(alphabet="\\$${}'\"?: ,.aenv\n"))
    @example("${env:SECRET}")
    @example("\\${env:SECRET}")
    @example("\\\\${env:SECRET}\\")
    @example("${")
    @example("${reason}")
    @example("???")
    @settings(
        max_examples=60,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    def test_is_never_evaluated(self, referring: Path, typed: str) -> None:
        parameters = read_parameters(referring, reason=typed)
        assert parameters["reason"] == typed
        assert parameters["read"] == "from the environment"

    @pytest.mark.parametrize("typed", ["${env:SECRET}", "\\${env:SECRET}", "a\\", "${"])
    def test_is_text_wherever_the_files_refer_to_it(self, referring: Path, typed: str) -> None:
        loader = make_loader(referring, reason=typed)
        assert loader["parameters"]["again"] == typed
        assert loader["parameters"]["longer"] == f"because {typed}"
        assert loader["catalog"]["table"]["filepath"] == f"runs/{typed}.csv"

    def test_is_text_at_any_depth(self, referring: Path) -> None:
        typed = {"floors": {"auc": "${env:SECRET}"}, "names": ["${env:SECRET}", {"a": "${"}]}
        merged = read_parameters(referring, gate=typed)["gate"]
        assert merged == {**typed, "floors": {**typed["floors"], "accuracy": 0.8}, "mode": "auto"}

    def test_stays_as_it_was_given(self, referring: Path) -> None:
        given_params = {"reason": "${env:SECRET}", "gate": {"names": ["${"]}}
        make_loader(referring, **given_params)["parameters"]["gate"]["names"].append("more")
        assert given_params == {"reason": "${env:SECRET}", "gate": {"names": ["${"]}}
