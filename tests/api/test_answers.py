"""Numbers and advice in answers mean what they say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from nessus_sched.api import validation
from nessus_sched.api.app import App
from nessus_sched.api.operations import Call, ToolError
from nessus_sched.api.tools import ALL_TOOLS
from nessus_sched.core.states import TaskState
from nessus_sched.core.store_errors import (
    OutcomeUnknown,
    StoreClosed,
    StoreError,
    StoreUnavailable,
)
from nessus_sched.core.targets.targets import parse_targets, size_of
from nessus_sched.ipc.peer import Peer
from nessus_sched.store.tasks.store import TaskStore
from support.apps import app_of
from support.fake_scanner import FakeScanner, unreachable
from support.world import World, config_of, scanner_settings, virtual_now, world


async def call(app: App, tool: str, **arguments: Any) -> Any:
    found = ALL_TOOLS.get(tool)
    assert found is not None
    made: Any = validation.parse(found.arguments, arguments)
    return await found.fn(app, Call(peer=Peer(connection="a")), made)


@asynccontextmanager
async def two_pools(directory: Path) -> AsyncIterator[tuple[World, dict[str, FakeScanner], App]]:
    """Scanners a and b in the pool "nessus", c in "lab", of two slots each."""
    scanners = {name: FakeScanner(virtual_now()) for name in "abc"}
    settings = [scanner_settings(name) for name in "ab"] + [scanner_settings("c", pool="lab")]
    async with world(config_of(directory, *settings), scanners) as w:
        yield w, scanners, app_of(w)


async def test_targets_are_counted_alike_at_submission_and_later(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    many = [f"192.0.2.{n}" for n in range(0, 50, 2)]
    async with two_pools(tmp_path) as (_w, _scanners, app):
        for targets, count, left_out in (
            (["192.0.2.64/27"], 32, 0),
            (many, 25, 5),
        ):
            answer = await call(app, "submit_scan", targets=targets, dry_run=True)
            assert (answer.target_count, answer.targets_left_out) == (count, left_out)
        answer = await call(app, "submit_scan", targets=many)
        status = await call(app, "get_scan_status", task_id=answer.task_id)
        assert (status.target_count, status.targets_left_out) == (25, 5)
        (row,) = (await call(app, "list_tasks")).tasks
        assert len(row.targets) + row.targets_left_out == 25


@given(
    st.lists(
        st.one_of(
            st.integers(0, 255).map("192.0.2.{}".format),
            st.integers(25, 32).map("198.51.100.0/{}".format),
            st.integers(0, 100).map("2001:db8::{}".format),
            st.sampled_from(("a-b.example.com", "web.example.com", "203.0.113.5-203.0.113.9")),
        ),
        min_size=1,
    )
)
def test_normalized_targets_are_counted_without_parsing_each(words: list[str]) -> None:
    parsed = parse_targets(words)
    assert size_of(parsed.texts) == parsed.address_count


async def test_counts_are_of_the_tasks_that_match(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with two_pools(tmp_path) as (w, _scanners, app):
        done = await w.submit("192.0.2.1")
        await w.settled(done.task_id)
        await w.running("192.0.2.2")
        everything = (await call(app, "list_tasks")).counts
        assert everything == {TaskState.COMPLETED: 1, TaskState.RUNNING: 1}
        running = (await call(app, "list_tasks", states=["running", "dead"])).counts
        assert running == {TaskState.RUNNING: 1}
        for filters in ({"text": "x"}, {"target": "192.0.2.1"}, {"scanner_instance": "a"}):
            assert (await call(app, "list_tasks", **filters)).counts is None


async def test_slots_in_use_are_never_more_than_there_are(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with two_pools(tmp_path) as (w, scanners, app):
        for number in range(4):
            scanner = "ab"[number % 2]
            await w.running(f"192.0.2.{number}", scanner_instance=scanner)
        scanners["a"].down = unreachable()
        await trio.sleep(600)
        queue = await call(app, "get_queue_status")
        assert (queue.active, queue.capacity, queue.free_slots) == (4, 6, 2)
        assert [(row.pool, row.active, row.capacity, row.free_slots) for row in queue.pools] == [
            ("lab", 0, 2, 2),
            ("nessus", 4, 4, 0),
        ]


async def test_what_does_not_start_by_itself_is_not_said_to(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with two_pools(tmp_path) as (w, _scanners, app):
        await app.operator.switch("c", "drain", actor="test")
        waiting = await w.submit("192.0.2.1", scanner_instance="c", pool="lab")
        status = await call(app, "get_scan_status", task_id=waiting.task_id)
        assert status.wait.wait_code == "scanner_draining"
        assert "automatically" not in status.next
        paused = await call(app, "pause_scan", task_id=waiting.task_id)
        assert "resume_scan" in paused.next
        await app.operator.pause_all("keep", actor="test")
        held = await w.submit("192.0.2.9")
        status = await call(app, "get_scan_status", task_id=held.task_id)
        assert "automatically" not in status.next


async def test_a_scan_that_is_being_canceled_does_not_take_hours(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with two_pools(tmp_path) as (w, scanners, app):
        task = await w.running("192.0.2.1")
        for scanner in scanners.values():
            scanner.down = unreachable()
        status = await call(app, "cancel_scan", task_id=task.task_id)
        assert status.status == "running"
        assert "being canceled" in status.next
        assert "hours" not in status.next


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (StoreClosed("the store is closed"), "The daemon is stopping: the store is closed."),
        (OutcomeUnknown("the connection was lost"), "it is not known whether this was stored"),
        (StoreUnavailable("the disk is full"), "the disk is full"),
    ],
)
async def test_a_store_that_takes_nothing_is_no_crash(
    tmp_path: Path,
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    error: StoreError,
    says: str,
) -> None:
    async def submit(*_arguments: Any, **_named: Any) -> Any:
        raise error

    async with two_pools(tmp_path) as (_, _, app):
        monkeypatch.setattr(TaskStore, "submit", submit)
        with pytest.raises(ToolError, match=says) as refused:
            await call(app, "submit_scan", targets=["192.0.2.1"], idempotency_key="k")
    assert refused.value.code == "store_unavailable"
    assert refused.value.hint
