"""Imports reports from elsewhere as completed tasks, piece by piece.

The client sends the file's content, so the daemon cannot be used to read files that the caller
cannot read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, Final

import attrs
import trio

from nessus_sched.core.clock import Now
from nessus_sched.core.ids import new_task_id, new_trace_id
from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.masking import Masker
from nessus_sched.core.outcome import OUTCOME, outcome_of
from nessus_sched.core.states import TaskState
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.core.targets.targets import BadTargets, parse_targets
from nessus_sched.core.task import ScanKind, ScanRequest, Task
from nessus_sched.core.task_store import TaskStore
from nessus_sched.results.summary import empty_reason
from nessus_sched.scheduler.context import IngestReport, Reports
from nessus_sched.scheduler.errors import NotPossible, RequestError

OPEN_AT_ONCE: Final = 4
FORGOTTEN_AFTER: Final = 600.0
"""Seconds without another piece after which a report is given up."""


class UnreadableReport(RequestError):
    """There is nothing in it to keep."""

    code = "unreadable_report"


@attrs.define(kw_only=True, eq=False)
class _Upload:
    """A report that the client `owner` is sending; `size` bytes have arrived. `held`: a piece is
    being written, or the report is being read."""

    task_id: str
    owner: str
    name: str
    file: str
    path: Path
    touched_at: float
    size: int = 0
    held: bool = False


@attrs.frozen(kw_only=True)
class Imports:
    """What is under way. `next_order` gives the next place in the order of acceptance,
    `most` the bytes that a report may have. `kept` is called when one was imported."""

    store: TaskStore
    reports: Reports
    digest: IngestReport
    now: Now
    wall: Now
    random: Random
    next_order: Callable[[], int]
    most: Callable[[], int]
    kept: Callable[[], None] = lambda: None
    mask: Masker = attrs.field(factory=Masker)
    _uploads: dict[str, _Upload] = attrs.field(factory=dict, init=False)

    def begin(self, *, name: str, file: str, owner: str) -> str:
        """Makes room for a report that came from a file of that name; the id of the task
        that it will be. Raises `NotPossible` while too many are under way."""
        now = self.now()
        self._forget(before=now - FORGOTTEN_AFTER)
        if len(self._uploads) >= OPEN_AT_ONCE:
            raise NotPossible(
                f"{OPEN_AT_ONCE} reports are being imported already", hint="try again in a while"
            )
        task_id = new_task_id(self.random, self.wall())
        path = self.reports.scratch(task_id)
        self._uploads[task_id] = _Upload(
            task_id=task_id, owner=owner, name=name, file=file, path=path, touched_at=now
        )
        return task_id

    async def add(self, task_id: str, piece: bytes, *, owner: str) -> None:
        """The next piece of the report. Raises `RequestError` or `StoreUnavailable`, and then
        it is given up."""
        with self._held(task_id, owner) as upload:
            upload.size += len(piece)
            if upload.size > self.most():
                raise RequestError(
                    f"the report is larger than the {self.most()} bytes of limits.export_size",
                    code="report_too_large",
                )
            await trio.to_thread.run_sync(_append, upload.path, piece)
            upload.touched_at = self.now()

    async def finish(
        self, task_id: str, *, owner: str, actor: str, trace_id: str | None = None
    ) -> Task:
        """Reads the report and keeps it: findings, file and task, or nothing at all. Raises
        `UnreadableReport` or `StoreUnavailable`."""
        with self._held(task_id, owner, last=True) as upload:
            stored = False
            try:
                task = await self._kept(upload, actor, trace_id or new_trace_id(self.random))
                stored = True
            finally:
                if not stored:
                    with trio.CancelScope(shield=True):
                        await self.reports.drop(task_id)
        return task

    def abandon(self, owner: str) -> None:
        """Drops the uploads of a client that disconnected."""
        for upload in list(self._uploads.values()):
            if upload.owner == owner and not upload.held:
                self._give_up(upload)

    def _forget(self, before: float) -> None:
        for upload in list(self._uploads.values()):
            if upload.touched_at < before and not upload.held:
                self._give_up(upload)

    def _give_up(self, upload: _Upload) -> None:
        del self._uploads[upload.task_id]
        upload.path.unlink(missing_ok=True)

    @contextmanager
    def _held(self, task_id: str, owner: str, *, last: bool = False) -> Iterator[_Upload]:
        """The report, for this block alone; dropped afterwards if the block fails or was the
        `last`."""
        upload = self._uploads.get(task_id)
        if upload is None or upload.owner != owner or upload.held:
            raise NotPossible(f"no report {task_id!r} is being imported here", hint="begin again")
        upload.held, goes_on = True, False
        try:
            yield upload
            goes_on = not last
        finally:
            upload.held = False
            if not goes_on:
                self._give_up(upload)

    async def _kept(self, upload: _Upload, actor: str, trace_id: str) -> Task:
        now, task_id = self.wall(), upload.task_id
        task = Task(
            task_id=task_id,
            trace_id=trace_id,
            request=ScanRequest(kind=ScanKind.CUSTOM, targets=(), name=upload.name),
            actor=actor,
            created_at=now,
            order=0,
            state=TaskState.COMPLETED,
            entered={TaskState.COMPLETED: now},
        )
        await trio.to_thread.run_sync(_append, upload.path, b"")  # of an empty file nothing came
        summary = await self.digest(task, [upload.path], None)
        problem = empty_reason(summary)
        if problem is not None:
            raise UnreadableReport(f"{upload.file}: {problem}")
        kept = await self.reports.keep(task_id, upload.path)
        task = attrs.evolve(
            task,
            order=self.next_order(),
            request=attrs.evolve(task.request, targets=_targets(summary)),
            export_file=kept,
            summary=summary,
        )
        entry = JournalEntry(
            at=now,
            event="imported",
            actor=actor,
            task_id=task_id,
            after=task.state,
            detail=self.mask.masked({"file": upload.file, OUTCOME: outcome_of(task)}),
        )
        await self.store.submit(task, entry)
        self.kept()
        return task


def _append(path: Path, piece: bytes) -> None:
    try:
        with path.open("ab") as file:
            file.write(piece)
    except OSError as error:
        raise StoreUnavailable(f"the report cannot be written: {error.strerror}") from error


def _targets(summary: Mapping[str, Any]) -> tuple[str, ...]:
    hosts = (each["host"] for each in summary["host_verdicts"])
    return tuple(host for host in hosts if _readable(host))


def _readable(target: str) -> bool:
    try:
        parse_targets([target])
    except BadTargets:
        return False
    return True
