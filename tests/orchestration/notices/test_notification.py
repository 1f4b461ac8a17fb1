"""Notices, over a real mail server and a real HTTP receiver on this machine."""

from __future__ import annotations

import email
import email.policy
import json
import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from receiver import HOST, Receiver, receive

from image_classification.local.services import find_port
from image_classification.orchestration.notices import notification
from image_classification.orchestration.notices.notification import (
    LogNotifier,
    NeedsYouNotifier,
    Notice,
    make_notice,
    send_notice,
)
from image_classification.orchestration.settings import Event, NotificationSettings

RUN_ID = "scheduled__2026-01-02T02:00:00+00:00"
RUN_URL = "http://airflow/dags/retraining/runs/scheduled__2026-01-02T02%3A00%3A00%2B00%3A00"
LINKS = {"Model version": "http://mlflow/#/models/cells/versions/3", "DAG run": RUN_URL}
REASON = "promoted **v3**: +0.4 points over v2\n\n95 % CI 0.1 to 0.7, 12 patients"
EVENTS = get_args(Event)
WEBHOOK = "/services/T000/B000/XXXX"
PLAIN = (
    "?disable_tls=true&disable_ssl=true&from_email=airflow%40example.org&timeout=5&retry_limit=0"
)


def notice_of(event: Event = "promotion", **changes: Any) -> Notice:
    subject = "[image-classification] retraining promoted v3"
    return Notice(
        **{"event": event, "subject": subject, "reason": REASON, "links": LINKS} | changes
    )


def settings_of(**changes: Any) -> NotificationSettings:
    """Return settings with addresses, that tell nobody of anything but what is changed."""
    silent = {event: [] for event in EVENTS}
    mail = {"recipients": ["ada@example.org", "carl@example.org"]}
    return NotificationSettings.model_validate(silent | {"mail": mail} | changes)


def context_of(**changes: Any) -> Any:
    from airflow.sdk import DAG

    dag = DAG("retraining", schedule=None)
    ti = SimpleNamespace(task_id="promote_challenger")
    return {"dag": dag, "run_id": RUN_ID, "ti": ti} | changes


@pytest.fixture(autouse=True)
def _airflow_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://airflow/")


# The servers


class Mailbox:
    """What arrived, and for whom; a handler of aiosmtpd."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.logins: list[tuple[bytes, bytes]] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        self.recipients.append(envelope.rcpt_tos)
        return "250 OK"

    def authenticate(self, *arguments: Any) -> AuthResult:
        given = arguments[-1]
        self.logins.append((given.login, given.password))
        return AuthResult(success=True)


@contextmanager
def open_post_office(**arguments: Any) -> Iterator[tuple[Mailbox, int]]:
    """Serve SMTP on a free port for a while."""
    mailbox, port = Mailbox(), find_port(12525)
    controller = Controller(
        mailbox, hostname=HOST, port=port, authenticator=mailbox.authenticate, **arguments
    )
    controller.start()
    try:
        yield mailbox, port
    finally:
        controller.stop()


@pytest.fixture
def mailbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    """A mail server without TLS, named by the default connection."""
    with open_post_office() as (mailbox, port):
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", f"smtp://{HOST}:{port}/{PLAIN}")
        yield mailbox


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A receiver that stands for Slack's webhooks, named by the default connection."""
    with receive(lambda _: (200, b"ok")) as receiver:
        connection = {"conn_type": "slackwebhook", "password": receiver.url + WEBHOOK}
        monkeypatch.setenv("AIRFLOW_CONN_SLACKWEBHOOK_DEFAULT", json.dumps(connection))
        yield receiver


def read_mail(mail: EmailMessage) -> str:
    (part,) = [part for part in mail.walk() if part.get_content_type() == "text/html"]
    return str(part.get_content())


