"""What a new life of the daemon makes of what the last one left."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import MockClock

from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.leading.lease import SECONDS, Lease
from nessus_sched.core.pool.wait_reasons import WaitCode
from nessus_sched.core.scanner import BadExport, NoCapacity, NotFound, ScanOrder, ScanStatus
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import Priority, Task
from nessus_sched.store.tasks.offline import read_offline
from nessus_sched.store.tasks.store import TaskStore
from support.fake_scanner import FakeScan, FakeScanner, unreachable
from support.mortality import Life, make_reproducible, mortal, mortal_connect
from support.seals import marker
from support.trouble import Effect, Trouble, lost
from support.world import config_of, scanner_settings, seen, virtual_now, world


async def test_every_state_goes_on_where_it_was(tmp_path: Path, autojump_clock: MockClock) -> None:
    """One task in each state at the moment of death; `a` runs, `b` aborts and exports."""
    scanners = {name: FakeScanner(virtual_now()) for name in "abc"}
    config = config_of(tmp_path, *(scanner_settings(name, 2) for name in "abc"))
    async with world(config, scanners) as w:
        running = await w.running("192.0.2.1", scanner_instance="a")
        paused = await w.running("192.0.2.2", scanner_instance="a")
        await w.service.pause(paused.task_id, actor="me")
        await w.until(paused.task_id, TaskState.PAUSED)
        queued = [
            await w.submit(f"192.0.2.{n}", scanner_instance="a", priority=priority)
            for n, priority in enumerate([Priority.LOW, Priority.NORMAL, Priority.HIGH], 10)
        ]
        retrying = await w.running("192.0.2.3", scanner_instance="b")
        scanners["b"].restart()
        await w.until(retrying.task_id, TaskState.RETRY_WAIT)
        scanners["b"].fault = lambda request: (
            Trouble(error=BadExport("cut off")) if request == "export" else None
        )
        scanners["b"].duration = lambda _order: 1.0
        exporting = await w.submit("192.0.2.4", scanner_instance="b")
        await w.until(exporting.task_id, TaskState.EXPORTING)
        scanners["c"].fault = lambda request: lost(Effect.DONE) if request == "launch" else None
        launching = await w.submit("192.0.2.5", scanner_instance="c")
        await seen(lambda: scanners["c"].launches.total() == 1)
    for scanner in scanners.values():
        scanner.fault = lambda _request: None
    async with world(config, scanners) as w:
        assert w.queries.statistics().scanners[0].slots.active == tuple(
            sorted([running.task_id, paused.task_id])
        )
        positions = [(await w.queries.task(task.task_id)).standing.position for task in queued]
        assert positions == [3, 2, 1]
        await w.service.resume(paused.task_id, actor="me")
        for task in (running, paused, retrying, exporting, launching, *queued):
            done = await w.settled(task.task_id)
            assert done.state is TaskState.COMPLETED, done
            assert done.attempt == (2 if task is retrying else 1)
    assert {n for scanner in scanners.values() for n in scanner.launches.values()} == {1}


async def test_five_running_scans_are_adopted_with_one_poll(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    scanner = FakeScanner(virtual_now())
    config = config_of(tmp_path, scanner_settings("a", 5))
    async with world(config, {"a": scanner}) as w:
        tasks = [await w.running(f"192.0.2.{n}") for n in range(1, 6)]
    before = scanner.requests.copy()
    async with world(config, {"a": scanner}) as w:
        await trio.sleep(1)
        assert scanner.requests["list_scans"] - before["list_scans"] == 1
        assert len(w.queries.active()) == 5
        assert w.queries.statistics().scanners[0].free == 0
        for task in tasks:
            await w.settled(task.task_id)
    assert scanner.most_running == 5


async def test_a_scanner_that_answers_before_its_tasks_are_read_is_asked_again_soon(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    scanner = FakeScanner(virtual_now(), duration=lambda _order: 20.0)
    config = config_of(tmp_path, scanner_settings("a", 1))
    async with world(config, {"a": scanner}) as w:
        task = await w.running()
    at_once = TaskStore.unfinished

    async def later(store: TaskStore) -> AsyncIterator[Task]:
        await trio.sleep(1)
        async with aclosing(at_once(store)) as tasks:
            async for each in tasks:
                yield each

    monkeypatch.setattr(TaskStore, "unfinished", later)
    async with world(config, {"a": scanner}) as w:
        assert (await w.settled(task.task_id, within=30)).state is TaskState.COMPLETED


async def test_more_than_the_limit_are_adopted_and_none_is_added(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    scanner = FakeScanner(virtual_now())
    async with world(config_of(tmp_path, scanner_settings("a", 3)), {"a": scanner}) as w:
        for n in range(1, 4):
            await w.running(f"192.0.2.{n}")
        await w.submit("192.0.2.9")
    async with world(config_of(tmp_path, scanner_settings("a", 1)), {"a": scanner}) as w:
        await trio.sleep(300)
        assert len(scanner.active()) == 3
        last = await w.submit("192.0.2.10")
        assert (await w.settled(last.task_id)).state is TaskState.COMPLETED
    assert scanner.most_running == 3


async def test_a_scan_that_ended_while_we_were_away(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    scanner = FakeScanner(virtual_now())
    config = config_of(tmp_path, scanner_settings("a", 4))
    async with world(config, {"a": scanner}) as w:
        tasks = [await w.running(f"192.0.2.{n}") for n in range(1, 5)]
    scanner.set_status(scanner.scans[2], ScanStatus.STOPPED)
    scanner.set_status(scanner.scans[3], ScanStatus.ABORTED)
    scanner.remove(scanner.scans[4])
    await trio.sleep(86400)
    async with world(config, {"a": scanner}) as w:
        await w.until(tasks[2].task_id, TaskState.RETRY_WAIT)
        ends = [await w.settled(task.task_id) for task in tasks]
    assert [(end.state, end.last_error and end.last_error.kind) for end in ends] == [
        (TaskState.COMPLETED, None),
        (TaskState.CANCELED, "stopped_on_scanner"),
        (TaskState.COMPLETED, "scan_aborted"),
        (TaskState.DEAD, "scan_vanished"),
    ]


async def test_a_wait_for_the_next_attempt_goes_on_with_what_remains_of_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    scanner = FakeScanner(virtual_now())
    config = config_of(tmp_path, scanner_settings("a"))
    async with world(config, {"a": scanner}) as w:
        task = await w.running()
        scanner.restart()
        waiting = await w.until(task.task_id, TaskState.RETRY_WAIT)
    assert waiting.retry_at is not None
    async with world(config, {"a": scanner}) as w:
        await w.until(task.task_id, TaskState.LAUNCHING)
        assert w.context.now() == pytest.approx(waiting.retry_at, abs=0.2)


async def test_a_task_whose_scanner_is_down_at_start_waits_for_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    scanners = {name: FakeScanner(virtual_now()) for name in "ab"}
    config = config_of(tmp_path, scanner_settings("a"), scanner_settings("b"))
    async with world(config, scanners) as w:
        task = await w.running("192.0.2.1", scanner_instance="a")
    scanners["a"].down = unreachable()
    async with world(config, scanners) as w:
        other = await w.submit("192.0.2.2")
        assert (await w.settled(other.task_id)).scanner_instance == "b"
        assert (await w.task(task.task_id)).state is TaskState.RUNNING
        scanners["a"].down = None
        assert (await w.settled(task.task_id)).state is TaskState.COMPLETED


async def test_a_running_task_whose_scanner_was_removed_is_told_so(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    scanners = {name: FakeScanner(virtual_now()) for name in "ab"}
    both = config_of(tmp_path, scanner_settings("a"), scanner_settings("b"))
    async with world(both, scanners) as w:
        running = await w.running("192.0.2.1", scanner_instance="a")
        queued = await w.submit("192.0.2.2", scanner_instance="a")
    async with world(config_of(tmp_path, scanner_settings("b")), scanners) as w:
        dead = await w.settled(running.task_id)
        assert dead.last_error is not None
        assert dead.last_error.kind == "scanner_removed"
        standing = (await w.queries.task(queued.task_id)).standing
        assert standing.wait_reason is not None
        assert standing.wait_reason.code is WaitCode.SCANNER_REMOVED
    async with world(both, scanners) as w:
        assert (await w.settled(queued.task_id)).state is TaskState.COMPLETED


async def test_a_cancel_that_was_acknowledged_before_death_is_obeyed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    scanner = FakeScanner(virtual_now())
    config = config_of(tmp_path, scanner_settings("a"))
    async with world(config, {"a": scanner}) as w:
        task = await w.running()
        await w.service.cancel(task.task_id, actor="me")
    async with world(config, {"a": scanner}) as w:
        assert (await w.settled(task.task_id, within=60)).state is TaskState.CANCELED
        assert scanner.scans[1].status is ScanStatus.STOPPED


@pytest.mark.parametrize("state", [TaskState.QUEUED, TaskState.RETRY_WAIT])
async def test_a_cancel_that_came_on_the_way_to_a_queue_is_obeyed_after_death(
    tmp_path: Path, autojump_clock: MockClock, state: TaskState
) -> None:
    """Canceled while a request is under way whose failure sends the task back; we die right
    after that was written."""
    life, scanner = Life(), FakeScanner(virtual_now())
    full = Trouble(error=NoCapacity("the scanner is full"), takes=10.0)
    scanner.fault = lambda request: full if request == "create_scan" else None
    config = config_of(tmp_path, scanner_settings("a"))
    connect = mortal_connect(life, lambda _what, _moment: None)

    async def resolve(_name: str) -> tuple[str, ...]:
        if state is TaskState.QUEUED or not scanner.requests["list_scans"]:
            return ("192.0.2.1",)
        await trio.sleep(10)
        raise OSError("no such name")

    def on_change(task: Task, entry: JournalEntry) -> None:
        if entry.before is TaskState.LAUNCHING and task.state is state:
            life.die()

    async with mortal(life), world(config, {"a": scanner}, connect=connect) as w:
        w.context.resolve = resolve
        w.context.observers.append(on_change)
        task = await w.submit("www.example.com")
        await w.until(task.task_id, TaskState.LAUNCHING)
        await trio.sleep(5)
        await w.service.cancel(task.task_id, actor="me")
        await trio.sleep_forever()
    scanner.down = unreachable()
    async with world(config, {"a": scanner}) as w:
        assert (await w.settled(task.task_id, within=1)).state is TaskState.CANCELED


async def test_the_overlap_guard_knows_what_names_meant(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    scanners = {"a": FakeScanner(virtual_now())}
    config = config_of(tmp_path, scanner_settings("a", 2))
    async with world(config, scanners, resolve=lambda _name: ["192.0.2.7"]) as w:
        named = await w.running("www.example.com")
    async with world(config, scanners) as w:  # where names do not resolve
        overlapping = await w.submit("192.0.2.0/28")
        await trio.sleep(60)
        standing = (await w.queries.task(overlapping.task_id)).standing
        assert standing.wait_reason is not None
        assert standing.wait_reason.blocker == named.task_id
        await w.settled(named.task_id)
        assert (await w.settled(overlapping.task_id)).state is TaskState.COMPLETED


async def test_estimates_know_how_long_scans_took_before(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    scanner = FakeScanner(virtual_now())
    config = config_of(tmp_path, scanner_settings("a", 1))
    slow = [Trouble(error=BadExport("cut off"), takes=900.0) for _ in range(5)]
    scanner.fault = lambda request: slow.pop() if request == "export" and slow else None
    async with world(config, {"a": scanner}) as w:
        for task in [await w.submit(f"192.0.2.{n}") for n in range(1, 6)]:
            await w.settled(task.task_id)
    async with world(config, {"a": scanner}) as w:
        await w.running("192.0.2.1")
        task = await w.submit("192.0.2.2")
        estimate = (await w.queries.task(task.task_id)).standing.estimate
        assert estimate is not None
        assert 500 < estimate.seconds < 700


async def test_a_report_that_is_the_end_of_every_life_is_given_up(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    scanner = FakeScanner(virtual_now(), duration=lambda _order: 1.0)
    scanner.fault = lambda request: (
        Trouble(error=BadExport("never told"), takes=1e6) if request == "export" else None
    )
    config = config_of(tmp_path, scanner_settings("a"))
    async with world(config, {"a": scanner}) as w:
        task = await w.submit()
        await w.until(task.task_id, TaskState.EXPORTING)
    for _ in range(8):
        async with world(config, {"a": scanner}) as w:
            await trio.sleep(60)
            assert (await w.task(task.task_id)).state is TaskState.EXPORTING
    async with world(config, {"a": scanner}) as w:
        dead = await w.settled(task.task_id, within=1)
        assert dead.last_error is not None
        assert (dead.state, dead.last_error.kind) == (TaskState.DEAD, "report_unreadable")


async def test_a_scan_that_ended_early_is_tried_again_without_its_unreadable_report(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    scanner = FakeScanner(virtual_now())
    scanner.fault = lambda request: (
        Trouble(error=BadExport("never told"), takes=1e6) if request == "export" else None
    )
    config = config_of(tmp_path, scanner_settings("a"))
    async with world(config, {"a": scanner}) as w:
        task = await w.running()
        scanner.restart()
        await w.until(task.task_id, TaskState.EXPORTING)
    for _ in range(8):
        async with world(config, {"a": scanner}) as w:
            await trio.sleep(30)
            assert (await w.task(task.task_id)).state is TaskState.EXPORTING
    scanner.fault = lambda _request: None
    async with world(config, {"a": scanner}) as w:
        done = await w.settled(task.task_id, within=3600)
        assert (done.state, done.attempt) == (TaskState.COMPLETED, 2)


async def test_a_stop_in_the_midst_of_recovery_is_quiet(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    scanner = FakeScanner(virtual_now(), duration=lambda _order: 1.0)
    scanner.fault = lambda request: (
        Trouble(error=BadExport("never told"), takes=1e6) if request == "export" else None
    )
    config = config_of(tmp_path, scanner_settings("a", 3))
    async with world(config, {"a": scanner}) as w:
        tasks = [await w.submit(f"192.0.2.{n}") for n in range(1, 4)]
        for task in tasks:
            await w.until(task.task_id, TaskState.EXPORTING)
    for seed in range(40):
        make_reproducible(seed)
        last, life, commits = 1 + seed % 4, Life(), 0

        def step(what: str, moment: str, life: Life = life, last: int = last) -> None:
            nonlocal commits
            commits += (what, moment) == ("commit", "after")
            if commits == last:
                life.scope.cancel(reason="stop")

        async with mortal(life), world(config, {"a": scanner}, connect=mortal_connect(life, step)):
            await trio.sleep(60)


async def test_what_ran_after_the_backup_was_taken_is_not_launched_again(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    scanner = FakeScanner(
        virtual_now(), duration=lambda order: 60.0 if "192.0.2.3" in order.targets else 600.0
    )
    (tmp_path / "restored").mkdir()
    async with world(config_of(tmp_path, scanner_settings("a")), {"a": scanner}) as w:
        running = [await w.running(f"192.0.2.{n}") for n in (1, 2)]
        done = await w.submit("192.0.2.3")
        again = await w.submit("192.0.2.4")
        with read_offline(tmp_path) as offline:
            offline.backup(tmp_path / "restored" / "tasks.db")
        await w.until(again.task_id, TaskState.RUNNING)
        await w.settled(done.task_id)
        scanner.restart()
        assert (await w.until(again.task_id, TaskState.RETRY_WAIT)).attempt == 1
        await w.until(again.task_id, TaskState.RUNNING)
        before = scanner.launches.copy()
    double = FakeScan(scan_id=0, name=f"double {marker(done.task_id, 1)}", duration=1.0)
    scanner.scans[double.scan_id] = double  # its create was held up on its way
    restored = config_of(tmp_path / "restored", scanner_settings("a"))
    async with world(restored, {"a": scanner}) as w:
        ends = [await w.settled(task.task_id) for task in (*running, done, again)]
    assert {end.state for end in ends} == {TaskState.COMPLETED}
    assert [end.attempt for end in ends] == [1, 1, 1, 2]
    assert scanner.launches == before


async def test_a_scan_gone_when_we_died_launching_costs_no_attempt(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Perhaps it was us who deleted it."""
    scanner = FakeScanner(virtual_now())
    config = config_of(tmp_path, scanner_settings("a"))
    async with world(config, {"a": scanner}) as w:
        scanner.fault = lambda request: (
            lost(Effect.NONE, takes=1e6) if request == "launch" else None
        )
        task = await w.submit()
        await seen(lambda: scanner.requests["launch"] == 1)
    scanner.remove(scanner.scans[1])
    scanner.fault = lambda _request: None
    async with world(config, {"a": scanner}) as w:
        done = await w.settled(task.task_id)
    assert (done.state, done.failures) == (TaskState.COMPLETED, 0)


