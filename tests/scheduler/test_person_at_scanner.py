"""What a person does at the scanner to our scans, and what becomes of their tasks."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.scanner import ScanStatus
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import RequestedState, Task
from nessus_sched.store.tasks.store import TaskStore
from support.fake_scanner import FakeScanner
from support.world import World, error_kind, one_scanner


async def test_a_person_pauses_and_resumes(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        task = await w.running()
        scanner.set_status(scanner.scans[1], ScanStatus.PAUSED)
        await w.until(task.task_id, TaskState.PAUSED, within=120)
        await trio.sleep(3600)
        assert scanner.requests["resume"] == 0, "the person knows why"
        scanner.set_status(scanner.scans[1], ScanStatus.RUNNING)
        await w.until(task.task_id, TaskState.RUNNING, within=120)
        assert (await w.settled(task.task_id)).state is TaskState.COMPLETED
        told = await w.events(task)
        assert "paused_on_scanner" in told
        assert "resumed_on_scanner" in told


async def test_a_person_stops_it(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        task = await w.running()
        scanner.set_status(scanner.scans[1], ScanStatus.STOPPED)
        done = await w.settled(task.task_id, within=120)
        assert (done.state, error_kind(done)) == (TaskState.CANCELED, "stopped_on_scanner")


async def test_a_person_deletes_it(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        task, waiting = await w.running("192.0.2.1"), await w.submit("192.0.2.2")
        scanner.remove(scanner.scans[1])
        dead = await w.settled(task.task_id, within=120)
        assert (dead.state, error_kind(dead)) == (TaskState.DEAD, "scan_vanished")
        assert (await w.settled(waiting.task_id)).state is TaskState.COMPLETED


async def renamed(w: World, scanner: FakeScanner) -> Task:
    task = await w.running()
    scanner.rename(scanner.scans[1], "my own now")
    await trio.sleep(120)
    assert "scan_disowned" in await w.events(task)
    return task


async def test_a_person_renames_it_and_its_results_still_come(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        task = await renamed(w, scanner)
        assert (await w.settled(task.task_id)).state is TaskState.COMPLETED
        assert (await w.events(task)).count("scan_disowned") == 1


async def test_a_renamed_scan_is_left_alone_by_cancel_and_pause(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        task = await renamed(w, scanner)
        await w.service.pause(task.task_id, actor="me")
        await trio.sleep(60)
        await w.service.cancel(task.task_id, actor="me")
        done = await w.settled(task.task_id, within=120)
        assert done.state is TaskState.CANCELED
        assert done.last_error is not None
        assert "left alone" in done.last_error.message
        assert not scanner.requests["pause"] + scanner.requests["stop"]
        assert scanner.scans[1].status is ScanStatus.RUNNING


async def test_a_renamed_scan_that_is_paused_does_not_hold_its_slot_for_ever(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        task = await renamed(w, scanner)
        scanner.set_status(scanner.scans[1], ScanStatus.PAUSED)
        dead = await w.settled(task.task_id, within=120)
        assert (dead.state, error_kind(dead)) == (TaskState.DEAD, "not_ours")


@pytest.mark.parametrize("did", [ScanStatus.PAUSED, ScanStatus.RUNNING])
async def test_a_cancel_that_is_being_stored_while_a_person_acts_is_obeyed(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, did: ScanStatus
) -> None:
    record = TaskStore.record

    async def slowly(store: TaskStore, task: Task, entry: JournalEntry) -> None:
        if entry.event == "cancel_requested":
            await trio.sleep(300)
        await record(store, task, entry)

    monkeypatch.setattr(TaskStore, "record", slowly)
    async with one_scanner(tmp_path) as (w, scanner):
        scanner.duration = lambda _order: 86400.0
        task = await w.running()
        if did is ScanStatus.RUNNING:
            scanner.set_status(scanner.scans[1], ScanStatus.PAUSED)
            await w.until(task.task_id, TaskState.PAUSED, within=120)
        scanner.set_status(scanner.scans[1], did)
        view = await w.service.cancel(task.task_id, actor="me")
        assert view.task.desired is RequestedState.CANCEL
        assert (await w.settled(task.task_id, within=600)).state is TaskState.CANCELED
