"""Scans as objects on the scanner, and the engine that runs them over time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any

import attrs

from nessus_sched.sim.fields import bad_field, list_field, object_field
from nessus_sched.sim.findings.compliance import Audit
from nessus_sched.sim.findings.conduct import Conduct
from nessus_sched.sim.findings.logins import SentCredential
from nessus_sched.sim.findings.report import Report, ScanOrder
from nessus_sched.sim.ledger import Ledger
from nessus_sched.sim.messages import ApiError, NotFound
from nessus_sched.sim.runs import UNDER_WAY, Run, RunStatus


@attrs.define(kw_only=True)
class Scan:
    """`settings` are those of the request by name; `runs` are sorted oldest first."""

    id: int
    name: str
    template_uuid: str
    template: str
    policy_title: str
    folder_id: int
    targets: tuple[str, ...]
    owner: str
    owner_id: int
    created_at: float
    modified_at: float
    settings: dict[str, Any] = attrs.field(factory=dict)
    plugins: dict[str, Any] = attrs.field(factory=dict)
    """Plugin families as sent in the request."""
    credentials: list[SentCredential] = attrs.field(factory=list)
    audits: list[Audit] = attrs.field(factory=list)
    policy_id: int | None = None
    enabled: bool = True
    read: bool = True
    imported: bool = False
    uuid: str = ""
    runs: list[Run] = attrs.field(factory=list)

    @property
    def latest(self) -> Run | None:
        return self.runs[-1] if self.runs else None

    @property
    def status_text(self) -> str:
        return self.latest.status_text if self.latest else "empty"

    @property
    def busy(self) -> bool:
        return self.latest is not None and not self.latest.ended

    def run(self, history_id: int | None) -> Run | None:
        """The run with that id, or the latest; raises `NotFound` for an unknown id."""
        if history_id is None:
            return self.latest
        for run in self.runs:
            if run.history_id == history_id:
                return run
        raise NotFound("Scan not found")

    def order(self, targets: Sequence[str], conduct: Conduct) -> ScanOrder:
        return ScanOrder(
            scan_name=self.name,
            template=self.template,
            policy=self.policy_title,
            targets=tuple(targets),
            credentials=tuple(self.credentials),
            audits=tuple(self.audits),
            template_uuid=self.template_uuid,
            conduct=conduct,
        )


@attrs.frozen(kw_only=True)
class LaunchPlan:
    """The properties of a new run, decided by the simulator before the engine starts it."""

    uuid: str
    targets: tuple[str, ...]
    alt_targets: bool
    takes: float
    transition_takes: float
    report: Report
    pause_takes: float | None = None
    aborts_at: float | None = None
    held: bool = False
    shown_as: str | None = None


_PAUSABLE = frozenset({RunStatus.RUNNING})
_RESUMABLE = frozenset({RunStatus.PAUSED})
_STOPPABLE = frozenset(
    {RunStatus.PENDING, RunStatus.RUNNING, RunStatus.PAUSED, RunStatus.PAUSING, RunStatus.RESUMING}
)


@attrs.define(kw_only=True)
class Engine:
    """All scans by id, with their runs. `max_scans` returns the limit, 0 for none."""

    ledger: Ledger
    ids: Iterator[int]
    max_scans: Callable[[], int]
    scans: dict[int, Scan] = attrs.field(factory=dict)
    _history_ids: Iterator[int] = attrs.field(factory=lambda: count(2), init=False)

    def get(self, scan_id: int) -> Scan:
        try:
            return self.scans[scan_id]
        except KeyError:
            raise NotFound from None

    def unfinished(self) -> list[Run]:
        runs = [scan.latest for scan in self.scans.values() if scan.latest is not None]
        return sorted((run for run in runs if not run.ended), key=lambda run: run.history_id)

    def under_way(self) -> int:
        return sum(run.status in UNDER_WAY for run in self.unfinished())

    def full(self) -> bool:
        limit = self.max_scans()
        return 0 < limit <= self.under_way()

    def advance(self, now: float) -> None:
        """Applies all changes due until `now`, in order."""
        while steps := [step for run in self.unfinished() if (step := run.next_step())]:
            first = min(steps, key=lambda step: step.at)
            if first.at > now:
                break
            first.run.enter(first.status, first.at)
            self._start_pending(first.at)
        self._start_pending(now)

    def launch(self, scan: Scan, plan: LaunchPlan, now: float) -> Run:
        run = self._new_run(scan, plan, now)
        scan.runs.append(run)
        scan.read = False
        self._start_pending(now)
        return run

    def add_imported(self, scan: Scan, report: Report, uuid: str, now: float) -> None:
        """Adds a finished run that was imported from a file."""
        plan = LaunchPlan(
            uuid=uuid,
            targets=tuple(host.name for host in report.hosts),
            alt_targets=False,
            takes=0.0,
            transition_takes=0.0,
            report=report,
        )
        run = self._new_run(scan, plan, now)
        run.enter(RunStatus.IMPORTED, now)
        scan.runs.append(run)
        self.scans[scan.id] = scan

    def pause(self, scan: Scan, now: float) -> None:
        self._move(scan, _PAUSABLE, RunStatus.PAUSING, now)

    def resume(self, scan: Scan, now: float) -> None:
        self._move(scan, _RESUMABLE, RunStatus.RESUMING, now)

    def stop(self, scan: Scan, now: float) -> None:
        waits = scan.latest is not None and scan.latest.status is RunStatus.PENDING
        target = RunStatus.CANCELED if waits else RunStatus.STOPPING
        self._move(scan, _STOPPABLE, target, now)

    def kill(self, scan: Scan, now: float) -> None:
        """Ends the scan immediately, even one that hangs in `stopping`."""
        self._move(scan, _STOPPABLE | {RunStatus.STOPPING}, RunStatus.CANCELED, now)

    def end_all(self, status: RunStatus, now: float) -> None:
        """Ends all unfinished runs, as a restart of the scanner does."""
        for run in self.unfinished():
            run.enter(status, now)
        self._note()

    def delete(self, scan: Scan) -> None:
        if scan.busy:
            raise ApiError(409, "Can not delete an active scan")
        del self.scans[scan.id]

    def delete_run(self, scan: Scan, history_id: int) -> None:
        run = scan.run(history_id)
        if run is None or not run.ended:
            raise ApiError(409, "Can not delete an active scan")
        scan.runs.remove(run)

    def by_run_uuid(self, uuid: str) -> Scan:
        for scan in self.scans.values():
            if scan.latest is not None and scan.latest.uuid == uuid:
                return scan
        raise NotFound

    def _new_run(self, scan: Scan, plan: LaunchPlan, now: float) -> Run:
        return Run(
            history_id=next(self._history_ids),
            created_at=now,
            modified_at=now,
            owner_id=scan.owner_id,
            **attrs.asdict(plan, recurse=False),
        )

    def _move(
        self, scan: Scan, allowed: frozenset[RunStatus], target: RunStatus, now: float
    ) -> None:
        run = scan.latest
        if run is None or run.status not in allowed:
            raise ApiError(409, f"The scan is {scan.status_text}")
        run.enter(target, now)
        self._start_pending(now)

    def _start_pending(self, at: float) -> None:
        for run in self.unfinished():
            if run.status is RunStatus.PENDING and not run.held and not self.full():
                run.enter(RunStatus.RUNNING, at)
        self._note()

    def _note(self) -> None:
        self.ledger.saw(self.under_way(), len(self.unfinished()))


def merge_credentials(
    existing: Sequence[SentCredential], change: Mapping[str, Any], ids: Iterator[int]
) -> list[SentCredential]:
    """Applies a `credentials` body: `add` by category and type, `edit` and `delete` by id."""
    gone = {str(name) for name in list_field(change, "delete")}
    edits = object_field(change, "edit")
    kept = [
        attrs.evolve(sent, fields={**sent.fields, **object_field(edits, str(sent.id))})
        for sent in existing
        if str(sent.id) not in gone
    ]
    added = object_field(change, "add")
    for category in added:
        types = object_field(added, category)
        for type_name in types:
            for fields in list_field(types, type_name):
                if not isinstance(fields, dict):
                    raise bad_field(type_name)
                sent = SentCredential(
                    id=next(ids), category=category, type=type_name, fields=fields
                )
                kept.append(sent)
    return kept
