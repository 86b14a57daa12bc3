"""A scan to verify fixes changes only the findings that it was for, and stands in for no other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nessus_sched.core.targets.ranges import V4
from nessus_sched.results.absence import Reason
from nessus_sched.results.ledger.questions import Shown
from nessus_sched.results.ledger.selection import Selected, Selection
from nessus_sched.results.ledger.states import State
from support.ledger_book import DAY, T0, Book, machine, open_book
from support.nessus_xml import item

ONE = "192.0.2.1"
FIRST, OTHER = item(10001, severity=3, port=443), item(10002, severity=2, port=80)
RAN = (10001, 10002, 110385, 117885)
ONLY: dict[str, Any] = {"only": frozenset({10001}), "targets": ONE, "plugins": RAN}


@pytest.fixture
async def book(tmp_path: Path) -> AsyncIterator[Book]:
    async with open_book(tmp_path) as opened:
        await opened.scan(machine(ONE, FIRST, OTHER, at=T0), task_id="t-1", at=T0, plugins=RAN)
        yield opened


async def state(book: Book) -> dict[int, tuple[State, Reason | None, str]]:
    return {
        each.plugin_id: (each.life.state, each.life.reason, each.last_task_id)
        for each in (await book.host(ONE)).entries
    }


async def test_it_proves_its_own_findings_only(book: Book) -> None:
    before = (await book.host(ONE)).host
    applied = await book.scan(machine(ONE, at=T0 + DAY), task_id="t-2", at=T0 + DAY, **ONLY)
    assert (applied.hosts, applied.fixed) == (1, 1)
    assert await state(book) == {
        10001: (State.FIXED, None, "t-2"),
        10002: (State.NEW, None, "t-1"),
    }
    after = (await book.host(ONE)).host
    assert (after.whole_at, after.tried_at, after.login_at, after.reported_at) == (
        before.whole_at, before.tried_at, before.login_at, before.reported_at,
    )  # fmt: skip


async def test_it_enters_no_other_findings_and_no_hosts(book: Book) -> None:
    strange = item(10003, severity=4)
    at = T0 + DAY
    await book.scan(
        machine(ONE, FIRST, OTHER, strange, at=at), machine("192.0.2.9", FIRST, at=at),
        task_id="t-2", at=at, **ONLY,
    )  # fmt: skip
    assert await state(book) == {
        10001: (State.ACTIVE, None, "t-2"),
        10002: (State.NEW, None, "t-1"),
    }
    assert not await book.ledger.hosts(
        "192.0.2.9", shown=Shown.ALL, least_severity=0, limit=9, offset=0
    )  # fmt: skip


async def test_what_it_could_not_verify_has_the_reason_whatever_saw_it(book: Book) -> None:
    at = T0 + DAY
    other = {**ONLY, "plugins": (1,), "series": "other"}
    await book.scan(machine(ONE, at=at), task_id="t-2", at=at, **other)
    assert (await state(book))[10001] == (State.NEW, Reason.PLUGIN_NOT_RUN, "t-1")
    await book.scan(machine("192.0.2.200", at=at + 60), task_id="t-3", at=at + 60, **ONLY)
    found = await state(book)
    assert found[10001] == (State.NEW, Reason.HOST_DOWN, "t-1")
    assert found[10002] == (State.NEW, None, "t-1")
    assert (await book.host(ONE)).host.tried_at == T0


async def test_a_whole_scan_that_saw_the_host_before_it_still_counts(book: Book) -> None:
    """A long scan has the host's results of yesterday; the verification is of today."""
    strange = item(10003, severity=4)
    await book.scan(machine(ONE, at=T0 + 2 * DAY), task_id="t-2", at=T0 + 2 * DAY, **ONLY)
    applied = await book.scan(
        machine(ONE, FIRST, strange, at=T0 + DAY), task_id="t-3", at=T0 + DAY, plugins=RAN,
    )  # fmt: skip
    assert (applied.hosts, applied.late) == (1, 0)
    assert await state(book) == {
        10001: (State.FIXED, None, "t-2"),
        10002: (State.FIXED, None, "t-3"),
        10003: (State.NEW, None, "t-3"),
    }


