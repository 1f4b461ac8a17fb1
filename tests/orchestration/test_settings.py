"""`conf/*/airflow.yml`: what is refused, and what becomes of the rest."""

from __future__ import annotations

import re
from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest

from image_classification.errors import ConfigurationError
from image_classification.orchestration.settings import read_settings

SETTINGS: dict[str, Any] = {
    "description": "Count the cells. Slowly.",
    "schedule": None,
    "timezone": "UTC",
    "catchup": False,
    "max_active_runs": 1,
    "owner": "laboratory",
    "tags": ["cells"],
    "retries": 2,
    "retry_delay_s": 10,
    "maximum_retry_delay_s": 300,
    "task_timeout_minutes": 5,
    "notifications": {"failure": ["log", "mail"], "mail": {"recipients": ["ada@example.org"]}},
    "params": {
        "epochs": {
            "title": "Epochs",
            "type": "integer",
            "minimum": 1,
            "maximum": 9,
            "parameter": "training.epochs",
            "default": 6,
        },
        "seed": {"title": "Seed", "type": "integer", "parameter": "training.seed", "default": 1},
        "size": {"title": "Size", "type": "integer", "parameter": "size_px", "default": 64},
        "force": {"title": "Force", "type": "boolean", "default": False},
    },
}


def change(path: str, value: Any) -> dict[str, Any]:
    """Return SETTINGS with one value changed or added."""
    changed = deepcopy(SETTINGS)
    *parents, key = path.split(".")
    level = changed
    for parent in parents:
        level = level[parent]
    level[key] = value
    return changed


# Refusals


@pytest.mark.parametrize(
    ("path", "key", "meant"),
    [
        ("retrys", "retrys", "retries"),
        ("params.epochs.defualt", "params.epochs.defualt", "default"),
        ("notification", "notification", "notifications"),
        ("notifications.failures", "notifications.failures", "failure"),
        ("notifications.mail.recipient", "notifications.mail.recipient", "recipients"),
    ],
)
def test_unknown_key_is_refused_with_the_one_that_was_meant(
    path: str, key: str, meant: str
) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        read_settings("counting", change(path, 1))
    assert "DAG 'counting'" in str(refusal.value)
    assert f"'{key}' is not a key. Did you mean '{meant}'? Allowed: " in str(refusal.value)


def test_missing_key_is_named() -> None:
    settings = {key: value for key, value in SETTINGS.items() if key != "owner"}
    with pytest.raises(ConfigurationError, match="'owner' is missing"):
        read_settings("counting", settings)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("retries", "many"),
        ("retries", -1),
        ("max_active_runs", 0),
        ("retry_delay_s", 0),
        ("catchup", "sometimes"),
        ("tags", "cells"),
        ("params.epochs.maximum", "nine"),
        ("notifications.failure", "log"),
        ("notifications.mail.recipients", "ada@example.org"),
        ("notifications.mail.connection", ""),
    ],
)
def test_wrong_value_is_refused_with_its_place_and_itself(path: str, value: Any) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        read_settings("counting", change(path, value))
    assert f"'{path}': " in str(refusal.value)
    assert f"Received: {value!r}." in str(refusal.value)


# Who is told


def test_unknown_channel_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(ConfigurationError) as refusal:
        read_settings("counting", change("notifications.failure", ["log", "slak"]))
    assert "'notifications.failure.1': Input should be 'log', 'slack' or 'mail'. " in str(
        refusal.value
    )
    assert "Received: 'slak'. Did you mean 'slack'?" in str(refusal.value)


def test_mail_without_recipients_is_refused_with_the_events_that_ask_for_it() -> None:
    settings = SETTINGS | {"notifications": {"failure": ["mail"], "alert": ["log", "mail"]}}
    with pytest.raises(ConfigurationError) as refusal:
        read_settings("counting", settings)
    assert (
        "'notifications': mail is asked for (failure, alert), and 'mail.recipients' is empty: list "
        "at least one address." in str(refusal.value)
    )


@pytest.mark.parametrize(
    "address", ["ada", "ada@", "ada@example.org, carl@example.org", "a@b\nBcc: c@d", "Ada <a@b>"]
)
def test_recipient_that_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError, match=r"'notifications\.mail\.recipients\.0'"):
        read_settings("counting", change("notifications.mail.recipients", [address]))


def test_everything_is_logged_where_nothing_is_said() -> None:
    settings = {key: value for key, value in SETTINGS.items() if key != "notifications"}
    told = read_settings("counting", settings).notifications
    for event in ("failure", "promotion", "needs_you", "skipped", "alert"):
        assert told.channels_of(event) == ["log"]


def test_all_faults_are_told_at_once() -> None:
    settings = change("retries", "many") | {"colour": "red"}
    del settings["owner"]
    with pytest.raises(ConfigurationError) as refusal:
        read_settings("counting", settings)
    assert len(re.findall("^  - ", str(refusal.value), re.MULTILINE)) == 3


# The DAG


def test_dag_is_told_the_settings_in_its_own_units() -> None:
    arguments = read_settings("counting", SETTINGS).dag_arguments()
    assert arguments["schedule"] is None
    assert arguments["description"] == "Count the cells"
    assert arguments["default_args"] == {
        "owner": "laboratory",
        "retries": 2,
        "retry_delay": timedelta(seconds=10),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=5),
        "execution_timeout": timedelta(minutes=5),
    }


