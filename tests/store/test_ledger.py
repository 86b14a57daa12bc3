"""What single scans do to the ledger: audits, other names, times, scans in several pieces."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest

from nessus_sched.config.ledger import HostIdentity
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.core.targets.ranges import V4
from nessus_sched.core.targets.targets import parse_targets
from nessus_sched.results.absence import Reason
from nessus_sched.results.ledger.hosts import ScanOrigin
from nessus_sched.results.ledger.questions import (
    Change,
    Host,
    Shown,
)
from nessus_sched.results.ledger.states import State
from nessus_sched.store.executor import Inline
from nessus_sched.store.findings.store import open_findings
from nessus_sched.store.ledger.schema import SCHEMA
from nessus_sched.store.ledger.store import open_ledger, open_ledger_offline
from nessus_sched.store.migrations import migrate
from support.ledger_book import DAY, INFORMATION, T0, Book, machine, open_book
from support.nessus_xml import element, host, item

RELEASED = Path(__file__).parent / "released"
WITHOUT_LOGIN = INFORMATION.replace("yes, as 'scan' via ssh", "no")


@pytest.fixture
async def book(tmp_path: Path) -> AsyncIterator[Book]:
    async with open_book(tmp_path) as opened:
        yield opened


def audit(check: str, result: str, severity: int) -> str:
    return item(
        21157,
        element("cm:compliance-check-name", check),
        element("cm:compliance-result", result),
        severity=severity,
    )


async def test_a_check_that_passes_is_fixed_and_one_with_an_error_is_not(book: Book) -> None:
    for number, (result, state, reason) in enumerate(
        [
            ("FAILED", State.NEW, None),
            ("ERROR", State.NEW, Reason.CHECK_NOT_RUN),
            ("WARNING", State.ACTIVE, None),
            ("PASSED", State.FIXED, None),
            ("PASSED", State.FIXED, None),
            ("FAILED", State.RESURFACED, None),
        ]
    ):
        at = T0 + number * DAY
        severity = 1 if result == "PASSED" else 3
        await book.scan(
            machine("192.0.2.1", audit("1.1 Users", result, severity), at=at),
            task_id=f"t-{number}", at=at,
        )  # fmt: skip
        entry = await book.only("192.0.2.1")
        assert (entry.life.state, entry.life.reason) == (state, reason), result
        assert entry.check == "1.1 Users"
        if state is State.FIXED:
            assert entry.life.since == T0 + 3 * DAY
    assert entry.life.since == T0 + 5 * DAY
    assert entry.life.resurfaced == 1


async def test_checks_that_always_passed_are_no_findings(book: Book) -> None:
    report = machine("192.0.2.1", audit("1.1", "PASSED", 1), audit("1.2", "FAILED", 3), at=T0)
    await book.scan(report, task_id="t-1", at=T0)
    assert [each.check for each in (await book.host("192.0.2.1")).entries] == ["1.2"]


async def test_hosts_known_by_name_keep_their_findings_at_another_address(book: Book) -> None:
    weak = item(10001, severity=3)
    for number, address in enumerate(("192.0.2.7", "192.0.2.99")):
        at = T0 + number * DAY
        report = machine(address, weak, at=at, **{"host-ip": address, "host-fqdn": "PC1.lan"})
        await book.scan(
            report, task_id=f"t-{number}", at=at, by=HostIdentity.NAME, plugins=(10001,)
        )
    entry = await book.only("pc1.lan")
    assert (entry.life.state, entry.life.first_seen) == (State.ACTIVE, T0)
    assert (await book.host("192.0.2.99")).host.fqdn == "pc1.lan"
    assert await book.ledger.hosts(
        "192.0.2.7", shown=Shown.ALL, least_severity=0, limit=1, offset=0
    ) == []  # fmt: skip


async def test_the_rest_of_a_scan_is_entered_when_it_is_there(book: Book) -> None:
    """A task whose scan ended early is read again with the results of the next attempt."""
    weak = item(10001, severity=3, port=443)
    for name in ("192.0.2.1", "192.0.2.2"):
        await book.scan(machine(name, weak, at=T0), task_id=f"t-{name}", at=T0, targets=name)
    first = machine("192.0.2.1", weak, at=T0 + DAY)
    await book.scan(first, task_id="t-1", at=T0 + DAY, accepted=T0 + DAY, left=("192.0.2.2",))
    unfinished = (await book.only("192.0.2.2")).life
    assert (unfinished.state, unfinished.reason) == (State.NEW, Reason.HOST_UNFINISHED)
    known = (await book.only("192.0.2.1")).life
    again = await book.scan(
        first, machine("192.0.2.2", weak, at=T0 + 2 * DAY), task_id="t-1", at=T0 + 2 * DAY,
        accepted=T0 + DAY,
    )  # fmt: skip
    assert (again.hosts, again.late) == (1, 0)
    assert (await book.only("192.0.2.1")).life == known
    assert (await book.only("192.0.2.2")).life.state is State.ACTIVE
    assert (await book.only("192.0.2.2")).life.last_seen == T0 + 2 * DAY


async def test_what_a_scan_saw_too_late_or_at_an_unknown_time_is_left_out(book: Book) -> None:
    weak = item(10001, severity=3)
    await book.scan(machine("192.0.2.1", weak, at=T0), task_id="t-1", at=T0)
    elsewhere: dict[str, Any] = {"began": None, "series": ""}
    late = await book.scan(
        machine("192.0.2.1", item(10002, severity=3), at=T0 - DAY), task_id="t-2", at=T0 + DAY,
        **elsewhere,
    )  # fmt: skip
    undated = await book.scan(
        machine("192.0.2.1", item(10003, severity=3), at=None), task_id="t-3", at=T0 + DAY,
        **elsewhere,
    )  # fmt: skip
    ahead = await book.scan(
        machine("192.0.2.1", item(10004, severity=3), at=T0 + 99 * DAY), task_id="t-4",
        at=T0 + DAY, **elsewhere,
    )  # fmt: skip
    assert (late.hosts, late.late) == (0, 1)
    assert (undated.hosts, undated.undated, undated.at) == (0, 1, None)
    assert (ahead.hosts, ahead.undated) == (0, 1)
    assert (await book.only("192.0.2.1")).plugin_id == 10001


async def test_a_scanner_whose_clock_is_wrong_counts_by_the_time_of_the_launch(
    book: Book,
) -> None:
    for number, wrong in enumerate((T0 + 9999 * DAY, 5)):
        at = T0 + number * DAY
        report = machine("192.0.2.1", item(10001, severity=3), at=wrong)
        await book.scan(report, task_id=f"t-{number}", at=at)
    life = (await book.only("192.0.2.1")).life
    assert (life.first_seen, life.last_seen) == (T0, T0 + DAY)


async def test_the_ledger_outlives_the_findings(book: Book) -> None:
    report = machine("192.0.2.1", item(10001, severity=3), at=T0)
    await book.scan(report, task_id="t-1", at=T0)
    await book.findings.delete("t-1")
    await book.findings.vacuum_deleted()
    assert (await book.only("192.0.2.1")).first_task_id == "t-1"
    assert await book.ledger.unapplied() == []
    await book.scan(
        machine("192.0.2.1", at=T0 + DAY),
        task_id="t-2",
        at=T0 + DAY,
        plugins=(10001, 110385, 117885),
    )
    life = (await book.only("192.0.2.1")).life
    assert (life.state, life.since) == (State.FIXED, T0 + DAY)


async def test_a_scan_is_entered_whole_or_not_at_all(book: Book, tmp_path: Path) -> None:
    """Interrupted anywhere, the ledger is as before, and the scan can be entered."""
    weak, other = item(10001, severity=3, port=443), item(10002, severity=3)
    audited = audit("1.1", "FAILED", 3)
    await book.scan(machine("192.0.2.1", weak, audited, at=T0), task_id="t-1", at=T0)

    def dump() -> list[str]:
        with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
            return list(connection.iterdump())

    before, interrupted = dump(), 0
    writer = book.ledger._writer
    passed = audit("1.1", "PASSED", 1)
    for most in (int(1.15**power) for power in range(100)):
        calls = iter([0] * most)
        writer.set_progress_handler(partial(next, calls, 1), 20)
        try:
            await book.scan(
                machine("192.0.2.1", other, passed, at=T0 + DAY), task_id="t-2", at=T0 + DAY,
                plugins=(10001, 110385, 117885),
            )  # fmt: skip
            break
        except StoreUnavailable:
            interrupted += 1
            writer.set_progress_handler(None, 0)
            if dump() != before:  # interrupted behind the commit
                assert await book.ledger.unapplied() == []
                break
        finally:
            writer.set_progress_handler(None, 0)
    assert interrupted > 20
    states = {entry.plugin_id: entry.life.state for entry in (await book.host("192.0.2.1")).entries}
    assert states == {10001: State.FIXED, 10002: State.NEW, 21157: State.FIXED}


@pytest.mark.slow
async def test_many_hosts_are_judged_like_one(book: Book) -> None:
    names = [f"192.0.2.{number}" for number in range(1, 251)]
    for number, weak in enumerate((item(10001, severity=3, port=443), item(10002, severity=3))):
        at = T0 + number * DAY
        applied = await book.scan(
            *(machine(name, weak, at=at) for name in names), task_id=f"t-{number}", at=at,
            plugins=(10001, 110385, 117885),
        )  # fmt: skip
    assert (applied.hosts, applied.new, applied.fixed) == (250, 250, 250)
    page = await book.changes(T0, changes=(Change.NEW,), limit=250)
    assert {entry.unseen_before for _, entry in page.entries} == {Reason.PLUGIN_NOT_RUN}


async def test_changes_name_their_reasons(book: Book) -> None:
    weak, other = item(10001, severity=3, port=443), item(10002, severity=4)
    plugins = (10001, 110385, 117885)
    await book.scan(
        machine("192.0.2.1", weak, at=T0), machine("192.0.2.2", weak, at=T0),
        machine("192.0.2.3", weak, at=T0), task_id="t-1", at=T0, plugins=plugins,
    )  # fmt: skip
    later = T0 + DAY
    await book.scan(
        machine("192.0.2.1", other, at=later), machine("192.0.2.3", weak, at=later),
        machine("192.0.2.4", weak, at=later), task_id="t-2", at=later, plugins=plugins,
    )  # fmt: skip
    page = await book.changes(T0)
    assert page.counts == {
        Change.NEW: {"critical": 1, "high": 1}, Change.RESURFACED: {},
        Change.FIXED: {"high": 1}, Change.UNVERIFIED: {"high": 1},
    }  # fmt: skip
    assert list(page.counts[Change.NEW]) == ["critical", "high"]  # the worst first
    assert page.reasons == {Reason.HOST_DOWN: 1}
    assert page.first_scans == 1
    found = {(change, entry.host): entry for change, entry in page.entries}
    assert found.keys() == {
        (Change.FIXED, "192.0.2.1"), (Change.NEW, "192.0.2.1"),
        (Change.UNVERIFIED, "192.0.2.2"), (Change.NEW, "192.0.2.4"),
    }  # fmt: skip
    assert found[Change.NEW, "192.0.2.1"].unseen_before is Reason.PLUGIN_NOT_RUN
    assert found[Change.NEW, "192.0.2.4"].first_scan
    one = V4 + int.from_bytes(bytes((192, 0, 2, 2)))
    narrow = await book.changes(T0, ranges=((one, one),))
    assert [(change, entry.host) for change, entry in narrow.entries] == [
        (Change.UNVERIFIED, "192.0.2.2")
    ]
    assert (await book.changes(T0, changes=(Change.FIXED,), limit=1)).after is None
    assert (await book.changes(later)).scans == 0
    assert (await book.changes(later)).entries == ()


async def test_a_host_has_its_times_and_counts(book: Book) -> None:
    await book.scan(
        machine("192.0.2.1", item(1, severity=4), item(2, severity=4, port=80), item(3), at=T0),
        task_id="t-1", at=T0,
    )  # fmt: skip
    down = T0 + DAY
    await book.scan(machine("192.0.2.9", at=down), task_id="t-2", at=down)
    found: Host = (await book.host("192.0.2.1")).host
    assert found.open["critical"] == 2
    assert (found.answered_at, found.whole_at, found.login_at) == (T0, T0, T0)
    assert found.tried_at == down
    assert (await book.host("192.0.2.1")).unverified == 2


async def test_scans_of_a_version_without_coverage_are_entered(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "findings.db")
    old.executescript((RELEASED / "findings-1.sql").read_text())
    old.close()
    async with AsyncExitStack() as stack:
        findings = await open_findings(tmp_path / "findings.db", Inline())
        stack.push_async_callback(findings.aclose)
        ledger = await open_ledger(tmp_path / "ledger.db", tmp_path / "findings.db", Inline())
        stack.push_async_callback(ledger.aclose)
        book = Book(findings, ledger)
        waiting = await ledger.unapplied()
        for number, each in enumerate(waiting):
            applied = await ledger.apply(
                ScanOrigin(task_id=each.task_id, series="weekly", began=T0 + number),
                identity=HostIdentity.ADDRESS, now=T0,
            )  # fmt: skip
            assert applied is not None
            assert applied.hosts > 0
        assert len(waiting) > 0
        assert await ledger.unapplied() == []
        name = next(entry.host for _, entry in (await book.changes(0, least_severity=0)).entries)
        before = await book.host(name)
        await book.scan(machine(name, at=T0 + DAY), task_id="t-later", at=T0 + DAY, targets=name)
        after = await book.host(name)
        assert before.total == after.total > 0
        states = {entry.life.state for entry in after.entries}
        assert State.FIXED not in states  # nothing shows that the plugins ran
        assert after.unverified == after.total


async def test_a_damaged_file_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"garbage" * 5000)
    with pytest.raises(StoreUnavailable, match=r"ledger.db.*move it away"):
        await open_ledger(path, tmp_path / "findings.db", Inline())
    assert path.read_bytes().startswith(b"garbage")


async def test_what_scans_have_finished_with_and_how_well(book: Book) -> None:
    asked = parse_targets(["192.0.2.0/29", "a.example.com", "b.example.com"])

    async def reach(since: int) -> list[tuple[str, str]]:
        return [(each.text, each.status) for each in await book.ledger.reach(asked, since)]

    assert await reach(T0) == [
        ("192.0.2.0/29", "never_scanned"),
        ("a.example.com", "never_scanned"),
        ("b.example.com", "never_scanned"),
    ]
    await book.scan(
        machine("192.0.2.1", at=T0), machine("192.0.2.2", at=T0),
        task_id="t-1", at=T0, targets="192.0.2.0-192.0.2.5", left=("192.0.2.5",),
        asked=("192.0.2.0-192.0.2.5", "a.example.com"),
    )  # fmt: skip
    expected = [
        ("192.0.2.0", "never_answered"), ("192.0.2.1", "covered"), ("192.0.2.2", "covered"),
        ("192.0.2.3-192.0.2.4", "never_answered"), ("192.0.2.5-192.0.2.7", "never_scanned"),
        ("a.example.com", "never_answered"), ("b.example.com", "never_scanned"),
    ]  # fmt: skip
    assert await reach(T0 - DAY) == expected
    await book.scan(task_id="t-v", at=T0, asked=("192.0.2.6",), only=frozenset({1}))
    assert await reach(T0 - DAY) == expected, "a scan for single plugins covers nothing"
    later = T0 + 40 * DAY
    assert {status for _, status in await reach(later)} == {"not_lately", "never_scanned"}
    unlogged = host(
        "192.0.2.1", item(10180), WITHOUT_LOGIN, tags={"HOST_END_TIMESTAMP": str(later)}
    )
    for _ in range(2):  # the second time, the rest of the same task
        await book.scan(
            unlogged, task_id="t-2", at=later, targets="192.0.2.0-192.0.2.3",
            asked=("192.0.2.0-192.0.2.3",),
        )  # fmt: skip
    assert (await reach(later))[:4] == [
        ("192.0.2.0", "never_answered"), ("192.0.2.1", "without_login"),
        ("192.0.2.2", "no_longer_answers"), ("192.0.2.3", "never_answered"),
    ]  # fmt: skip
    named = attrs.evolve(asked, names=("b.example.com",))
    await book.scan(
        machine("b.example.com", at=later, **{"host-ip": "192.0.2.7"}),
        task_id="t-4", at=later, asked=("b.example.com",), targets="b.example.com",
    )  # fmt: skip
    found = {each.text: each.status for each in await book.ledger.reach(named, later)}
    assert found["b.example.com"] == "covered"
    assert found["192.0.2.5-192.0.2.7"] == "never_scanned", "it was not scanned by its address"
    await book.ledger.clear()
    assert {status for _, status in await reach(T0)} == {"never_scanned"}


async def test_how_the_logins_with_a_credential_went(book: Book) -> None:
    good, bad = machine("192.0.2.1", at=T0), host("192.0.2.2", item(104410), WITHOUT_LOGIN)
    await book.scan(good, bad, task_id="t-1", at=T0, credentials=("linux",))
    for _ in range(2):
        await book.scan(good, task_id="t-2", at=T0 + DAY, credentials=("linux", "windows"))
    await book.scan(good, task_id="t-3", at=T0 + 2 * DAY)
    found = await book.ledger.logins("linux", 5)
    assert [attrs.astuple(each) for each in found] == [
        ("t-2", T0 + DAY, 1, 1, 0, 0, ("windows",)),
        ("t-1", T0, 2, 1, 0, 1, ()),
    ]
    assert [each.task_id for each in await book.ledger.logins("linux", 1)] == ["t-2"]
    assert [each.others for each in await book.ledger.logins("windows", 5)] == [("linux",)]
    assert await book.ledger.logins("lin", 5) == []


@pytest.mark.parametrize("version", range(1, SCHEMA.version))
async def test_a_ledger_of_an_older_release_is_read_only_after_its_upgrade(
    tmp_path: Path, version: int
) -> None:
    older = attrs.evolve(SCHEMA, steps=SCHEMA.steps[:version])
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        migrate(connection, older)
    with pytest.raises(StoreUnavailable, match="start the daemon of this release to upgrade it"):
        await open_ledger_offline(tmp_path / "ledger.db", tmp_path / "findings.db")
