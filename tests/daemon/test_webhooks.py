"""Webhooks: what is sent, when it is sent again, and when it is given up."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from random import Random
from typing import Any
from urllib.parse import quote

import attrs
import pytest
import structlog
import trio

from nessus_sched.config.schema import WebhookSettings
from nessus_sched.config.types import NotifyOn
from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.masking import Masker
from nessus_sched.core.secret import Secret
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import ScanKind, ScanRequest, Task, TaskError
from nessus_sched.daemon.posting import PostFailed, post_json
from nessus_sched.daemon.webhooks import TRIES, WAITING, Notifications, Post
from nessus_sched.delivery.sinks.webhook import SIGNATURE
from nessus_sched.telemetry.metrics import Delivery

URL = "https://hooks.example.com/T0KEN"
KEY = "a key of the webhook"
DONE = TaskState.COMPLETED


@attrs.define
class Receiver:
    """A webhook: refuses `refusals` times, then takes everything, `seconds` late."""

    refusals: int = 0
    transient: bool = True
    seconds: float = 0.0
    tries: list[float] = attrs.field(factory=list)
    taken: list[tuple[str, bytes, Mapping[str, str]]] = attrs.field(factory=list)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], _: float) -> None:
        self.tries.append(trio.current_time())
        await trio.sleep(self.seconds)
        if len(self.tries) <= self.refusals:
            raise PostFailed("the answer was 500", transient=self.transient)
        self.taken.append((url, body, headers))


@attrs.define
class Sender:
    """Notifications that run, with what became of them."""

    hooks: list[WebhookSettings]
    counted: list[Delivery] = attrs.field(factory=list)
    notifications: Notifications = attrs.field(init=False)

    def end(self, after: TaskState, before: TaskState = TaskState.EXPORTING, **more: Any) -> None:
        made = task(state=after, **more)
        entry = JournalEntry(at=1.8e9, event="x", task_id="t-1", before=before, after=after)
        self.notifications.observe(made, entry)


def task(**changes: Any) -> Task:
    request = ScanRequest(kind=ScanKind.BASIC, targets=("192.0.2.1",), name="weekly\x1b[31m")
    made = Task(
        task_id="t-1", trace_id="abc", request=request, actor="uid:1", created_at=1.0, order=1
    )
    return attrs.evolve(made, **changes)


def hook(url: str = URL, **changes: Any) -> WebhookSettings:
    return WebhookSettings(url=url, **changes)


@asynccontextmanager
async def sending(
    post: Post, *hooks: WebhookSettings, mask: Masker | None = None
) -> AsyncIterator[Sender]:
    sender = Sender(list(hooks))
    sender.notifications = Notifications(
        lambda: sender.hooks, sender.counted.append, Random(1), post, mask=mask
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(sender.notifications.run)
        yield sender
        nursery.cancel_scope.cancel()


async def test_a_completed_task_is_told_signed_and_cleaned(autojump_clock: object) -> None:
    receiver = Receiver()
    async with sending(receiver.post, hook(secret=Secret(KEY))) as sender:
        sender.end(DONE, summary={"severity_counts": {"high": 2}, "verdict": {}})
        await trio.sleep(1)
    ((url, body, headers),) = receiver.taken
    told = json.loads(body)
    assert url == URL
    assert (
        headers[SIGNATURE] == f"sha256={hmac.new(KEY.encode(), body, hashlib.sha256).hexdigest()}"
    )
    assert (told["event"], told["severity_counts"]) == ("completed", {"high": 2})
    assert told["task"]["name"] == "weekly[31m"
    assert sender.counted == [Delivery.TAKEN]


async def test_no_configured_secret_leaves_in_it(autojump_clock: object) -> None:
    """Whoever quotes one, in whatever form."""
    secret = "S3cret/pass+word!"
    forms = (secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode())
    said = " ".join(f"the scanner said {form!r}" for form in forms)
    receiver = Receiver()
    request = attrs.evolve(task().request, name=f"weekly {secret}")
    error = TaskError(kind="bad_export", message=said, transient=True, at=1.0)
    async with sending(receiver.post, hook(), mask=Masker([Secret(secret)])) as sender:
        sender.end(TaskState.DEAD, last_error=error, request=request, partial=said)
        await trio.sleep(1)
    ((_url, body, _headers),) = receiver.taken
    assert not [form for form in forms if form in json.dumps(json.loads(body))]
    assert json.loads(body)["error"]["message"].startswith("the scanner said '***'")


async def test_targets_are_counted_as_addresses(autojump_clock: object) -> None:
    receiver = Receiver()
    request = attrs.evolve(task().request, targets=("192.0.2.0/27", "web.example.com"))
    async with sending(receiver.post, hook()) as sender:
        sender.end(DONE, request=request)
        await trio.sleep(1)
    assert json.loads(receiver.taken[0][1])["task"]["target_count"] == 33


async def test_without_a_secret_there_is_no_signature(autojump_clock: object) -> None:
    receiver = Receiver()
    async with sending(receiver.post, hook()) as sender:
        sender.end(DONE)
        await trio.sleep(1)
    assert SIGNATURE not in receiver.taken[0][2]


@pytest.mark.parametrize(
    ("after", "event"),
    [
        (TaskState.COMPLETED, "completed"),
        (TaskState.TIMED_OUT, "failed"),
        (TaskState.CANCELED, "failed"),
        (TaskState.DEAD, "dead"),
        (TaskState.RETRY_WAIT, None),
    ],
)
async def test_every_end_is_an_event(
    after: TaskState, event: str | None, autojump_clock: object
) -> None:
    receiver = Receiver()
    error = TaskError(kind="bad_export", message="cut off", transient=True, at=1.0)
    async with sending(receiver.post, hook()) as sender:
        sender.end(after, last_error=error)
        sender.end(after, before=after, last_error=error)  # no change of state
        await trio.sleep(1)
    told = [json.loads(body) for _, body, _ in receiver.taken]
    assert [each["event"] for each in told] == ([event] if event else [])
    assert all((each["error"] is None) == (event == "completed") for each in told)


async def test_a_webhook_hears_only_what_it_asked_for(autojump_clock: object) -> None:
    receiver = Receiver()
    async with sending(
        receiver.post, hook(events=(NotifyOn.DEAD,)), hook("https://other.example.com/")
    ) as sender:
        sender.end(DONE)
        await trio.sleep(1)
    assert [url for url, _, _ in receiver.taken] == ["https://other.example.com/"]


async def test_it_is_tried_again_ever_more_slowly(autojump_clock: object) -> None:
    receiver = Receiver(refusals=3)
    async with sending(receiver.post, hook()) as sender:
        sender.end(DONE)
        await trio.sleep(100)
    waits = [
        after - before for before, after in zip(receiver.tries, receiver.tries[1:], strict=False)
    ]
    assert len(waits) == 3
    assert all(base / 2 <= wait <= base for base, wait in zip((2, 4, 8), waits, strict=True))
    assert sender.counted == [Delivery.TAKEN]


@pytest.mark.parametrize(("transient", "tries"), [(True, TRIES), (False, 1)])
async def test_it_is_given_up_and_logged_without_secrets(
    transient: bool, tries: int, autojump_clock: object
) -> None:
    receiver = Receiver(refusals=100, transient=transient)
    with structlog.testing.capture_logs() as lines:
        async with sending(receiver.post, hook(secret=Secret(KEY))) as sender:
            sender.end(DONE)
            await trio.sleep(1000)
    assert (len(receiver.tries), sender.counted) == (tries, [Delivery.LOST])
    (line,) = lines
    assert line["event"] == "notification_lost"
    assert (line["about"], line["trace_id"]) == ("t-1", "abc")
    assert "T0KEN" not in str(line)
    assert KEY not in str(line)


async def test_a_webhook_that_does_not_answer_holds_up_no_other(autojump_clock: object) -> None:
    slow, quick = Receiver(seconds=1000), Receiver()

    async def post(url: str, body: bytes, headers: Mapping[str, str], limit: float) -> None:
        await (slow if url == URL else quick).post(url, body, headers, limit)

    async with sending(post, hook(), hook("https://quick.example.com/")) as sender:
        for _ in range(3):
            sender.end(DONE)
        await trio.sleep(1)
    assert len(quick.taken) == 3
    assert len(slow.tries) == 1


async def test_what_waits_is_bounded(autojump_clock: object) -> None:
    receiver = Receiver(seconds=1)
    async with sending(receiver.post, hook()) as sender:
        for _ in range(WAITING + 50):
            sender.end(DONE)
        await trio.sleep(1000)
    assert sender.counted.count(Delivery.LOST) == 50
    assert sender.counted.count(Delivery.TAKEN) == WAITING


async def test_a_reload_changes_who_is_told(autojump_clock: object) -> None:
    receiver = Receiver()
    async with sending(receiver.post, hook()) as sender:
        sender.end(DONE)
        await trio.sleep(1)
        sender.hooks = [hook("https://new.example.com/")]
        sender.end(DONE)
        await trio.sleep(1)
        sender.hooks = []
        sender.end(DONE)
        await trio.sleep(1)
    assert [url for url, _, _ in receiver.taken] == [URL, "https://new.example.com/"]


@pytest.mark.parametrize(
    ("status", "transient"), [(200, None), (204, None), (404, False), (302, False), (503, True)]
)
async def test_posting_over_a_real_connection(status: int, transient: bool | None) -> None:
    received: list[bytes] = []

    async def answer(stream: trio.SocketStream) -> None:
        data = b""
        while not data.endswith(b'{"a": 1}'):
            data += await stream.receive_some()
        received.append(data)
        head = f"HTTP/1.1 {status} X\r\nLocation: http://192.0.2.1/\r\n"
        await stream.send_all(f"{head}Content-Length: 0\r\n\r\n".encode())

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, answer, [listener])
        port = listener.socket.getsockname()[1]
        url = f"http://127.0.0.1:{port}/T0KEN"
        if transient is None:
            await post_json(url, b'{"a": 1}', {"X-A": "b"}, 5.0)
        else:
            with pytest.raises(PostFailed, match=str(status)) as failed:
                await post_json(url, b'{"a": 1}', {"X-A": "b"}, 5.0)
            assert failed.value.transient is transient
        nursery.cancel_scope.cancel()
    assert received[0].startswith(b"POST /T0KEN HTTP/1.1\r\n")
    assert b"X-A: b\r\n" in received[0]


async def test_posting_to_nobody_and_to_the_deaf() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}/T0KEN"
    with pytest.raises(PostFailed, match=r"no answer within|too long") as deaf:
        await post_json(url, b"{}", {}, 0.2)
    await listener.aclose()
    with pytest.raises(PostFailed) as nobody:
        await post_json(url, b"{}", {}, 5.0)
    assert deaf.value.transient
    assert nobody.value.transient
    assert "T0KEN" not in str(nobody.value)
