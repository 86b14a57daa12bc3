"""Clients that submit to whichever daemon takes it, and remember what they were promised."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any, Final

import attrs
import trio

from support.mcp_wire import LineBuffer, call, opened

ANSWER: Final = 6.0
"""Seconds that a client waits for an answer before it asks the other daemon."""
AGAIN: Final = 0.1
BACKLOG: Final = 12
"""More tasks than this ahead of the scanners, and clients submit fewer."""
PAUSE: Final = 1.5
PASSING: Final = frozenset({"not_leading", "queue_full", "store_unavailable", "try_again"})
"""Refusals after which to ask again."""


class Unanswered(Exception):
    """Nothing is known of the request."""


class Refused(Exception):
    """Asking again would not help."""


@attrs.define
class Promises:
    """What clients were told."""

    acknowledged: dict[str, str] = attrs.field(factory=dict)
    """Task ids by idempotency key."""
    cancel_asked: set[str] = attrs.field(factory=set)
    times: list[tuple[float, float]] = attrs.field(factory=list)
    """When each submission that was acknowledged was sent, and when it was answered."""
    seen: Counter[str] = attrs.field(factory=Counter)
    problems: list[str] = attrs.field(factory=list)
    closed: bool = False
    """No more new submissions."""

    def accept(self, key: str, task_id: str) -> None:
        self.seen["acknowledgments"] += 1
        known = self.acknowledged.setdefault(key, task_id)
        if known != task_id:
            self.problems.append(f"{key} is {known}, and then {task_id}")


@attrs.define
class Client:
    """Asks the daemons behind `sockets` in turn until one answers. `launched` tells how many
    scans have been launched so far."""

    name: str
    sockets: Sequence[Path]
    promises: Promises
    random: Random
    launched: Callable[[], int]
    _turn: int = 0
    _ids: Iterator[int] = attrs.field(factory=itertools.count)

    async def run(self) -> None:
        """Until the promises are closed; what is begun by then is brought to an answer."""
        for number in itertools.count(1):
            if self.promises.closed:
                return
            await self._submit(f"{self.name}-{number}")
            await trio.sleep(self.random.uniform(0.1, 0.8))
            if len(self.promises.acknowledged) - self.launched() > BACKLOG:
                await trio.sleep(PAUSE)

    async def _submit(self, key: str) -> None:
        random = self.random
        arguments: dict[str, Any] = {
            "targets": [f"192.0.2.{random.randrange(1, 255)}"],
            "name": key,
            "priority": random.choice(["low", "normal", "high"]),
            "idempotency_key": key,
        }
        try:
            task_id = (await self.insist("submit_scan", **arguments))["task_id"]
            self.promises.accept(key, task_id)
            if random.random() < 0.2:  # as if the answer had not come
                again = await self.insist("submit_scan", **arguments)
                self.promises.accept(key, again["task_id"])
            if random.random() < 0.05:
                self.promises.cancel_asked.add(task_id)
                await self.insist("cancel_scan", task_id=task_id)
        except Refused as refused:
            self.promises.problems.append(f"{key}: {refused}")

    async def insist(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Asks until there is an answer; the last one that answered is asked first."""
        while True:
            sent = trio.current_time()
            try:
                with trio.fail_after(ANSWER):
                    result = await self._ask(self.sockets[self._turn], tool, arguments)
            except (OSError, trio.TooSlowError, Unanswered, trio.BrokenResourceError) as error:
                self.promises.seen[f"{type(error).__name__} instead of an answer"] += 1
            else:
                if not result.get("isError"):
                    self.promises.times.append((sent, trio.current_time()))
                    return dict(result["structuredContent"])
                code, text = _refusal(result)
                self.promises.seen[f"refused: {code}"] += 1
                if tool == "cancel_scan" and code == "not_possible_now":
                    return {}
                if code not in PASSING:
                    raise Refused(f"{tool}: {text}")
            self._turn = (self._turn + 1) % len(self.sockets)
            await trio.sleep(AGAIN)

    async def _ask(self, socket: Path, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        async with connection(socket) as (stream, lines):
            wanted = f"{self.name}:{next(self._ids)}"
            await stream.send_all(call(wanted, tool, **arguments))
            while True:
                message = await lines.next()
                if message.get("id") == wanted:
                    if "error" in message:
                        self.promises.seen[f"error: {message['error']['message'][:60]}"] += 1
                        raise Unanswered
                    return dict(message["result"])


@asynccontextmanager
async def connection(socket: Path) -> AsyncIterator[tuple[trio.SocketStream, LineBuffer]]:
    stream = await trio.open_unix_socket(str(socket))
    async with stream:
        try:
            lines = await opened(stream)
        except AssertionError as error:
            raise Unanswered from error
        try:
            yield stream, lines
        except AssertionError as error:
            raise Unanswered from error


def _refusal(result: dict[str, Any]) -> tuple[str, str]:
    """Code and text."""
    text: str = result["content"][0]["text"]
    return text.rpartition("[")[2].partition("]")[0], text[:500]
