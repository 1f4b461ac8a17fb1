"""What keeps projects and environments apart."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from shipped import CONF

from image_classification.configuration.loader import LOADER_ARGUMENTS, ReadOnceConfigLoader
from image_classification.configuration.plain import PlainConfiguration
from image_classification.configuration.scope import (
    FOLDERS,
    SHARED,
    Scope,
    read_data_scope,
    read_scope,
)
from image_classification.errors import ConfigurationError
from image_classification.hooks import progress


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """The shipped configuration, of a project that is called leaves, with two environments."""
    for env in ("base", "local", "staging", "production"):
        (tmp_path / "conf" / env).mkdir(parents=True)
    for file in (CONF / "base").glob("*.yml"):
        (tmp_path / "conf" / "base" / file.name).write_text(file.read_text())
    call(tmp_path / "conf", "leaves")
    return tmp_path / "conf"


def call(conf: Path, name: Any) -> None:
    """Give the project a name."""
    file = conf / "base" / "project.yml"
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | {"name": name}))


def read_places(conf: Path, env: str | None) -> dict[str, str]:
    """Return where an environment keeps things, as a command reads it."""
    return list_places(PlainConfiguration(conf, env))


def list_places(read: Any) -> dict[str, str]:
    known, catalog = read["globals"], read["catalog"]
    return {
        **{key: known[key] for key in ("storage_root", "incoming", "images")},
        "key": known["signing"]["private_key"],
        "model": catalog["champion"]["model_name"],
        "experiment": read["mlflow"]["tracking"]["experiment"]["name"],
        **{name: catalog[name]["filepath"] for name in ("ledger", "pages", "image_index")},
        "dags": catalog["holdings"]["dag_prefix"],
    }


def test_environments_of_a_project_with_a_name_share_no_place(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGE_CLASSIFICATION_STORAGE", "s3://bucket/all")
    monkeypatch.setenv("IMAGE_CLASSIFICATION_INCOMING", "/drop")
    monkeypatch.setenv("IMAGE_CLASSIFICATION_IMAGES", "/kept/")
    found = {env: read_places(conf, env) for env in (None, "staging", "production")}
    assert found["production"] == {
        "storage_root": "s3://bucket/all/leaves-production",
        "incoming": "/drop/leaves-production",
        "images": "/kept/leaves-production",
        "key": "s3://bucket/all/leaves-production/keys/signing.pem",
        "model": "leaves-production-cell-classifier",
        "experiment": "leaves-production-image_classification",
        "ledger": "s3://bucket/all/leaves-production/ledger",
        "pages": "s3://bucket/all/leaves-production/pages",
        "image_index": "s3://bucket/all/leaves-production/index/images",
        "dags": "leaves-production-",
    }
    loader = ReadOnceConfigLoader(str(conf), env="production", **LOADER_ARGUMENTS)
    assert list_places(loader) == found["production"]
    assert found[None]["storage_root"] == "s3://bucket/all/leaves"
    for key in found[None]:
        assert len({places[key] for places in found.values()}) == 3, key


def test_configurations_of_two_environments_in_one_process_do_not_mix(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGE_CLASSIFICATION_STORAGE", "/data")
    one, two = (
        ReadOnceConfigLoader(str(conf), env=env, **LOADER_ARGUMENTS)
        for env in ("staging", "production")
    )
    for loader, root in ((one, "/data/leaves-staging"), (two, "/data/leaves-production")):
        assert loader["catalog"]["ledger"]["filepath"] == f"{root}/ledger"
        assert loader["mlflow"]["server"]["mlflow_tracking_uri"].startswith(f"sqlite:///{root}/")


def test_without_variables_all_lies_below_the_folder_of_the_name(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("STORAGE", "INCOMING", "IMAGES"):
        monkeypatch.delenv(f"IMAGE_CLASSIFICATION_{name}", raising=False)
    found = read_places(conf, "staging")
    assert found["storage_root"].endswith("/data/leaves-staging")
    assert found["incoming"] == f"{found['storage_root']}/incoming"
    assert found["images"] == f"{found['storage_root']}/images"


def test_a_project_without_a_name_keeps_all_where_it_was(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(conf, None)
    monkeypatch.setenv("IMAGE_CLASSIFICATION_STORAGE", "/data")
    for env in (None, "production"):
        found = read_places(conf, env)
        assert (found["storage_root"], found["incoming"]) == ("/data", "/data/incoming")
        assert found["model"] == "cell-classifier"
        assert found["experiment"] == "image_classification"
        assert found["dags"] == ("production-" if env else "")


@pytest.mark.parametrize("name", ["Leaves", "2leaves", "le-aves", "a/b", "..", "x" * 41, "", 7])
def test_a_name_that_cannot_stand_in_ids_and_addresses_is_refused(conf: Path, name: Any) -> None:
    call(conf, name)
    with pytest.raises(ConfigurationError, match=r"project\.yml: 'name' stands in ids"):
        PlainConfiguration(conf)


@pytest.mark.parametrize("name", FOLDERS)
def test_the_name_of_a_folder_of_a_storage_is_refused(conf: Path, name: str) -> None:
    call(conf, name)
    with pytest.raises(ConfigurationError, match=f"'name' cannot be '{name}': each storage has"):
        PlainConfiguration(conf)


def test_all_folders_of_a_storage_are_known(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STORAGE", "INCOMING", "IMAGES", "INFERENCE"):
        monkeypatch.delenv(f"IMAGE_CLASSIFICATION_{name}", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("IMAGE_CLASSIFICATION_STORAGE", "/storage")
    call(conf, None)
    read = PlainConfiguration(conf)
    said = json.dumps([read[kind] for kind in ("catalog", "globals", "mlflow")])
    assert {*re.findall(r"/storage/(\w+)", said), progress.FOLDER} == set(FOLDERS)


def test_the_name_of_an_environment_is_refused(conf: Path) -> None:
    call(conf, "production")
    with pytest.raises(ConfigurationError, match="'production', and so has an environment"):
        PlainConfiguration(conf)


def test_dags_tell_the_environment_also_of_a_project_without_a_name() -> None:
    assert read_scope({"name": None}, "production") == Scope("", "production")
    assert read_data_scope({"name": None}, "production") == SHARED
    assert [read_scope({}, usual) for usual in (None, "local", "base")] == [SHARED] * 3
    assert read_scope({"name": "leaves"}, "local") == Scope("leaves")


def test_a_scope_is_told_in_words_and_in_names() -> None:
    both = Scope("leaves", "production")
    assert both.name("retraining") == "leaves-production-retraining"
    assert both.describe() == "Project `leaves`, environment `production`"
    assert Scope("", "staging").describe() == "Environment `staging`"
    assert (SHARED.name("retraining"), SHARED.locate("/data/")) == ("retraining", "/data/")
