"""Webhooks: what is sent, and what each failure says."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from nessus_sched.config.delivery import SinkSettings, WebhookSink
from nessus_sched.config.scanners import TlsSettings
from nessus_sched.core.secret import Secret
from nessus_sched.delivery.sinks.open import sink_for
from nessus_sched.delivery.sinks.port import Failure, Sink, SinkFailed
from nessus_sched.delivery.sinks.webhook import SIGNATURE
from support.counterparts import (
    Answer,
    Handle,
    NoScans,
    Request,
    full_document,
    message,
    raw_server,
    web_server,
)
from support.tls_server import by_trustme

NOW = 1_790_000_000.0
KEY = "a key of the webhook"
TOKEN = "T0KEN-in-the-path"


def webhook(url: str, *, tls: TlsSettings | None = None, document_only: bool = False) -> Sink:
    settings = WebhookSink(url=url, secret=Secret(KEY), tls=tls or TlsSettings())
    return sink_for(
        SinkSettings(name="soc", webhook=settings),
        wall=lambda: NOW,
        scans=NoScans(),
        document_only=document_only,
    )


async def failure_of(sink: Sink) -> SinkFailed:
    with pytest.raises(SinkFailed) as failed:
        await sink.deliver(message(full_document()))
    shown = f"{failed.value!r} {failed.value} {failed.value.__context__!r}"
    assert TOKEN not in shown
    assert KEY not in shown
    return failed.value


async def failure_from(handle: Handle) -> SinkFailed:
    async with web_server(handle) as port:
        return await failure_of(webhook(f"http://127.0.0.1:{port}/{TOKEN}"))


async def test_what_is_sent() -> None:
    taken: list[Request] = []

    def take(request: Request) -> Answer:
        taken.append(request)
        return Answer(204)

    async with web_server(take) as port:
        sink = webhook(f"http://127.0.0.1:{port}/{TOKEN}?a=b")
        await sink.deliver(message(full_document()))
        await sink.deliver(message(full_document()))
    first, second = taken
    assert (first.method, first.target) == ("POST", f"/{TOKEN}?a=b")
    assert first.headers["content-type"] == "application/json"
    assert first.headers[SIGNATURE.lower()] == (
        f"sha256={hmac.new(KEY.encode(), first.body, hashlib.sha256).hexdigest()}"
    )
    body = json.loads(first.body)
    assert body["program"].startswith("nessus-sched/")
    assert body == {
        "id": "soc.41",
        "route": "soc",
        "kind": "event",
        "at": "2026-09-21T14:13:20+00:00",
        "title": "2 new findings",
        "program": body["program"],
        **full_document(),
    }
    assert second.body == first.body


async def test_only_the_document_is_sent_if_that_is_wanted() -> None:
    taken: list[bytes] = []

    def take(request: Request) -> Answer:
        taken.append(request.body)
        return Answer()

    async with web_server(take) as port:
        sink = webhook(f"http://127.0.0.1:{port}/", document_only=True)
        await sink.deliver(message({"event": "completed"}))
    assert taken == [b'{"event": "completed"}']


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, Failure.HOLD),
        (400, Failure.REFUSED),
        (401, Failure.HOLD),
        (403, Failure.HOLD),
        (404, Failure.HOLD),
        (408, Failure.TRY_AGAIN),
        (410, Failure.HOLD),
        (413, Failure.REFUSED),
        (422, Failure.REFUSED),
        (429, Failure.TRY_AGAIN),
        (500, Failure.TRY_AGAIN),
        (503, Failure.TRY_AGAIN),
    ],
)
async def test_what_follows_from_a_status(status: int, kind: Failure) -> None:
    headers = {"Retry-After": "120", "Location": f"http://192.0.2.1/{TOKEN}"}
    failed = await failure_from(lambda _: Answer(status, b"x" * 100, headers))
    assert str(failed).startswith(f"HTTP status {status}")
    assert (failed.kind, failed.retry_after) == (kind, 120.0)


async def test_a_server_that_is_down() -> None:
    async with web_server(lambda _: Answer()) as port:
        pass
    failed = await failure_of(webhook(f"http://127.0.0.1:{port}/{TOKEN}"))
    assert str(failed) == "connection refused"
    assert failed.kind is Failure.TRY_AGAIN


@attrs.frozen
class NameServer(trio.abc.HostnameResolver):
    """Knows no name."""

    number: int

    async def getaddrinfo(self, *_: Any) -> Any:
        raise socket.gaierror(self.number, "cannot be found")

    async def getnameinfo(self, *_: Any) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("number", "kind"),
    [(socket.EAI_NONAME, Failure.HOLD), (socket.EAI_AGAIN, Failure.TRY_AGAIN)],
)
async def test_a_name_without_an_address(number: int, kind: Failure) -> None:
    trio.socket.set_custom_hostname_resolver(NameServer(number))
    failed = await failure_of(webhook(f"https://nowhere.example.com/{TOKEN}"))
    assert failed.kind is kind


@pytest.mark.parametrize("pieces", [b"", b"HTTP/1.1 200 OK\r\nX-A: "])
async def test_a_server_that_never_finishes_its_answer(
    pieces: bytes, autojump_clock: object
) -> None:
    async def drip(stream: trio.SocketStream) -> None:
        await stream.send_all(pieces)
        while True:
            await trio.sleep(1)
            await stream.send_all(b"x" if pieces else b"")

    async with raw_server(drip) as port:
        failed = await failure_of(webhook(f"http://127.0.0.1:{port}/{TOKEN}"))
    assert str(failed) in ("no answer within 10 s", "it took too long to answer")
    assert failed.kind is Failure.TRY_AGAIN


@pytest.mark.parametrize(
    "answer",
    [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 999999 X\r\n\r\n", b"HTTP/1.1 200 OK\r\nA B\r\n"],
)
async def test_answers_that_are_not_http(answer: bytes) -> None:
    async def close(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(answer)
        await stream.aclose()

    async with raw_server(close) as port:
        failed = await failure_of(webhook(f"http://127.0.0.1:{port}/{TOKEN}"))
    assert failed.kind is Failure.TRY_AGAIN


async def test_certificates(tmp_path: Path) -> None:
    shown = by_trustme("127.0.0.1")
    async with web_server(lambda _: Answer(), shown.context) as port:
        url = f"https://127.0.0.1:{port}/{TOKEN}"
        for tls in (
            TlsSettings(ca_file=shown.ca_file(tmp_path)),
            TlsSettings(fingerprint=shown.fingerprint),
            TlsSettings(verify=False),
        ):
            await webhook(url, tls=tls).deliver(message())
        untrusted = await failure_of(webhook(url))
        wrong = await failure_of(webhook(url, tls=TlsSettings(fingerprint="0" * 64)))
        missing = await failure_of(webhook(url, tls=TlsSettings(ca_file=tmp_path / "no.pem")))
    assert {untrusted.kind, wrong.kind, missing.kind} == {Failure.HOLD}
    assert str(untrusted).startswith(f"The certificate of https://127.0.0.1:{port} is not trusted")
    assert "fingerprint" in str(wrong)
    assert "no.pem cannot be used" in str(missing)


async def test_a_delivery_can_be_canceled(autojump_clock: object) -> None:
    async def ignore(_: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with raw_server(ignore) as port:
        with trio.move_on_after(1) as scope:
            await webhook(f"http://127.0.0.1:{port}/").deliver(message())
    assert scope.cancelled_caught
