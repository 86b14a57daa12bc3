"""The ledger gets every finished scan exactly once, whatever happens in between."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from nessus_sched.config.ledger import LedgerSettings
from nessus_sched.core.exceptions.exception import Decision, FindingException, PluginFacts
from nessus_sched.core.exceptions.rule import ExceptionKind, read_rule
from nessus_sched.core.states import TaskState
from nessus_sched.core.targets.targets import parse_targets
from nessus_sched.core.task import Part, PartGroup, Split, Task
from nessus_sched.daemon.ledger_keeper import LedgerKeeper, ended, origin_of
from nessus_sched.daemon.report_ingest import Reports
from nessus_sched.results.absence import Reason
from nessus_sched.results.coverage import scan_coverage
from nessus_sched.results.ledger.logins import LoginRun
from nessus_sched.results.ledger.questions import Shown
from nessus_sched.results.ledger.reach import Reach
from nessus_sched.results.parser.reader import Reader
from nessus_sched.scheduler.context import WorkedLogin
from nessus_sched.scheduler.exceptions import Decider, Exceptions
from nessus_sched.store.executor import Inline
from nessus_sched.store.exports import ExportStore
from nessus_sched.store.findings.store import FindingsStore, open_findings
from nessus_sched.store.ledger.store import LedgerStore, open_ledger
from nessus_sched.store.tasks.store import TaskStore
from support.bare import bare_context
from support.nessus_xml import document, host, item
from support.stored import START, a_request, a_task, submitted


@attrs.frozen
class Site:
    findings: FindingsStore
    ledger: LedgerStore
    tasks: TaskStore
    keeper: LedgerKeeper
    path: Path

    async def scanned(
        self,
        order: int,
        *,
        days: float,
        recorded: bool = True,
        severity: int = 3,
        export: str | None = None,
    ) -> Task:
        """A finished scan of one host, with its findings, and with a report of that name or, with
        the name of a suffix, of a part."""
        at = START + days * 86400
        task = a_task(
            order, state=TaskState.COMPLETED, created_at=at, launched_at=at,
            scanner_instance="east", summary={"hosts": 1}, entered={TaskState.COMPLETED: at + 600},
        )  # fmt: skip
        report = document(
            host(
                "192.0.2.1",
                item(10001, severity=severity, port=443),
                tags={"HOST_END_TIMESTAMP": str(int(at + 600))},
            )
        )
        reader = Reader(BytesIO(report))
        await self.findings.put(
            task.task_id, reader, at=at + 700, coverage=lambda: scan_coverage(reader.report)
        )
        if export is not None:
            ExportStore(self.path / "exports").write(task.task_id + export, BytesIO(report))
        if recorded:
            await self.tasks.submit(task, submitted(task))
        return task

    async def entries(self) -> list[tuple[int, int, int]]:
        """When each was first and last seen, and its state, once all scans are entered."""
        self.keeper.wake()
        await self.keeper.settled()
        with closing(sqlite3.connect(self.path / "ledger.db")) as connection:
            return connection.execute("SELECT first_seen, last_seen, state FROM entries").fetchall()

    def applied(self) -> list[str]:
        with sqlite3.connect(self.path / "ledger.db") as connection:
            rows = connection.execute("SELECT task_id FROM runs ORDER BY run").fetchall()
        connection.close()
        return [task_id for (task_id,) in rows]


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        findings = await open_findings(path / "findings.db", Inline())
        stack.push_async_callback(findings.aclose)
        ledger = await open_ledger(path / "ledger.db", path / "findings.db", Inline())
        stack.push_async_callback(ledger.aclose)
        tasks = await stack.enter_async_context(TaskStore.open(path, now=lambda: START))
        exports = ExportStore(path / "exports")
        exports.prepare()
        keeper = LedgerKeeper(
            ledger=ledger, tasks=tasks, settings=LedgerSettings, wall=lambda: START + 9e6,
            exceptions=Exceptions(bare_context(tasks, lambda: START + 1.5 * 86400)),
            findings=findings, reports=Reports(findings, exports, lambda: START + 9e6),
        )  # fmt: skip
        yield Site(findings, ledger, tasks, keeper, path)


@asynccontextmanager
async def kept(site: Site) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(site.keeper.run)
        await site.keeper.settled()
        yield
        nursery.cancel_scope.cancel()


async def test_what_a_crash_or_an_older_version_left_is_applied_oldest_first(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as site:
        newer = await site.scanned(1, days=7)
        older = await site.scanned(2, days=0)
    async with opened(tmp_path) as site:
        async with kept(site):
            assert site.applied() == [older.task_id, newer.task_id]
        entries = sqlite3.connect(tmp_path / "ledger.db").execute(
            "SELECT first_seen, last_seen, state FROM entries"
        )
        assert entries.fetchall() == [(START + 600, START + 7 * 86400 + 600, 1)]


async def test_a_scan_is_applied_once_its_task_has_ended(tmp_path: Path) -> None:
    async with opened(tmp_path) as site, kept(site):
        task = await site.scanned(1, days=0, recorded=False)
        site.keeper.wake()
        await site.keeper.settled()
        assert site.applied() == []  # such as an import that failed afterwards
        entry = submitted(task)
        await site.tasks.submit(task, entry)
        site.keeper.observe(task, entry)
        await site.keeper.settled()
        assert site.applied() == [task.task_id]
        assert site.keeper.waiting == 0


async def test_applying_a_scan_again_changes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as site, kept(site):
        task = await site.scanned(1, days=0)
        site.keeper.wake()
        await site.keeper.settled()
        before = "\n".join(sqlite3.connect(tmp_path / "ledger.db").iterdump())
        await site.ledger.apply(
            origin_of(task), identity=LedgerSettings().host_identity, now=START + 9e6
        )
        assert "\n".join(sqlite3.connect(tmp_path / "ledger.db").iterdump()) == before


WANTED = FindingException(
    exception_id="", actor="uid:1", reason="r", owner="o", proposed_at=START, expires=START + 9e7,
    rule=read_rule(kind=ExceptionKind.ACCEPTED, plugins=[10001], hosts=["192.0.2.0/24"]),
)  # fmt: skip


async def test_a_rebuild_that_is_interrupted_ends_no_exception(tmp_path: Path) -> None:
    """It was worse once, before it was accepted."""
    async with opened(tmp_path) as site:
        await site.scanned(1, days=0, severity=4)
        await site.scanned(2, days=1, severity=3)
        async with kept(site):
            made = await site.keeper.exceptions.propose(WANTED)
            decider = Decider(actor="uid:2")
            await site.keeper.exceptions.decide(made.exception_id, Decision.APPROVE, decider)
            site.keeper.wake()
            await site.keeper.settled()
        await site.ledger.clear()
    async with opened(tmp_path) as site:
        await site.keeper.exceptions.restore()
        async with kept(site):
            assert site.keeper.exceptions.named(made.exception_id).status == "approved"
            (page,) = await site.keeper.hosts(
                "192.0.2.1", shown=Shown.OPEN, least_severity=0, limit=9, offset=0, now=START + 9e6
            )
            assert page.excepted == {"high": 1}


async def test_an_exception_is_applied_until_a_scan_finds_something_worse(tmp_path: Path) -> None:

    async def excepted() -> Mapping[str, int]:
        site.keeper.wake()
        (page,) = await site.keeper.hosts(
            "192.0.2.1", shown=Shown.OPEN, least_severity=0, limit=9, offset=0, now=START + 9e6
        )
        return page.excepted

    async with opened(tmp_path) as site:
        exceptions = site.keeper.exceptions
        exceptions.on_change = site.keeper.wake
        async with kept(site):
            await site.scanned(1, days=0)
            assert await excepted() == {}
            made = await exceptions.propose(WANTED)
            assert await excepted() == {}
            await exceptions.decide(made.exception_id, Decision.APPROVE, Decider(actor="uid:2"))
            assert await excepted() == {"high": 1}
            known = exceptions.named(made.exception_id).known
            assert known == {10001: PluginFacts(severity=3)}
            await site.scanned(2, days=1, severity=3)
            assert await excepted() == {"high": 1}
    async with opened(tmp_path) as site:  # the register and the ledger survive
        exceptions = site.keeper.exceptions
        exceptions.on_change = site.keeper.wake
        await exceptions.restore()
        async with kept(site):
            assert await excepted() == {"high": 1}
            await site.scanned(3, days=2, severity=4)
            site.keeper.wake()
            await site.keeper.settled()
            assert await excepted() == {}
            ended = exceptions.named(made.exception_id)
            assert (ended.status, ended.cause) == (
                "lapsed", "the severity of plugin 10001 has risen",
            )  # fmt: skip


async def test_a_ledger_that_cannot_be_written_says_so_and_catches_up(tmp_path: Path) -> None:
    async with opened(tmp_path) as site:
        task = await site.scanned(1, days=0)
        other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        site.ledger._writer.execute("PRAGMA busy_timeout = 0")
        async with kept(site):
            assert "cannot be written" in (site.keeper.trouble or "")
            assert site.keeper.waiting == 1
            other.execute("ROLLBACK")
            site.keeper.wake()
            await site.keeper.settled()
            assert site.keeper.trouble is None
            assert site.applied() == [task.task_id]
        other.close()


async def test_a_rebuild_puts_late_scans_in_their_place(tmp_path: Path) -> None:
    async with opened(tmp_path) as site, kept(site):
        await site.scanned(1, days=7)
        site.keeper.wake()
        await site.keeper.settled()
        older = await site.scanned(2, days=0)
        site.keeper.wake()
        await site.keeper.settled()
        select = "SELECT first_seen, last_seen, state FROM entries"
        ledger = sqlite3.connect(tmp_path / "ledger.db")
        week = START + 7 * 86400 + 600
        assert ledger.execute(select).fetchall() == [(week, week, 0)]
        assert await site.keeper.lost_by_rebuild() == 0
        assert await site.keeper.rebuild() == 2
        await site.keeper.settled()
        assert ledger.execute(select).fetchall() == [(START + 600, week, 1)]
        await site.findings.delete(older.task_id)
        assert await site.keeper.lost_by_rebuild() == 1
        ledger.close()


WEEK = START + 7 * 86400 + 600


@pytest.mark.slow
@pytest.mark.parametrize("export", ["", "-1"])
async def test_a_rebuild_reads_the_reports_of_scans_whose_findings_are_gone(
    tmp_path: Path, export: str
) -> None:
    async with opened(tmp_path) as site, kept(site):
        older = await site.scanned(1, days=0, export=export)
        await site.scanned(2, days=7)
        assert await site.entries() == [(START + 600, WEEK, 1)]
        await site.findings.delete(older.task_id)
        assert await site.keeper.lost_by_rebuild() == 0
        assert await site.keeper.rebuild() == 2
        assert await site.entries() == [(START + 600, WEEK, 1)]
        assert older.task_id not in await site.findings.imports(), "their retention is over"
        assert await site.keeper.rebuild() == 2
        assert await site.entries() == [(START + 600, WEEK, 1)]


async def test_a_new_ledger_reads_the_reports_too(tmp_path: Path) -> None:
    async with opened(tmp_path) as site:
        await site.findings.delete((await site.scanned(1, days=0, export="")).task_id)
        await site.scanned(2, days=7)
        await site.scanned(3, days=3, recorded=False, export="")  # its task was deleted
    async with opened(tmp_path) as site, kept(site):
        assert await site.entries() == [(START + 600, WEEK, 1)]


async def test_findings_that_are_still_stored_are_kept(tmp_path: Path) -> None:
    """Whatever reports there are, and whether the scan has been entered or not."""
    async with opened(tmp_path) as site:
        tasks = [await site.scanned(number, days=number, export="") for number in (1, 2)]
    async with opened(tmp_path) as site, kept(site):
        assert await site.keeper.rebuild() == 2
        await site.entries()
        assert set(await site.findings.imports()) == {task.task_id for task in tasks}


async def test_the_latest_login_that_worked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(at: int, **counts: int) -> LoginRun:
        given = {"full": 0, "partial": 0, "failed": 0, **counts}
        return LoginRun(task_id="t", at=at, hosts=4, others=(), **given)

    known = {
        "linux": [run(9, failed=4), run(7, partial=1), run(5, full=4)],
        "windows": [run(8, full=1)],
        "stale": [run(9, failed=4), run(8)],
    }

    async def logins(_self: LedgerStore, credential: str, limit: int) -> list[LoginRun]:
        return known.get(credential, [])[:limit]

    monkeypatch.setattr(LedgerStore, "logins", logins)
    async with opened(tmp_path) as site:
        worked = site.keeper.last_worked
        assert await worked(["linux"]) == WorkedLogin(credential="linux", at=7)
        assert await worked(["linux", "windows"]) == WorkedLogin(credential="windows", at=8)
        assert await worked(["stale", "unused"]) is None
        assert await worked([]) is None


@pytest.mark.slow
@pytest.mark.parametrize("dies_at", ["restore", "apply", "delete"])
async def test_a_death_while_reports_are_read_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies_at: str
) -> None:
    class Death(BaseException):
        pass

    async def die(*_: object, **__: object) -> None:
        raise Death

    async with opened(tmp_path) as site:
        await site.findings.delete((await site.scanned(1, days=0, export="")).task_id)
        await site.scanned(2, days=7)
    where: dict[str, Any] = {"restore": Reports, "apply": LedgerStore, "delete": FindingsStore}
    with monkeypatch.context() as patch:
        patch.setattr(where[dies_at], dies_at, die)
        with pytest.RaisesGroup(Death, flatten_subgroups=True):
            async with opened(tmp_path) as site, kept(site):
                await trio.sleep_forever()
    async with opened(tmp_path) as site, kept(site):
        assert await site.entries() == [(START + 600, WEEK, 1)]


async def test_a_report_that_is_gone_before_it_is_read_is_left_out(tmp_path: Path) -> None:
    async with opened(tmp_path) as site:
        older = await site.scanned(1, days=0, export="")
        await site.findings.delete(older.task_id)
        await site.scanned(2, days=7)
        assert len(await site.keeper._ready()) == 2
        ExportStore(tmp_path / "exports").delete([older.task_id])
        async with kept(site):
            assert await site.entries() == [(WEEK, WEEK, 0)]
            assert site.keeper.waiting == 0


async def test_what_a_part_did_not_scan_is_not_called_silent(tmp_path: Path) -> None:
    """The scanner of one part was lost: its hosts and empty addresses were not scanned."""
    async with opened(tmp_path) as site, kept(site):
        targets = ("192.0.2.0/30", "198.51.100.0/30")
        request = a_request(targets=targets)
        for order, hosts in ((1, ("192.0.2.1", "198.51.100.1")), (5, ("192.0.2.1",))):
            at = START + order * 86400.0
            task = a_task(
                order, request=request, state=TaskState.COMPLETED, created_at=at, launched_at=at,
                scanner_instance="east", summary={"hosts": 1},
                entered={TaskState.COMPLETED: at + 600},
            )  # fmt: skip
            parts: list[Task] = []
            if len(hosts) == 1:
                groups = [PartGroup(ranges=(text,), size=4, hosts=4, cut=4) for text in targets]
                parts = [
                    attrs.evolve(
                        task, task_id=f"{task.task_id}-{number}", order=order + number,
                        request=a_request(targets=(targets[number - 1],)), state=state,
                        entered={state: at + 600}, summary=None,
                        part=Part(task_id=task.task_id, number=number, group=number - 1, start=0,
                                  size=4, hosts=4),
                    )
                    for number, state in ((1, TaskState.COMPLETED), (2, TaskState.TIMED_OUT))
                ]  # fmt: skip
                task = attrs.evolve(
                    task, scanner_instance=None, split=Split(groups=tuple(groups), parts=2),
                    state=TaskState.PARTIAL, entered={TaskState.PARTIAL: at + 600},
                    partial="1 part of 2 ended timed_out",
                )  # fmt: skip
            tags = {"HOST_END_TIMESTAMP": str(int(at + 600))}
            weak = item(10001, severity=3, port=443)
            reader = Reader(BytesIO(document(*(host(name, weak, tags=tags) for name in hosts))))
            await site.findings.put(
                task.task_id, reader, at=at + 700,
                coverage=partial(lambda reader: scan_coverage(reader.report), reader),
            )  # fmt: skip
            for each in (*parts, task):
                await site.tasks.submit(each, submitted(each))
            await site.entries()
        (found,) = await site.keeper.hosts(
            "198.51.100.1", shown=Shown.OPEN, least_severity=0, limit=9, offset=0, now=START + 9e6
        )
        assert [each.life.reason for each in found.entries] == [Reason.HOST_UNFINISHED]
        asked = parse_targets(["198.51.100.0/31"])
        for days, expected in (
            (0, [Reach.NEVER_ANSWERED, Reach.UNFINISHED]),
            (3, [Reach.NOT_LATELY, Reach.NOT_LATELY]),
        ):
            reached = await site.keeper.reach(asked, START + days * 86400.0)
            assert [each.status for each in reached] == expected


def test_a_part_has_no_findings_of_its_own() -> None:
    task = a_task(1, state=TaskState.COMPLETED, summary={})
    assert ended(task)
    part = Part(task_id="t", number=1, group=0, start=0, size=1, hosts=1)
    assert not ended(attrs.evolve(task, part=part))
    assert not ended(attrs.evolve(task, state=TaskState.EXPORTING))


@pytest.mark.parametrize("changes", [{"template": "advanced"}, {"settings": {"a": "b"}}])
def test_scans_of_another_kind_are_another_series(changes: dict[str, Any]) -> None:
    task = a_task(1, scanner_instance="east")
    other = attrs.evolve(task, request=attrs.evolve(task.request, **changes))
    assert origin_of(task).series != origin_of(other).series
    relogged = attrs.evolve(task, request=attrs.evolve(task.request, credentials=("linux",)))
    assert origin_of(task).series == origin_of(relogged).series
