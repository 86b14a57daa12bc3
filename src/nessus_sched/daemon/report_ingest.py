"""Reads, judges and stores the reports of finished scans."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import structlog
import trio

from nessus_sched.core.clock import Now
from nessus_sched.core.coverage import Unfinished
from nessus_sched.core.scanner import ScannerInfo
from nessus_sched.core.targets.targets import TargetSet, parse_targets, targets_from
from nessus_sched.core.task import Task
from nessus_sched.results.coverage import CoverageBuilder, scan_coverage
from nessus_sched.results.merge import MergedReader
from nessus_sched.results.model import HostEnd
from nessus_sched.results.parser.reader import Event
from nessus_sched.results.plausibility import ScanFacts
from nessus_sched.results.presence import finished_hosts, foreign_host
from nessus_sched.results.reached import by_target, covered, scanned_host
from nessus_sched.results.summary import SummaryBuilder
from nessus_sched.scheduler.driver.endings import was_edited
from nessus_sched.store.exports import BadExportFile, ExportStore, NoExport, salvage_export
from nessus_sched.store.findings.store import FindingsStore
from nessus_sched.telemetry import events

log = structlog.get_logger("daemon")

COMPRESSED_AT_ONCE = 1
"""Reports compressed at the same time: each takes a core. They are also read one at a time,
because the findings have one writer."""
PIECE = 1000
"""Events of a report between two looks for a cancellation."""


class Reports:
    """Implements the scheduler's `Reports` and `Digest` over the stores on disk."""

    def __init__(self, findings: FindingsStore, exports: ExportStore, now: Now) -> None:
        self.findings = findings
        self.exports = exports
        self._now = now
        self._compressing = trio.CapacityLimiter(COMPRESSED_AT_ONCE)

    def scratch(self, task_id: str) -> Path:
        """Where to fetch a report to. Restores the directory if someone deleted it."""
        with suppress(OSError):  # the write will fail, and is handled
            self.exports.directory.mkdir(mode=0o700, exist_ok=True)
        return self.exports.directory / f"{task_id}.fetched.part"

    async def keep(self, task_id: str, path: Path, attempt: int = 0) -> str:
        """Compresses the report of an attempt into the exports and removes `path`; durable on
        return."""

        def compress() -> str:
            with path.open("rb") as source:
                name = self.exports.write(
                    task_id, source, attempt=attempt, check=trio.from_thread.check_cancelled
                )
            path.unlink()  # here, because freeing a gigabyte takes a tenth of a second
            return name

        return await trio.to_thread.run_sync(compress, limiter=self._compressing)

    def kept(self, file: str) -> Path:
        """Where a report that was kept is."""
        return self.exports.path(file)

    async def finished_hosts(self, path: Path) -> Collection[str]:
        """The names and addresses of the hosts of the report that were finished."""

        def look() -> Collection[str]:
            with path.open("rb") as stream:
                return finished_hosts(stream)

        return await trio.to_thread.run_sync(look)

    async def foreign_host(self, path: Path, ours: TargetSet) -> str | None:
        """A host of the report that is not among `ours`; None if all are."""

        def look() -> str | None:
            with path.open("rb") as stream:
                return foreign_host(stream, ours)

        return await trio.to_thread.run_sync(look)

    async def drop(self, task_id: str) -> None:
        await self.findings.delete(task_id)
        await trio.to_thread.run_sync(self.exports.delete, [task_id])

    async def digest(
        self, task: Task, paths: Sequence[Path], info: ScannerInfo | None
    ) -> Mapping[str, Any]:
        """Like `read`, and logs it."""
        started = trio.current_time()
        summary = await self.read(task, paths, info)
        log.info(
            events.PARSED,
            **{key: summary[key] for key in ("findings", "hosts", "complete")},
            seconds=round(trio.current_time() - started, 3),
        )
        return summary

    async def read(
        self, task: Task, paths: Sequence[Path], info: ScannerInfo | None
    ) -> Mapping[str, Any]:
        """Reads the reports of a task's scans as one: stores the findings, and returns the summary
        with counts and verdicts. Findings of a part are stored with those of the whole task. A
        file that someone deleted is left out, and a damaged one counts up to the damage."""
        builder = SummaryBuilder()
        there = await trio.to_thread.run_sync(self._there, paths)
        reader = MergedReader([partial(_open, path) for path in there])
        found = _tee(reader, builder)
        if task.part is not None:
            covered = await trio.to_thread.run_sync(_coverage_of, task, found)
        else:
            await self._store(task, reader, found, there, self._now())
            covered = await self._coverage(task)
        return {**builder.finish(reader.report, self._facts(task, info)), **covered}

    async def with_reports(self) -> Mapping[str, float]:
        """The tasks and parts of which a report is kept, and when the latest was stored."""
        return await trio.to_thread.run_sync(self.exports.latest, abandon_on_cancel=True)

    async def restore(self, task: Task) -> bool:
        """Stores the findings of a task, which were deleted, again from the reports that are kept
        of it; False if there are none, or damaged ones."""
        try:
            # A report that has to be fetched first may be large, and its database silent.
            paths = await trio.to_thread.run_sync(
                self.exports.files, task.task_id, abandon_on_cancel=True
            )
        except NoExport:
            return False
        except BadExportFile as error:
            log.warning(events.REPORT_UNREADABLE, task_id=task.task_id, reason=str(error))
            return False
        reader = MergedReader([partial(_open, path) for path in paths])
        await self._store(task, reader, reader, paths, task.entered[task.state])
        return True

    async def _store(
        self,
        task: Task,
        reader: MergedReader,
        found: Iterable[Event],
        paths: Sequence[Path],
        at: float,
    ) -> None:
        scanners = _scanners_of(task, paths)
        await self.findings.put(
            task.task_id,
            found,
            at=at,
            coverage=lambda: scan_coverage(
                reader.report, ((first, scanners[number]) for first, number in reader.runs)
            ),
            sent=task.asked.logins if task.asked is not None else (),
        )

    def _there(self, paths: Sequence[Path]) -> list[Path]:
        """Without reports that are gone, unless nothing is left then."""
        self.exports.fetch(paths)
        found = [path for path in paths if path.exists()]
        for path in set(paths).difference(found):
            log.warning(events.REPORT_GONE, file=path.name)
        return found or list(paths[-1:])

    async def _coverage(self, task: Task) -> dict[str, Any]:
        if not task.request.targets:
            return {}  # an imported report
        return {
            "coverage": await self.findings.coverage_as(
                task.task_id,
                task.request.targets,
                lambda: [_left(task)],
                lambda coverage, _: coverage.document(),
            )
        }

    def _facts(self, task: Task, info: ScannerInfo | None) -> ScanFacts:
        if task.scanner_instance is None and task.split is None:
            return ScanFacts()  # imported: what was asked for, and when, is unknown
        return ScanFacts(
            now=self._now(),
            asked=task.asked,
            requested=task.request.targets,
            credential=bool(task.request.credentials),
            # A policy has logins of its own.
            no_login=not task.request.credentials and task.request.policy is None,
            used_up=_license_exhausted_at(info),
            ended_early=task.partial,
            in_parts=task.split is not None,
            edited=was_edited(task.ending),
        )


