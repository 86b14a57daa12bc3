"""Second tries for hosts that were absent when a schedule fired, in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from nessus_sched.core.calendar.recurrence import Recurrence
from nessus_sched.core.calendar.schedule import Schedule
from nessus_sched.core.calendar.second_tries import RetryAbsent
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import Submitter, Task
from nessus_sched.core.task_store import TaskFilter
from nessus_sched.scheduler.schedules import Schedules
from support.fake_scanner import FakeScanner
from support.world import EPOCH, World, basic, config_of, scanner_settings, virtual_now, world

HOUR = 600.0
"""An hour is ten minutes here: what takes time is polling."""


@attrs.define
class Absent:
    """Hosts that were absent, one answer after the other; the last one stays."""

    answers: list[Sequence[str] | None]
    asked: list[str] = attrs.field(factory=list)

    async def __call__(self, task: Task) -> Sequence[str] | None:
        self.asked.append(task.task_id)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def daily(w: World, **changes: Any) -> Schedule:
    now = w.context.wall()
    usual: dict[str, Any] = {
        "schedule_id": "", "name": "daily", "recurrence": Recurrence(every=24 * HOUR, start=now),
        "request": basic("192.0.2.0/28", between="mon-sun 00:00-24:00"), "actor": "uid:1000",
        "submitter": Submitter(uid=1000), "created_at": now, "catch_up": HOUR, "decided": now,
        "retry_absent": RetryAbsent(times=2, after=4 * HOUR),
    }  # fmt: skip
    return Schedule(**{**usual, **changes})


@asynccontextmanager
async def scheduling(w: World, absent: Any) -> AsyncIterator[Schedules]:
    schedules = Schedules(w.context, w.service)
    schedules.absent = absent
    await schedules.restore()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(schedules.run)
        nursery.start_soon(w.service.deadlines.run)
        yield schedules
        nursery.cancel_scope.cancel()


def scanners(takes: float = 100.0) -> dict[str, FakeScanner]:
    return {"a": FakeScanner(virtual_now(), duration=lambda _order: takes)}


async def submitted(w: World) -> list[tuple[float, tuple[str, ...]]]:
    """When tasks were submitted, in hours from the start, and their targets."""
    page = await w.store.list(TaskFilter(), limit=100)
    found = [((task.created_at - EPOCH) / HOUR, task.request.targets) for task in page.tasks]
    return sorted((round(at, 1), targets) for at, targets in found)


@pytest.mark.slow
async def test_absent_hosts_are_scanned_again_up_to_so_many_times(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    absent = Absent([["192.0.2.3", "192.0.2.5"], ["192.0.2.5"]])
    async with world(config_of(tmp_path, scanner_settings("a")), scanners()) as w:
        async with scheduling(w, absent) as schedules:
            await schedules.add(daily(w))
            await trio.sleep(47 * HOUR)
            found = schedules.named("daily")
        assert await submitted(w) == [
            (24.0, ("192.0.2.0/28",)),
            (28.2, ("192.0.2.3", "192.0.2.5")),
            (32.3, ("192.0.2.5",)),
        ]
        assert found.fired == 1
        assert len(found.recent) == 1
        assert found.tries is not None
        assert found.tries.over == "no more tries"
        first, second = [await w.task(each) for each in found.tries.tasks]
        assert absent.asked == [found.last_task, first.task_id]
        for number, task in ((1, first), (2, second)):
            assert task.request.between == daily(w).request.between
            assert task.request.name == "daily, absent hosts"
            assert task.schedule is not None
            assert (task.schedule.number, task.schedule.is_second_try) == (number, True)
            assert (task.schedule.nominal, task.deadline) == (EPOCH + 24 * HOUR, EPOCH + 48 * HOUR)
        journal = [each.entry for each in await w.store.journal()]
        numbers = [e.detail["number"] for e in journal if e.event == "schedule_tried_again"]
        assert numbers == ["1 of 2", "2 of 2"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "why"),
    [([], "every host that was ever seen was there"), (None, "not known which hosts")],
)
async def test_no_scan_where_no_known_host_was_absent(
    answer: list[str] | None, why: str, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with world(config_of(tmp_path, scanner_settings("a")), scanners()) as w:
        async with scheduling(w, Absent([answer])) as schedules:
            await schedules.add(daily(w))
            await trio.sleep(47 * HOUR)
            tries = schedules.named("daily").tries
        assert len(await submitted(w)) == 1
        assert tries is not None
        assert why in tries.over


@pytest.mark.slow
async def test_no_try_goes_beyond_the_next_firing(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """One that has not begun is dropped, one that runs is canceled; the next firing is on time."""
    absent = Absent([["192.0.2.5"]])
    config = config_of(tmp_path, scanner_settings("a"))
    rule = RetryAbsent(times=5, after=9.9 * HOUR)
    async with world(config, scanners(2 * HOUR)) as w:
        async with scheduling(w, absent) as schedules:
            await schedules.add(daily(w, retry_absent=rule))
            await trio.sleep(49 * HOUR)
            found = schedules.named("daily")
        assert await submitted(w) == [
            (24.0, ("192.0.2.0/28",)), (35.9, ("192.0.2.5",)), (47.8, ("192.0.2.5",)),
            (48.0, ("192.0.2.0/28",)),
        ]  # fmt: skip
        tries = [t for t in (await w.store.list(TaskFilter(), limit=9)).tasks
                 if t.request.targets == ("192.0.2.5",)]  # fmt: skip
        late = max(tries, key=lambda task: task.created_at)
        assert late.state is not TaskState.COMPLETED
        assert found.fired == 2
        assert found.tries is not None
        assert (found.tries.nominal, found.tries.tasks) == (EPOCH + 48 * HOUR, ())


@pytest.mark.slow
@pytest.mark.parametrize(("own", "hours"), [("30m", 3), ("12h", None)])
async def test_a_deadline_of_the_request_counts_for_each_try(
    own: str, hours: int | None, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with world(config_of(tmp_path, scanner_settings("a")), scanners()) as w:
        async with scheduling(w, Absent([["192.0.2.5"]])) as schedules:
            await schedules.add(daily(w, request=basic("192.0.2.0/28", deadline=own)))
            await trio.sleep(30 * HOUR)
            tries = schedules.named("daily").tries
        assert tries is not None
        task = await w.task(tries.tasks[0])
        end = EPOCH + 48 * HOUR if hours is None else task.created_at + hours * HOUR
        assert task.deadline == pytest.approx(end)


@pytest.mark.slow
@pytest.mark.parametrize("state", ["canceled", "paused", "refused", "redefined"])
async def test_what_ends_the_tries(
    state: str, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    target = "203.0.113.9" if state == "refused" else "192.0.2.5"
    async with world(config_of(tmp_path, scanner_settings("a")), scanners()) as w:
        async with scheduling(w, Absent([[target]])) as schedules:
            added, _ = await schedules.add(daily(w))
            await trio.sleep(24.1 * HOUR)
            if state == "canceled":
                task = schedules.named("daily").last_task
                assert task is not None
                await w.service.cancel(task, actor="test")
            elif state == "paused":
                await schedules.change("daily", "test", "paused", paused=True)
            elif state == "redefined":
                await schedules.add(attrs.evolve(added, retry_absent=None), replace=True)
            await trio.sleep(20 * HOUR)
            tries = schedules.named("daily").tries
        assert len(await submitted(w)) == 1
        if state == "redefined":
            assert tries is None
        elif state != "paused":
            assert tries is not None
            assert {"canceled": "its task is canceled", "refused": "it was refused"}[state] in (
                tries.over
            )


class Dies(Exception):
    """The process, killed."""


@pytest.mark.parametrize("step", range(6))
async def test_a_daemon_that_dies_at_any_step_tries_once(
    step: int, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Every save, and both sides of the submission of the try."""
    config, found = config_of(tmp_path, scanner_settings("a")), scanners()
    rule = RetryAbsent(times=1, after=4 * HOUR)
    first, later = Absent([["192.0.2.5"]]), Absent([["192.0.2.5", "192.0.2.6"]])
    saves = iter(range(100))
    with pytest.RaisesGroup(Dies, flatten_subgroups=True):
        async with world(config, found) as w:
            save, submit = w.store.save_schedule, w.service.submit

            async def saved(schedule: Schedule, *entries: Any) -> None:
                number = next(saves) if schedule.tries is not None else None
                if number is not None and number == step == 3:
                    raise Dies  # the try is submitted and not noted
                await save(schedule, *entries)
                if number is not None and number == step:
                    raise Dies

            async def asked(*args: Any, **named: Any) -> Any:
                again = "/" in named["idempotency_key"]
                if again and step == 4:
                    raise Dies
                answer = await submit(*args, **named)
                if again and step == 5:
                    raise Dies
                return answer

            w.store.save_schedule = saved  # type: ignore[method-assign]
            w.service.submit = asked  # type: ignore[method-assign]
            async with scheduling(w, first) as schedules:
                await schedules.add(daily(w, retry_absent=rule))
                await trio.sleep(47 * HOUR)
    async with world(config, found) as w, scheduling(w, later) as schedules:
        await trio.sleep(8 * HOUR)
        # What was to be tried is stored before it is submitted.
        chosen = ("192.0.2.5",) if step >= 2 else ("192.0.2.5-192.0.2.6",)
        targets = [targets for _, targets in await submitted(w)]
        assert targets == [("192.0.2.0/28",), chosen]
        tries = schedules.named("daily").tries
        assert tries is not None
        assert len(tries.tasks) == 1
        await w.settled(tries.tasks[0])
    assert sum(found["a"].launches.values()) == 2