def list_messages(log: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [record.getMessage() for record in log.records if record.levelno == level]


# What a notice says


def test_mail_has_the_subject_the_reason_and_the_links(mailbox: Mailbox) -> None:
    assert send_notice(notice_of(), settings_of(promotion=["mail"])) == ["mail"]
    (mail,) = mailbox.mails
    assert mail["Subject"] == "[image-classification] retraining promoted v3"
    assert mail["From"] == "airflow@example.org"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mailbox.recipients == [["ada@example.org", "carl@example.org"]]
    text = read_mail(mail)
    assert "promoted <b>v3</b>: +0.4 points over v2<br>" in text
    assert "95 % CI 0.1 to 0.7, 12 patients" in text
    for name, address in LINKS.items():
        assert f'<a href="{address}">{name}</a>' in text


def test_slack_message_has_the_subject_the_reason_and_the_links(slack: Receiver) -> None:
    assert send_notice(notice_of(), settings_of(promotion=["slack"])) == ["slack"]
    (request,) = slack.requests
    assert request.path == WEBHOOK
    assert request.body["text"] == (
        "*[image-classification] retraining promoted v3*\n"
        "promoted *v3*: +0.4 points over v2\n\n95 % CI 0.1 to 0.7, 12 patients\n"
        f"• <{LINKS['Model version']}|Model version>\n• <{RUN_URL}|DAG run>"
    )


def test_log_has_the_subject_the_reason_and_the_links_in_one_block(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    assert send_notice(notice_of(), settings_of(promotion=["log"])) == ["log"]
    (block,) = list_messages(caplog, logging.INFO)
    assert block == (
        f"[image-classification] retraining promoted v3\n\n{REASON}\n\n"
        f"Model version: {LINKS['Model version']}\nDAG run: {RUN_URL}"
    )


@pytest.mark.parametrize("event", EVENTS)
def test_log_warns_of_what_somebody_has_to_do_something_about(
    event: Event, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    LogNotifier(notice_of(event)).notify(context_of())
    warns = event in {"failure", "needs_you", "alert"}
    assert [record.levelno for record in caplog.records] == [
        logging.WARNING if warns else logging.INFO
    ]


def test_marks_in_a_reason_stay_text(mailbox: Mailbox, slack: Receiver) -> None:
    reason = "batch '<b>&{{ 1 + 1 }}{% x' is held"
    notice = notice_of(reason=reason, subject="[image-classification] {{ 1 + 1 }} é ü < 2")
    send_notice(notice, settings_of(promotion=["mail", "slack"]))
    assert "&lt;b&gt;&amp;{{ 1 + 1 }}{% x" in read_mail(mailbox.mails[0])
    assert "&lt;b&gt;&amp;{{ 1 + 1 }}{% x" in slack.requests[0].body["text"]
    assert mailbox.mails[0]["Subject"] == "[image-classification] {{ 1 + 1 }} é ü < 2"


@pytest.mark.parametrize(("characters", "cut"), [(3000, False), (3001, True)])
def test_long_reason_is_cut_for_slack_alone(characters: int, cut: bool) -> None:
    notice = notice_of(reason="x" * characters)
    assert ("x" * 3000 + " …" in notice.as_slack()) is cut
    assert LINKS["Model version"] in notice.as_slack()
    assert "x" * characters in notice.as_html()


def test_address_does_not_end_at_a_bar_in_slack() -> None:
    notice = notice_of(links={"Run": "http://airflow/a|b?c=1&d=2"})
    assert "<http://airflow/a%7Cb?c=1&amp;d=2|Run>" in notice.as_slack()


# Who is told


def test_by_default_everything_is_logged_and_nothing_is_sent(
    mailbox: Mailbox, slack: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for event in EVENTS:
        assert send_notice(notice_of(event), NotificationSettings()) == ["log"]
    # The mail server of the test has a log of its own.
    told = [record for record in caplog.records if record.name == notification.__name__]
    assert len(told) == len(EVENTS)
    assert mailbox.mails == slack.requests == []


@pytest.mark.parametrize("event", EVENTS)
def test_each_event_goes_to_its_own_channels(
    event: Event, mailbox: Mailbox, slack: Receiver
) -> None:
    settings = settings_of(**{event: ["mail", "slack"]})
    for told in EVENTS:
        channels = send_notice(notice_of(told), settings)
        assert channels == (["slack", "mail"] if told == event else [])
    assert (len(mailbox.mails), len(slack.requests)) == (1, 1)


def test_mail_and_slack_go_through_airflows_own_notifiers(
    mailbox: Mailbox, slack: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.providers.slack.notifications.slack_webhook import SlackWebhookNotifier
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    used: list[Any] = []
    for notifier in (SmtpNotifier, SlackWebhookNotifier):
        monkeypatch.setattr(notifier, "notify", lambda self, _: used.append(self))
    send_notice(notice_of(), settings_of(promotion=["mail", "slack"]))
    assert [type(notifier) for notifier in used] == [SlackWebhookNotifier, SmtpNotifier]
    assert mailbox.mails == slack.requests == []


def test_connections_and_sender_are_those_of_the_settings(
    mailbox: Mailbox, slack: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    for ours, default in (("RELAY", "SMTP_DEFAULT"), ("LAB", "SLACKWEBHOOK_DEFAULT")):
        monkeypatch.setenv(f"AIRFLOW_CONN_{ours}", os.environ[f"AIRFLOW_CONN_{default}"])
        monkeypatch.delenv(f"AIRFLOW_CONN_{default}")
    settings = settings_of(
        promotion=["mail", "slack"],
        mail={
            "recipients": ["ada@example.org"],
            "sender": "nights@example.org",
            "connection": "relay",
        },
        slack={"connection": "lab"},
    )
    assert send_notice(notice_of(), settings) == ["slack", "mail"]
    assert mailbox.mails[0]["From"] == "nights@example.org"


# Connections, in the forms that docs/notifications.md shows


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a key and a certificate that it signs itself, for this machine."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "post office")])
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("certificate") / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.mark.parametrize(
    ("tls", "connection"),
    [
        ("tls_context", "smtp://night:s%40cret@{}/?disable_ssl=true&{}"),
        ("ssl_context", "smtp://night:s%40cret@{}/?disable_tls=true&{}"),
    ],
    ids=["STARTTLS, as on port 587", "TLS from the start, as on port 465"],
)
def test_mail_server_with_tls_and_a_password(
    tls: str, connection: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    extra = {"auth_required": True, "auth_require_tls": tls == "tls_context"}
    with open_post_office(**{tls: context}, **extra) as (mailbox, port):
        rest = "from_email=airflow%40example.org&timeout=10&retry_limit=1"
        uri = connection.format(f"{HOST}:{port}", rest)
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", uri)
        assert send_notice(notice_of(), settings_of(promotion=["mail"])) == ["mail"]
    assert mailbox.logins == [(b"night", b"s@cret")]
    assert len(mailbox.mails) == 1


@pytest.mark.parametrize("encode", ["json", "uri"])
def test_webhook_as_json_and_as_uri(
    encode: str, slack: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    from urllib.parse import quote

    address = slack.url + WEBHOOK
    connection = {
        "json": json.dumps({"conn_type": "slackwebhook", "password": address}),
        "uri": f"slackwebhook://:{quote(address, safe='')}@",
    }[encode]
    monkeypatch.setenv("AIRFLOW_CONN_SLACKWEBHOOK_DEFAULT", connection)
    assert send_notice(notice_of(), settings_of(promotion=["slack"])) == ["slack"]
    assert slack.requests[0].path == WEBHOOK


# A channel that fails


def test_dead_mail_server_warns_and_the_others_are_told(
    slack: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", f"smtp://{HOST}:9/{PLAIN}")
    settings = settings_of(failure=["mail", "slack", "log"])
    assert send_notice(notice_of("failure"), settings) == ["log", "slack"]
    assert len(slack.requests) == 1
    block, warning = list_messages(caplog, logging.WARNING)
    assert REASON in block
    assert "was not sent by mail (connection 'smtp_default'): ConnectionRefusedError" in warning
    assert "docs/notifications.md" in warning


@pytest.mark.parametrize("status", [403, 500])
def test_slack_that_refuses_warns_and_mail_is_sent_all_the_same(
    status: int, mailbox: Mailbox, slack: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    slack.answer = lambda _: (status, b"invalid_token")
    settings = settings_of(promotion=["slack", "mail"])
    assert send_notice(notice_of(), settings) == ["mail"]
    assert len(mailbox.mails) == 1
    (warning,) = list_messages(caplog, logging.WARNING)
    assert "was not sent by slack (connection 'slackwebhook_default')" in warning
    assert "invalid_token" in warning


@pytest.mark.parametrize("channel", ["mail", "slack"])
def test_connection_that_is_not_there_is_named(
    channel: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("SMTP_DEFAULT", "SLACKWEBHOOK_DEFAULT"):
        monkeypatch.delenv(f"AIRFLOW_CONN_{name}", raising=False)
    assert send_notice(notice_of(), settings_of(promotion=[channel])) == []
    (warning,) = [text for text in list_messages(caplog, logging.WARNING) if "not sent" in text]
    assert {"mail": "smtp_default", "slack": "slackwebhook_default"}[channel] in warning


def test_provider_that_is_not_installed_warns(
    slack: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "airflow.providers.smtp.notifications.smtp", None)
    settings = settings_of(promotion=["mail", "slack"])
    assert send_notice(notice_of(), settings) == ["slack"]
    assert "ModuleNotFoundError" in caplog.text


# From a task


def test_notice_of_a_task_links_the_run_and_the_log_after_what_is_to_be_opened_first() -> None:
    links = {"Model version": "http://mlflow/3"}
    notice = make_notice(context_of(), "promotion", "retraining\npromoted v3", " better \n", links)
    assert notice.subject == "[image-classification] retraining promoted v3"
    assert notice.reason == "better"
    assert list(notice.links.items()) == [
        ("Model version", "http://mlflow/3"),
        ("DAG run", RUN_URL),
        ("Log", f"{RUN_URL}/tasks/promote_challenger"),
    ]


def test_question_is_told_with_the_page_where_it_is_answered_first(slack: Receiver) -> None:
    notifier = NeedsYouNotifier(
        settings_of(needs_you=["slack"]), "promote v3?", "+0.4 points", {"Card": "http://mlflow/3"}
    )
    notifier(context_of())
    (request,) = slack.requests
    lines = request.body["text"].splitlines()
    assert lines[:2] == ["*[image-classification] promote v3?*", "+0.4 points"]
    assert lines[2] == f"• <{RUN_URL}/tasks/promote_challenger/required_actions|Answer>"
    assert lines[3] == "• <http://mlflow/3|Card>"
