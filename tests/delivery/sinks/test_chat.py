"""Mail and chats: real SMTP, the documented form of chats, and causes of failures."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
import structlog
import trio
from aiosmtpd.controller import Controller
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nessus_sched.config.delivery import SinkSettings
from nessus_sched.config.schema import LogSettings
from nessus_sched.core.secret import Secret
from nessus_sched.delivery.sinks import chat
from nessus_sched.delivery.sinks.open import sink_for, sink_problems
from nessus_sched.delivery.sinks.port import Failure, Sink, SinkFailed
from nessus_sched.telemetry.logging import configure
from support.counterparts import (
    Answer,
    NoScans,
    Request,
    full_document,
    message,
    raw_server,
    web_server,
)
from support.mail_server import MailServer, free_port, login_with
from support.tls_server import by_trustme

PASSWORD: Final = "p4ss-of-the-mail-user"
TOKEN: Final = "T0KEN0fTheChat0123456789"
MENTIONS: Final = re.compile(r"<!(channel|here|everyone)|<@|(^|\s)@(channel|here|everyone|all)\b")


def sink_to(url: str) -> Sink:
    return sink_for(
        SinkSettings(name="people", apprise=Secret(url)), wall=lambda: 0.0, scans=NoScans()
    )


async def failure_of(url: str) -> SinkFailed:
    with pytest.raises(SinkFailed) as failed:
        await sink_to(url).deliver(message(hostile()))
    return failed.value


def hostile() -> dict[str, Any]:
    """A document with what hosts might call themselves."""
    document = full_document(["<!channel>", "@everyone", "[x](https://evil.example.com)"])
    document["groups"][0]["plugin_name"] = (
        "<script>alert(1)</script> <b>bold</b> *b* _i_ Server < 2 & 3"
    )
    return document


class Records(logging.Handler):
    """What reaches the root logger, which our log gets everything from."""

    def __init__(self) -> None:
        super().__init__()
        self.libraries: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        self.libraries.add(record.name.partition(".")[0])


@pytest.fixture(autouse=True)
def nothing_secret_is_logged(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    root, records = logging.getLogger(), Records()
    level = root.level
    root.addHandler(records)
    root.setLevel(logging.DEBUG)
    yield
    root.removeHandler(records)
    root.setLevel(level)
    assert not records.libraries & {"apprise", "requests", "urllib3"}
    out, err = capfd.readouterr()
    for secret in (PASSWORD, TOKEN):
        assert secret not in out + err


@attrs.frozen
class Mail:
    handler: MailServer
    port: int

    def url(self, password: str = PASSWORD, more: str = "") -> str:
        return (
            f"mailtos://soc:{password}@127.0.0.1:{self.port}?from=sched@example.com"
            f"&to=team@example.com&mode=starttls{more}"
        )


@pytest.fixture
def mail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mail]:
    shown = by_trustme("127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(shown.ca_file(tmp_path)))
    handler = MailServer()
    controller = Controller(
        handler,
        hostname="127.0.0.1",
        port=free_port(),
        tls_context=shown.context,
        require_starttls=True,
        auth_required=True,
        authenticator=login_with(PASSWORD),
    )
    controller.start()
    try:
        yield Mail(handler, controller.port)
    finally:
        controller.stop()


async def test_a_mail(mail: Mail) -> None:
    await sink_to(mail.url()).deliver(message(hostile(), title="5 new findings: weekly"))
    (received,) = mail.handler.received
    assert mail.handler.recipients == ["team@example.com"]
    assert received["Subject"] == "5 new findings: weekly"
    assert received["To"] == "team@example.com"
    assert received.get_content_type() == "text/plain"
    text = received.get_content()
    assert "* weekly DMZ (t-1) did not complete" in text
    assert not re.search(r"[\x00-\x09\x0b\x0c\x0e-\x1f]", text)


@pytest.mark.parametrize(
    ("answers", "kind", "words"),
    [
        ({"RCPT": "550 no such user T0KEN0fTheChat0123456789"}, Failure.HOLD, "recipient (550)"),
        ({"RCPT": "450 greylisted"}, Failure.TRY_AGAIN, "try later (450)"),
        ({"DATA": "552 too much"}, Failure.REFUSED, "refuses the message (552)"),
        ({"DATA": "451 later"}, Failure.TRY_AGAIN, "try later (451)"),
    ],
)
async def test_what_a_mail_server_refuses(
    answers: dict[str, str], kind: Failure, words: str, mail: Mail
) -> None:
    mail.handler.answers = answers
    failed = await failure_of(mail.url())
    assert words in str(failed)
    assert failed.kind is kind


async def test_a_wrong_password(mail: Mail) -> None:
    failed = await failure_of(mail.url("wrong-" + PASSWORD))
    assert str(failed) == "the mail server does not accept our login (535)"
    assert failed.kind is Failure.HOLD


async def test_a_mail_server_whose_certificate_is_not_trusted(
    mail: Mail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    failed = await failure_of(mail.url())
    assert str(failed) == "the certificate of the server is not trusted"
    assert failed.kind is Failure.HOLD


async def test_a_mail_server_that_is_down(mail: Mail) -> None:
    async with raw_server(trio.aclose_forcefully) as port:
        broken = await failure_of(f"mailto://127.0.0.1:{port}?from=a@example.com&to=b@example.com")
    down = await failure_of(f"mailto://127.0.0.1:{port}?from=a@example.com&to=b@example.com")
    assert (str(broken), broken.kind) == ("the connection broke off", Failure.TRY_AGAIN)
    assert (str(down), down.kind) == ("connection refused", Failure.TRY_AGAIN)


@pytest.mark.parametrize("number", [errno.EHOSTUNREACH, errno.ENETUNREACH])
async def test_a_mail_server_that_no_route_leads_to(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("socket.create_connection", connect)
    failed = await failure_of("mailto://192.0.2.25?from=a@example.com&to=b@example.com")
    assert (str(failed), failed.kind) == ("the server cannot be reached", Failure.TRY_AGAIN)


def slack_form(request: Request) -> None:
    """https://api.slack.com/messaging/webhooks: JSON with text or attachments with text."""
    assert request.path == f"/services/T1JJ3T3L2/A1BRTD4JD/{TOKEN}"
    body = json.loads(request.body)
    texts = [each["text"] for each in body.get("attachments", [body])]
    assert all(0 < len(text) < 40_000 for text in texts)
    # < > & are written as entities: <!channel> would call everybody, <url|text> is a link.
    assert not any("<" in text.replace("&lt;", "") for text in texts)
    assert "&lt; 2" in texts[0]


