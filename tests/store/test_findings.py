"""The findings database: imports whole or not at all, deletions, searches, comparisons."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from nessus_sched.core.store_errors import NoFindings, StoreUnavailable, WrongSchema
from nessus_sched.results.absence import Reason
from nessus_sched.results.comparison import Change
from nessus_sched.results.coverage import ScanCoverage
from nessus_sched.results.model import Finding, HostEnd, HostReport, Plugin, severity_name
from nessus_sched.results.parser.reader import Event, Reader
from nessus_sched.results.query.input import read_query
from nessus_sched.results.query.model import BadQuery, SearchScope
from nessus_sched.store.findings import import_report
from nessus_sched.store.findings.reader import open_findings_offline
from nessus_sched.store.findings.store import FindingsStore, open_findings
from support.made_findings import make_report

PLUGIN = Plugin(plugin_id=1, plugin_name="One", plugin_family="F", cve=("CVE-2024-1",))
OTHER = Plugin(plugin_id=2, plugin_name="Two", plugin_family="G", exploit_available=True)
EVERYTHING = read_query({"page_size": 1000})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "findings.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[FindingsStore]:
    store = await open_findings(path)
    yield store
    await store.aclose()


def report(*found: tuple[str, Plugin, int, int]) -> list[Event]:
    """A report of (host, plugin, port, severity)."""
    names = list(dict.fromkeys(host for host, *_ in found))
    events: list[Event] = []
    for index, name in enumerate(names):
        host = HostReport(index=index, name=name)
        events.append(host)
        for place, (of, plugin, port, severity) in enumerate(found):
            if of == name:
                finding = Finding(
                    index=place, host_index=index, host=host.key, port=port, protocol="tcp",
                    severity=severity, plugin=plugin,
                )  # fmt: skip
                events.append(finding)
        events.append(HostEnd(host=host, findings=1))
    return events


def big(count: int) -> Iterator[Event]:
    host = HostReport(index=0, name="192.0.2.1")
    yield host
    for index in range(count):
        plugin = Plugin(plugin_id=index % 50, description=f"check {index % 50} " * 100)
        yield Finding(
            index=index, host_index=0, host=host.name, port=index % 1000, severity=index % 5,
            plugin=plugin, plugin_output=f"output {index} " * 20,
        )  # fmt: skip
    yield HostEnd(host=host, findings=count)


async def total(store: FindingsStore, task_id: str) -> int:
    return (await store.page(task_id, EVERYTHING)).total


# -- writing


async def test_an_import_replaces_what_the_task_had(store: FindingsStore) -> None:
    await store.put("t", report(("a", PLUGIN, 80, 3), ("b", PLUGIN, 80, 3)), at=1.0)
    imported = await store.put("t", report(("c", OTHER, 1, 4)), at=2.0)
    assert (imported.hosts, imported.findings) == (1, 1)
    assert imported.severities == (1, 0, 0, 0, 0, 0)
    assert [row["host"] for row in (await store.page("t", EVERYTHING)).rows] == ["c"]
    assert await store.imports() == {"t": 2.0}
    await store.vacuum_deleted()
    assert (await store.statistics()).hidden == 0
    assert [row["host"] for row in (await store.page("t", EVERYTHING)).rows] == ["c"]


async def test_a_report_without_findings_is_stored_too(store: FindingsStore) -> None:
    await store.put("empty", [], at=0.0)
    page = await store.page("empty", EVERYTHING)
    assert (page.rows, page.total, page.next_cursor) == ((), 0, None)


async def test_a_host_whose_end_is_missing_is_stored(store: FindingsStore) -> None:
    events = [event for event in big(10) if not isinstance(event, HostEnd)]
    await store.put("cut", events, at=0.0)
    assert await total(store, "cut") == 10


@pytest.mark.slow
async def test_texts_are_stored_once_for_all_scans(store: FindingsStore, path: Path) -> None:
    for task in range(20):
        await store.put(f"t{task}", big(100), at=0.0)
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM plugins").fetchone() == (50,)
    connection.close()


@pytest.mark.slow
async def test_a_failing_import_changes_nothing(store: FindingsStore) -> None:
    await store.put("t", report(("a", PLUGIN, 80, 3)), at=1.0)

    def broken() -> Iterator[Event]:
        yield from big(3000)
        raise OSError("the stream broke")

    with pytest.raises(OSError, match="broke"):
        await store.put("t", broken(), at=2.0)
    assert await total(store, "t") == 1
    await store.put("u", report(("a", PLUGIN, 80, 3)), at=3.0)
    assert await total(store, "u") == 1


async def test_a_cancelled_import_ends_soon_and_changes_nothing(store: FindingsStore) -> None:
    begun = trio.Event()

    def endless() -> Iterator[Event]:
        yield HostReport(index=0, name="a")
        trio.from_thread.run_sync(begun.set)
        while True:
            yield from (event for event in big(5000) if isinstance(event, Finding))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: store.put("t", endless(), at=0.0))
        await begun.wait()
        nursery.cancel_scope.cancel()
    with pytest.raises(NoFindings):
        await store.page("t", EVERYTHING)


async def test_a_cancelled_import_ends_soon_in_a_long_statement_too(
    store: FindingsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = (
        "WITH RECURSIVE c AS (SELECT began(:first) AS n UNION ALL SELECT n + 1 FROM c)"
        " SELECT count(*) FROM c"
    )
    begun = trio.Event()

    def began(number: int) -> int:
        trio.from_thread.run_sync(begun.set)
        return number

    store._writer.create_function("began", 1, began)
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            monkeypatch.setattr(import_report, "_PLACE", endless)
            nursery.start_soon(lambda: store.put("t", report(("a", PLUGIN, 80, 3)), at=0.0))
            await begun.wait()
            nursery.cancel_scope.cancel()
    monkeypatch.undo()
    with pytest.raises(NoFindings):
        await store.page("t", EVERYTHING)
    await store.put("t", report(("a", PLUGIN, 80, 3)), at=1.0)
    assert await total(store, "t") == 1


@pytest.mark.slow
async def test_reads_go_on_while_an_import_is_under_way(store: FindingsStore) -> None:
    await store.put("t", report(("a", PLUGIN, 80, 3)), at=1.0)
    seen: list[int] = []

    def slow() -> Iterator[Event]:
        yield from big(2000)
        seen.append(trio.from_thread.run(total, store, "t"))

    await store.put("t", slow(), at=2.0)
    assert seen == [1], "a reader sees the old findings until the new ones are complete"
    assert await total(store, "t") == 2000


_IMPORT_WITHOUT_END = """
import sys
from pathlib import Path
import trio
import trio.testing
from nessus_sched.results.model import Finding, HostReport, Plugin
from nessus_sched.store.findings.store import open_findings