def test_cron_schedule_is_of_the_time_zone() -> None:
    settings = SETTINGS | {"schedule": "30 1 * * 1", "timezone": "Africa/Nairobi"}
    schedule = read_settings("counting", settings).dag_arguments()["schedule"]
    assert schedule.expression == "30 1 * * 1"
    assert str(schedule.timezone) == "Africa/Nairobi"


def assets_of(schedule: Any) -> list[str]:
    condition = getattr(schedule, "asset_condition", schedule)
    assert type(condition).__name__ == "AssetAny"  # one of them starts a run, not all together
    return [asset.name for asset in condition.objects]


@pytest.mark.parametrize("cron", [None, "0 2 * * *"])
@pytest.mark.parametrize(
    ("waits_for", "assets"),
    [
        ({"on_new_images": True}, ["new_images"]),
        ({"on_new_champion": True}, ["champion"]),
        ({"on_new_images": True, "on_new_champion": True}, ["new_images", "champion"]),
    ],
)
def test_news_start_a_run_beside_the_clock_or_without_one(
    cron: str | None, waits_for: dict[str, bool], assets: list[str]
) -> None:
    settings = read_settings("counting", SETTINGS | {"schedule": cron} | waits_for)
    schedule = settings.dag_arguments()["schedule"]
    assert assets_of(schedule) == assets
    if cron is not None:
        assert schedule.timetable.expression == cron


def test_trigger_form_refuses_a_value_out_of_range() -> None:
    from airflow.sdk.exceptions import ParamValidationError

    epochs = read_settings("counting", SETTINGS).dag_arguments()["params"]["epochs"]
    assert epochs.resolve() == 6
    assert epochs.resolve(value=9) == 9
    for wrong in (0, 10, "six", 2.5):
        with pytest.raises(ParamValidationError):
            epochs.resolve(value=wrong)


# Kedro parameters of a run


@pytest.mark.parametrize(
    ("chosen", "changes"),
    [
        ({}, {}),
        ({"epochs": 6, "seed": 1, "size": 64, "force": False}, {}),
        ({"size": 32}, {"size_px": 32}),
        ({"epochs": 3}, {"training": {"epochs": 3}}),
        ({"epochs": 3, "seed": 2}, {"training": {"epochs": 3, "seed": 2}}),
        ({"seed": 2, "size": 32}, {"training": {"seed": 2}, "size_px": 32}),
        ({"force": True}, {}),
        ({"epochs": None}, {}),  # a field that was emptied
        ({"unheard_of": 1}, {}),
    ],
    ids=lambda value: str(value) or "nothing",
)
def test_run_changes_the_parameters_of_the_changed_fields_alone(
    chosen: dict[str, Any], changes: dict[str, Any]
) -> None:
    assert read_settings("counting", SETTINGS).runtime_params(chosen) == changes


def test_a_run_may_take_as_long_as_it_likes_unless_told_otherwise() -> None:
    assert read_settings("training", SETTINGS).dag_arguments()["dagrun_timeout"] is None
    limited = read_settings("training", {**SETTINGS, "run_timeout_hours": 6})
    assert limited.dag_arguments()["dagrun_timeout"] == timedelta(hours=6)


# Time


@pytest.mark.parametrize("zone", ["Europe/Berln", "", "/etc/passwd", "../UTC", "CEST-2"])
def test_a_time_zone_that_is_not_there_is_refused(zone: str) -> None:
    with pytest.raises(ConfigurationError, match=r"'timezone': there is no time zone"):
        read_settings("counting", change("timezone", zone))


@pytest.mark.parametrize(
    "cron",
    ["61 2 * * *", "* * *", "0 2 31 2 *", "0 0 2 * * *", "0 2 * * 8", "nightly", "@nightly", ""],
)
def test_a_schedule_without_a_next_hour_is_refused(cron: str) -> None:
    settings = read_settings("counting", change("schedule", cron))
    with pytest.raises(ConfigurationError, match=re.escape(f"Received: {cron!r}")):
        settings.check_schedule()


@pytest.mark.parametrize("cron", [None, "0 2 * * *", "*/10 * * * *", "0 2 * * MON-FRI", "@daily"])
def test_a_schedule_that_airflow_knows_is_taken(cron: str | None) -> None:
    read_settings("counting", change("schedule", cron)).check_schedule()


# The form


def test_a_field_tells_what_it_does_then_its_range_and_its_unit() -> None:
    described = change("params.epochs.description", "Passes.")
    described["params"]["epochs"]["unit"] = "epochs"
    params = read_settings("counting", described).params
    assert params["epochs"].explain() == "Passes. 1 to 9 epochs."
    assert params["seed"].explain() == ""
    described["params"]["epochs"] |= {"maximum": None, "unit": ""}
    assert read_settings("counting", described).params["epochs"].explain() == "Passes. At least 1."


def test_fields_stand_by_section_whatever_their_order_in_the_file() -> None:
    settings = deepcopy(SETTINGS)
    for name, section in (("epochs", "careful"), ("seed", "network"), ("size", "network")):
        settings["params"][name]["section"] = section
    params = read_settings("counting", settings).dag_arguments()["params"]
    assert list(params) == ["force", "seed", "size", "epochs"]
    assert params["epochs"].schema["section"].startswith("With care")
    assert "section" not in params["force"].schema


def test_the_title_is_shown_where_there_is_one() -> None:
    assert "dag_display_name" not in read_settings("counting", SETTINGS).dag_arguments()
    titled = read_settings("counting", SETTINGS | {"title": "Counting"}).dag_arguments()
    assert (titled["dag_display_name"], titled["description"]) == ("Counting", "Count the cells")