def teams_form(request: Request) -> None:
    """A message with Adaptive Cards, as the workflow "post to a channel when a webhook request is
    received" expects."""
    assert request.query["sig"] == TOKEN
    body = json.loads(request.body)
    assert body["type"] == "message"
    (card,) = body["attachments"]
    assert card["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert card["content"]["type"] == "AdaptiveCard"
    assert all(block["type"] in ("TextBlock", "Image", "Container") for block in flat(card))
    assert len(request.body) < 28 * 1024


def flat(card: Any) -> list[Any]:
    return list(card["content"]["body"])


def telegram_form(request: Request) -> None:
    """https://core.telegram.org/bots/api#sendmessage"""
    assert request.path == f"/bot123456789:{TOKEN}ABCDEFGHIJK/sendMessage"
    body = json.loads(request.body)
    assert body["chat_id"]
    assert 1 <= len(body["text"]) <= 4096
    assert body.get("parse_mode") in (None, "HTML", "MarkdownV2", "Markdown")
    if body.get("parse_mode") == "HTML":
        assert not re.search(r"<(?!/?(b|i|u|s|code|pre|a)\b)", body["text"])
        assert "<a" not in body["text"]


def mattermost_form(request: Request) -> None:
    assert request.path == f"/hooks/{TOKEN.lower()}"
    body = json.loads(request.body)
    assert 0 < len(body["text"]) <= 16_383


@attrs.frozen
class Service:
    form: Any
    url: str
    attribute: str = ""
    """Of the plugin's class, with the address of the service."""
    path: str = ""
    answer: bytes = b"ok"


SERVICES: Final = {
    "slack": Service(
        slack_form, f"slack://T1JJ3T3L2/A1BRTD4JD/{TOKEN}", "webhook_url", "/services"
    ),
    "teams": Service(teams_form, f"workflows://127.0.0.1:{{port}}/abcd/{TOKEN}/"),
    "telegram": Service(
        telegram_form,
        f"tgram://123456789:{TOKEN}ABCDEFGHIJK/12315544/",
        "notify_url",
        "/bot",
        b'{"ok": true, "result": {}}',
    ),
    "mattermost": Service(mattermost_form, f"mmosts://127.0.0.1:{{port}}/{TOKEN.lower()}"),
}


@pytest.mark.parametrize("name", SERVICES)
async def test_chats_get_their_documented_form(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = SERVICES[name]
    shown = by_trustme("127.0.0.1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(shown.ca_file(tmp_path)))
    requests: list[Request] = []
    status = 200

    def take(request: Request) -> Answer:
        requests.append(request)
        return Answer(status, service.answer if status == 200 else b"no: " + TOKEN.encode())

    async with web_server(take, shown.context) as port:
        url = service.url.format(port=port)
        if service.attribute:
            plugin = type(chat._service(Secret(url)))
            address = f"https://127.0.0.1:{port}{service.path}"
            monkeypatch.setattr(plugin, service.attribute, address)
        await sink_to(url).deliver(message(hostile()))
        long = full_document()
        long["groups"] = long["groups"] * 400
        await sink_to(url).deliver(message(long))
        await sink_to(url).deliver(message(title="Nothing has changed"))
        failures = list[SinkFailed]()
        for wrong in (403, 404, 413, 429, 500):
            status = wrong
            failures += [await failure_of(url)]
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        untrusted = await failure_of(url)
    for request in requests[:2]:
        service.form(request)
        assert not MENTIONS.search(request.body.decode())
        assert b"github" not in request.body
    assert b"Nothing has changed" in requests[2].body
    assert [failed.kind for failed in failures] == [
        Failure.HOLD,
        Failure.HOLD,
        Failure.REFUSED,
        Failure.TRY_AGAIN,
        Failure.TRY_AGAIN,
    ]
    assert all(TOKEN not in str(failed) for failed in failures)
    assert str(untrusted) == "the certificate of the server is not trusted"


async def test_a_redirect_is_not_a_delivery() -> None:
    def elsewhere(request: Request) -> Answer:
        assert request.method == "POST"
        return Answer(302, headers={"Location": "/other"})

    async with web_server(elsewhere) as port:
        failed = await failure_of(f"mmost://127.0.0.1:{port}/{TOKEN}")
    assert failed.kind is Failure.HOLD


@pytest.mark.parametrize(
    "url", ["nosuch://x", "slack://", "mailto://", "", "not a url", "tgram://x"]
)
async def test_urls_that_apprise_does_not_understand(url: str) -> None:
    failed = await failure_of(url)
    assert (str(failed), failed.kind) == (chat.NOT_UNDERSTOOD, Failure.HOLD)
    (problem,) = sink_problems([SinkSettings(name="people", apprise=Secret(url))], "c.yaml")
    assert str(problem).startswith("c.yaml: sink people: Apprise does not understand this URL")


async def test_a_service_that_hangs_takes_one_thread_and_holds_up_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release, threads = threading.Event(), list[str]()
    real = chat._notify

    def notify(url: Secret, sent: Any) -> SinkFailed | None:
        threads.append(threading.current_thread().name)
        if "slow" in url.reveal():
            release.wait(60)
            return None
        return real(url, sent)

    monkeypatch.setattr(chat, "_notify", notify)
    monkeypatch.setattr(chat, "SECONDS", 0.1)
    try:
        for _ in range(3):
            failed = await failure_of("json://slow.example.com/")
            assert failed.kind is Failure.TRY_AGAIN
        assert len(threads) == 1
        monkeypatch.setattr(chat, "SECONDS", 60)
        async with web_server(lambda _: Answer()) as port:
            await sink_to(f"json://127.0.0.1:{port}/").deliver(message())
    finally:
        release.set()


async def test_our_log_has_nothing_of_apprise(capfd: pytest.CaptureFixture[str]) -> None:
    configure(LogSettings())
    try:
        async with web_server(lambda _: Answer(500, TOKEN.encode())) as port:
            await failure_of(f"mmost://127.0.0.1:{port}/{TOKEN}")
        logging.getLogger("other").warning("this is forwarded")
    finally:
        structlog.reset_defaults()
        logging.getLogger().handlers.clear()
    told = capfd.readouterr().err
    assert TOKEN not in told
    assert "this is forwarded" in told
    assert "Mattermost" not in told


known = st.sampled_from(
    ["Socket Exception: ", "error=403", "(535, b'", "CERTIFICATE_VERIFY_FAILED", "timed out", TOKEN]
)
entries = st.tuples(
    st.sampled_from(["DEBUG", "INFO", "WARNING", "ERROR"]),
    st.lists(known | st.text(max_size=20), max_size=5).map("".join),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(entries, max_size=5))
def test_a_cause_says_nothing_of_the_log(logged: list[tuple[str, str]]) -> None:
    assert TOKEN not in repr(chat.cause(logged))


@pytest.mark.parametrize(
    "line",
    [
        ("DEBUG", "Slack Payload: {'text': 'Socket Exception: Connection refused, error=403'}"),
        ("DEBUG", "Response Details: error=413"),
        ("INFO", "x"),
    ],
)
def test_other_lines_of_its_log_mean_nothing(line: tuple[str, str]) -> None:
    failed = chat.cause([line])
    assert str(failed) == "the service did not accept the message"
    assert failed.kind is Failure.TRY_AGAIN
