"""Clients that submit scans over MCP and change their minds, whatever dies meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import attrs
import trio
from mcp import MCPError

from nessus_sched.mcp.client import CallFailed, Tools

AGAIN = 0.1
"""Seconds before a call is repeated that was not answered."""
BACKLOG = 12
"""More tasks than this ahead of the scanners, and the submitters hold back."""
CHANGES: dict[str, list[str | None]] = {
    "queued": [None, None, None, "cancel_scan"],
    "launching": [None, None, "cancel_scan"],
    "running": ["pause_scan", "pause_scan", "pause_scan", "cancel_scan"],
    "paused": ["resume_scan", "resume_scan", "resume_scan", "cancel_scan"],
    "exporting": [None, None, "cancel_scan"],
    "retry_wait": [None, None, "cancel_scan"],
}
"""What a submitter may want of a task, by its status; None for nothing."""


@attrs.define
class Book:
    """What was promised to the submitters, and what they asked for afterwards."""

    acknowledged: dict[str, str] = attrs.field(factory=dict)
    """Task ids by idempotency key."""
    cancel_asked: set[str] = attrs.field(factory=set)
    stopped: set[str] = attrs.field(factory=set)
    """Tasks whose scans someone stopped on their scanner."""
    closed: bool = False
    """No more new submissions."""
    seen: Counter[str] = attrs.field(factory=Counter)
    problems: list[str] = attrs.field(factory=list)

    def accept(self, key: str, answer: dict[str, Any]) -> None:
        self.seen["acknowledged"] += 1
        task_id = answer["task_id"]
        known = self.acknowledged.setdefault(key, task_id)
        if known != task_id:
            self.problems.append(f"{key} is {known}, and then {task_id}")


@attrs.define
class Submitter:
    """One client. `launched` tells how many scans the scanners have launched so far."""

    name: str
    book: Book
    random: Random
    launched: Callable[[], int]
    _submitted: int = 0
    _tools: Tools | None = None

    async def run(self, tools: Tools) -> None:
        """Until the book is closed; what is begun by then is brought to an answer."""
        self._tools = tools
        while not self.book.closed:
            if len(self.book.acknowledged) - self.launched() < BACKLOG:
                self._submitted += 1
                await self._submit(f"{self.name}-{self._submitted}")
            await self._meddle()
            await trio.sleep(self.random.uniform(0.05, 0.8))

    async def _submit(self, key: str) -> None:
        random = self.random
        last = random.randrange(1, 255)
        arguments: dict[str, Any] = {
            "targets": [random.choice([f"192.0.2.{last}", f"192.0.2.{last & ~7}/29"])],
            "name": key,
            "priority": random.choice(["low", "normal", "high"]),
            "idempotency_key": key,
        }
        if random.random() < 0.3:
            arguments["scanner_instance"] = random.choice(["a", "b"])
        tool = random.choice(["submit_scan", "submit_quick_scan"])
        self.book.accept(key, await self._insist(tool, **arguments))
        if random.random() < 0.2:  # as if the answer had not come
            self.book.accept(key, await self._insist(tool, **arguments))

    async def _meddle(self) -> None:
        """Changes the mind about one of the latest tasks, as far as its state allows."""
        listed = await self._insist("list_tasks", states=list(CHANGES), limit=BACKLOG)
        if not listed["tasks"] or self.random.random() < 0.4:
            return
        task = self.random.choice(listed["tasks"])
        tool = self.random.choice(CHANGES[task["status"]])
        if tool is None:
            return
        if tool == "cancel_scan":
            self.book.cancel_asked.add(task["task_id"])
        try:
            await self._insist(tool, task_id=task["task_id"])
        except CallFailed as error:
            if "[not_possible_now]" not in str(error):
                self.book.problems.append(f"{tool} {task['task_id']}: {error}")

    async def _insist(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Asks until there is an answer."""
        assert self._tools is not None
        while True:
            try:
                return await self._tools.call(tool, **arguments)
            except MCPError:
                self.book.seen["unanswered"] += 1
                await trio.sleep(AGAIN)


async def resume_everything(tools: Tools) -> None:
    """Nothing that was paused stays so, wherever it waits."""
    listed = await tools.call("list_tasks", states=["paused", "queued", "retry_wait"], limit=100)
    for task in listed["tasks"]:
        try:
            await tools.call("resume_scan", task_id=task["task_id"])
        except CallFailed as error:
            assert "[not_possible_now]" in str(error), error  # noqa: PT017 - any other is a failure
