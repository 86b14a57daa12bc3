"""No secret of a sink is in its errors or in the log, whatever the other side answers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from urllib.parse import quote

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.config.delivery import DefectDojoSink, SinkSettings, WebhookSink
from nessus_sched.core.delivery.message import MessageKind
from nessus_sched.core.secret import Secret
from nessus_sched.delivery.sinks.open import sink_for
from nessus_sched.delivery.sinks.port import SinkFailed
from support.counterparts import Answer, NoScans, Request, message, web_server

secrets = st.text("abcdefXYZ0123456789-_.~+/", min_size=8, max_size=40)
statuses = st.sampled_from([200, 301, 400, 401, 403, 404, 413, 422, 429, 500, 503])
Make = Callable[[int, str], SinkSettings]


def webhook(port: int, secret: str) -> SinkSettings:
    url = f"http://127.0.0.1:{port}/{quote(secret)}?key={quote(secret, safe='')}"
    return SinkSettings(name="a", webhook=WebhookSink(url=url, secret=Secret(secret)))


def defectdojo(port: int, secret: str) -> SinkSettings:
    sink = DefectDojoSink(
        url=f"http://127.0.0.1:{port}/{quote(secret)}", token=Secret(secret), product="Network"
    )
    return SinkSettings(name="a", defectdojo=sink)


async def failure(make: Make, secret: str, answer: Answer) -> str:
    """All that is logged and raised about a delivery to a server that repeats what it gets."""

    def echo(request: Request) -> Answer:
        said = f"{request.target} {request.headers}".encode()
        where = {"Location": request.target, "Retry-After": request.target}
        return Answer(answer.status, answer.body + said, where)

    async with web_server(echo) as port:
        sink = sink_for(make(port, secret), wall=lambda: 0.0, scans=NoScans())
        try:
            await sink.deliver(message(kind=MessageKind.SAMPLE))
        except SinkFailed as failed:
            return f"{failed} {failed!r} {failed.__cause__!r} {failed.__context__!r}"
    return ""


@pytest.mark.parametrize("make", [webhook, defectdojo])
@given(secret=secrets, status=statuses, body=st.binary(max_size=40))
def test_errors_hold_no_secret(make: Make, secret: str, status: int, body: bytes) -> None:
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        told = trio.run(failure, make, secret, Answer(status, body))
    finally:
        root.removeHandler(handler)
    assert secret not in told
    assert quote(secret) not in told
    assert not any(secret in line for line in lines)
