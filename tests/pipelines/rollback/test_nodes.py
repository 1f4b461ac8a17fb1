"""`plan_rollback`: which version becomes champion again, and why it cannot."""

from __future__ import annotations

from typing import Any

import pytest
from judgement import make_entry

from image_classification.errors import ConfigurationError, RegistryError
from image_classification.gate import verdict
from image_classification.pipelines.rollback.nodes import plan_rollback

PROMOTIONS = {
    f"r{version}-promoted": make_entry(
        verdict.PROMOTED,
        version,
        before,
        version,
        at=f"2026-11-2{version}T02:00:00.000+00:00",
    )
    for version, before in (("1", None), ("2", "1"), ("4", "2"))
}


def register(*versions: str, champion: str = "", **tags: str) -> list[dict[str, Any]]:
    return [
        {
            "version": version,
            "aliases": ["champion", "other"] if version == champion else [],
            "tags": tags if version == champion else {},
        }
        for version in versions
    ]


REGISTERED = register("1", "2", "3", "4", "5", champion="4")


def plan(
    version: str = "previous",
    entries: Any = PROMOTIONS,
    registered: Any = REGISTERED,
    **said: str,
) -> dict[str, str]:
    asked: Any = {"version": version, "reason": "misses rings", "by": "Ada", **said}
    return plan_rollback(entries, registered, "cells", asked)


def test_the_previous_champion_is_found_in_the_ledger() -> None:
    assert plan() == {
        "model": "cells",
        "from": "4",
        "to": "2",
        "reason": "misses rings",
        "by": "Ada",
    }


@pytest.mark.parametrize("version", ["3", "v3", " v3 ", " 3"])
def test_a_version_is_named_by_its_number(version: str) -> None:
    assert plan(version)["to"] == "3"


def test_a_second_rollback_goes_one_further() -> None:
    back = make_entry(verdict.ROLLED_BACK, "2", "4", "2", at="2026-11-25T02:00:00.000+00:00")
    entries = {**PROMOTIONS, "r5": back}
    registered = register("1", "2", "3", "4", champion="2")
    assert plan(entries=entries, registered=registered)["to"] == "1"


def test_a_champion_set_by_hand_goes_back_to_the_last_one_of_the_ledger() -> None:
    assert plan(registered=register("1", "2", "4", "5", champion="5"))["to"] == "4"


def test_other_models_of_the_same_ledger_do_not_count() -> None:
    other = make_entry(verdict.PROMOTED, "9", "8", "9", at="2026-11-29T02:00:00.000+00:00")
    assert plan(entries={**PROMOTIONS, "x": {**other, "model": "platelets"}})["to"] == "2"


@pytest.mark.parametrize(
    "entries",
    [
        {},
        {"r5-kept": make_entry(verdict.KEPT, "5", "4", "4", at="2026-11-25T02:00:00.000+00:00")},
    ],
)
def test_a_champion_older_than_the_ledger_knows_itself_whom_it_replaced(entries: Any) -> None:
    registered = register("1", "3", "4", "5", champion="4", compared_with_version="3")
    assert plan(entries=entries, registered=registered)["to"] == "3"


@pytest.mark.parametrize("version", ["1", "v1"])
def test_reason_and_name_are_kept_without_the_space_around_them(version: str) -> None:
    assert plan(version, reason=" it misses\nrings ", by=" Ada ")["reason"] == "it misses\nrings"
    assert plan(version, by=" Ada ")["by"] == "Ada"


@pytest.mark.parametrize("value", ["", "  \n"])
def test_a_rollback_says_why(value: str) -> None:
    with pytest.raises(ConfigurationError, match=r"needs rollback\.reason: .*kept in the ledger"):
        plan(reason=value)


def test_nobody_needs_to_type_a_name() -> None:
    assert plan(by="  ")["by"] == ""


@pytest.mark.parametrize("version", ["9", "03", "champion", "Previous", "", "vv3", "-1"])
def test_a_version_that_is_none_is_told_with_those_that_are(version: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        plan(version)
    assert str(raised.value) == (
        "rollback.version: allowed are 'previous' and the other versions, 1, 2, 3, 5. "
        f"Received: '{version}'."
    )


@pytest.mark.parametrize("version", ["4", "v4"])
def test_the_champion_itself_is_no_target(version: str) -> None:
    with pytest.raises(
        RegistryError, match=f"versions, 1, 2, 3, 5. Received: '{version}', which is champion"
    ):
        plan(version)


def test_a_previous_champion_that_was_deleted_is_named() -> None:
    with pytest.raises(
        ConfigurationError,
        match=r"versions, 1, 3. Received: 'previous': version 2, which is not registered any more",
    ):
        plan(registered=register("1", "3", "4", champion="4"))


def test_a_first_champion_has_none_before_it() -> None:
    for tags in ({}, {"compared_with_version": "none"}):
        registered = register("1", "2", champion="1", **tags)
        for entries in ({}, {"r1": PROMOTIONS["r1-promoted"]}):
            with pytest.raises(
                RegistryError, match=r"Version 1 of 'cells' is the first champion.*Name a version"
            ):
                plan(entries=entries, registered=registered)


@pytest.mark.parametrize("registered", [[], register("1", "2")])
@pytest.mark.parametrize("version", ["previous", "1"])
def test_without_a_champion_there_is_nothing_to_roll_back(registered: Any, version: str) -> None:
    with pytest.raises(RegistryError, match=r"'cells' has no champion.*set the alias 'champion'"):
        plan(version, {}, registered)


@pytest.mark.parametrize(("version", "target"), [("previous", "4"), ("4", "4"), ("1", "1")])
def test_a_champion_whose_alias_was_removed_is_put_back(version: str, target: str) -> None:
    made = plan(version, registered=register("1", "2", "4"))
    assert (made["from"], made["to"]) == ("", target)


def test_a_champion_that_was_set_by_hand_may_be_written_into_the_ledger() -> None:
    made = plan("5", registered=register("1", "2", "4", "5", champion="5"))
    assert (made["from"], made["to"]) == ("5", "5")


def test_a_version_whose_package_was_let_go_is_refused() -> None:
    gone = [one | {"tags": {"package": "let go on 2026-11-28"}} for one in register("3")]
    known = [one for one in REGISTERED if one["version"] != "3"] + gone
    with pytest.raises(
        ConfigurationError, match=r"the package of version 3 is there no more \(let go on 2026"
    ):
        plan("3", registered=known)
    assert plan("2", registered=known)["to"] == "2"
