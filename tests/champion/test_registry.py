"""The registry, against a real MLflow store: versions, aliases, and the move of the champion."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from registry_store import MODEL, SUMMARY, log_model, open_run
from registry_store import register as register_version

from image_classification.champion import lineage, registry
from image_classification.errors import ChampionMovedError, RegistryError


def champion() -> str | None:
    version = registry.find_version(MODEL, registry.CHAMPION)
    return str(version.version) if version else None


def register(name: str) -> str:
    return register_version(name)[1]


@pytest.mark.usefixtures("store")
class TestRegistry:
    def test_no_alias_is_no_version(self) -> None:
        assert registry.find_version("never registered", registry.CHAMPION) is None
        register("one")
        assert registry.find_version(MODEL, registry.CHAMPION) is None

    def test_a_model_is_registered_once_however_often_it_is_asked_for(self) -> None:
        model_id = log_model(open_run("a"))
        first = registry.register_challenger(MODEL, model_id, {"data_digest": "abc"})
        again = registry.register_challenger(MODEL, model_id, {"data_digest": "abc"})
        assert int(first.version) == int(again.version) == 1
        assert len(registry.list_versions(MODEL)) == 1
        found = registry.find_version(MODEL, registry.CHALLENGER)
        assert found is not None
        assert found.tags["data_digest"] == "abc"

    def test_the_tags_of_a_model_that_is_not_there_are_none_and_another_fault_is_one(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert registry.read_model_tags("nowhere") is None
        register("first")
        assert registry.read_model_tags(MODEL) == {}
        with pytest.raises(MlflowException, match="name"):
            registry.read_model_tags("")

    def test_the_decision_stays_the_first_tag_that_mlflow_shows(self) -> None:
        run_id = open_run("a")
        tags = lineage.make_tags(SUMMARY)
        version = str(registry.register_challenger(MODEL, log_model(run_id), tags).version)
        later = {"in_use": "since noon", "decision": "promoted"}
        registry.describe_version(MODEL, version, later, "card")
        found = registry.get_version(MODEL, version).tags
        assert next(iter(found.items())) == ("decision", "promoted")

    def test_the_champion_moves_from_none_to_a_version_to_another_and_to_none(
        self,
    ) -> None:
        first, second = register("a"), register("b")
        for target, expected in ((first, None), (second, first), (first, second), (None, first)):
            assert registry.move_champion(MODEL, target, expected)
            assert champion() == target

    def test_moving_where_it_is_already_does_nothing_whatever_is_expected(
        self,
    ) -> None:
        version = register("a")
        assert registry.move_champion(MODEL, version, None)
        assert not registry.move_champion(MODEL, version, None)
        assert champion() == version

    @pytest.mark.parametrize("set_by_hand", [True, False])
    @pytest.mark.parametrize("expects_one", [True, False])
    def test_a_champion_that_is_not_the_one_expected_stays(
        self, set_by_hand: bool, expects_one: bool
    ) -> None:
        first, second, third = (register(f"{name}") for name in ("a", "b", "c"))
        if set_by_hand:
            MlflowClient().set_registered_model_alias(MODEL, registry.CHAMPION, second)
        elif not expects_one:
            return  # none is what is expected, and what is found
        expected, found = (first if expects_one else None), (second if set_by_hand else None)
        named = [f"version {version}" if version else "none" for version in (expected, found)]
        with pytest.raises(ChampionMovedError, match="expected {}, found {}".format(*named)):
            registry.move_champion(MODEL, third, expected)
        assert champion() == found

    def test_an_alias_that_did_not_move_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        version = register("a")
        monkeypatch.setattr(MlflowClient, "set_registered_model_alias", lambda *_: None)
        with pytest.raises(RegistryError, match=f"set to version {version} but points to none"):
            registry.move_champion(MODEL, version, None)

    def test_a_version_that_is_not_there_is_named_beside_those_that_are(self) -> None:
        register("a")
        with pytest.raises(RegistryError, match=r"no version '7' of 'cells'. Known: 1"):
            registry.get_version(MODEL, "7")

    def test_the_newest_registered_version_is_the_challenger(self) -> None:
        first, second = register("a"), register("b")
        found = registry.find_version(MODEL, registry.CHALLENGER)
        latest = registry.find_latest_version(MODEL)
        assert found is not None
        assert latest is not None
        assert str(found.version) == str(latest.version) == second != first

    def test_a_store_that_fails_is_not_taken_for_a_missing_alias(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise MlflowException("the disk is full")

        monkeypatch.setattr(MlflowClient, "get_model_version_by_alias", fail)
        with pytest.raises(MlflowException, match="the disk is full"):
            registry.find_version(MODEL, registry.CHAMPION)

    def test_version_10_comes_after_version_9(self) -> None:
        run_id, _ = register_version("a")
        source = registry.get_version(MODEL, "1").source
        for _ in range(9):
            MlflowClient().create_model_version(MODEL, source, run_id)
        versions = [str(found.version) for found in registry.list_versions(MODEL)]
        assert versions == ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"]
        latest = registry.find_latest_version(MODEL)
        assert latest is not None
        assert str(latest.version) == "10"

    def test_the_newest_version_counts_by_number_in_whatever_order_a_store_lists_them(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        listed = [SimpleNamespace(version=version) for version in ("9", "10", "2")]
        monkeypatch.setattr(MlflowClient, "search_model_versions", lambda *_: listed)
        monkeypatch.setattr(
            MlflowClient, "get_model_version", lambda *given: SimpleNamespace(version=given[2])
        )
        assert [found.version for found in registry.list_versions(MODEL)] == ["2", "9", "10"]
        latest = registry.find_latest_version(MODEL)
        assert latest is not None
        assert latest.version == "10"

    def test_no_version_is_the_newest_of_none(self) -> None:
        assert registry.list_versions("never registered") == []
        assert registry.find_latest_version("never registered") is None

    def test_listed_versions_know_their_aliases(self) -> None:
        first, second = register("a"), register("b")
        MlflowClient().set_registered_model_alias(MODEL, registry.CHAMPION, first)
        aliases = {str(v.version): list(v.aliases) for v in registry.list_versions(MODEL)}
        assert aliases == {first: ["champion"], second: ["challenger"]}

    def test_the_version_of_a_model_is_found_whatever_else_names_its_run(self) -> None:
        run_id = open_run("a")
        own, other = log_model(run_id), log_model(run_id)
        version = registry.register_challenger(MODEL, own, {}).version
        found = registry.find_version_of_model(MODEL, own)
        assert found is not None
        assert found.version == version
        assert registry.find_version_of_model(MODEL, other) is None

    def test_the_logged_model_behind_a_version_is_known_by_its_id(self) -> None:
        run_id = open_run("a")
        model_id = log_model(run_id)
        version = str(registry.register_challenger(MODEL, model_id, {}).version)
        assert registry.find_model_id(MODEL, version) == model_id
        other = MlflowClient().create_model_version(MODEL, "runs:/x/model", run_id)
        assert registry.find_model_id(MODEL, str(other.version)) is None

    def test_a_version_is_described_and_outdated_tags_are_taken_off(self) -> None:
        version = register("a")
        registry.describe_version(MODEL, version, {"old": "1", "kept": "2"}, "a card")
        registry.describe_version(MODEL, version, {"new": "3"}, "another", ("old", "never set"))
        found = registry.get_version(MODEL, version)
        assert found.tags == {"kept": "2", "new": "3"}
        assert found.description == "another"

    def test_the_model_is_not_read_again_for_each_tag(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        version = register("a")
        read = MlflowClient.get_registered_model
        asked: list[str] = []

        def count(self: MlflowClient, name: str) -> Any:
            asked.append(name)
            return read(self, name)

        monkeypatch.setattr(MlflowClient, "get_registered_model", count)
        registry.describe_version(MODEL, version, {str(number): "1" for number in range(5)}, "")
        assert len(asked) <= 1
        assert len(registry.get_version(MODEL, version).tags) == 5

    def test_the_images_of_a_version_are_those_that_its_run_has_kept(self) -> None:
        images = pd.DataFrame(
            {"image_id": ["a"], "label": ["ring"], "patient": ["C1"], "split": ["train"]}
        )
        _, version = register_version("a", images)
        kept = registry.read_images(MODEL, version)
        pd.testing.assert_frame_equal(kept, images, check_dtype=False)
        without = register("b")
        with pytest.raises(RegistryError, match=f"Version {without} of 'cells' keeps no table"):
            registry.read_images(MODEL, without)

    def test_a_version_has_no_page_without_a_server(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert registry.locate_version(MODEL, "3") == "models:/cells/3"
        monkeypatch.setattr(registry.mlflow, "get_tracking_uri", lambda: "http://mlflow/")
        address = "http://mlflow/#/models/cells/versions/3"
        assert registry.locate_version(MODEL, "3") == address