def _license_exhausted_at(info: ScannerInfo | None) -> int | None:
    """The number of licensed hosts if the license has no room for more."""
    if info is None or info.licensed_hosts is None or info.used_hosts is None:
        return None
    return info.licensed_hosts if info.used_hosts >= info.licensed_hosts else None


def _open(path: Path) -> AbstractContextManager[BinaryIO]:
    """A report that was just fetched, or one that is kept."""
    return salvage_export(path) if path.suffix == ".gz" else path.open("rb")


def _tee(reader: MergedReader, builder: SummaryBuilder) -> Iterator[Event]:
    for event in reader:
        builder.add(event)
        yield event


def _coverage_of(task: Task, events: Iterable[Event]) -> dict[str, Any]:
    """What became of the targets of a part, whose findings are not stored."""
    builder, found = CoverageBuilder(), []
    for number, event in enumerate(events):
        if number % PIECE == 0:
            trio.from_thread.check_cancelled()
        seen = builder.add(event)
        if seen is not None and isinstance(event, HostEnd):
            found.append(scanned_host(event.host, seen))
    asked = parse_targets(task.request.targets)
    return {"coverage": covered(asked, [_left(task)], by_target(found)).document()}


def _left(task: Task) -> Unfinished:
    return Unfinished(targets_from(task.remaining or ()), "")


def _scanners_of(task: Task, paths: Sequence[Path]) -> list[str]:
    """The scanners that the reports are from. One that was just fetched is the task's own."""
    known = {report.file: report.scanner_instance for report in task.kept_reports}
    return [known.get(path.name, task.scanner_instance) or "" for path in paths]
