"""A daemon that waits reads the reports that another one stores, and answers from them."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import aclosing, closing
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from nessus_sched.api.tools import ALL_TOOLS, OPERATORS
from nessus_sched.config.ledger import LedgerSettings
from nessus_sched.core.states import TaskState
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.core.task import Task
from nessus_sched.daemon.ledger_keeper import origin_of
from nessus_sched.daemon.report_ingest import Reports
from nessus_sched.daemon.standby import results, standing_by
from nessus_sched.daemon.standby.answers import RESULTS
from nessus_sched.daemon.standby.results import FollowedResults
from nessus_sched.store.exports import BadExportFile, ExportStore
from nessus_sched.store.findings import reader
from nessus_sched.store.findings.store import open_findings
from nessus_sched.store.ledger import store as ledger_store
from nessus_sched.store.ledger.copied import CopiedLedger
from nessus_sched.store.ledger.store import open_ledger
from nessus_sched.store.tasks.store import TaskStore
from support.mcp_wire import call, until
from support.nessus_xml import document, host, item
from support.stored import START, a_request, a_task, moved, submitted
from support.waiting import Waiting, made, waiting

DAY = 86_400.0
NOW = START + 10 * DAY


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(standing_by, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(results, "LOOK_EVERY", 0.02)
    monkeypatch.setattr(results, "TIDY_EVERY", 0.0)
    yield
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})


@attrs.define
class Faults:
    """What is wrong with the database, and what was fetched from it."""

    damaged: Collection[str] = ()
    away: bool = False
    silent: str = ""
    """What is not answered until `talks` is set, without an error: prepare, latest or files."""
    talks: threading.Event = attrs.field(factory=threading.Event)
    asked: list[str] = attrs.field(factory=list)
    late: Collection[str] = ()
    """Tasks whose reports were stored long after they had ended."""
    takes: float = 0.0
    """Seconds until a report has been fetched."""
    fetched: list[str] = attrs.field(factory=list)
    at: list[float] = attrs.field(factory=list)
    """When."""

    def ask(self, what: str) -> None:
        self.asked.append(what)
        if what == self.silent:
            self.talks.wait(30)


@attrs.frozen
class Shared(ExportStore):
    """The reports in the database."""

    faults: Faults = attrs.field(factory=Faults)

    def prepare(self) -> None:
        self.faults.ask("prepare")
        ExportStore.prepare(self)

    def files(self, task_id: str) -> list[Path]:
        self.faults.fetched.append(task_id)
        self.faults.at.append(time.monotonic())
        threading.Event().wait(self.faults.takes)
        self.faults.ask("files")
        if task_id in self.faults.damaged:
            raise BadExportFile("it is damaged in the database")
        return ExportStore.files(self, task_id)

    def latest(self) -> dict[str, float]:
        if self.faults.away:
            raise StoreUnavailable("the database is away")
        self.faults.ask("latest")
        found = dict.fromkeys(ExportStore.latest(self), START)
        return {**found, **dict.fromkeys(self.faults.late, NOW)}


@attrs.define(slots=False)
class Pair:
    """The leader's stores, and a daemon that waits."""

    waiting: Waiting
    leader: Path
    exports: Shared
    ledger_guard: threading.Lock

    @property
    def results(self) -> FollowedResults:
        assert self.waiting.standby.results is not None
        return self.waiting.standby.results

    @property
    def faults(self) -> Faults:
        return self.exports.faults

    @property
    def own(self) -> Path:
        return self.results.directory

    async def scanned(
        self, order: int, *, day: float = 1.0, items: Collection[str] = (), **changes: Any
    ) -> Task:
        """A scan that the leader has finished."""
        at = START + day * DAY
        task = a_task(
            order, state=TaskState.COMPLETED, created_at=at, launched_at=at, attempt=1,
            scanner_instance="east", summary={"hosts": 1}, entered={TaskState.COMPLETED: at + 600},
            request=a_request(name=f"scan {order}", targets=("192.0.2.1",)),
        )  # fmt: skip
        task = attrs.evolve(task, **changes)
        tags = {"HOST_START_TIMESTAMP": str(int(at)), "HOST_END_TIMESTAMP": str(int(at + 600))}
        text = document(
            host("192.0.2.1", *(items or [item(10001, severity=3, port=443)]), tags=tags)
        )
        self.exports.write(task.task_id, BytesIO(text))
        async with TaskStore.open(self.leader, now=lambda: NOW) as store:
            await store.submit(task, submitted(task))
        return task

    async def delete(self, task: Task, *, exports: bool = True) -> None:
        async with TaskStore.open(self.leader, now=lambda: NOW) as store:
            assert await store.purge_tasks([task.task_id], at=NOW)
        if exports:
            self.exports.delete([task.task_id])

    async def enter(self, *tasks: Task) -> None:
        """The leader enters scans in its ledger, whose copy arrives here."""
        paths = self.leader / "findings.db", self.leader / "ledger.db"
        async with (
            aclosing(await open_findings(paths[0])) as findings,
            aclosing(await open_ledger(paths[1], paths[0])) as ledger,
        ):
            for task in tasks:
                assert await Reports(findings, self.exports, lambda: NOW).restore(task)
                identity = LedgerSettings().host_identity
                await ledger.apply(origin_of(task), identity=identity, now=NOW)
        with self.ledger_guard:
            shutil.copy(paths[1], self.own / "new")
            (self.own / "new").replace(self.own / "ledger.db")
        self.results.ledger.caught_up(NOW)

    def stored(self) -> dict[str, int]:
        """The number of the scan in the findings, by task."""
        if not (self.own / "findings.db").exists():
            return {}
        with closing(sqlite3.connect(self.own / "findings.db")) as connection:
            try:
                return dict(connection.execute("SELECT task_id, scan FROM scans WHERE ready"))
            except sqlite3.OperationalError:  # being created
                return {}

    async def has(self, *tasks: Task) -> None:
        await until(lambda: self.stored().keys() == {task.task_id for task in tasks})

    async def looked(self) -> None:
        """Returns after it has looked twice."""
        for _ in range(2):
            before = self.results.ledger
            self.results.read_at = None
            await until(lambda: self.results.read_at is not None)
            assert before is self.results.ledger

    def health(self) -> tuple[str, str]:
        component = self.waiting.standby.health().components["findings"]
        return component.status.value, component.reason


