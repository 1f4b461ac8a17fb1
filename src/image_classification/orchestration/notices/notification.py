"""Notices to people: what happened, why, what to do, and where to look."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from airflow.sdk import BaseNotifier

from image_classification.orchestration.address import (
    locate_dag_run,
    locate_question,
    locate_task,
)
from image_classification.orchestration.settings import Channel, Event, NotificationSettings
from image_classification.text import escape_lines, escape_text
from image_classification.vendor.airflow.task import PlainNotifier

if TYPE_CHECKING:
    from airflow.sdk import DAG, Context

logger = logging.getLogger(__name__)

PROJECT = "image-classification"
URGENT = ("failure", "needs_you", "alert")
"""Events that somebody has to do something about."""

BOLD = re.compile(r"\*\*(.+?)\*\*")
LONGEST_SLACK_REASON = 3000
SLACK_TIMEOUT_S = 10


@dataclass(frozen=True)
class Notice:
    """What people are told.

    Attributes:
        event: what kind of thing happened.
        subject: one line.
        reason: why, and what to do: plain text or Markdown, in lines.
        links: addresses by name, the one to open first at the top.
    """

    event: Event
    subject: str
    reason: str
    links: Mapping[str, str]

    def as_text(self) -> str:
        """Return the notice as a block of lines."""
        addresses = [f"{name}: {address}" for name, address in self.links.items()]
        return "\n".join([self.subject, "", self.reason, "", *addresses])

    def as_html(self) -> str:
        """Return the notice as the body of a mail."""
        reason = BOLD.sub(r"<b>\1</b>", escape(self.reason)).replace("\n", "<br>\n")
        links = [
            f'<li><a href="{escape(address)}">{escape(name)}</a></li>'
            for name, address in self.links.items()
        ]
        return "\n".join(
            [f"<p><b>{escape(self.subject)}</b></p>", f"<p>{reason}</p>", "<ul>", *links, "</ul>"]
        )

    def as_slack(self) -> str:
        """Return the notice in Slack's own marks."""
        reason = self.reason
        if len(reason) > LONGEST_SLACK_REASON:
            reason = f"{reason[:LONGEST_SLACK_REASON]} …"
        links = [
            f"• <{_escape_for_slack(address).replace('|', '%7C')}|{_escape_for_slack(name)}>"
            for name, address in self.links.items()
        ]
        return "\n".join(
            [
                f"*{_escape_for_slack(self.subject)}*",
                BOLD.sub(r"*\1*", _escape_for_slack(reason)),
                *links,
            ]
        )


def make_notice(
    context: Context,
    event: Event,
    subject: str,
    reason: str,
    links: Mapping[str, str] | None = None,
) -> Notice:
    """Return a notice of the task that runs, with the links to its DAG run and its log.

    Args:
        context: of the task.
        event: what kind of thing happened.
        subject: what happened, in a few words, as ``retraining promoted v3``; the project's name
            is set before it.
        reason: why, with numbers, and what to do.
        links: what to open before the DAG run and the log, by name.
    """
    dag_id, run_id = context["dag"].dag_id, str(context["run_id"])
    addresses = {
        **(links or {}),
        "DAG run": locate_dag_run(dag_id, run_id),
        "Log": locate_task(dag_id, run_id, context["ti"].task_id),
    }
    line = escape_text(head_subject(subject, context["dag"]))
    return Notice(event, line, escape_lines(reason.strip()), addresses)


def head_subject(subject: str, dag: DAG) -> str:
    """Return a subject in one line, with the names of project and environment before it."""
    scopes = {task.scope.prefix for task in dag.task_dict.values() if hasattr(task, "scope")}
    return f"[{' '.join([PROJECT, *filter(None, scopes)])}] {' '.join(subject.split())}"


def send_notice(notice: Notice, settings: NotificationSettings) -> list[Channel]:
    """Send a notice over the channels of its event; return those that took it.

    Where a channel fails, the log warns of it, and the task and the other channels go on. The log
    comes first and mail last, so that a mail server that hangs holds nothing else up.
    """
    wanted = settings.channels_of(notice.event)
    took: list[Channel] = []
    for channel, make_notifier in NOTIFIERS.items():
        if channel not in wanted:
            continue
        try:
            # `notify`, not a call of the notifier: that would render its fields as Jinja, and they
            # hold text from outside, such as the name of a batch.
            make_notifier(notice, settings).notify({})
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not end the task
            logger.warning(
                "The notice '%s' was not sent by %s%s: %s: %s. See docs/notifications.md.",
                notice.subject,
                channel,
                _name_connection(channel, settings),
                type(error).__name__,
                error,
            )
        else:
            took.append(channel)
    return took


class LogNotifier(PlainNotifier):
    """Write a notice into the log: a warning where somebody has to do something."""

    def __init__(self, notice: Notice) -> None:
        super().__init__()
        self.notice = notice

    def notify(self, context: Context) -> None:  # noqa: ARG002
        """Write it as one block."""
        level = logging.WARNING if self.notice.event in URGENT else logging.INFO
        logger.log(level, "%s", self.notice.as_text())


class NeedsYouNotifier(PlainNotifier):
    """Tell that a question waits for a person; for `notifiers` of Airflow's HITL operators.

    Airflow calls it when the question is asked, and not again when it is answered.
    """

    def __init__(
        self,
        settings: NotificationSettings,
        subject: str,
        reason: str,
        links: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.subject = subject
        self.reason = reason
        self.links = dict(links or {})

    def notify(self, context: Context) -> None:
        """Send it, with the link to the page where the question is answered at the top."""
        task_id = context["ti"].task_id
        question = locate_question(context["dag"].dag_id, str(context["run_id"]), task_id)
        links = {"Answer": question, **self.links}
        notice = make_notice(context, "needs_you", self.subject, self.reason, links)
        send_notice(notice, self.settings)


def _make_log(notice: Notice, settings: NotificationSettings) -> BaseNotifier:  # noqa: ARG001
    return LogNotifier(notice)


def _make_slack(notice: Notice, settings: NotificationSettings) -> BaseNotifier:
    # Here, as in `_make_mail`, and not above: a DAG file is parsed without them.
    from airflow.providers.slack.notifications.slack_webhook import (  # noqa: PLC0415
        SlackWebhookNotifier,
    )

    return SlackWebhookNotifier(
        slack_webhook_conn_id=settings.slack.connection,
        text=notice.as_slack(),
        unfurl_links=False,
        timeout=SLACK_TIMEOUT_S,
    )


def _make_mail(notice: Notice, settings: NotificationSettings) -> BaseNotifier:
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier  # noqa: PLC0415

    return SmtpNotifier(
        smtp_conn_id=settings.mail.connection,
        to=settings.mail.recipients,
        from_email=settings.mail.sender,
        subject=notice.subject,
        html_content=notice.as_html(),
        # So that no automatic reply is sent to a machine (RFC 3834, section 5).
        custom_headers={"Auto-Submitted": "auto-generated"},
    )


NOTIFIERS: dict[Channel, Callable[[Notice, NotificationSettings], BaseNotifier]] = {
    "log": _make_log,
    "slack": _make_slack,
    "mail": _make_mail,
}


def _name_connection(channel: Channel, settings: NotificationSettings) -> str:
    connections = {"slack": settings.slack.connection, "mail": settings.mail.connection}
    return f" (connection '{connections[channel]}')" if channel in connections else ""


def _escape_for_slack(text: str) -> str:
    """Escape what Slack takes for a mark of its own (its reference, "Escaping text")."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
