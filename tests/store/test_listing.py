"""Listing tasks: every filter against a plain reading of what it means."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nessus_sched.core.states import TaskState
from nessus_sched.core.task import Part, Priority, ScanKind, Task
from nessus_sched.core.task_store import TaskFilter
from nessus_sched.store.sqlite import open_offline
from nessus_sched.store.tasks import listing, queries
from nessus_sched.store.tasks.committer import count_states
from nessus_sched.store.tasks.listing import Listing
from nessus_sched.store.tasks.schema import FILE_NAME, TASKS
from nessus_sched.store.tasks.store import TaskStore
from support.engines import Stores
from support.stored import START, a_request, a_task, moved, submitted

HOW_MANY = 60
NAMES = ("Weekly DMZ", "Käsekontrolle", "STRASSE", "straße 7", "100% _done_", "")


def made_up_tasks() -> list[Task]:
    chance = random.Random(7)
    return [
        a_task(
            order,
            request=a_request(
                kind=chance.choice(list(ScanKind)),
                name=chance.choice(NAMES),
                description=chance.choice(("", "night run")),
                targets=(f"192.0.2.{order}",),
                scanner_instance=chance.choice((None, "local")),
                pool=chance.choice(("nessus", "dmz")),
                priority=chance.choice(list(Priority)),
            ),
            actor=chance.choice(("cli:alice", "mcp:bob")),
            scanner_instance=chance.choice((None, "local", "remote")),
        )
        for order in chance.sample(range(1, HOW_MANY * 3), HOW_MANY)
    ]


Stored = list[tuple[Task, float]]


@pytest.fixture(scope="module")
def filled(shared_stores: Stores) -> tuple[Stores, Stored]:
    """A store of tasks in various states; the tasks and when each was last changed."""
    chance = random.Random(8)
    stored: Stored = []

    async def fill() -> None:
        async with shared_stores.open() as store:
            for task in made_up_tasks():
                await store.submit(task, submitted(task))
                at = task.created_at
                if chance.random() < 0.6:
                    after = chance.choice([TaskState.CANCELED, TaskState.LAUNCHING, TaskState.DEAD])
                    at = START + chance.randrange(1000)
                    task, entry = moved(task, after, at=at)
                    await store.record(task, entry)
                stored.append((task, at))

    trio.run(fill)
    return shared_stores, stored


def matches(task: Task, updated_at: float, wanted: TaskFilter) -> bool:
    """What a filter means, said without SQL."""
    request = task.request
    return (
        (not wanted.states or task.state in wanted.states)
        and wanted.scanner in (None, task.scanner_instance or request.scanner_instance)
        and wanted.pool in (None, request.pool)
        and wanted.kind in (None, request.kind)
        and wanted.priority in (None, request.priority)
        and wanted.actor in (None, task.actor)
        and (wanted.created_from is None or task.created_at >= wanted.created_from)
        and (wanted.created_before is None or task.created_at < wanted.created_before)
        and (wanted.updated_from is None or updated_at >= wanted.updated_from)
        and (wanted.updated_before is None or updated_at < wanted.updated_before)
        and wanted.text.casefold() in f"{request.name}\n{request.description}".casefold()
        and (wanted.targets is None or wanted.targets(request.targets))
    )


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


def near_eleven(targets: Sequence[str]) -> bool:
    return any(text.startswith("192.0.2.1") for text in targets)


MOMENTS = maybe(st.integers(-10, 1010).map(lambda seconds: START + seconds))
FILTERS = st.builds(
    TaskFilter,
    states=st.frozensets(st.sampled_from(TaskState), max_size=3),
    scanner=maybe(st.sampled_from(["local", "remote", "nowhere"])),
    pool=maybe(st.sampled_from(["nessus", "dmz"])),
    kind=maybe(st.sampled_from(ScanKind)),
    priority=maybe(st.sampled_from(Priority)),
    actor=maybe(st.sampled_from(["cli:alice", "mcp:bob"])),
    created_from=MOMENTS,
    created_before=MOMENTS,
    updated_from=MOMENTS,
    updated_before=MOMENTS,
    text=st.sampled_from(["", "", "", "strasse", "KÄSE", "%", "_", "night"]),
    targets=maybe(st.just(near_eleven)),
)


@pytest.mark.slow
@given(wanted=FILTERS, limit=st.integers(1, 40), window=st.integers(1, 50))
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_pages_together_hold_what_matches_once_and_newest_first(
    filled: tuple[Stores, Stored], wanted: TaskFilter, limit: int, window: int
) -> None:
    stores, stored = filled
    expected = [task for task, at in stored if matches(task, at, wanted)]
    expected.sort(key=lambda task: -task.order)
    found: list[Task] = []
    with pytest.MonkeyPatch.context() as patch, stores.read() as store:
        patch.setattr(listing, "WINDOW", window)
        page = store.list(wanted, limit=limit)
        found += page.tasks
        while page.cursor is not None:
            assert len(page.tasks) == limit
            page = store.list(wanted, limit=limit, cursor=page.cursor)
            assert page.tasks
            found += page.tasks
        counted = store.count(attrs.evolve(wanted, targets=None))
    assert found == expected
    assert counted == sum(matches(*row, attrs.evolve(wanted, targets=None)) for row in stored)


async def test_a_new_task_does_not_shift_the_pages_behind_it(store: TaskStore) -> None:
    for order in range(1, 6):
        task = a_task(order)
        await store.submit(task, submitted(task))
    first = await store.list(limit=2)
    late = a_task(9)
    await store.submit(late, submitted(late))
    second = await store.list(limit=2, cursor=first.cursor)
    assert [task.order for task in first.tasks + second.tasks] == [5, 4, 3, 2]
    assert await store.count(TaskFilter()) == 6


@pytest.mark.parametrize("shared_stores", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "wanted",
    [
        TaskFilter(states=frozenset({TaskState.DEAD, TaskState.QUEUED})),
        TaskFilter(scanner="local"),
        TaskFilter(actor="cli:alice"),
        TaskFilter(kind=ScanKind.QUICK),
    ],
)
def test_what_the_faces_list_is_read_off_an_index(
    filled: tuple[Stores, Stored], wanted: TaskFilter
) -> None:
    stores, _ = filled
    asked: list[str] = []
    connection = open_offline(stores.directory / FILE_NAME, TASKS)
    connection.set_trace_callback(asked.append)
    page = Listing(wanted, 10, None)
    page.step(connection)
    connection.set_trace_callback(None)
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {asked[-1]}")]
    connection.close()
    reads = [step for step in plan if "task " in step]
    # In order of acceptance off the index: nothing is read that is not asked for.
    assert all("USING INDEX task_by_" in step and "rowid<?" in step for step in reads), plan


PARTS = ("t", "t0", "00000", "t00000012", "12", "2", "7", "%", "_", "T1", "nonesuch", "\U0010ffff")


@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_an_id_means_what_begins_or_ends_so(
    filled: tuple[Stores, Stored], part: str
) -> None:
    stores, stored = filled
    ids = sorted((task.task_id for task, _ in stored), reverse=True)
    expected = [each for each in ids if each.startswith((part, f"t-{part}")) or each.endswith(part)]
    with stores.read() as store:
        assert [task.task_id for task in store.by_id_part(part, limit=100)] == expected
        assert [task.task_id for task in store.by_id_part(part, limit=3)] == expected[:3]


@pytest.mark.parametrize("shared_stores", ["sqlite"], indirect=True)
def test_a_part_of_an_id_is_looked_for_in_the_index_alone(filled: tuple[Stores, Stored]) -> None:
    stores, _ = filled
    asked: list[str] = []
    connection = open_offline(stores.directory / FILE_NAME, TASKS)
    connection.set_trace_callback(asked.append)
    queries.by_id_part(connection, "t0", 10)
    connection.set_trace_callback(None)
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {asked[-1]}")]
    connection.close()
    searches = [step for step in plan if "task_id>? AND task_id<?" in step]
    assert len(searches) == 2
    reads = [step for step in plan if " task " in step and "(task_id=?)" not in step]
    assert all("COVERING INDEX" in step for step in reads), plan


async def test_tasks_are_counted_without_their_parts_and_without_reading_them(
    tmp_path: Path,
) -> None:
    async with TaskStore.open(tmp_path, now=lambda: START) as store:
        for order in (1, 2, 3, 4):
            part = Part(task_id="t00000001", number=order, group=0, start=0, size=1, hosts=1)
            task = a_task(order, part=part if order > 2 else None)
            await store.submit(task, submitted(task))
        assert store.counts()[TaskState.QUEUED] == 2
    asked: list[str] = []
    connection = open_offline(tmp_path / FILE_NAME, TASKS)
    connection.set_trace_callback(asked.append)
    assert count_states(connection) == {TaskState.QUEUED: 2}
    connection.set_trace_callback(None)
    plans = [connection.execute(f"EXPLAIN QUERY PLAN {each}").fetchall() for each in asked]
    connection.close()
    tasks, parts = ([row[3] for row in plan] for plan in plans)
    assert "COVERING INDEX" in tasks[0]
    assert "task_parts" in parts[0]