def events():
    yield HostReport(index=0, name="a")
    for index in range(10**9):
        plugin = Plugin(plugin_id=index)
        yield Finding(index=index, host_index=0, host="a", plugin=plugin, plugin_output="x" * 2000)
        if index == 10_000:
            print("under way", flush=True)

async def main():
    store = await open_findings(Path(sys.argv[1]))
    await store.put("kept", [HostReport(index=0, name="b")], at=0.0)
    await store.put("lost", events(), at=0.0)

trio.run(main)
"""


@pytest.mark.slow
def test_a_killed_import_leaves_no_trace(path: Path) -> None:
    arguments = [sys.executable, "-c", _IMPORT_WITHOUT_END, str(path)]
    child = subprocess.Popen(arguments, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"under way\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()

    async def look() -> None:
        store = await open_findings(path)
        assert await store.imports() == {"kept": 0.0}
        await store.put("next", big(100), at=0.0)
        assert await total(store, "next") == 100
        await store.aclose()

    trio.run(look)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert connection.execute("SELECT count(*) FROM plugins").fetchone() == (50,)
    connection.close()


# -- deletions


@pytest.mark.slow
async def test_deleted_findings_are_gone_at_once_and_the_space_soon(
    store: FindingsStore, path: Path
) -> None:
    await store.put("keep", report(("a", PLUGIN, 80, 3), ("b", OTHER, 80, 4)), at=0.0)
    await store.vacuum_deleted()
    before = (await store.statistics()).bytes
    await store.put("t", big(5000), at=0.0)
    assert await store.delete("t")
    assert not await store.delete("t")
    with pytest.raises(NoFindings):
        await store.page("t", EVERYTHING)
    assert (await store.statistics()).hidden == 1
    await store.vacuum_deleted()
    statistics = await store.statistics()
    assert (statistics.scans, statistics.hidden, statistics.findings) == (1, 0, 2)
    assert statistics.bytes <= before + 8 * 4096
    assert await total(store, "keep") == 2
    connection = sqlite3.connect(path)
    tables = ("findings", "plugins", "hosts", "outputs", "plugin_tally", "host_tally")
    left = {
        table: len(connection.execute(f"SELECT 1 FROM {table}").fetchall())  # noqa: S608 - ours
        for table in tables
    }
    connection.close()
    assert left == {
        "findings": 2, "plugins": 2, "hosts": 2, "outputs": 1, "plugin_tally": 2, "host_tally": 2
    }  # fmt: skip


@pytest.mark.slow
async def test_a_deletion_that_was_cut_short_is_taken_up_again(path: Path) -> None:
    store = await open_findings(path)
    await store.put("t", big(3000), at=0.0)
    await store.delete("t")
    await store.aclose()
    store = await open_findings(path)
    await store.put("u", big(100), at=0.0)
    await store.vacuum_deleted()
    assert (await store.statistics()).hidden == 0
    assert await total(store, "u") == 100
    await store.aclose()


@pytest.mark.slow
async def test_others_write_between_the_steps_of_a_deletion(store: FindingsStore) -> None:
    await store.put("t", big(8000), at=0.0)
    await store.delete("t")
    order: list[str] = []

    async def reap() -> None:
        await store.vacuum_deleted()
        order.append("reaped")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reap)
        await trio.testing.wait_all_tasks_blocked()
        await store.put("u", big(100), at=0.0)
        order.append("put")
    assert order == ["put", "reaped"]
    assert await total(store, "u") == 100


# -- cursors


async def test_a_cursor_of_replaced_results_is_refused(store: FindingsStore) -> None:
    asked: dict[str, Any] = {"page_size": 1}
    await store.put("t", big(10), at=0.0)
    cursor = (await store.page("t", read_query(asked))).next_cursor
    await store.put("t", big(10), at=0.0)
    with pytest.raises(BadQuery, match="replaced or deleted"):
        await store.page("t", read_query(asked | {"cursor": cursor}))


async def test_a_cursor_of_another_task_is_refused(store: FindingsStore) -> None:
    for task in ("t", "u"):
        await store.put(task, big(10), at=0.0)
    cursor = (await store.page("t", read_query({"page_size": 1}))).next_cursor
    with pytest.raises(BadQuery, match="another question"):
        await store.page("u", read_query({"page_size": 1, "cursor": cursor}))


async def test_a_bounded_page_tells_what_it_leaves_out(store: FindingsStore) -> None:
    await store.put("t", big(100), at=0.0)
    page = await store.page("t", read_query({"fields": ["index", "description"]}), max_bytes=4000)
    assert 0 < len(page.rows) < 50
    assert page.left_out == 50 - len(page.rows)
    assert page.shortened == len(page.rows)
    assert any("severity>=critical (20 findings)" in note for note in page.notes)


# -- across tasks


async def three_scans(store: FindingsStore) -> None:
    await store.put("old", report(("a", PLUGIN, 80, 3), ("b", OTHER, 22, 4)), at=10.0)
    await store.put("mid", report(("a", OTHER, 80, 2)), at=20.0)
    await store.put("new", report(("a", PLUGIN, 80, 3), ("c", PLUGIN, 443, 1)), at=30.0)


async def found(
    store: FindingsStore, asked: dict[str, Any], scope: SearchScope
) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    cursor = None
    while True:
        query = read_query({**asked, "cursor": cursor, "page_size": 1})
        page = await store.search(query, scope)
        rows += [(row["task_id"], row["host"]) for row in page.rows]
        cursor = page.next_cursor
        if cursor is None:
            assert page.total == len(rows)
            return rows


@pytest.mark.parametrize(
    ("filters", "scope", "expected"),
    [
        (["cve~2024"], SearchScope(), [("new", "a"), ("new", "c"), ("old", "a")]),
        (["cve~2024"], SearchScope(until=30.0), [("old", "a")]),
        (["cve~2024"], SearchScope(since=30.0), [("new", "a"), ("new", "c")]),
        (["plugin_id=2"], SearchScope(), [("mid", "a"), ("old", "b")]),
        (["host=A", "severity>=high"], SearchScope(), [("new", "a"), ("old", "a")]),
        (["severity=critical"], SearchScope(task_ids=("mid", "old")), [("old", "b")]),
        (["plugin_id=3"], SearchScope(), []),
        ([], SearchScope(since=99.0), []),
    ],
)
async def test_search_finds_in_all_scans_the_latest_first(
    store: FindingsStore, filters: list[str], scope: SearchScope, expected: list[tuple[str, str]]
) -> None:
    await three_scans(store)
    assert await found(store, {"filters": filters}, attrs.evolve(scope, history=True)) == expected


async def test_search_agrees_with_the_pages_of_each_task(store: FindingsStore) -> None:
    chance = random.Random(2)
    for task in range(6):
        await store.put(f"t{task}", make_report(chance, findings=10).events, at=float(task))
    for text in ("severity>=low", "plugin_name~apache", "port=443", "cve~2021", "host~example"):
        asked = {"filters": [text, "plugin_output is present"], "fields": ["host", "index"]}
        rows: list[tuple[str, str]] = []
        for task in reversed(range(6)):
            page = await store.page(f"t{task}", read_query(asked))
            rows += [(f"t{task}", row["host"]) for row in page.rows]
        assert await found(store, asked, SearchScope(history=True)) == rows
        either = {**asked, "match": "any"}
        counts = [(await store.page(f"t{task}", read_query(either))).total for task in range(6)]
        assert len(await found(store, either, SearchScope(history=True))) == sum(counts)


async def scanned(store: FindingsStore, task: str, at: float, *found: tuple[int, int]) -> None:
    """A whole scan of web.example.com at 192.0.2.1 that showed these plugins and severities."""
    host = HostReport(
        index=0, name="web.example.com" if at > 15 else "192.0.2.1", ip="192.0.2.1", ended_at=at
    )
    information = (
        "Information about this scan :\nPort scanner(s) : nessus_syn_scanner\nPort range : all\n"
        "Thorough tests : no\nParanoia level : 1\nCredentialed checks : no\n"
    )
    events: list[Event] = [host]
    for index, (number, severity) in enumerate([*found, (19506, 0), (10180, 0)]):
        plugin = Plugin(plugin_id=number, plugin_type="remote")
        finding = Finding(
            index=index, host_index=0, host=host.key, port=0 if number > 9999 else 443,
            protocol="tcp", severity=severity, plugin=plugin,
            plugin_output=information if number == 19506 else "up",
        )  # fmt: skip
        events.append(finding)
    events.append(HostEnd(host=host, findings=len(found) + 2))
    coverage = ScanCoverage(
        whole=True, targets="192.0.2.0/30", plugins=frozenset({1, 2, 3, 4, 10180, 19506})
    )
    await store.put(task, events, at=at, coverage=lambda: coverage)


async def test_a_search_shows_the_present_state(store: FindingsStore) -> None:
    await scanned(store, "old", 10.0, (1, 4), (2, 3), (9, 3))
    await scanned(store, "new", 20.0, (2, 1), (3, 2))
    query = read_query({"filters": ["severity>=low"], "fields": ["plugin_id", "severity"]})
    rows = (await store.search(query)).rows
    # 1 is fixed, 2 is listed as last seen, and nothing shows that 9 was looked for again.
    assert [(row["task_id"], row["plugin_id"], row["severity"]) for row in rows] == [
        ("old", 9, "high"),
        ("new", 3, "medium"),
        ("new", 2, "low"),
    ]
    severe = read_query({"filters": ["severity>=high"], "fields": ["plugin_id"]})
    assert [row["plugin_id"] for row in (await store.search(severe)).rows] == [9]
    assert (await store.search(severe, SearchScope(history=True))).total == 3


async def test_a_search_is_sorted_across_tasks_and_paged(store: FindingsStore) -> None:
    await scanned(store, "old", 10.0, (1, 4), (2, 3), (9, 3), (8, 0))
    await scanned(store, "new", 20.0, (2, 1), (3, 2))
    pages: list[int] = []
    cursor = None
    while True:
        query = read_query(
            {"filters": ["port=443"], "fields": ["plugin_id"], "sort": ["-plugin_id"],
             "page_size": 1, "cursor": cursor}
        )  # fmt: skip
        page = await store.search(query)
        pages += [row["plugin_id"] for row in page.rows]
        assert page.total == 4
        cursor = page.next_cursor
        if cursor is None:
            break
    assert pages == [9, 8, 3, 2]
    with pytest.raises(BadQuery, match="leave out sort"):
        await store.search(read_query({"sort": ["port"]}), SearchScope(history=True))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("host", "total", "note"),
    [
        ("192.0.2.1", 3, "last in the report of task new (imported 1970-01-01 00:00 UTC)"),
        ("WEB.example.com.", 3, "scanned without a login"),
        ("192.0.2.0/30", 3, "which has 1 host of it"),
        ("192.0.2.1-9", 3, "which has 1 host of it"),
        ("192.0.2.2", 0, "a target of task new"),
        ("192.0.2.77", 0, "not found in 1 report"),
        ("198.51.100.0/24", 0, "That does not mean it is clean"),
    ],
)
async def test_an_answer_about_a_host_says_when_it_was_scanned(
    store: FindingsStore, host: str, total: int, note: str
) -> None:
    await scanned(store, "new", 20.0, (1, 3))
    query = read_query({"filters": [f"host={host}"], "fields": ["host"]})
    for page in (await store.search(query), await store.page("new", query)):
        assert page.total == total
        assert note in page.notes[0]


async def test_an_empty_answer_does_not_read_as_clean(store: FindingsStore) -> None:
    page = await store.search(read_query({"filters": ["cve=CVE-2024-1"]}))
    assert page.notes == ("Nothing matches in 0 reports; hosts that were not scanned are in none.",)


async def test_what_changed_between_two_scans(store: FindingsStore) -> None:
    before = report(
        ("same", PLUGIN, 80, 3), ("same", OTHER, 22, 4), ("gone", PLUGIN, 80, 3),
        ("Case.Example.", PLUGIN, 1, 0),
    )  # fmt: skip
    changed = attrs.evolve(PLUGIN, description="a newer text")
    after = report(
        ("same", changed, 80, 2), ("same", OTHER, 8022, 4), ("added", OTHER, 1, 1),
        ("case.example", PLUGIN, 1, 0),
    )  # fmt: skip
    await store.put("before", before, at=0.0)
    await store.put("after", after, at=1.0)
    comparison = await store.compare("before", "after")
    assert comparison.severities == {
        Change.NEW: {},
        Change.NOT_CHECKED_BEFORE: {"critical": 1, "low": 1},
        Change.FIXED: {},
        Change.NOT_CHECKED: {"critical": 1, "high": 1},
        Change.CHANGED: {"medium": 1},
        Change.PERSISTING: {"info": 1},
    }
    assert comparison.not_checked == {Reason.UNKNOWN: 2}
    assert (comparison.hosts_added, comparison.hosts_gone) == (("added",), ("gone",))
    assert (comparison.hosts_added_total, comparison.hosts_gone_total) == (1, 1)
    assert comparison.hosts_in_both == 2
    ports = {
        change: [
            (row["host"], row["port"])
            for row in (
                await store.changed(
                    "before", "after", change, read_query({"fields": ["host", "port"]})
                )
            ).rows
        ]
        for change in Change
    }
    assert ports == {
        Change.NEW: [],
        Change.NOT_CHECKED_BEFORE: [("same", 8022), ("added", 1)],
        Change.FIXED: [],
        Change.NOT_CHECKED: [("same", 22), ("gone", 80)],
        Change.CHANGED: [("same", 80)],
        Change.PERSISTING: [("case.example", 1)],
    }
    severe = await store.compare("before", "after", read_query({"filters": ["severity>=high"]}))
    assert severe.severities[Change.PERSISTING] == {}


@pytest.mark.slow
async def test_changes_page_and_count_alike(store: FindingsStore) -> None:
    chance = random.Random(5)
    for task in ("x", "y"):
        await store.put(task, make_report(chance, findings=40).events, at=0.0)
    comparison = await store.compare("x", "y")
    for change in Change:
        rows = 0
        cursor = None
        while True:
            query = read_query({"page_size": 3, "sort": ["-port"], "cursor": cursor})
            page = await store.changed("x", "y", change, query)
            rows += len(page.rows)
            assert page.severities == comparison.severities[change]
            assert page.checks == comparison.compliance_counts.get(change, {})
            cursor = page.next_cursor
            if cursor is None:
                break
        checks = comparison.compliance_counts.get(change, {})
        assert rows == sum(comparison.severities[change].values()) + sum(checks.values())


RELEASED = Path(__file__).parent / "released"


async def test_scans_of_an_older_version_never_prove_that_something_is_fixed(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.executescript((RELEASED / "findings-1.sql").read_text())
    connection.close()
    beside = await open_findings_offline(path)  # nothing has migrated it yet
    assert (await beside.compare("t00000001", "t00000002")).not_checked == {Reason.UNKNOWN: 1}
    await beside.aclose()
    store = await open_findings(path)
    comparison = await store.compare("t00000001", "t00000002")
    assert comparison.severities[Change.PERSISTING] == {"high": 1}
    assert not comparison.severities[Change.FIXED]
    assert comparison.not_checked == {Reason.UNKNOWN: 1}
    assert "import its report again" in comparison.notes[1]
    await store.put("t00000003", report(("192.0.2.1", PLUGIN, 80, 3)), at=30.0)
    assert await store.delete("t00000001")
    await store.vacuum_deleted()
    assert sorted(await store.imports()) == ["t00000002", "t00000003"]
    await store.aclose()


async def test_the_coverage_of_a_scan_goes_with_it(store: FindingsStore, path: Path) -> None:
    for task in ("t", "u"):
        await store.put(
            task, report(("a", PLUGIN, 1, 3)), at=0.0,
            coverage=lambda: ScanCoverage(whole=True, plugins=frozenset({1, 2})),
        )  # fmt: skip
    tables = ("scan_coverage", "host_coverage", "plugin_sets")

    def rows() -> list[int]:
        connection = sqlite3.connect(path)
        return [
            connection.execute(f"SELECT count(*) FROM {each}").fetchone()[0]  # noqa: S608
            for each in tables
        ]

    assert rows() == [2, 2, 1]
    await store.delete("t")
    await store.vacuum_deleted()
    assert rows() == [1, 1, 1]
    await store.delete("u")
    await store.vacuum_deleted()
    assert rows() == [0, 0, 0]


async def test_compliance_checks_of_one_plugin_are_told_apart(store: FindingsStore) -> None:
    made = make_report(random.Random(3), findings=40)
    await store.put("x", made.events, at=0.0)
    await store.put("y", made.events, at=0.0)
    comparison = await store.compare("x", "y")
    checks = [
        event.compliance
        for event in made.events
        if isinstance(event, Finding)
        and event.compliance is not None
        and (event.compliance.result, event.compliance.check_name) != (None, None)
    ]
    assert len(checks) > 5
    persisting = comparison.compliance_counts[Change.PERSISTING]
    assert sum(persisting.values()) == len(checks)
    assert sum(comparison.severities[Change.PERSISTING].values()) == 40 - len(checks)
    assert not comparison.severities[Change.NEW]
    assert set(comparison.compliance_counts) == {Change.PERSISTING}


# -- files


async def test_a_database_is_read_offline_without_being_changed(path: Path) -> None:
    store = await open_findings(path)
    await store.put("t", big(10), at=0.0)
    beside = await open_findings_offline(path)
    assert (await beside.page("t", EVERYTHING)).total == 10
    await beside.aclose()
    await store.aclose()
    before = path.read_bytes()
    alone = await open_findings_offline(path)
    assert (await alone.page("t", EVERYTHING)).total == 10
    await alone.aclose()
    assert path.read_bytes() == before
    assert sorted(path.parent.iterdir()) == [path]


async def test_a_missing_file_cannot_be_read(path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        await open_findings_offline(path)


async def test_a_newer_database_is_refused(path: Path) -> None:
    await (await open_findings(path)).aclose()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(WrongSchema):
        await open_findings(path)


async def test_fields_the_catalog_has_got_since_are_absent_in_old_findings(path: Path) -> None:
    store = await open_findings(path)
    await store.put("t", report(("a", PLUGIN, 1, 3)), at=0.0)
    await store.aclose()
    connection = sqlite3.connect(path)
    connection.execute("ALTER TABLE plugins DROP COLUMN cve")
    connection.close()
    store = await open_findings(path)
    page = await store.page("t", read_query({"filters": ["cve is absent"], "fields": ["cve"]}))
    assert page.rows == ({"cve": []},)
    await store.aclose()


async def test_nobody_else_may_read_the_file(store: FindingsStore, path: Path) -> None:
    await store.put("t", big(10), at=0.0)
    assert all(file.stat().st_mode & 0o077 == 0 for file in path.parent.iterdir())


SAMPLES = Path(__file__).parents[2] / ".." / "shared" / "data" / "nessus"


@pytest.mark.slow
@pytest.mark.skipif(not SAMPLES.is_dir(), reason="no sample reports beside the checkout")
async def test_real_reports_come_back_as_they_were(store: FindingsStore) -> None:
    for file in sorted(SAMPLES.glob("*.nessus")):
        with file.open("rb") as stream:
            events = list(Reader(stream))
        findings = [event for event in events if isinstance(event, Finding)]
        imported = await store.put(file.stem, events, at=0.0)
        assert imported.findings == len(findings)
        query = read_query({"profile": "full", "page_size": 1000, "sort": ["index"]})
        rows = (await store.page(file.stem, query)).rows
        by_index = sorted(findings, key=lambda finding: finding.index)
        for row, finding in zip(rows, by_index, strict=True):
            assert row["plugin_id"] == finding.plugin.plugin_id
            assert row["severity"] == severity_name(finding.severity)
            assert row.get("plugin_output") == finding.plugin_output
            assert row.get("cve", []) == list(finding.plugin.cve)