@pytest.mark.parametrize("sent", ["never", "late", "very late"])
@pytest.mark.parametrize("request_", ["create_scan", "launch"])
async def test_who_takes_over_waits_for_requests_of_the_daemon_before(
    tmp_path: Path, autojump_clock: MockClock, request_: str, sent: str
) -> None:
    """That one may be stopped, with a request not sent yet, until its lease is over."""
    scanner = FakeScanner(virtual_now())
    config = config_of(tmp_path, scanner_settings("a"))
    async with world(config, {"a": scanner}) as w:
        scanner.fault = lambda request: (
            lost(Effect.NONE, takes=1e6) if request == request_ else None
        )
        task = await w.submit()
        await seen(lambda: scanner.requests[request_] == 1)
        attempt = await w.task(task.task_id)
    scanner.fault = lambda _request: None
    before = dict(scanner.requests)
    lease = Lease(trio.current_time, SECONDS)
    lease.taken_over()
    took_over_at = trio.current_time()
    patience = lease.unsettled_for(config.scanners[0].timeout)
    assert patience > config.scanners[0].timeout + SECONDS
    async with world(config, {"a": scanner}, lease=lease) as w:
        await trio.sleep(patience - 1.0)
        assert scanner.requests["create_scan"] == before["create_scan"]
        if sent == "late":
            late = await created_late(scanner, attempt) if request_ == "create_scan" else 1
            if request_ == "launch":
                await scanner.launch(late, (marker(task.task_id, 1),))
        done = await w.settled(task.task_id)
        if sent == "very late" and request_ == "launch":
            with pytest.raises(NotFound):
                await scanner.launch(1, (marker(task.task_id, 1),))
        elif sent == "very late":
            await created_late(scanner, attempt)
        await trio.sleep(600)
    assert trio.current_time() - took_over_at > patience
    assert (done.state, done.attempt) == (TaskState.COMPLETED, 1)
    assert sum(scan.runs for scan in scanner.scans.values()) == 1
    assert sum(scanner.launches.values()) == 1