@pytest.fixture
async def pair(tmp_path: Path) -> Pair:
    found, guard = await made(tmp_path), threading.Lock()
    shared = Shared(tmp_path / "shared")
    shared.prepare()
    (tmp_path / "own").mkdir()
    found.standby.results = FollowedResults(
        directory=tmp_path / "own",
        exports=shared,
        ledger=CopiedLedger(tmp_path / "own" / "ledger.db", guard),
        kept=lambda: 90 * DAY,
        wall=lambda: NOW,
        steady=lambda: NOW,
    )
    return Pair(found, tmp_path / "state", shared, guard)


async def asked(pair: Pair, tool: str, **arguments: Any) -> dict[str, Any]:
    answer = await pair.waiting.ask(tool, **arguments)
    assert not answer.get("isError"), answer
    found: dict[str, Any] = answer["structuredContent"]
    return found


def test_every_answer_with_results_has_room_for_a_note() -> None:
    found = {tool.name: tool for tool in (*ALL_TOOLS, *OPERATORS) if tool.name in RESULTS}
    assert found.keys() == RESULTS
    for tool in found.values():
        assert not tool.writes
        names = {each.name for each in attrs.fields(tool.answer)}
        assert "notes" in names or "page" in names, tool.name


async def test_findings_and_the_ledger_are_read_and_say_as_of_when(
    tmp_path: Path, pair: Pair
) -> None:
    one = await pair.scanned(11)
    two = await pair.scanned(12, day=2, items=[item(10002, severity=4, port=80)])
    await pair.enter(one, two)
    async with waiting(tmp_path, pair.waiting):
        await pair.has(one, two)
        await pair.looked()
        page = await asked(pair, "get_scan_results", task_id="scan 12")
        assert [row["plugin_id"] for row in page["findings"]] == [10002]
        listed = await asked(pair, "search_findings")
        assert {row["plugin_id"] for row in listed["findings"]} == {10002, 10001}
        history = await asked(pair, "search_findings", history=True)
        assert history["total"] == 2
        known = await asked(pair, "get_host", host="192.0.2.1")
        assert known["known"]
        assert not (await asked(pair, "get_host", host="192.0.2.9"))["known"]
        changed = await asked(pair, "get_changes", since="2001-01-01T00:00:00Z")
        assert changed["rows"]
        covered = await asked(pair, "get_coverage", task_id="scan 12")
        assert covered["counts"]["answered"] == 1
        compared = await asked(
            *(pair, "compare_scans"),
            before_task_id="scan 11",
            after_task_id="scan 12",
            change="not_checked_before",
        )
        assert [row["plugin_id"] for row in compared["page"]["findings"]] == [10002]
        for answer in (page, listed, history, known, changed, covered, compared["page"]):
            note = answer["notes"][0]
            assert note.startswith("This daemon is on standby (the daemon on west leads)")
            assert "reports are read as of" in note
            assert "the ledger as of" in note
        for tool, arguments in (
            ("get_changes", {"schedule": "weekly"}),
            ("create_report", {"kind": "management"}),
            ("list_exceptions", {}),
        ):
            refused = await pair.waiting.ask(tool, **arguments)
            assert refused["_meta"]["nessus-sched/error"]["code"] == "not_leading", tool


