"""News of tasks, and what the history says of plugins, hosts, audits and older ledgers."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest

from nessus_sched.config.delivery import LabelSettings, SlaSettings
from nessus_sched.config.labels import labels_of
from nessus_sched.config.ledger import HostIdentity
from nessus_sched.core.exceptions.exception import ExceptionStatus, FindingException
from nessus_sched.core.exceptions.rule import ExceptionKind, read_rule
from nessus_sched.core.targets.labels import Labelled
from nessus_sched.results.absence import Reason
from nessus_sched.results.ledger.as_of import AsOfQuery, PastFinding
from nessus_sched.results.ledger.hosts import ScanOrigin
from nessus_sched.results.ledger.news import News, NewsQuery
from nessus_sched.results.ledger.questions import Change
from nessus_sched.results.ledger.sla import SlaQuery, SlaState
from nessus_sched.results.ledger.states import State
from nessus_sched.results.ledger.trend import TrendQuery
from nessus_sched.store.executor import Inline
from nessus_sched.store.ledger.schema import SCHEMA
from nessus_sched.store.ledger.store import open_ledger
from nessus_sched.store.migrations import migrate
from support.ledger_book import DAY, T0, Book, machine, open_book
from support.nessus_xml import element, host, item, output

ONE, TWO = "192.0.2.1", "192.0.2.2"
RAN = (*range(10001, 10020), 110385, 117885)


@pytest.fixture
async def book(tmp_path: Path) -> AsyncIterator[Book]:
    async with open_book(tmp_path) as opened:
        yield opened


async def scan(book: Book, day: int, found: dict[str, tuple[str, ...]], **more: Any) -> None:
    at = T0 + day * DAY
    hosts = (machine(name, *items, at=at) for name, items in found.items())
    await book.scan(*hosts, **{"task_id": f"t-{day}", "at": at, "plugins": RAN, **more})


async def news(book: Book, *tasks: str, **asked: Any) -> News:
    return await book.ledger.news(NewsQuery(task_ids=tasks, **asked))


def weak(plugin: int, severity: int = 3, *children: str, port: int = 443) -> str:
    return item(plugin, *children, severity=severity, port=port)


async def test_groups_come_in_the_order_in_which_to_look_at_them_and_are_bounded(
    book: Book,
) -> None:
    hosts = [f"192.0.2.{number}" for number in (9, 10, 11)]
    gone, back = weak(10001, 4), weak(10002, 2)
    await scan(book, 0, {name: (gone, back, weak(10003)) for name in hosts})
    await scan(book, 1, dict.fromkeys(hosts, (gone,)))
    exploited = weak(10004, 2, element("cisa-known-exploited", "2026/01/01"))
    await scan(
        book, 2, {name: (back, weak(10005, 1), exploited) for name in hosts[:2]} | {hosts[2]: ()}
    )
    found = await news(book, "t-2", hosts=1)
    assert [(each.change, each.plugin_id, each.host_count) for each in found.groups] == [
        (Change.NEW, 10004, 2), (Change.RESURFACED, 10002, 2), (Change.NEW, 10005, 2),
        (Change.FIXED, 10001, 3),
    ]  # fmt: skip
    assert found.groups[0].exploited
    assert found.groups[1].first_seen == T0
    assert all(each.hosts == ("192.0.2.9",) for each in found.groups)
    assert found.counts == {
        "new": {"medium": 2, "low": 2}, "resurfaced": {"medium": 2}, "fixed": {"critical": 3},
    }  # fmt: skip
    few = await news(book, "t-2", groups=2, changes=(Change.NEW, Change.FIXED))
    assert [each.plugin_id for each in few.groups] == [10004, 10005]
    assert few.left_out == 1
    serious = await news(book, "t-2", least_severity=3)
    assert [each.plugin_id for each in serious.groups] == [10001]
    assert (await news(book, "t-9")).is_empty
    assert (await news(book)).is_empty


async def test_counts_begin_with_the_worst_severity(book: Book) -> None:
    await scan(book, 0, {"192.0.2.9": ()})
    await scan(book, 1, {"192.0.2.9": (weak(10001, 1), weak(10002, 4), weak(10003, 2))})
    found = await news(book, "t-1")
    assert list(found.counts["new"]) == ["critical", "medium", "low"]


async def test_several_findings_of_a_host_are_one_host(book: Book) -> None:
    await scan(book, 0, {ONE: (), TWO: ()})
    ports = (weak(10001, port=443), weak(10001, 4, port=8443))
    await scan(book, 1, {ONE: ports, TWO: ports[:1]})
    (group,) = (await news(book, "t-1")).groups
    assert (group.hosts, group.host_count, group.severity) == ((ONE, TWO), 2, "critical")
    await scan(book, 2, {ONE: ports, TWO: ports})
    await scan(book, 3, {ONE: (), TWO: ()})
    (group,) = (await news(book, "t-3")).groups
    assert (group.change, group.first_seen) == (Change.FIXED, T0 + DAY)
    await scan(book, 4, {ONE: ports[1:], TWO: ports})
    await scan(book, 5, {ONE: (), TWO: ()})
    assert (await news(book, "t-4", "t-5")).is_empty


async def test_the_earliest_finding_of_a_group_says_since_when(book: Book) -> None:
    await scan(book, 0, {ONE: (), TWO: (weak(10001),)})
    await scan(book, 1, {ONE: (weak(10001),), TWO: (weak(10001),)})
    await scan(book, 2, {ONE: (), TWO: ()})
    (group,) = (await news(book, "t-2")).groups
    assert (group.hosts, group.first_seen) == ((ONE, TWO), T0)


async def test_checks_of_an_audit_are_told_apart(book: Book) -> None:
    def check(name: str, result: str) -> str:
        return item(
            21157, element("cm:compliance-check-name", name),
            element("cm:compliance-result", result), severity=3,
        )  # fmt: skip

    await scan(book, 0, {ONE: (check("1.1 Users", "PASSED"), check("1.2 Keys", "PASSED"))})
    await scan(book, 1, {ONE: (check("1.1 Users", "FAILED"), check("1.2 Keys", "FAILED"))})
    assert [each.check for each in (await news(book, "t-1")).groups] == ["1.1 Users", "1.2 Keys"]
    await scan(book, 2, {ONE: (check("1.1 Users", "PASSED"), check("1.2 Keys", "FAILED"))})
    (group,) = (await news(book, "t-2")).groups
    assert (group.check, group.change) == ("1.1 Users", Change.FIXED)
    found = await news(book, "t-1", "t-2")
    assert (found.counts, found.checks, found.is_empty) == ({}, {"new": 1}, False)


async def test_the_first_scan_of_a_host_counts_no_checks(book: Book) -> None:
    check = item(
        21157, element("cm:compliance-check-name", "1.1 Users"),
        element("cm:compliance-result", "FAILED"), severity=3,
    )  # fmt: skip
    await scan(book, 0, {ONE: (check, item(10001, severity=4))})
    found = await news(book, "t-0")
    assert (found.baseline_hosts, found.baseline_counts) == (1, {"critical": 1})


def exception(kind: str, plugin: int, expires: float, severity: str | None = None) -> Any:
    return FindingException(
        exception_id=f"x-{kind}",
        rule=read_rule(
            kind=ExceptionKind(kind), plugins=[plugin], hosts=["192.0.2.0/28"], severity=severity
        ),
        reason="r", owner="o", actor="a", proposed_at=0.0, expires=expires,
        status=ExceptionStatus.APPROVED,
    )  # fmt: skip


async def test_exceptions_count_until_they_end(book: Book) -> None:
    end = T0 + 10 * DAY
    await book.ledger.cover(
        [exception("accepted", 10001, end), exception("severity", 10002, end, "low")]
    )
    await scan(book, 0, {ONE: ()})
    await scan(book, 1, {ONE: (weak(10001), weak(10002)), TWO: (weak(10001), weak(10002))})
    now = T0 + 2 * DAY
    found = await news(book, "t-1", now=now)
    assert (found.counts, found.excepted) == ({"new": {"low": 1}}, 1)
    assert (found.baseline_hosts, found.baseline_counts) == (1, {"low": 1})
    assert (await news(book, "t-1", now=now, least_severity=2)).counts == {}
    assert (await news(book, "t-1", now=end + 1)).counts == {"new": {"high": 2}}
    limits = SlaSettings(high=30.0 * DAY, low=5.0 * DAY, due_soon=1.0 * DAY)
    counts = await book.ledger.sla(SlaQuery(limits=limits, since=T0, now=now + 4 * DAY))
    assert counts.excepted == {"high": 2}
    assert counts.counts[SlaState.DUE] == {"low": 2}
    assert counts.total(SlaState.ON_TIME) == 0
    counts = await book.ledger.sla(SlaQuery(limits=limits, since=T0, now=end + 1))
    assert (counts.excepted, counts.counts[SlaState.ON_TIME]) == ({}, {"high": 4})


async def test_what_is_exploited_is_due_sooner(book: Book) -> None:
    exploited = weak(10001, 2, element("cisa-known-exploited", "2026/01/01"))
    await scan(book, 0, {ONE: (exploited, weak(10002, 2))})
    limits = SlaSettings(medium=90.0 * DAY, exploited=14.0 * DAY)
    counts = await book.ledger.sla(SlaQuery(limits=limits, since=T0, now=T0 + 20 * DAY))
    assert counts.total(SlaState.BREACHED) == counts.total(SlaState.ON_TIME) == 1


async def test_labels_limit_every_answer(book: Book) -> None:
    labels = labels_of(
        (
            LabelSettings(networks=("192.0.2.0/24",), owner="network"),
            LabelSettings(networks=(TWO,), hosts=("web.example.com",), owner="Web"),
        )
    )
    at = T0
    await book.scan(
        machine(ONE, weak(10001), at=at), machine(TWO, weak(10001), at=at),
        machine("192.0.2.3", weak(10001), at=at, **{"host-fqdn": "WEB.example.com"}),
        task_id="t-0", at=at,
    )  # fmt: skip
    web = Labelled(labels, {"owner": "web"})
    assert (await news(book, "t-0", labelled=web)).baseline_hosts == 2
    (point,) = await book.ledger.trend(TrendQuery(since=T0 - DAY, until=T0 + DAY, labelled=web))
    assert (point.open, point.hosts) == ({"high": 2}, 2)
    sla = await book.ledger.sla(SlaQuery(limits=SlaSettings(), since=0, now=T0 + DAY, labelled=web))
    assert sla.total(SlaState.ON_TIME) == 2
    page = await book.ledger.as_of(AsOfQuery(at=T0, labelled=web))
    assert [each.host for each in page.findings] == [TWO, "192.0.2.3"]
    nobody = Labelled(labels, {"owner": "web", "site": "Berlin"})
    assert (await book.ledger.as_of(AsOfQuery(at=T0, labelled=nobody))).findings == ()


async def past(book: Book, day: float, **asked: Any) -> list[PastFinding]:
    query = AsOfQuery(at=int(T0 + day * DAY), **asked)
    return list((await book.ledger.as_of(query)).findings)


async def test_plugins_and_hosts_are_named_as_they_were(book: Book) -> None:
    def named(title: str, solution: str) -> str:
        return item(10001, element("solution", solution), severity=3, pluginName=title)

    async def rescan(day: int, fqdn: str, title: str, solution: str) -> None:
        at = T0 + day * DAY
        await book.scan(
            machine(ONE, named(title, solution), at=at, **{"host-fqdn": fqdn}),
            task_id=f"t-{day}", at=at,
        )  # fmt: skip

    await rescan(0, "old.example.com", "Check", "Update to 2.")
    before = await past(book, 0.5)
    await rescan(1, "new.example.com", "Check", "Update to 3.")
    await rescan(2, "new.example.com", "Better check", "Update to 3.")
    assert await past(book, 0.5) == before
    said = [
        (each.fqdn, each.name, each.solution, each.host_scanned)
        for day in (0.5, 1, 2.5)
        for each in await past(book, day)
    ]
    assert said == [
        ("old.example.com", "Check", "Update to 2.", T0),
        ("new.example.com", "Check", "Update to 3.", T0 + DAY),
        ("new.example.com", "Better check", "Update to 3.", T0 + 2 * DAY),
    ]


async def test_what_was_fixed_names_the_scan_that_proved_it(book: Book) -> None:
    await scan(book, 0, {ONE: (weak(10001),)})
    await scan(book, 1, {ONE: ()})
    await scan(book, 2, {ONE: (weak(10001),)})
    await scan(book, 3, {ONE: ()})
    await scan(book, 4, {ONE: ()}, only=frozenset({10001}))  # proves it once more
    assert await past(book, 1.5) == []
    for day, task in ((1.5, "t-1"), (3.5, "t-3"), (4.5, "t-3")):
        (found,) = await past(book, day, fixed_since=0)
        assert (found.state, found.fixed_task_id) == (State.FIXED, task)
        assert found.last_seen == T0 + (0 if task == "t-1" else 2 * DAY)
    assert len(await past(book, 4.5, fixed_since=T0 + 3 * DAY)) == 1
    assert await past(book, 4.5, fixed_since=T0 + 3 * DAY + 1) == []
    for since, count in ((T0 + 3 * DAY, 1), (T0 + 3 * DAY + 1, 0)):
        query = SlaQuery(limits=SlaSettings(), since=since, now=T0 + 5 * DAY)
        assert (await book.ledger.sla(query)).total(SlaState.MET) == count
    (found,) = await past(book, 2.5)
    assert (found.state, found.resurfaced, found.first_task_id) == (State.RESURFACED, 1, "t-0")


def moves(tmp_path: Path) -> list[tuple[int, int]]:
    """Time and severity of each."""
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as ledger:
        return ledger.execute(
            "SELECT at, severity FROM moves WHERE plugin = 10001 ORDER BY move"
        ).fetchall()


async def test_what_is_seen_again_as_it_was_is_no_change(book: Book, tmp_path: Path) -> None:
    for day in range(3):
        await scan(book, day, {ONE: (weak(10001),)})
    assert moves(tmp_path) == []


async def test_changes_have_the_time_at_which_their_host_was_scanned(
    book: Book, tmp_path: Path
) -> None:
    await scan(book, 0, {ONE: (weak(10001, 2),), TWO: (weak(10001, 2),)})
    await book.scan(
        machine(ONE, weak(10001, 3), at=T0 + DAY), machine(TWO, weak(10001, 4), at=T0 + DAY + 500),
        task_id="t-1", at=T0 + DAY,
    )  # fmt: skip
    assert sorted(moves(tmp_path)) == [(T0 + DAY, 3), (T0 + DAY + 500, 4)]


async def test_what_an_older_scan_says_later_counts_from_the_latest_change_on(
    book: Book, tmp_path: Path
) -> None:
    await scan(book, 0, {ONE: (weak(10001),), TWO: ()})
    await scan(book, 4, {TWO: ()}, only=frozenset({10001}), asked=(ONE,))  # it is down
    await scan(book, 2, {ONE: (weak(10001),)})
    assert [at for at, _ in moves(tmp_path)] == [T0 + 4 * DAY, T0 + 4 * DAY]
    assert [each.reason for each in await past(book, 3)] == [None]


async def test_changes_at_the_bounds_of_a_trend_are_in_the_later_point(book: Book) -> None:
    monday = 1_700_434_800  # midnight in Berlin
    for at, severity in ((monday - DAY, 2), (monday, 3), (monday + 1800, 4)):
        found = machine(ONE, weak(10001, severity), at=at)
        await book.scan(found, task_id=f"t-{at}", at=at, plugins=RAN)
    gone = monday + 2 * DAY
    await book.scan(machine(ONE, at=gone), task_id="t-gone", at=gone, plugins=RAN)

    async def opened(since: int, until: int) -> list[tuple[dict[str, int], int]]:
        query = TrendQuery(since=since, until=until, zone="Europe/Berlin")
        return [(dict(each.open), each.fixed) for each in await book.ledger.trend(query)]

    assert await opened(monday - DAY, gone) == [({"medium": 1}, 0), ({"critical": 1}, 0)]
    assert await opened(monday - DAY, monday + 1) == [({"medium": 1}, 0), ({"high": 1}, 0)]
    assert await opened(gone, gone + 1) == [({}, 1)]


async def test_hosts_that_do_not_answer_are_not_counted(book: Book) -> None:
    at = T0 + DAY
    await scan(book, 0, {ONE: (weak(10001),), TWO: ()})
    silent = host(
        TWO,
        item(19506, output("Information about this scan :\n")),
        tags={"HOST_END_TIMESTAMP": str(at)},
    )
    await book.scan(machine(ONE, weak(10001), at=at), silent, task_id="t-1", at=at)
    (point,) = await book.ledger.trend(TrendQuery(since=at, until=at + 1))
    assert (point.hosts, point.open) == (1, {"high": 1})


async def test_a_rebuild_makes_the_same_history(book: Book, tmp_path: Path) -> None:
    found: list[dict[str, tuple[str, ...]]] = [
        {ONE: (weak(10001), weak(10002)), TWO: (weak(10001),)},
        {ONE: (weak(10001, 4),), TWO: ()},
        {ONE: (weak(10002, 3, element("solution", "Update.")), weak(10003))},
        {ONE: (weak(10002),), TWO: (weak(10001),), "192.0.2.3": (weak(10009),)},
    ]
    for day, hosts in enumerate(found):
        await scan(book, day, hosts)

    def history() -> list[list[Any]]:
        with closing(sqlite3.connect(tmp_path / "ledger.db")) as ledger:
            return [
                ledger.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608
                for table in ("moves", "visits", "past_definitions", "entries")
            ]

    before = history()
    assert len(before[0]) > 4
    assert before[2]
    await book.ledger.clear()
    assert history() == [[], [], [], []]
    for each in await book.ledger.unapplied():
        at = T0 + int(each.task_id[2:]) * DAY
        origin = ScanOrigin(task_id=each.task_id, series="weekly", began=at)
        await book.ledger.apply(origin, identity=HostIdentity.ADDRESS, now=at + 1e6)
    assert history() == before


@pytest.mark.slow
async def test_a_ledger_without_a_history_gets_one(book: Book, tmp_path: Path) -> None:
    doubted = weak(10006)
    await scan(book, 0, {ONE: (*map(weak, (10001, 10002, 10003, 10004)), doubted)})
    await scan(book, 1, {ONE: (weak(10001, 4), weak(10003), doubted)}, series="other")
    await scan(book, 2, {ONE: (weak(10001, 4), weak(10002), weak(10003), doubted)})
    await scan(book, 3, {ONE: (weak(10002), weak(10003))}, plugins=(10001, 110385))
    old = sqlite3.connect(tmp_path / "old.db", isolation_level=None)
    migrate(old, attrs.evolve(SCHEMA, steps=SCHEMA.steps[:4]))
    tables = old.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    old.execute("ATTACH DATABASE ? AS new", (str(tmp_path / "ledger.db"),))
    for (table,) in tables:
        old.execute(f"INSERT OR IGNORE INTO {table} SELECT * FROM new.{table}")  # noqa: S608
    old.close()
    upgraded = await open_ledger(tmp_path / "old.db", tmp_path / "findings.db", Inline())
    again = attrs.evolve(book, ledger=upgraded)
    now = await past(book, 3.5, fixed_since=0)
    assert {each.state for each in now} > {State.ACTIVE}
    ours = [attrs.evolve(each, fixed_task_id=None) for each in now]
    theirs = await past(again, 3.5, fixed_since=0)
    assert [attrs.evolve(each, fixed_task_id=None) for each in theirs] == ours
    query = TrendQuery(since=T0 - DAY, until=T0 + 4 * DAY)
    assert [each.open for each in await upgraded.trend(query)] == [
        each.open for each in await book.ledger.trend(query)
    ]
    for plugin, change in ((10001, 3), (10004, 1)):
        for day, state in ((change - 0.1, State.ACTIVE), (change, State.FIXED)):
            (found,) = [each for each in await past(again, day, fixed_since=0)
                        if each.plugin_id == plugin]  # fmt: skip
            assert (plugin, day, found.state) == (plugin, day, state)
    for day, reason in ((2.9, None), (3, Reason.PLUGIN_NOT_RUN)):
        (found,) = [each for each in await past(again, day) if each.plugin_id == 10006]
        assert (found.reason, found.unverified_since) == (reason, reason and T0 + 3 * DAY)
    assert (await news(again, "t-3")).is_empty
    await scan(again, 4, {ONE: (weak(10002), weak(10005))})
    assert set((await news(again, "t-4")).counts) == {"new", "fixed"}
    await upgraded.aclose()
