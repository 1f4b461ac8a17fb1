"""The schema of `conf/*/airflow.yml`: what one DAG may be told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal, Self, get_args
from zoneinfo import ZoneInfo, available_timezones

from airflow.sdk import AssetAny, AssetOrTimeSchedule, CronTriggerTimetable, Param
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from image_classification.configuration.scope import SHARED, Scope
from image_classification.errors import ConfigurationError, name_near_misses
from image_classification.orchestration.asset import NEW_CHAMPION, NEW_IMAGES, make_asset
from image_classification.orchestration.resource import (
    BY_TAG,
    ResourceSettings,
    TaskSettings,
    Toleration,
)

CRON_NAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@quarterly": "0 0 1 */3 *",
    "@yearly": "0 0 1 1 *",
}
"""Cron expressions for which Airflow has a name."""

Event = Literal["failure", "promotion", "needs_you", "skipped", "alert"]
Channel = Literal["log", "slack", "mail"]

MailAddress = Annotated[str, StringConstraints(pattern=r"^[^@\s,;<>]+@[^@\s,;<>]+$")]


class MailSettings(BaseModel):
    """Whom to write to, and over which Airflow connection.

    Attributes:
        recipients: their addresses.
        sender: None for the `from_email` of the connection.
        connection: the id of an Airflow connection of the type `smtp`.
    """

    model_config = ConfigDict(extra="forbid")

    recipients: list[MailAddress] = []
    sender: MailAddress | None = None
    connection: str = Field("smtp_default", min_length=1)


class SlackSettings(BaseModel):
    """The Airflow connection of the type `slackwebhook`: it names the channel, too."""

    model_config = ConfigDict(extra="forbid")

    connection: str = Field("slackwebhook_default", min_length=1)


class NotificationSettings(BaseModel):
    """Who is told of what: the channels of each event, none where nobody is to be told."""

    model_config = ConfigDict(extra="forbid")

    failure: list[Channel] = ["log"]
    promotion: list[Channel] = ["log"]
    needs_you: list[Channel] = ["log"]
    skipped: list[Channel] = ["log"]
    alert: list[Channel] = ["log"]
    mail: MailSettings = MailSettings()
    slack: SlackSettings = SlackSettings()

    def channels_of(self, event: Event) -> list[Channel]:
        """Return the channels of one event."""
        channels: list[Channel] = getattr(self, event)
        return channels

    @model_validator(mode="after")
    def _require_recipients(self) -> Self:
        mailed = [event for event in get_args(Event) if "mail" in self.channels_of(event)]
        if mailed and not self.mail.recipients:
            raise ValueError(
                f"mail is asked for ({', '.join(mailed)}), and 'mail.recipients' is empty: list at "
                "least one address"
            )
        return self


SECTIONS = {
    "asked": None,  # at once to be seen, without a title of its own
    "network": "What is trained",
    "images": "When it trains",
    "careful": "With care: beyond an ordinary night",
}
"""Groups of fields of the trigger form, in the order in which it shows them."""


NOT_IN_THE_SCHEMA = {"default", "parameter", "unit", "section", "description"}
"""Of a field: what Airflow is not told, or in other words."""


class ParamSettings(BaseModel):
    """One field of the trigger form.

    Attributes:
        default: what the form shows; left alone, it changes nothing.
        type: of JSON schema.
        title: of the field.
        description: what it does, in a sentence.
        unit: of a number, as "pixels".
        section: key of `SECTIONS`: the group of fields that it stands in.
        parameter: the Kedro parameter that it sets.
        minimum: of a number.
        maximum: of a number.
        enum: the values to choose from.
    """

    model_config = ConfigDict(extra="forbid")

    default: Any
    type: str | list[str]
    title: str
    description: str = ""
    unit: str = ""
    section: Literal["asked", "network", "images", "careful"] = "asked"
    parameter: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    enum: list[Any] | None = None

    def as_param(self) -> Param:
        """Return the Airflow Param, validated by Airflow as JSON schema."""
        schema = self.model_dump(exclude_none=True, exclude=NOT_IN_THE_SCHEMA)
        told = {"description": self.explain(), "section": SECTIONS[self.section]}
        return Param(self.default, **schema | {key: said for key, said in told.items() if said})

    def explain(self) -> str:
        """Return what the field does, its unit and its range."""
        allowed = [
            f"{word} {bound:.15g}"
            for word, bound in (("at least", self.minimum), ("at most", self.maximum))
            if bound is not None
        ]
        if len(allowed) == 2:
            allowed = [f"{self.minimum:.15g} to {self.maximum:.15g}"]
        told = " ".join([*allowed, *([self.unit] if self.unit else [])])
        return f"{self.description} {told[:1].upper()}{told[1:]}." if told else self.description


class ApprovalSettings(BaseModel):
    """Who is asked before a promotion, where `promotion.mode` is `approve`.

    Attributes:
        approvers: Airflow's user ids; nobody else may answer. Empty: whoever may run the DAG.
        timeout_hours: without an answer by then the champion stays.
    """

    model_config = ConfigDict(extra="forbid")

    approvers: list[str] = []
    timeout_hours: float = Field(default=12, gt=0)


class DagSettings(BaseModel):
    """Everything that `airflow.yml` says of one DAG; here, what needs a word.

    Attributes:
        title: what Airflow shows instead of the id, and sorts its list by; "" for the id.
        description: what the page of the DAG says of it; the list shows the first sentence.
        group_by: "tag" for one task for each part of the night, where a task is dear to start.
    """

    model_config = ConfigDict(extra="forbid")

    title: str = ""
    description: str
    schedule: str | None
    on_new_images: bool = False
    on_new_champion: bool = False
    paused: bool = True
    timezone: str
    catchup: bool
    max_active_runs: int = Field(ge=1)
    owner: str
    tags: list[str]
    retries: int = Field(ge=0)
    retry_delay_s: float = Field(gt=0)
    maximum_retry_delay_s: float = Field(gt=0)
    task_timeout_minutes: float = Field(gt=0)
    run_timeout_hours: float | None = Field(default=None, gt=0)
    approval: ApprovalSettings = ApprovalSettings()
    notifications: NotificationSettings = NotificationSettings()
    tasks: dict[str, TaskSettings] = {}
    group_by: Literal["tag"] | None = None
    params: dict[str, ParamSettings] = {}

    @field_validator("timezone")
    @classmethod
    def _know_time_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            near = name_near_misses(name, available_timezones())
            raise ValueError(
                f"there is no time zone {name!r}, as in 'Europe/Berlin'.{near}"
            ) from None
        return name

    def check_schedule(self) -> None:
        """Check that there is a next hour by the schedule. Airflow says so when it reads the file.

        Raises:
            ConfigurationError: it is no cron expression of five fields, or names no date.
        """
        # Here, not above: a DAG file has no need of it.
        from croniter import croniter  # noqa: PLC0415

        expression = CRON_NAMES.get(self.schedule or "", self.schedule)
        if expression is None:
            return
        try:
            if len(expression.split()) != 5:  # Airflow's own are of five
                raise ValueError(f"it has {len(expression.split())} fields")
            croniter(expression).get_next()
        except (ValueError, KeyError) as error:
            raise ConfigurationError(
                f"conf/*/airflow.yml: 'schedule' is a cron expression of five fields, as in "
                f"'0 2 * * *', one of {', '.join(CRON_NAMES)}, or null. Received: "
                f"{self.schedule!r}: {error}."
            ) from None

    def dag_arguments(self, scope: Scope = SHARED) -> dict[str, Any]:
        """Return keyword arguments of ``airflow.sdk.DAG``.

        Args:
            scope: whose DAG it is; title, tags and assets tell.
        """
        title = ": ".join(part for part in (scope.prefix, self.title) if part)
        return {
            "schedule": self._schedule(scope),
            "is_paused_upon_creation": self.paused,
            "catchup": self.catchup,
            "max_active_runs": self.max_active_runs,
            "dagrun_timeout": self.run_timeout_hours and timedelta(hours=self.run_timeout_hours),
            **({"dag_display_name": title} if self.title else {}),
            "description": self.description.split(". ")[0].rstrip("."),
            "tags": [*self.tags, *scope.parts],
            "params": {name: param.as_param() for name, param in self._sort_params()},
            "default_args": {
                "owner": self.owner,
                "retries": self.retries,
                "retry_delay": timedelta(seconds=self.retry_delay_s),
                "retry_exponential_backoff": True,
                "max_retry_delay": timedelta(seconds=self.maximum_retry_delay_s),
                "execution_timeout": timedelta(minutes=self.task_timeout_minutes),
            },
        }

    def _sort_params(self) -> list[tuple[str, ParamSettings]]:
        """Return the fields by section: the form shows them, and their groups, in this order."""
        order = list(SECTIONS)
        return sorted(self.params.items(), key=lambda named: order.index(named[1].section))

    def _schedule(self, scope: Scope) -> Any:
        """Return when runs start by themselves: by the clock, or when an asset has news."""
        timetable = self._timetable()
        wanted = {NEW_IMAGES: self.on_new_images, NEW_CHAMPION: self.on_new_champion}
        assets = [make_asset(name, scope) for name, is_wanted in wanted.items() if is_wanted]
        if not assets:
            return timetable
        # Given a list, Airflow would wait until all of the assets have news.
        news = AssetAny(*assets)
        return AssetOrTimeSchedule(timetable=timetable, assets=news) if timetable else news

    def _timetable(self) -> CronTriggerTimetable | None:
        """Return a schedule by which a DAG that is switched on waits for its next hour.

        With a start date, Airflow would run the last night at once. With `run_immediately` false
        it would still do so within a tenth of the interval: for a nightly DAG, in the two hours
        after its hour.
        """
        if self.schedule is None:
            return None
        return CronTriggerTimetable(
            self.schedule, timezone=self.timezone, run_immediately=timedelta(0)
        )

    def runtime_params(self, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Return the Kedro parameters that a run changes, nested.

        A field that is left at its default, or emptied, changes nothing: what the parameters file
        says holds, also where it was changed after the DAG file was generated.

        Args:
            chosen: the value of each field of the trigger form.
        """
        nested: dict[str, Any] = {}
        for name, param in self.params.items():
            value = chosen.get(name, param.default)
            if param.parameter is None or value in (None, param.default):
                continue
            *parents, key = param.parameter.split(".")
            level = nested
            for parent in parents:
                level = level.setdefault(parent, {})
            level[key] = value
        return nested