async def test_scans_that_the_ledger_lacks_are_counted(tmp_path: Path, pair: Pair) -> None:
    one = await pair.scanned(11)
    await pair.enter(one)
    two = await pair.scanned(12, day=2)
    async with waiting(tmp_path, pair.waiting):
        await pair.has(one, two)
        await pair.looked()
        known = await asked(pair, "get_host", host="192.0.2.1")
        assert "1 finished scan not entered yet: findings may be missing." in known["notes"]
        assert known["clean"] != "yes"
        await pair.enter(two)
        await pair.looked()
        known = await asked(pair, "get_host", host="192.0.2.1")
        assert not any("not entered" in note for note in known["notes"])


async def test_reports_are_read_as_they_come_and_the_answer_says_what_is_still_to_be_read(
    tmp_path: Path, pair: Pair
) -> None:
    pair.faults.silent = "files"
    one = await pair.scanned(11)
    async with waiting(tmp_path, pair.waiting):
        await until(lambda: pair.results.unread == 1)
        refused = await pair.waiting.ask("get_scan_results", task_id="scan 11")
        error = refused["_meta"]["nessus-sched/error"]
        assert error["code"] == "no_results"
        assert "1 report still to be read" in error["message"]
        pair.results.ledger.caught_up(NOW)
        nothing = await asked(pair, "search_findings", history=True)
        assert "1 report still to be read, the latest first" in nothing["notes"][0]
        assert "no ledger yet" in nothing["notes"][0]
        unknown = await pair.waiting.ask("get_host", host="192.0.2.1")
        assert unknown["_meta"]["nessus-sched/error"]["code"] == "store_unavailable"
        pair.faults.talks.set()
        await pair.has(one)
        two = await pair.scanned(12, day=2)
        await pair.has(one, two)
        await pair.looked()
        assert pair.health() == ("ok", pair.results.state())


async def test_a_report_is_read_once_its_task_has_ended(tmp_path: Path, pair: Pair) -> None:
    task = await pair.scanned(11, state=TaskState.EXPORTING, summary=None)
    async with waiting(tmp_path, pair.waiting):
        await pair.looked()
        assert pair.faults.fetched == []
        ended, entry = moved(task, TaskState.COMPLETED, at=START + DAY + 600, summary={"hosts": 1})
        async with TaskStore.open(pair.leader, now=lambda: NOW) as store:
            await store.record(ended, entry)
        await pair.has(task)


async def test_what_is_read_is_not_read_again_by_the_daemon_that_leads_then(
    tmp_path: Path, pair: Pair
) -> None:
    tasks = [await pair.scanned(order, day=order - 10) for order in (11, 12, 13)]
    async with waiting(tmp_path, pair.waiting):
        await pair.has(*tasks)
        await pair.looked()
        before = pair.stored()
        assert sorted(pair.faults.fetched) == sorted(task.task_id for task in tasks)
        assert pair.faults.fetched[0] == tasks[-1].task_id  # the latest first
        pair.waiting.wishes.leads = True
        await until(lambda: pair.waiting.ended == [True])
    assert pair.stored() == before


