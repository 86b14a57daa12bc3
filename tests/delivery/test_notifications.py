"""The webhooks of `notifications`: what they send and sign, as in every release before."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import trio

from nessus_sched.config.schema import Config, WebhookSettings
from nessus_sched.config.types import NotifyOn
from nessus_sched.core.delivery.message import Message
from nessus_sched.core.masking import Masker
from nessus_sched.core.secret import Secret
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import Part, TaskError
from nessus_sched.delivery.routes import routes_of
from support.post_office import PostOffice, TestSink, post_office
from support.stored import a_request

URL = "https://hooks.example.com/T0KEN"


def hooked(directory: Path, *hooks: WebhookSettings) -> Config:
    return Config(state_directory=directory, notifications=hooks)


async def told(
    settings: Config, *ends: dict[str, Any], mask: Masker | None = None
) -> dict[str, list[Message]]:
    """What the webhooks of a configuration are sent about tasks that end so, by their URL."""
    routes = routes_of(settings)
    sinks = {route.sink.name: TestSink() for route in routes}
    async with post_office(settings, sinks=sinks) as office:
        if mask is not None:
            office.delivery.router.mask = mask
        await trio.sleep(3)
        for end in ends:
            await office.end(**end)
        await trio.sleep(60)
    return {
        route.sink.webhook.url: sinks[route.sink.name].taken
        for route in routes
        if route.sink.webhook is not None
    }


async def test_the_document_of_a_task(tmp_path: Path, autojump_clock: object) -> None:
    summary = {"severity_counts": {"high": 2}, "verdict": {"credentialed": "full"}}
    summary["compliance_counts"] = {"FAILED": 3}
    request = a_request(name="weekly\x1b[31m", targets=("192.0.2.0/27", "web.example.com"))
    end = {"state": TaskState.COMPLETED, "summary": summary, "request": request}
    found = await told(hooked(tmp_path, WebhookSettings(url=URL)), end)
    (message,) = found[URL]
    document = message.document
    assert document["id"] == "t00000001.completed.1700000003"
    assert (document["event"], document["severity_counts"]) == ("completed", {"high": 2})
    assert (document["credentialed"], document["compliance_counts"]) == ("full", {"FAILED": 3})
    task = document["task"]
    assert (task["name"], task["target_count"], task["status"]) == ("weekly[31m", 33, "completed")
    assert set(document) == {
        "id", "event", "at", "program", "task", "severity_counts", "compliance_counts",
        "credentialed", "partial", "error",
    }  # fmt: skip
    assert set(task) == {
        "task_id", "trace_id", "status", "kind", "name", "targets", "target_count",
        "scanner_instance", "submitted_by", "attempt",
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("state", "event"),
    [
        (TaskState.COMPLETED, "completed"),
        (TaskState.PARTIAL, "failed"),
        (TaskState.TIMED_OUT, "failed"),
        (TaskState.CANCELED, "failed"),
        (TaskState.DEAD, "dead"),
        (TaskState.RETRY_WAIT, None),
    ],
)
async def test_every_end_is_an_event(
    state: TaskState, event: str | None, tmp_path: Path, autojump_clock: object
) -> None:
    error = TaskError(kind="bad_export", message="cut off", transient=True, at=1.0)
    end = {"state": state, "last_error": error}
    found = await told(hooked(tmp_path, WebhookSettings(url=URL)), end)
    documents = [message.document for message in found[URL]]
    assert [each["event"] for each in documents] == ([event] if event else [])
    assert all((each["error"] is None) == (event == "completed") for each in documents)


async def test_a_webhook_gets_only_what_it_asked_for(
    tmp_path: Path, autojump_clock: object
) -> None:
    """And nothing of parts."""
    other = "https://other.example.com/"
    hooks = (WebhookSettings(url=URL, events=(NotifyOn.DEAD,)), WebhookSettings(url=other))
    part = Part(task_id="t00000001", number=1, group=0, start=0, size=1, hosts=1)
    found = await told(
        hooked(tmp_path, *hooks),
        {"state": TaskState.COMPLETED},
        {"state": TaskState.DEAD, "part": part},
    )
    assert {url: len(messages) for url, messages in found.items()} == {URL: 0, other: 1}


async def test_no_configured_secret_leaves_in_it(tmp_path: Path, autojump_clock: object) -> None:
    """Whoever quotes one, in whatever form."""
    secret = "S3cret/pass+word!"
    forms = (secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode())
    said = " ".join(f"the scanner said {form!r}" for form in forms)
    error = TaskError(kind="bad_export", message=said, transient=True, at=1.0)
    end = {
        "state": TaskState.DEAD,
        "last_error": error,
        "request": a_request(name=f"weekly {secret}"),
        "partial": said,
    }
    mask = Masker([Secret(secret)])
    found = await told(hooked(tmp_path, WebhookSettings(url=URL)), end, mask=mask)
    (message,) = found[URL]
    body = json.dumps(dict(message.document))
    assert not [form for form in forms if form in body]
    assert message.document["error"]["message"].startswith("the scanner said '***'")


def test_routes_of_webhooks_keep_their_names_when_others_come_and_go(tmp_path: Path) -> None:
    first, second = WebhookSettings(url=URL), WebhookSettings(url="https://other.example.com/")
    both = {each.name for each in routes_of(hooked(tmp_path, first, second))}
    (alone,) = routes_of(hooked(tmp_path, second))
    assert alone.name in both
    assert len(both) == 2
    assert "T0KEN" not in "".join(both)


async def test_what_waits_survives_the_daemon(tmp_path: Path, autojump_clock: object) -> None:
    """It was lost in former releases."""
    settings = hooked(tmp_path, WebhookSettings(url=URL))
    (route,) = routes_of(settings)

    def office(sink: TestSink) -> Any:
        return post_office(settings, sinks={route.sink.name: sink})

    async with office(TestSink(seconds=1e6)) as first:
        assert isinstance(first, PostOffice)
        await trio.sleep(3)
        await first.end(TaskState.DEAD)
        await trio.sleep(3)
    sink = TestSink()
    async with office(sink):
        await trio.sleep(3)
    assert [message.task_id for message in sink.taken] == ["t00000001"]
