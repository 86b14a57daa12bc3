"""A scanner that answers oddly troubles only its own tasks, and works again when it answers well.

The whole scheduler with the real client, a simulated Nessus whose answers are spoiled on their
way, and a second one that answers well. More random answers, and others, with

    ODD_ANSWERS=100000 ODD_SEED=8 pytest -s --timeout 0 -k random tests/scheduler
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random

import attrs
import pytest
import trio
from trio.testing import MockClock

from nessus_sched.config.schema import PollingSettings, SchedulingSettings
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import Task
from support.odd_answers import Literal, odd_answer, odd_body
from support.odd_scanner import (
    OddScanner,
    Spoil,
    connected,
    odd_scanner,
    spoiled_field,
    spoiled_status,
)
from support.raw_wire import Pieces
from support.world import World, config_of, world

COUNT = int(os.environ.get("ODD_ANSWERS", "150"))
SEED = int(os.environ.get("ODD_SEED", "7"))
OTHERS = 10
"""The other scanner is tried once in so many tasks."""
RECOVERS = 20
"""After this many tasks, the scanner answers well until they have ended."""
HOUR = 3600.0
HUGE = Literal("1" + "0" * 400)
LONG = "x" * 70_000
LAUNCH = "POST /scans/N/launch"

NUMBERS = (
    ("GET /scans", "scans.*.id", True),
    ("GET /scans", "scans.*.last_modification_date", False),
    ("GET /scans/N", "info.scan_start", False),
    ("GET /scans/N", "hosts.*.scanprogresscurrent", False),
    ("GET /server/status", "progress", False),
    ("GET /server/properties", "scanner_boottime", False),
    ("GET /server/properties", "license.ips", False),
    ("GET /settings/advanced", "preferences.*.value", False),
    ("GET /folders", "folders.*.id", True),
    ("POST /scans", "scan.id", True),
    ("POST /scans/N/export", "file", True),
)
ODD: dict[str, tuple[Spoil, bool]] = {
    **{
        f"{asked} {field} {name}": (spoiled_field(asked, field, value), shows)
        for asked, field, shows in NUMBERS
        for name, value in (("--5", "--5"), ("10^400", HUGE))
    },
    **{
        f"{asked} {field} {name}": (spoiled_field(asked, field, value), True)
        for asked, field in (
            ("POST /scans/N/export", "file"),
            (LAUNCH, "scan_uuid"),
            ("GET /editor/scan/templates", "templates.*.uuid"),
        )
        for name, value in (("70 kB", LONG), ("surrogate", "\ud800"))
    },
    **{
        f"{asked} redirects to {where[:12]}": (spoiled_status(asked, 302, "Location", where), True)
        for asked in ("GET /scans", LAUNCH)
        for where in ("mailto:x@example.com", "javascript:1", "https://xn--/", "/" + "y" * 65_536)
    },
    **{
        f"{asked} Retry-After {status}": (spoiled_status(asked, status, "Retry-After", later), True)
        for asked in ("GET /scans", LAUNCH)
        for status, later in (
            (503, "Mon, 01 Jan 2024 00:00:00 +99999999999999"),
            (429, "Mon, 01 Jan 2024 00:00:00 +9999"),
        )
    },
}
"""How answers are spoiled, and whether that must be seen."""


@asynccontextmanager
async def two(directory: Path, odd: OddScanner) -> AsyncIterator[World]:
    settings, client = connected(odd, "odd")
    good_settings, good = connected(odd_scanner(), "good")
    config = config_of(
        directory,
        settings,
        good_settings,
        polling=PollingSettings(fastest=15.0, slowest=60.0),
        scheduling=SchedulingSettings(backoff_base=10.0, backoff_max=120.0, max_attempts=3),
    )
    async with world(config, {"odd": client, "good": good}) as w:
        yield w


async def submit(w: World, scanner: str, number: int) -> Task:
    return await w.submit(f"192.0.2.{number}", scanner_instance=scanner)


async def serves_others(w: World) -> None:
    """Two scans on the other scanner, in the time that they take."""
    began = trio.current_time()
    tasks = [await submit(w, "good", number) for number in (101, 102)]
    for task in tasks:
        assert (await w.settled(task.task_id)).state is TaskState.COMPLETED
    assert trio.current_time() - began < 900, "the other scanner was held up"


async def works_again(w: World, odd: OddScanner, earlier: list[Task]) -> None:
    odd.spoil = None
    for task in earlier:
        await w.settled(task.task_id, within=12 * HOUR)
    later = await submit(w, "odd", 50)
    assert (await w.settled(later.task_id, within=2 * HOUR)).state is TaskState.COMPLETED
    assert not w.fleet.failures, "an error of ours"
    assert set(odd.nessus.ledger.of("launch").values()) == {1}


async def in_trouble(w: World, tasks: list[Task]) -> bool:
    """Whether the scanner or one of its tasks says that something is wrong."""
    [scanner] = [each for each in w.queries.statistics().scanners if each.scanner_id == "odd"]
    if scanner.obstacle or scanner.suspension or scanner.held_reason:
        return True
    return any([(await w.task(task.task_id)).last_error for task in tasks])


@pytest.mark.sampled(13)
@pytest.mark.parametrize("odd", ODD)
async def test_one_odd_answer_again_and_again(
    tmp_path: Path, autojump_clock: MockClock, odd: str
) -> None:
    scanner, (spoil, shows) = odd_scanner(), ODD[odd]
    scanner.spoil = spoil
    async with two(tmp_path, scanner) as w:
        tasks = [await submit(w, "odd", number) for number in (1, 2)]
        await serves_others(w)
        await trio.sleep(600)
        assert scanner.spoiled > 0
        assert await in_trouble(w, tasks) or not shows
        await works_again(w, scanner, tasks)


@attrs.define
class Oddity:
    """Spoils half of the answers to some requests: first to all, then to one kind at a time,
    since a scanner whose lists are odd is asked for nothing else."""

    random: Random
    struck: Counter[str] = attrs.field(factory=Counter)
    asked: set[str] = attrs.field(factory=set)
    only: str | None = None

    def change(self) -> None:
        self.only = self.random.choice([None, *sorted(self.asked)])

    def spoil(self, asked: str, body: bytes) -> Pieces | None:
        self.asked.add(asked)
        if self.only not in (None, asked) or self.random.random() < 0.5:
            return None
        self.struck[asked] += 1
        with suppress(ValueError):  # a report
            body = odd_body(json.loads(body), self.random)
        return odd_answer(body, self.random)


@pytest.mark.slow
async def test_random_odd_answers(tmp_path: Path, autojump_clock: MockClock) -> None:
    scanner, oddity = odd_scanner(), Oddity(Random(SEED))
    tasks: list[Task] = []
    async with two(tmp_path, scanner) as w:
        while scanner.spoiled < COUNT:
            scanner.spoil = oddity.spoil
            tasks += [await submit(w, "odd", len(tasks) % 40 + n) for n in (1, 2)]
            if len(tasks) % OTHERS == 0:
                await serves_others(w)
            await trio.sleep(600)
            oddity.change()
            if len(tasks) >= RECOVERS:
                await works_again(w, scanner, tasks)
                tasks.clear()
        await works_again(w, scanner, tasks)
    print(f"\n{scanner.spoiled} odd answers: {oddity.struck}")
    assert len(oddity.struck) > 5