def read_settings(pipeline: str, settings: Mapping[str, Any]) -> DagSettings:
    """Check one DAG's settings.

    Raises:
        ConfigurationError: a key is unknown or missing, or a value is not allowed.
    """
    try:
        return DagSettings.model_validate(dict(settings))
    except ValidationError as error:
        faults = "\n".join(f"  - {_describe(fault)}" for fault in error.errors())
        raise ConfigurationError(f"conf/*/airflow.yml, DAG '{pipeline}':\n{faults}") from None


def check_tasks(settings: Mapping[str, Any], names: Iterable[str], tags: Iterable[str]) -> None:
    """Check that the section `tasks` of each DAG names tasks and tags that there are.

    Args:
        settings: of all DAGs, by pipeline.
        names: of all tasks.
        tags: of all nodes.

    Raises:
        ConfigurationError: a name or a tag is unknown.
    """
    allowed = sorted({*names, *(f"{BY_TAG}{tag}" for tag in tags)})
    for dag, each in settings.items():
        for name in each.get("tasks") or {}:
            if name not in allowed:
                raise ConfigurationError(
                    f"conf/*/airflow.yml, '{dag}': tasks: there is no task and no tag '{name}'."
                    f"{name_near_misses(name, allowed)} Allowed: {', '.join(allowed)}."
                )


