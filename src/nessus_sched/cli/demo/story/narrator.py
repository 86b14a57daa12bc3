"""Follows the journal and shows what it says as the story goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from nessus_sched.cli.demo.story.lines import Chapter, Line, Reader
from nessus_sched.daemon.system import System
from nessus_sched.results.untrusted import clean_line

TOGETHER: Final = 45.0
"""Seconds of the story whose rows make one line of each kind."""


class Narrator:
    """`show` is called with every line, and `story` keeps them."""

    def __init__(self, system: System, show: Callable[[Line], None]) -> None:
        self._system = system
        self._show = show
        self._names: dict[str, str] = {}
        self._reader = Reader(self._names)
        self._read = 0
        self.story: list[Line] = []

    def tell(self, chapter: Chapter, text: str, *details: str) -> None:
        """Adds a line about now that is not from the journal."""
        self._add(Line(at=self._system.context.wall(), chapter=chapter, text=text, details=details))

    async def run(self) -> None:
        """Until canceled."""
        while True:
            await self._system.store.next_commit()
            await trio.sleep(TOGETHER)
            await self.catch_up()

    async def catch_up(self) -> None:
        """Tells what has been journaled."""
        records = await self._system.store.journal(after=self._read)
        for record in records:
            await self._learn(record.entry.task_id)
            self._read = record.seq
        for line in self._reader.lines(records):
            self._add(line)

    def _add(self, line: Line) -> None:
        self.story.append(line)
        self._show(line)

    async def _learn(self, task_id: str | None) -> None:
        if task_id is None or task_id in self._names:
            return
        task = await self._system.store.get(task_id)
        if task is None:
            return
        name = clean_line(task.request.name or task_id, 40)
        if task.part is not None:
            name += f", part {task_id.rpartition('-')[2]}"
        self._names[task_id] = name
