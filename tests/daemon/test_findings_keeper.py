"""Findings that are not here are read again from reports, before the ledger goes on."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from io import BytesIO
from pathlib import Path

import attrs
import pytest
import trio

from nessus_sched.config.ledger import LedgerSettings
from nessus_sched.core.states import TaskState
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.core.task import Task
from nessus_sched.daemon.ledger_keeper import LedgerKeeper
from nessus_sched.daemon.report_ingest import Reports
from nessus_sched.daemon.storage.findings_keeper import RETRY, FindingsKeeper
from nessus_sched.daemon.storage.stored_findings import StoredFindings
from nessus_sched.scheduler.exceptions import Exceptions
from nessus_sched.store.executor import Inline
from nessus_sched.store.exports import BadExportFile, ExportStore
from nessus_sched.store.findings.store import open_findings
from nessus_sched.store.ledger.store import open_ledger
from nessus_sched.store.tasks.store import TaskStore
from support.bare import bare_context
from support.nessus_xml import document, host, item
from support.stored import START, a_task, submitted

NOW = START + 9e6


@attrs.define(slots=False)
class Machine:
    """A state directory; each run opens what is in it."""

    path: Path
    shared: bool = True
    kept_since: float = 0.0
    refused: int = 0
    """How often the reports cannot be listed."""
    damaged: str = ""
    """The task whose report in the database is damaged."""
    now: float = NOW
    read: list[str] = attrs.field(factory=list)
    """The tasks whose reports were read, in that order."""
    purges: str = ""
    """The task that is deleted while its report is read."""

    def exports(self) -> ExportStore:
        exports = ExportStore(self.path / "exports")
        exports.prepare()
        return exports

    async def scanned(self, order: int, *, day: float, report: str = "", severity: int = 3) -> Task:
        """A finished scan whose report is here, and its findings are not."""
        at = START + day * 86400
        task = a_task(
            order, state=TaskState.COMPLETED, created_at=at, launched_at=at,
            scanner_instance="east", summary={"hosts": 1}, entered={TaskState.COMPLETED: at + 600},
        )  # fmt: skip
        tags = {"HOST_END_TIMESTAMP": str(int(at + 600))}
        text = document(host("192.0.2.1", item(10001, severity=severity, port=443), tags=tags))
        self.exports().write(task.task_id + report, BytesIO(text))
        async with TaskStore.open(self.path, now=lambda: START) as tasks:
            await tasks.submit(task, submitted(task))
        return task

    async def run(self) -> dict[str, float]:
        """What is stored in the findings once nothing is left to be read and entered."""
        findings = await open_findings(self.path / "findings.db", Inline())
        ledger = await open_ledger(self.path / "ledger.db", self.path / "findings.db", Inline())
        async with TaskStore.open(self.path, now=lambda: START) as tasks:
            self.tasks, self.read = tasks, []
            reports = _Reports(
                self,
                findings,
                _Exports(self.exports().directory, damaged=self.damaged),
                lambda: self.now,
            )
            keeper = LedgerKeeper(
                ledger=ledger, tasks=tasks, settings=LedgerSettings, wall=lambda: self.now,
                exceptions=Exceptions(bare_context(tasks, lambda: self.now)), findings=findings,
                reports=reports,
            )  # fmt: skip
            stored = StoredFindings(
                reports=reports, findings=findings, tasks=tasks,
                expired=lambda: self.kept_since, shared=self.shared,
            )  # fmt: skip
            finder = FindingsKeeper(stored=stored, ledger=ledger, wake=keeper.wake, began=self.now)
            keeper.prepare = finder.prepare
            async with trio.open_nursery() as nursery:
                nursery.start_soon(keeper.run)
                await finder.run()
                await keeper.settled()
                nursery.cancel_scope.cancel()
            found = dict(await findings.imports())
        await ledger.aclose()
        await findings.aclose()
        return found

    def ledger(self, sql: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.path / "ledger.db")) as connection:
            return connection.execute(sql).fetchall()

    def lose(self, name: str) -> None:
        for suffix in ("", "-wal", "-shm"):
            (self.path / (name + suffix)).unlink(missing_ok=True)


@attrs.frozen
class _Exports(ExportStore):
    damaged: str = ""

    def files(self, task_id: str) -> list[Path]:
        if task_id == self.damaged:
            raise BadExportFile("it is damaged in the database")
        return super().files(task_id)


class _Reports(Reports):
    def __init__(self, machine: Machine, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self._machine = machine

    async def with_reports(self) -> dict[str, float]:
        if self._machine.refused:
            self._machine.refused -= 1
            raise StoreUnavailable("the database is away")
        return dict.fromkeys(await super().with_reports(), START)

    async def restore(self, task: Task) -> bool:
        self._machine.read.append(task.task_id)
        restored = await super().restore(task)
        if task.task_id == self._machine.purges:
            await self._machine.tasks.purge_tasks([task.task_id], at=NOW)
        return restored


APPLIED = "SELECT task_id, applied_at, late, hosts FROM runs ORDER BY run"


async def test_scans_that_the_ledger_lacks_are_entered_in_the_order_of_time(
    tmp_path: Path,
) -> None:
    here = Machine(tmp_path)
    tasks = [await here.scanned(order, day=day) for order, day in ((1, 7), (2, 1), (3, 4))]
    assert set(await here.run()) == {task.task_id for task in tasks}
    order = [tasks[1].task_id, tasks[2].task_id, tasks[0].task_id]
    assert [row[0] for row in here.ledger(APPLIED)] == order
    assert [row[2] for row in here.ledger(APPLIED)] == [0, 0, 0]


async def test_findings_that_were_entered_before_are_read_and_not_entered_again(
    tmp_path: Path,
) -> None:
    here = Machine(tmp_path)
    for order, day in ((1, 1), (2, 7)):
        await here.scanned(order, day=day)
    first = await here.run()
    before = here.ledger(APPLIED), here.ledger("SELECT * FROM entries")
    here.lose("findings.db")
    here.now += 1000
    assert await here.run() == first
    assert (here.ledger(APPLIED), here.ledger("SELECT * FROM entries")) == before
    assert await here.run() == first


async def test_findings_of_an_earlier_attempt_are_replaced_if_reports_are_shared(
    tmp_path: Path,
) -> None:
    here = Machine(tmp_path)
    task = await here.scanned(1, day=1)
    await here.run()
    findings = await open_findings(tmp_path / "findings.db", Inline())
    await findings.put(task.task_id, iter(()), at=START - 1)
    await findings.aclose()
    here.shared = False
    assert (await here.run())[task.task_id] == START - 1
    here.shared = True
    assert (await here.run())[task.task_id] == task.entered[task.state]


async def test_findings_whose_retention_is_over_are_not_kept(tmp_path: Path) -> None:
    here = Machine(tmp_path, kept_since=START + 5 * 86400)
    await here.scanned(1, day=1)
    younger = await here.scanned(2, day=7)
    assert set(await here.run()) == {younger.task_id}
    assert len(here.ledger(APPLIED)) == 2  # the ledger has both, nevertheless


async def test_the_latest_are_read_first_once_the_ledger_has_all(tmp_path: Path) -> None:
    here = Machine(tmp_path)
    tasks = [await here.scanned(order, day=order) for order in (1, 2, 3)]
    await here.run()
    here.lose("findings.db")
    await here.run()
    assert here.read == [task.task_id for task in reversed(tasks)]
    with closing(sqlite3.connect(tmp_path / "findings.db")) as connection:
        stored = connection.execute(
            "SELECT task_id, scan FROM scans WHERE ready ORDER BY scan"
        ).fetchall()
    assert here.ledger("SELECT task_id, source FROM runs ORDER BY source") == stored
    await here.run()
    assert here.read == []


async def test_a_damaged_report_does_not_hold_up_the_others(tmp_path: Path) -> None:
    here = Machine(tmp_path)
    damaged, whole = [await here.scanned(order, day=order) for order in (1, 2)]
    here.damaged = damaged.task_id
    assert set(await here.run()) == {whole.task_id}
    assert here.ledger("SELECT task_id FROM runs") == [(whole.task_id,)]


async def test_a_task_that_is_deleted_meanwhile_leaves_no_findings(tmp_path: Path) -> None:
    here = Machine(tmp_path)
    gone, left = [await here.scanned(order, day=order) for order in (1, 2)]
    here.purges = gone.task_id
    assert set(await here.run()) == {left.task_id}


async def test_findings_of_tasks_that_another_machine_deleted_go(tmp_path: Path) -> None:
    here = Machine(tmp_path)
    gone, left, reportless = [await here.scanned(order, day=order) for order in (1, 2, 3)]
    await here.run()
    async with TaskStore.open(tmp_path, now=lambda: START) as tasks:
        await tasks.purge_tasks([gone.task_id], at=NOW)
    here.exports().delete([gone.task_id, reportless.task_id])
    findings = await open_findings(tmp_path / "findings.db", Inline())
    await findings.put("t-imported", iter(()), at=NOW)  # its task is stored later
    await findings.aclose()
    here.shared = False
    assert gone.task_id in await here.run()
    here.shared = True
    assert set(await here.run()) == {left.task_id, reportless.task_id, "t-imported"}
    here.kept_since = NOW  # housekeeping deletes these; the ledger may be about to read them
    assert set(await here.run()) == {left.task_id, reportless.task_id, "t-imported"}


async def test_a_database_that_is_away_is_asked_again(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    here = Machine(tmp_path, refused=2)
    task = await here.scanned(1, day=1)
    began = trio.current_time()
    assert set(await here.run()) == {task.task_id}
    assert trio.current_time() - began >= 2 * RETRY


async def test_parts_are_read_with_the_whole(tmp_path: Path) -> None:
    here = Machine(tmp_path)
    task = await here.scanned(1, day=1, report="-1")
    assert set(await here.run()) == {task.task_id}


@pytest.mark.parametrize("times", [(START + 5, START - 5), (START - 5, START + 5)])
async def test_the_latest_report_of_all_parts_counts(
    tmp_path: Path, times: tuple[float, float]
) -> None:
    findings = await open_findings(tmp_path / "findings.db", Inline())
    await findings.put("t-5fk3m97k3m9pqr", iter(()), at=START)
    names = ("t-5fk3m97k3m9pqr-1", "t-5fk3m97k3m9pqr-2")
    exports = ExportStore(tmp_path)
    for name, at in zip(names, times, strict=True):
        exports.write(name, BytesIO(b""))
        os.utime(tmp_path / f"{name}.nessus.gz", (at, at))
    async with TaskStore.open(tmp_path, now=lambda: START) as tasks:
        stored = StoredFindings(
            reports=Reports(findings, exports, lambda: NOW), findings=findings, tasks=tasks,
            expired=lambda: 0.0, shared=True,
        )  # fmt: skip
        assert await stored.missing() == ["t-5fk3m97k3m9pqr"]
    await findings.aclose()
