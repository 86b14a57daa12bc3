"""What DefectDojo gets of a task, and when findings may be missing without being fixed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import attrs
import pytest

from nessus_sched.config.delivery import DefectDojoSink, RouteSettings, SinkSettings, When
from nessus_sched.config.schema import Config
from nessus_sched.core.delivery.happenings import Happening
from nessus_sched.core.secret import Secret
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import Part, ScanKind, ScanRequest, ScheduledFor, Task, Verify
from nessus_sched.daemon.kept_scans import TaskScans, doubt_of, title_of
from nessus_sched.delivery.dojo.upload import merged
from nessus_sched.delivery.kept_scans import KeptScan, ScanGone
from nessus_sched.delivery.routes import routes_of
from nessus_sched.store.exports import ExportStore
from support.ledger_book import DAY, T0, Book, machine, open_book
from support.nessus_xml import document, host, item
from support.stored import a_task

TASK = "t00000001"


def task(**changes: Any) -> Task:
    usual: dict[str, Any] = {
        "task_id": TASK,
        "state": TaskState.COMPLETED,
        "request": request(),
        "attempt": 1,
        "summary": summary(),
        "scanner_instance": "east",
        "schedule": ScheduledFor(schedule_id="s-1", name="weekly", nominal=float(T0)),
    }
    return attrs.evolve(a_task(1), **{**usual, **changes})


def request(**changes: Any) -> ScanRequest:
    usual: dict[str, Any] = {"kind": ScanKind.BASIC, "targets": ("192.0.2.0/24",), "name": "DMZ"}
    return ScanRequest(**{**usual, **changes})


def summary(**changes: Any) -> dict[str, Any]:
    return {
        "hosts": 2,
        "hosts_finished": 2,
        "complete": True,
        "coverage": {"not_reached": 0},
        "verdict": {"credentialed": "yes"},
        **changes,
    }


VERIFY = Verify(plugins={}, findings=(), series="basic")


@pytest.mark.parametrize(
    ("changes", "doubt"),
    [
        ({}, None),
        ({"request": request(credentials=("root",))}, None),
        ({"schedule": None}, "no schedule repeats it"),
        ({"state": TaskState.PARTIAL}, "it did not complete"),
        ({"partial": "the window closed"}, "it did not complete"),
        ({"request": request(verify=VERIFY)}, "it scanned a part of what an earlier task did"),
        ({"request": request(rescan_of="t-0")}, "it scanned a part of what an earlier task did"),
        ({"summary": summary(complete=False)}, "its report is not complete"),
        ({"summary": summary(coverage={"not_reached": 3})}, "some targets were not reached"),
        ({"summary": summary(coverage=None)}, "some targets were not reached"),
        (
            {
                "request": request(credentials=("root",)),
                "summary": summary(verdict={"credentialed": "partly"}),
            },
            "logins failed",
        ),
    ],
)
def test_doubts(changes: dict[str, Any], doubt: str | None) -> None:
    assert doubt_of(task(**changes)) == doubt


def test_titles() -> None:
    assert title_of(task()) == "weekly"
    assert title_of(task(schedule=None)) == "DMZ"
    unnamed = request(name="", targets=tuple(f"192.0.2.{n}" for n in range(9)))
    assert title_of(task(schedule=None, request=unnamed)).count(", ") == 4


@attrs.frozen
class Desk:
    book: Book
    exports: ExportStore
    tasks: dict[str, Task]
    now: float = float(T0 + 3 * DAY)

    async def get(self, task_id: str) -> Task | None:
        return self.tasks.get(task_id)

    async def has(self, task_id: str) -> bool:
        return await self.book.ledger.has(task_id)

    async def search(self, search: Any) -> Any:
        return await self.book.ledger.search(search)

    async def scan(self, task_id: str = TASK) -> KeptScan | None:
        scans = TaskScans(
            tasks=cast(Any, self),
            exports=self.exports,
            ledger=cast(Any, self),
            config=lambda: Config(state_directory=Path("/")),
            wall=lambda: self.now,
        )
        return await scans.scan(task_id)

    async def doubt(self) -> str | None:
        found = await self.scan()
        assert found is not None
        return found.doubt

    def keep(self, name: str, *hosts: str, folder: Path) -> None:
        fetched = folder / "fetched"
        fetched.write_bytes(document(*hosts))
        with fetched.open("rb") as source:
            self.exports.write(name, source)


def desk(book: Book, folder: Path, **changes: Any) -> Desk:
    exports = ExportStore(folder / "exports")
    exports.prepare()
    return Desk(book, exports, {TASK: task(**changes)})


async def test_a_scan_with_the_reports_of_all_its_parts(tmp_path: Path) -> None:
    async with open_book(tmp_path) as book:
        place = desk(book, tmp_path)
        place.keep(f"{TASK}-1", host("192.0.2.1", item(11)), folder=tmp_path)
        place.keep(f"{TASK}-2", host("192.0.2.2", item(12)), folder=tmp_path)
        await book.scan(machine("192.0.2.1", at=T0), task_id=TASK, at=T0)
        found = await place.scan()
        assert found is not None
        assert (found.title, found.way, found.doubt) == ("weekly", "basic", None)
        assert found.targets == ("192.0.2.0/24",)
        report = b"".join(merged(found.reports))
        assert report.count(b"<ReportHost") == 2
        assert report.count(b"</Report>") == 1


async def test_findings_that_the_ledger_could_not_verify_are_a_doubt(tmp_path: Path) -> None:
    async with open_book(tmp_path) as book:
        place = desk(book, tmp_path)
        place.keep(TASK, host("192.0.2.1"), folder=tmp_path)
        assert await place.doubt() == "the ledger does not have it"
        there = machine("192.0.2.1", item(11, severity=3), at=T0)
        await book.scan(there, task_id="t-0", at=T0, plugins=(11,))
        silent = host("192.0.2.1", tags={"HOST_END_TIMESTAMP": str(T0 + DAY)})
        await book.scan(silent, task_id=TASK, at=T0 + DAY, plugins=(11,), asked=("192.0.2.1",))
        assert await place.doubt() == "1 finding could not be verified"
        elsewhere = task(request=request(targets=("198.51.100.0/24",)))
        place.tasks[TASK] = elsewhere
        assert await place.doubt() is None
        # What was not seen for very long keeps nothing else open.
        place.tasks[TASK] = task()
        later = attrs.evolve(place, now=float(T0 + 1000 * DAY))
        assert await later.doubt() is None


async def test_tasks_without_reports(tmp_path: Path) -> None:
    async with open_book(tmp_path) as book:
        place = desk(book, tmp_path)
        with pytest.raises(ScanGone, match=f"reports of task {TASK} are no longer kept"):
            await place.scan()
        with pytest.raises(ScanGone, match="task t-9 is no longer stored"):
            await place.scan("t-9")
        part = Part(task_id="t-0", number=1, group=0, start=0, size=1, hosts=1)
        for other in (
            task(summary=None, state=TaskState.DEAD),
            task(state=TaskState.RUNNING),
            task(part=part),
        ):
            place.tasks[TASK] = other
            assert await place.scan() is None


def test_a_route_to_defectdojo_is_about_ended_tasks() -> None:
    sink = DefectDojoSink(url="https://dojo.example.com", token=Secret("x" * 20), product="Network")
    config = Config(
        state_directory=Path("/"),
        sinks=(SinkSettings(name="dojo", defectdojo=sink),),
        routes=(RouteSettings(name="all", sink="dojo", when=When.TASK_END),),
    )
    (route,) = routes_of(config)
    wanted = [happening for happening in Happening if route.wants(happening)]
    assert wanted == [Happening.COMPLETED, Happening.FAILED]