def _describe(fault: Any) -> str:
    name = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        allowed = list(_find_model(fault["loc"]).model_fields)
        return (
            f"'{name}' is not a key.{name_near_misses(str(fault['loc'][-1]), allowed)} "
            f"Allowed: {', '.join(allowed)}."
        )
    if fault["type"] == "missing":
        return f"'{name}' is missing."
    if fault["type"] == "value_error":
        return f"'{name}': {fault['ctx']['error']}."
    if fault["type"] == "literal_error":
        near = name_near_misses(str(fault["input"]), get_args(Channel))
        return f"'{name}': {fault['msg']}. Received: {fault['input']!r}.{near}"
    return f"'{name}': {fault['msg']}. Received: {fault['input']!r}."


def _find_model(place: tuple[str | int, ...]) -> type[BaseModel]:
    """Return the model that has, or would have, a field at this place of the settings."""
    parents = [str(part) for part in place[:-1]]
    if not parents:
        return DagSettings
    models: dict[str, type[BaseModel]] = {
        "params": ParamSettings,
        "approval": ApprovalSettings,
        "notifications": NotificationSettings,
        "tasks": TaskSettings,
    }
    if parents[0] == "tasks" and "resources" in parents:
        return Toleration if "tolerations" in parents else ResourceSettings
    nested: dict[str, type[BaseModel]] = {
        "notifications.mail": MailSettings,
        "notifications.slack": SlackSettings,
    }
    return nested.get(".".join(parents), models[parents[0]])