async def test_what_another_daemon_deleted_goes(tmp_path: Path, pair: Pair) -> None:
    old, gone, left = [
        await pair.scanned(order, day=day) for order, day in ((11, 1), (12, 5), (13, 6))
    ]
    async with waiting(tmp_path, pair.waiting):
        await pair.has(old, gone, left)
        await pair.delete(gone)
        await pair.has(old, left)
        pair.results.kept = lambda: 8 * DAY
        await pair.has(left)
        with closing(sqlite3.connect(pair.own / "findings.db")) as connection:
            await until(lambda: connection.execute("SELECT count(*) FROM scans").fetchone() == (1,))
        pair.results.wall = lambda: NOW + 1000 * DAY  # somebody set the clock
        pair.exports.delete([left.task_id])  # findings may be kept for longer than reports
        await pair.looked()
        assert pair.stored().keys() == {left.task_id}


async def test_one_that_was_away_for_days_drops_what_was_deleted(
    tmp_path: Path, pair: Pair
) -> None:
    gone = await pair.scanned(11)
    async with waiting(tmp_path, pair.waiting):
        await pair.has(gone)
    await pair.delete(gone)
    new = await pair.scanned(12, day=4)
    again = await made_again(pair)
    async with waiting(tmp_path, again):
        await pair.has(new)


async def made_again(pair: Pair) -> Waiting:
    """The daemon of a pair after a restart."""
    standby = pair.waiting.standby
    fresh = attrs.evolve(
        standby,
        session=threading.Lock(),
        ledger=threading.Lock(),
        results=attrs.evolve(pair.results, findings=None, unread=None, read_at=None),
    )
    pair.waiting = Waiting(fresh, pair.waiting.wishes, [])
    return pair.waiting


async def test_a_damaged_report_holds_up_no_other_and_is_read_once(
    tmp_path: Path, pair: Pair
) -> None:
    whole, damaged = await pair.scanned(11), await pair.scanned(12, day=2)
    pair.faults.damaged = [damaged.task_id]
    async with waiting(tmp_path, pair.waiting):
        await pair.has(whole)
        await pair.looked()
        assert pair.faults.fetched.count(damaged.task_id) == 1
        assert pair.health()[0] == "ok"


async def test_a_database_that_goes_away_is_waited_for(tmp_path: Path, pair: Pair) -> None:
    one = await pair.scanned(11)
    async with waiting(tmp_path, pair.waiting):
        await pair.has(one)
        pair.faults.away = True
        await until(lambda: pair.results.trouble is not None)
        assert pair.health() == ("degraded", "the database is away")
        page = await asked(pair, "get_scan_results", task_id="scan 11")
        assert page["total"] == 1
        two = await pair.scanned(12, day=2)
        pair.faults.away = False
        await pair.has(one, two)
        await until(lambda: pair.health()[0] == "ok")


async def test_findings_that_cannot_be_opened_keep_nobody_from_waiting(
    tmp_path: Path, pair: Pair
) -> None:
    task = await pair.scanned(11)
    (pair.own / "findings.db").write_bytes(b"no database, but long enough to be taken for one" * 99)
    async with waiting(tmp_path, pair.waiting):
        await until(lambda: pair.results.trouble is not None)
        assert pair.health()[0] == "degraded"
        refused = await pair.waiting.ask("get_scan_results", task_id="scan 11")
        assert refused["_meta"]["nessus-sched/error"]["code"] == "store_unavailable"
        assert len((await asked(pair, "list_tasks"))["tasks"]) == 3
        (pair.own / "findings.db").unlink()
        await pair.has(task)


@pytest.mark.parametrize("silent", ["prepare", "latest", "files"])
async def test_a_silent_database_holds_up_neither_leading_nor_stopping(
    tmp_path: Path, pair: Pair, silent: str
) -> None:
    pair.faults.silent = silent
    await pair.scanned(11)
    async with waiting(tmp_path, pair.waiting):
        await until(lambda: silent in pair.faults.asked)
        with trio.fail_after(2):
            pair.waiting.wishes.leads = True
            await until(lambda: pair.waiting.ended == [True])
        again = await made_again(pair)
        pair.waiting.wishes.leads = False
        pair.faults.asked.clear()
        async with waiting(tmp_path, again):
            await until(lambda: silent in pair.faults.asked)
            with trio.fail_after(2):
                os.kill(os.getpid(), signal.SIGTERM)
                await until(lambda: again.ended == [False])
    pair.faults.talks.set()