@pytest.mark.parametrize("other", [True, False], ids=["another began it", "nobody else did"])
async def test_a_queued_task_is_not_begun_while_another_daemon_may_have_done_so(
    tmp_path: Path, autojump_clock: MockClock, other: bool
) -> None:
    scanner = FakeScanner(virtual_now(), duration=lambda _: 600.0)
    lease = Lease(trio.current_time, SECONDS)
    lease.confirm(trio.current_time())
    config = config_of(tmp_path, scanner_settings("a", 1))
    async with world(config, {"a": scanner}, lease=lease) as w:
        first, second = await w.running("192.0.2.1"), await w.submit("192.0.2.2")
        await w.until(first.task_id, TaskState.EXPORTING)
        if other:
            entry = JournalEntry(
                at=trio.current_time(), event="taken", actor="another daemon",
                task_id=second.task_id, before=TaskState.QUEUED, after=TaskState.LAUNCHING,
            )  # fmt: skip
            changed = attrs.evolve(second, state=TaskState.LAUNCHING, attempt=1)
            await w.store.record(changed, entry)
        await trio.sleep(3600)
        assert scanner.requests["create_scan"] == 1
        if not other:
            lease.confirm(trio.current_time())
            assert (await w.settled(second.task_id)).state is TaskState.COMPLETED


async def created_late(scanner: FakeScanner, task: Task) -> int:
    """What the daemon before sent at last."""
    order = ScanOrder(
        name=f"late {marker(task.task_id, task.attempt)}",
        marker=marker(task.task_id, task.attempt),
        targets=task.request.targets,
        request=task.request,
    )
    return (await scanner.create_scan(order)).scan_id