async def test_what_it_saw_later_stays_seen(book: Book) -> None:
    await book.scan(machine(ONE, FIRST, at=T0 + 2 * DAY), task_id="t-2", at=T0 + 2 * DAY, **ONLY)
    for seen, task in ((FIRST, "t-3"), (OTHER, "t-4")):
        at = T0 + DAY + 60 * (task == "t-4")
        await book.scan(machine(ONE, seen, at=at), task_id=task, at=at, plugins=RAN)
    life = next(e.life for e in (await book.host(ONE)).entries if e.plugin_id == 10001)
    assert (life.state, life.last_seen) == (State.ACTIVE, T0 + 2 * DAY)


async def test_a_whole_scan_that_missed_the_host_before_it_casts_no_doubt(book: Book) -> None:
    later, before = T0 + 2 * DAY, T0 + DAY
    await book.scan(machine(ONE, FIRST, at=later), task_id="t-2", at=later, **ONLY)
    await book.scan(machine("192.0.2.2", at=before), task_id="t-3", at=before, plugins=RAN)
    found = await state(book)
    assert found[10001] == (State.ACTIVE, None, "t-2")
    assert found[10002] == (State.NEW, Reason.HOST_DOWN, "t-1")


async def test_entering_it_again_with_more_hosts_changes_nothing(book: Book) -> None:
    first = machine(ONE, FIRST, at=T0 + DAY)
    await book.scan(first, task_id="t-2", at=T0 + DAY, **ONLY)
    again = machine("192.0.2.2", at=T0 + 2 * DAY)
    before = await state(book)
    await book.scan(first, again, task_id="t-2", at=T0 + 2 * DAY, **ONLY)
    assert await state(book) == before


async def test_the_next_whole_scan_may_leave_it_unverified_as_before(book: Book) -> None:
    """The verification is of the same series as the scans that it stands in for."""
    await book.scan(machine(ONE, FIRST, at=T0 + DAY), task_id="t-2", at=T0 + DAY, **ONLY)
    at = T0 + 2 * DAY
    await book.scan(machine(ONE, OTHER, at=at), task_id="t-3", at=at, plugins=(10002,))
    assert (await state(book))[10001] == (State.ACTIVE, Reason.PLUGIN_NOT_RUN, "t-2")


async def test_a_fixed_finding_is_proved_again_or_stays_as_it_was(book: Book) -> None:
    await book.scan(machine(ONE, OTHER, at=T0 + DAY), task_id="t-2", at=T0 + DAY, plugins=RAN)
    at = T0 + 2 * DAY
    await book.scan(machine(ONE, at=at), task_id="t-3", at=at, **{**ONLY, "plugins": (1,)})
    assert (await state(book))[10001] == (State.FIXED, None, "t-2")
    await book.scan(machine(ONE, at=at + DAY), task_id="t-4", at=at + DAY, **ONLY)
    assert (await state(book))[10001] == (State.FIXED, None, "t-4")
    life = next(e.life for e in (await book.host(ONE)).entries if e.plugin_id == 10001)
    assert life.since == T0 + DAY


async def chosen(book: Book, **wanted: Any) -> list[Selected]:
    return await book.ledger.selected(Selection(**{"limit": 10, **wanted}), 0.0)


async def test_findings_are_chosen_by_host_plugin_and_severity(book: Book) -> None:
    at = T0 + DAY
    await book.scan(machine("192.0.2.2", FIRST, at=at), task_id="t-2", at=at, plugins=RAN)
    one = V4 + int.from_bytes(bytes((192, 0, 2, 1)))

    async def keys(**wanted: Any) -> set[tuple[str, int]]:
        found = await chosen(book, least_severity=1, **wanted)
        return {(each.entry.host, each.entry.plugin_id) for each in found}

    assert await keys(ranges=((one, one),)) == {(ONE, 10001), (ONE, 10002)}
    assert await keys(plugins=(10001,)) == {(ONE, 10001), ("192.0.2.2", 10001)}
    assert await keys(names=("192.0.2.2",), plugins=(10002,)) == set()
    assert await keys(ranges=((one, one + 1),), plugins=(10002, 10001)) == {
        (ONE, 10001), (ONE, 10002), ("192.0.2.2", 10001),
    }  # fmt: skip
    assert len(await chosen(book, limit=1)) == 1
    (found,) = await chosen(book, plugins=(10002,))
    assert (found.series, found.took_login) == ("weekly", True)
    assert found.seen_on is not None
    assert found.seen_on.ports == "1-65535"
