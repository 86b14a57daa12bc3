"""Webhooks: notifications of finished tasks.

There is one notification per finished task and webhook. It is sent twice if the response was
lost, and is lost if the daemon stops before it was delivered: the journal is the record,
webhooks are best effort.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

import attrs
import structlog
import trio

from nessus_sched import __version__
from nessus_sched.config.schema import WebhookSettings
from nessus_sched.config.types import NotifyOn
from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.masking import Masker
from nessus_sched.core.retry import backoff
from nessus_sched.core.states import TaskState
from nessus_sched.core.targets.targets import size_of
from nessus_sched.core.task import Task
from nessus_sched.daemon.posting import PostFailed, post_json
from nessus_sched.delivery.sinks.webhook import SIGNATURE, signature
from nessus_sched.results.untrusted import clean_line
from nessus_sched.telemetry import events
from nessus_sched.telemetry.metrics import Delivery

WAITING: Final = 200
"""Notifications that may wait for one webhook; more are dropped."""
TRIES: Final = 6
TRY_SECONDS: Final = 10.0
"""Timeout of one attempt."""
FIRST_WAIT: Final = 2.0
LONGEST_WAIT: Final = 60.0
TARGETS: Final = 20

ENDS: Final[Mapping[TaskState, NotifyOn]] = {
    TaskState.COMPLETED: NotifyOn.COMPLETED,
    TaskState.PARTIAL: NotifyOn.FAILED,
    TaskState.TIMED_OUT: NotifyOn.FAILED,
    TaskState.CANCELED: NotifyOn.FAILED,
    TaskState.DEAD: NotifyOn.DEAD,
}

Post = Callable[[str, bytes, Mapping[str, str], float], Awaitable[None]]

log = structlog.get_logger("notifications")


@attrs.frozen(kw_only=True)
class Notification:
    """One document for one webhook, sent unchanged at every attempt."""

    webhook: WebhookSettings
    about: str
    body: bytes
    trace_id: str


class Notifications:
    """Observes the scheduler and delivers notifications.

    Invariant: every configured URL that was ever notified has its own queue, so that a webhook
    that does not answer blocks no other.
    """

    def __init__(
        self,
        hooks: Callable[[], Sequence[WebhookSettings]],
        count: Callable[[Delivery], None],
        random: Random,
        post: Post = post_json,
        *,
        mask: Masker | None = None,
    ) -> None:
        self._hooks = hooks
        self._count = count
        self._random = random
        self._post = post
        self._mask = mask or Masker()
        self._lanes: dict[str, trio.MemorySendChannel[Notification]] = {}
        self._nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Delivers until canceled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            await trio.sleep_forever()

    def observe(self, task: Task, entry: JournalEntry) -> None:
        """Queues a notification of a finished task for every webhook subscribed to it."""
        if entry.after is None or entry.after is entry.before or self._nursery is None:
            return
        if task.part is not None:
            return
        end = ENDS.get(entry.after)
        wanted = [hook for hook in self._hooks() if end in hook.events]
        if end is None or not wanted:
            return
        body = json.dumps(self._mask.masked(document(task, entry, end))).encode()
        for hook in wanted:
            self._take(
                Notification(webhook=hook, about=task.task_id, body=body, trace_id=task.trace_id)
            )

    def _take(self, notification: Notification) -> None:
        self._forget_unconfigured()
        url = notification.webhook.url
        if url not in self._lanes:
            assert self._nursery is not None
            self._lanes[url], receive = trio.open_memory_channel[Notification](WAITING)
            self._nursery.start_soon(self._lane, receive)
        try:
            self._lanes[url].send_nowait(notification)
        except trio.WouldBlock:
            self._lost(notification, "too many notifications wait for this webhook")

    def _forget_unconfigured(self) -> None:
        known = {hook.url for hook in self._hooks()}
        for url in [url for url in self._lanes if url not in known]:
            self._lanes.pop(url).close()

    async def _lane(self, receive: trio.MemoryReceiveChannel[Notification]) -> None:
        """Delivers one webhook's notifications in order."""
        async with receive:
            async for notification in receive:
                await self._deliver(notification)

    async def _deliver(self, notification: Notification) -> None:
        for tries in range(1, TRIES + 1):
            try:
                await self._send(notification)
            except PostFailed as error:
                if tries == TRIES or not error.transient:
                    self._lost(notification, str(error))
                    return
                wait = backoff(
                    tries,
                    base=FIRST_WAIT,
                    maximum=LONGEST_WAIT,
                    random=self._random,
                )
                await trio.sleep(wait)
            else:
                self._count(Delivery.TAKEN)
                log.info(
                    events.NOTIFIED,
                    about=notification.about,
                    trace_id=notification.trace_id,
                    tries=tries,
                )
                return

    async def _send(self, notification: Notification) -> None:
        headers = {"Content-Type": "application/json"}
        secret = notification.webhook.secret
        if secret is not None:
            headers[SIGNATURE] = signature(secret.reveal(), notification.body)
        await self._post(notification.webhook.url, notification.body, headers, TRY_SECONDS)

    def _lost(self, notification: Notification, why: str) -> None:
        self._count(Delivery.LOST)
        log.warning(
            events.NOTIFICATION_LOST,
            about=notification.about,
            trace_id=notification.trace_id,
            error=why,
        )


def document(task: Task, entry: JournalEntry, end: NotifyOn) -> dict[str, Any]:
    """The body of a notification. `id` is the same for every attempt."""
    summary, error = task.summary or {}, task.last_error
    verdict = summary.get("verdict") or {}
    completed = end is NotifyOn.COMPLETED
    has_results = completed or task.partial is not None
    return {
        "id": f"{task.task_id}.{entry.after}.{round(entry.at)}",
        "event": end,
        "at": datetime.fromtimestamp(entry.at, UTC).isoformat(timespec="seconds"),
        "program": f"nessus-sched/{__version__}",
        "task": {
            "task_id": task.task_id,
            "trace_id": task.trace_id,
            "status": task.state,
            "kind": task.request.kind,
            "name": clean_line(task.request.name),
            "targets": list(task.request.targets[:TARGETS]),
            "target_count": size_of(task.request.targets),
            "scanner_instance": task.scanner_instance,
            "submitted_by": task.actor,
            "attempt": task.attempt,
        },
        "severity_counts": summary.get("severity_counts") if has_results else None,
        "credentialed": verdict.get("credentialed") if has_results else None,
        "partial": None if task.partial is None else clean_line(task.partial, 500),
        "error": None
        if completed or error is None
        else {"code": error.kind, "message": clean_line(error.message, 500)},
    }
