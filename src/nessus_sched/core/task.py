"""A task: one accepted request and its whole life here."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import attrs

from nessus_sched.core.asked import Asked
from nessus_sched.core.states import TaskState

DEFAULT_POOL = "nessus"


class ScanKind(StrEnum):
    """What sort of scan was asked for; one per submit tool."""

    BASIC = "basic"
    TRUSTED = "trusted"
    PRIVILEGED = "privileged"
    CUSTOM = "custom"
    QUICK = "quick"
    COMPLIANCE = "compliance"


class Priority(StrEnum):
    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


class Discovery(StrEnum):
    """How far a quick scan looks."""

    HOSTS = "hosts"
    OS = "os"
    PORTS = "ports"


class OnEarlyEnd(StrEnum):
    """What is done when a scan ends early."""

    ROLL = "roll"
    """Keep what it found and scan the rest."""
    KEEP = "keep"
    """Keep what it found; the task ends."""
    DISCARD = "discard"
    """Delete what it found."""


class RequestedState(StrEnum):
    """What the submitter wants of a task now; durable, so that a crash cannot forget it."""

    RUN = "run"
    PAUSE = "pause"
    CANCEL = "cancel"


class Splitting(StrEnum):
    """Whether a task may be split into several scans."""

    AUTO = "auto"
    NEVER = "never"


@attrs.frozen(kw_only=True)
class ToVerify:
    """A finding in the ledger that a scan is to look for again; `host` is its name there."""

    host: str
    plugin_id: int
    port: int
    protocol: str


@attrs.frozen(kw_only=True)
class Verify:
    """Limits a scan to what shows whether `findings` are gone. `plugins` are the only plugins to
    run, by family; the scanner adds those that they depend on. `series` is that of the scans that
    saw the findings (see `results.ledger.hosts`)."""

    plugins: Mapping[str, tuple[int, ...]]
    findings: tuple[ToVerify, ...]
    series: str

    @property
    def plugin_ids(self) -> frozenset[int]:
        return frozenset().union(*self.plugins.values())


@attrs.frozen(kw_only=True)
class ScanRequest:
    """What was asked for, after validation and before any automatic choice of ours.

    `targets` are the normalised texts of `core.scope`; `credentials` are names from
    the configuration, never secrets, in the order in which to try them; `max_runtime` is in
    seconds.
    """

    kind: ScanKind
    targets: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    """What the submitter does not want scanned: already taken out of `targets`, and kept
    because a name may come to mean it."""
    name: str = ""
    description: str = ""
    scanner_instance: str | None = None
    pool: str = DEFAULT_POOL
    priority: Priority = Priority.NORMAL
    credentials: tuple[str, ...] = ()
    template: str | None = None
    policy: str | None = None
    audit: str | None = None
    discovery: Discovery | None = None
    profile: str | None = None
    """A scan profile of the configuration; None for the default of the kind, if any."""
    settings: Mapping[str, str] = attrs.field(factory=dict)
    max_runtime: float | None = None
    rescan_of: str | None = None
    """The task from whose hosts the targets were chosen."""
    verify: Verify | None = None
    """Set for a scan that verifies fixes; its template can select plugins."""
    between: str | None = None
    """The hours in which it may be scanned, as `core.calendar.timetable.own_hours` reads them."""
    deadline: str | None = None
    """When to cancel it at the latest, as `core.calendar.deadline.deadline_of` reads it."""
    split: Splitting = Splitting.AUTO
    partial_ok: bool = False
    """Scan what can be reached, and report the rest as not reached."""
    on_early_end: OnEarlyEnd | None = None
    """None: roll if the scanner aborted the scan, keep after `max_runtime` or if someone stopped
    it."""


@attrs.frozen(kw_only=True)
class Submitter:
    """Who asked for a task: the user at the other end of the socket, as the kernel told it at
    submission, and the program, as it called itself."""

    uid: int
    gid: int | None = None
    user: str | None = None
    client: str | None = None


@attrs.frozen(kw_only=True)
class TaskError:
    """The last thing that went wrong: `kind` is a stable machine code such as
    `scanner_unreachable`, `message` a sentence for a person."""

    kind: str
    message: str
    transient: bool
    at: float


class Outcome(StrEnum):
    """What becomes of a task whose scan ended early."""

    CANCELED = "canceled"
    TIMED_OUT = "timed_out"
    FAILED = "failed"
    """The attempt has failed: tried again, or a dead letter."""
    REQUEUED = "requeued"
    """It returns to its queue; no attempt is used up."""


@attrs.frozen(kw_only=True)
class Ending:
    """Why a scan ended early (`kind` is an `ErrorKind` or `canceled`), and what its task becomes
    once the results that it has were fetched."""

    outcome: Outcome
    kind: str
    message: str


@attrs.frozen(kw_only=True)
class Owed:
    """The scan of an attempt that was given up without its scanner's help. It remains to be
    stopped, its results to be fetched if `keep`, and removed, as soon as the scanner answers.

    `scan_id` is None when it is not known whether there is one. `ended`: it does not run any
    more. `reason` completes "the scan ended early: ...". `since` is in epoch seconds.
    """

    attempt: int
    scanner_instance: str
    scan_id: int | None
    scan_uuid: str | None
    history_id: int | None
    keep: bool
    ended: bool
    reason: str
    since: float
    plain: bool = False
    """Its name on the scanner is not signed."""
    released: bool = False
    """An operator has said that it no longer runs."""


@attrs.frozen(kw_only=True)
class NamedTarget:
    """Host names that mean the same host, with those of the requested addresses that they mean.
    They are scanned together. `targets` are texts as in a request; `resolved` are all addresses
    that the names had at submission."""

    targets: tuple[str, ...]
    resolved: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class PartGroup:
    """Targets of a split task that the same scanners reach. Parts are cut from it in order: first
    `named`, each counting as one, then the addresses of `ranges`.

    `hosts` is how many of the task's targets these scanners may get in all: a license must have
    room for them.
    """

    named: tuple[NamedTarget, ...] = ()
    ranges: tuple[str, ...] = ()
    size: int
    hosts: int
    cut: int = 0
    """How many of its targets are in parts already."""
    rest_of: int | None = None
    """The number of the part that was stopped before it had scanned these targets, so that idle
    slots can; None for a group of the plan."""
    depth: int = 0
    """How many parts in a row were stopped so."""


@attrs.frozen(kw_only=True)
class Split:
    """How a task is split into parts, each a task of its own with one scan at a time."""

    groups: tuple[PartGroup, ...]
    parts: int = 0
    """How many parts were made so far."""
    unreachable: tuple[str, ...] = ()
    """Requested targets that no scanner reaches."""
    states: Mapping[TaskState, int] = attrs.field(factory=dict)
    """How many of its parts ended in each state; set when the task settles."""


@attrs.frozen(kw_only=True)
class Part:
    """What a task is a part of. `start` is its place among the targets of its group, and `size`
    how many of them it has; `hosts` and `depth` are those of the group."""

    task_id: str
    number: int
    group: int
    start: int
    size: int
    hosts: int
    depth: int = 0


@attrs.frozen(kw_only=True)
class Report:
    """A report that is kept of one of a task's scans. `file` is its name among the exports, `at`
    when the scan ended or was read (epoch seconds). `whole`: the scan ran to its end."""

    attempt: int
    scanner_instance: str | None
    file: str
    at: float
    whole: bool


@attrs.frozen(kw_only=True)
class ScheduledFor:
    """The schedule that submitted a task, and the time for which it did (epoch seconds). A second
    try has a `number` from 1, and is canceled at `until`, when the schedule fires again."""

    schedule_id: str
    name: str
    nominal: float
    until: float | None = None
    number: int = 0

    @property
    def is_second_try(self) -> bool:
        """Whether it scans only hosts that were absent. Earlier releases stored no number."""
        return self.number > 0 or self.until is not None


@attrs.frozen(kw_only=True)
class Task:
    """A task in its present state. All times are epoch seconds, UTC.

    Invariants: `attempt` counts attempts begun (0 before the first launch);
    `scanner_instance` is the scanner that took it last, or before that the one whose queue
    it was accepted into (None: overflow queue), and not updated when it is moved to
    another queue; `nessus_scan_id`, `scan_uuid` and `history_id` belong to the present attempt;
    `entered` has the latest entry into each state it has been in.
    """

    task_id: str
    trace_id: str
    request: ScanRequest
    actor: str
    created_at: float
    submitter: Submitter | None = None
    """None for tasks of the program itself and for those of older releases."""
    order: int
    """Place in the order of acceptance; queues are rebuilt by it after a restart."""
    resolved: tuple[str, ...] = ()
    """The addresses that the names among its targets had at submission; for the overlap
    guard only, what is scanned is looked up again."""
    state: TaskState = TaskState.QUEUED
    desired: RequestedState = RequestedState.RUN
    halted: bool = False
    """It was paused together with everything else, and is resumed together."""
    idempotency_key: str | None = None
    attempt: int = 0
    failures: int = 0
    """Attempts that failed and count against `max_attempts`; a scanner that was merely
    down or full does not count."""
    refused_by: tuple[str, ...] = ()
    """The scanners that have refused it for a reason of its own, and are not tried again."""
    scanner_instance: str | None = None
    nessus_scan_id: int | None = None
    scan_uuid: str | None = None
    history_id: int | None = None
    launched_at: float | None = None
    """When the present attempt's scan was launched; its maximum runtime counts from here."""
    paused_for: float = 0.0
    """Seconds the present attempt has spent paused; they do not count as runtime."""
    asked: Asked | None = None
    """What the scan of the present attempt was asked to do; None where it is not known,
    because the answer to its creation was lost or an older version created it."""
    progress: int | None = None
    entered: Mapping[TaskState, float] = attrs.field(factory=dict)
    deadline: float | None = None
    """When it is canceled, if it has not settled by then."""
    retry_at: float | None = None
    last_error: TaskError | None = None
    export_file: str | None = None
    """The report that was kept last."""
    reports: tuple[Report, ...] = ()
    """The reports that are kept, oldest scan first; older releases kept only `export_file`."""
    summary: Mapping[str, Any] | None = None
    """Validation statistics of the finished scan: the document of `results.summary`."""
    discard: bool = False
    """The submitter canceled it and does not want what was found."""
    ending: Ending | None = None
    """Set while the results of a scan that ended early are fetched."""
    partial: str | None = None
    """Why `summary` and findings are those of a scan that ended early; None when they are of
    a whole scan, or there are none."""
    owed: tuple[Owed, ...] = ()
    split: Split | None = None
    """Set for a task that has no scan itself but parts that have."""
    part: Part | None = None
    """Set for a part of a split task."""
    schedule: ScheduledFor | None = None
    """Set for a task that a schedule submitted."""
    closed: str | None = None
    """Why its running scan is to be paused: the window or blackout, in words."""
    override: bool = False
    """Its present scan runs on, whatever windows and blackouts say: an operator wants that."""

    remaining: tuple[str, ...] | None = None
    """The targets that the scans which ended early have not finished; None while all of them
    remain."""

    finished_late: tuple[str, ...] = ()
    """Hosts that an earlier scan is known to have finished since the present attempt began: not to
    be scanned again if that attempt ends without them."""

    @property
    def to_scan(self) -> tuple[str, ...]:
        """The targets of the present attempt, or of the next one."""
        return self.request.targets if self.remaining is None else self.remaining

    def deadline_after(self, now: float) -> float | None:
        """Its deadline, if that is still to come: one that a retry would miss is dropped."""
        return self.deadline if self.deadline is not None and self.deadline > now else None

    @property
    def has_results(self) -> bool:
        """Whether some host was scanned to its end."""
        return bool(self.summary and self.summary.get("hosts_finished"))

    @property
    def kept_reports(self) -> tuple[Report, ...]:
        """`reports`, also those that an older release kept."""
        if self.reports or self.export_file is None:
            return self.reports
        return (
            Report(
                attempt=0, scanner_instance=self.scanner_instance, file=self.export_file,
                at=self.entered.get(self.state, self.created_at), whole=self.partial is None,
            ),
        )  # fmt: skip