@pytest.mark.parametrize(
    ("module", "reads", "tool", "arguments"),
    [
        (reader, "read_page", "get_scan_results", {"task_id": "scan 11"}),
        (ledger_store, "read_search", "search_findings", {}),
    ],
    ids=["findings", "ledger"],
)
async def test_a_long_question_does_not_hold_up_leading(
    tmp_path: Path, pair: Pair, monkeypatch: pytest.MonkeyPatch, module: object, reads: str,
    tool: str, arguments: dict[str, Any],
) -> None:  # fmt: skip
    begun, ends = threading.Event(), threading.Event()

    def long(*_positional: object, **_named: object) -> None:
        begun.set()
        ends.wait(30)
        raise StoreUnavailable("nobody waits for this")

    task = await pair.scanned(11)
    await pair.enter(task)
    async with waiting(tmp_path, pair.waiting):
        await pair.has(task)
        monkeypatch.setattr(module, reads, long)
        stream, _ = await pair.waiting.connect()
        async with stream:
            await stream.send_all(call(1, tool, **arguments))
            await until(begun.is_set)
            with trio.fail_after(2):
                pair.waiting.wishes.leads = True
                await until(lambda: pair.waiting.ended == [True])
    ends.set()


async def test_the_ledger_is_not_read_while_it_is_replaced(tmp_path: Path, pair: Pair) -> None:
    task = await pair.scanned(11)
    await pair.enter(task)
    answers: list[dict[str, Any]] = []
    async with waiting(tmp_path, pair.waiting):
        await pair.has(task)
        await pair.looked()
        pair.results.unread = None  # looks no more before this ends
        async with trio.open_nursery() as nursery:
            with pair.ledger_guard:

                async def ask() -> None:
                    answers.append(await asked(pair, "get_host", host="192.0.2.1"))

                nursery.start_soon(ask)
                await trio.sleep(0.1)
                assert answers == []
        assert answers[0]["known"]


async def test_late_reports_are_read_once_and_new_ones_first(
    tmp_path: Path, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "AT_ONCE", 1)
    tasks = [await pair.scanned(order, day=order - 10) for order in (11, 12)]
    pair.faults.late = [tasks[0].task_id]
    pair.faults.silent = "files"
    async with waiting(tmp_path, pair.waiting):
        await until(lambda: pair.results.unread == 2 and len(pair.faults.fetched) == 1)
        new = await pair.scanned(13, day=3)
        pair.faults.talks.set()
        await pair.has(*tasks, new)
        await pair.looked()
    order = [tasks[0].task_id, new.task_id, tasks[1].task_id]
    assert pair.faults.fetched == order


async def test_half_of_the_time_is_left_to_others(
    tmp_path: Path, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "AT_ONCE", 2)
    monkeypatch.setattr(results, "LOOK_EVERY", 1000)
    tasks = [await pair.scanned(order) for order in (11, 12, 13)]
    pair.faults.takes = 0.1
    async with waiting(tmp_path, pair.waiting):
        await pair.has(*tasks)
        await until(lambda: pair.results.read_at is not None)
        assert pair.results.unread == 0
    assert all(after - before >= 0.2 for before, after in pairwise(pair.faults.at))


def is_writing(path: Path) -> bool:
    """Whether a transaction writes to the database."""
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        connection.execute("ROLLBACK")
        return False


@pytest.mark.slow
async def test_an_import_under_way_is_given_up_to_lead(tmp_path: Path, pair: Pair) -> None:
    many = [item(number, severity=number % 5, port=number % 60_000) for number in range(20_000)]
    await pair.scanned(11, items=many)
    async with waiting(tmp_path, pair.waiting):
        await until(lambda: pair.results.unread == 1 and is_writing(pair.own / "findings.db"))
        pair.waiting.wishes.leads = True
        with trio.fail_after(1):
            await until(lambda: pair.waiting.ended == [True])
    assert pair.stored() == {}
    async with aclosing(await open_findings(pair.own / "findings.db")) as findings:
        assert await findings.imports() == {}
