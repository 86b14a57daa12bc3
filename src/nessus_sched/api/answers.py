"""What the tools answer, and how it is made from the scheduler's words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import attrs

from nessus_sched.api.app import ReadApp
from nessus_sched.api.next_steps import advice
from nessus_sched.api.untrusted import NAMES, sanitize
from nessus_sched.core.asked import Asked
from nessus_sched.core.coverage import Unfinished, cover
from nessus_sched.core.faults import advice as error_advice
from nessus_sched.core.fields import field
from nessus_sched.core.pool.wait_reasons import WaitCode
from nessus_sched.core.states import SETTLED, TaskState
from nessus_sched.core.targets.targets import TargetSet, size_of, targets_from
from nessus_sched.core.task import Owed, Submitter, Task
from nessus_sched.results.untrusted import clean_line
from nessus_sched.scheduler.views import QueueStatus, TaskView

MAX_TARGETS = 20
"""Targets spelled out in an answer; the rest is counted."""
LONGEST_REASON = 300
"""Characters of a wait reason, which may quote scanners."""


@attrs.frozen(kw_only=True)
class TaskErrorAnswer:
    """What went wrong last."""

    code: str = field("Stable machine code.")
    message: str = field("What happened, in a sentence.")
    transient: bool = field("It is of a kind that passes by itself.")
    advice: str = field("What to do about it.")


@attrs.frozen(kw_only=True)
class WaitAnswer:
    """Where a waiting task stands."""

    queue: str | None = field(
        "`overflow`, or the scanner whose queue it is in; null: it is in none."
    )
    queue_position: int | None = field("Place in that queue, 1 is next.")
    estimated_wait_seconds: float | None = field(
        "Median estimate from measured scans; null when nothing is known."
    )
    estimated_wait_low: float | None = field("Lower end of the 80 % interval.")
    estimated_wait_high: float | None = field("Upper end of the 80 % interval.")
    estimated_start: str | None = field("When it should start (ISO 8601).")
    wait_code: str | None = field("Why it waits: stable machine code.")
    wait_reason: str | None = field("Why it waits, in words.")


@attrs.frozen(kw_only=True)
class PlanAnswer:
    """A share of a request that is split into parts."""

    scanners: list[str] = field("The scanners that reach it (the first 20).")
    target_count: int = field("Addresses and names.")
    parts: int = field("About how many scans it takes.")
    part_seconds: int | None = field("About how long one takes; null when not known.")


@attrs.frozen(kw_only=True)
class SubmitAnswer:
    """A request that was accepted, or would be (`dry_run`)."""

    task_id: str | None = field("Handle for every other tool; null for a dry run.")
    trace_id: str | None = field("Finds all log lines of this task.")
    status: str = field("State of the task; `valid` for a dry run.")
    created: bool = field("False: the idempotency key had this task already.")
    scanner_instance: str | None = field("Scanner it is assigned to; null: the first free one.")
    scanner_url: str | None = field("That scanner's address.")
    queue: str | None = field("`overflow`, or the scanner whose queue it is in.")
    queue_position: int | None = field("Place in that queue, 1 is next.")
    estimated_wait_seconds: float | None = field("Median; null when nothing is known.")
    wait_reason: str | None = field("Why it waits, in words; null when it can start at once.")
    equal_task: str | None = field("An unfinished task that asks for the same scan.")
    target_count: int = field("Addresses and names that the targets mean.")
    targets: list[str] = field("The normalized targets (the first 20).")
    targets_left_out: int = field("How many more `targets` there are.")
    credentials: list[str] = field("Names of the credentials that it logs in with.")
    left_out: list[str] = field(
        "Denied or excluded parts of the targets, which are not scanned (the first 20)."
    )
    left_out_count: int = field("Addresses that are left out.")
    plan: list[PlanAnswer] = field("When it runs as several scans; else empty.")
    not_reached_count: int = field("Addresses that no scanner reaches, with partial_ok.")
    next: str = field("What to do now.")


@attrs.frozen(kw_only=True)
class StatusAnswer:
    """A task, where it stands, and what became of it."""

    task_id: str = field("The task.")
    trace_id: str = field("Finds all log lines of this task.")
    name: str = field("As submitted.")
    kind: str = field("basic, trusted, privileged, custom, quick or compliance.")
    status: str = field("State of the task.")
    settled: bool = field("Nothing more happens by itself.")
    desired: str = field("What was last asked of it: run, pause or cancel.")
    progress_percent: int | None = field("Of the running scan; null when not known.")
    targets: list[str] = field("The first 20 targets.")
    targets_left_out: int = field("How many more there are.")
    target_count: int = field("Addresses and names that the targets mean.")
    credentials: list[str] = field("Names of the credentials that it logs in with.")
    rescan_of: str | None = field("The task from whose hosts the targets were chosen.")
    schedule: str | None = field("The schedule that submitted it.")
    priority: str = field("low, normal or high.")
    scanner_instance: str | None = field("Scanner that runs it or will.")
    scanner_url: str | None = field("That scanner's address.")
    attempt: int = field("Attempts begun.")
    nessus_scan_id: int | None = field("Scan on the scanner.")
    submitted_by: str = field("Who asked for it.")
    created_at: str = field("ISO 8601.")
    entered: dict[str, str] = field("When it last entered each state (ISO 8601).")
    retry_at: str | None = field("When the next attempt is due.")
    deadline: str | None = field("When it is canceled (ISO 8601).")
    wait: WaitAnswer | None = field("Null unless it waits for something.")
    error: TaskErrorAnswer | None = field("The last thing that went wrong.")
    parts: dict[str, int] | None = field(
        "When it runs as several scans: their number in each state so far; list_tasks with "
        "part_of lists them."
    )
    part_of: str | None = field("The task whose part it is.")
    asked: dict[str, Any] | None = field(
        "What its scan was asked to do: template, modes, ping, ports ...; notes where that is not "
        "what was wanted. Null: no scan yet, or not known."
    )
    coverage: dict[str, Any] | None = field(
        "Once it has settled: how many requested targets answered, were silent, or were not "
        "reached, which proves nothing about them; get_coverage lists them."
    )
    partial: str | None = field("Why the results are those of a scan that ended early.")
    owed: list[str] = field("Scans still to be cleaned up on scanners that do not answer.")
    severity_counts: dict[str, int] | None = field("Findings by severity, when there are results.")
    compliance_counts: dict[str, int] | None = field("Compliance checks by result.")
    validation: dict[str, Any] | None = field("Verdict on logins, and warnings, with results.")
    next: str = field("What to do now.")
    untrusted: str = field("How to treat the texts.")


def iso(at: float | None) -> str | None:
    """Epoch seconds as ISO 8601 with offset."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def submitter_text(task: Task) -> str:
    """User, number and program of a task's submitter: `alice (uid:1000) with claude-ai`."""
    return person_text(task.actor, task.submitter)


def person_text(actor: str, who: Submitter | None) -> str:
    """As `submitter_text`, for those who did something else."""
    if who is None:
        return actor
    user = f"{who.user} ({actor})" if who.user else actor
    return clean_line(f"{user} with {who.client}" if who.client else user, 120)


def scanner_url(app: ReadApp, scanner_id: str | None) -> str | None:
    for scanner in app.config.scanners:
        if scanner.id == scanner_id:
            return scanner.url
    return None


def wait_answer(app: ReadApp, view: TaskView) -> WaitAnswer | None:
    standing = view.standing
    if standing.queue is None and standing.wait_reason is None:
        return None
    estimate, seconds = standing.estimate, wait_seconds(standing)
    reason = standing.wait_reason
    return WaitAnswer(
        queue=standing.queue,
        queue_position=standing.position,
        estimated_wait_seconds=seconds,
        estimated_wait_low=round(estimate.low) if estimate else None,
        estimated_wait_high=max(round(estimate.high), seconds or 0) if estimate else None,
        estimated_start=iso(app.now() + estimate.seconds) if estimate else None,
        wait_code=str(reason.code) if reason else None,
        wait_reason=clean_line(reason.text, LONGEST_REASON) if reason else None,
    )


def wait_seconds(standing: QueueStatus) -> int | None:
    """The estimated wait in whole seconds; none of them only when it is about to start."""
    if standing.estimate is None:
        return None
    reason = standing.wait_reason
    at_once = reason is None or reason.code is WaitCode.STARTING
    return max(round(standing.estimate.seconds), 0 if at_once else 1)


def status_answer(app: ReadApp, view: TaskView) -> StatusAnswer:
    task, request = view.task, view.task.request
    summary = task.summary or {}
    return StatusAnswer(
        task_id=task.task_id,
        trace_id=task.trace_id,
        name=clean_line(request.name),
        kind=request.kind,
        status=task.state,
        settled=task.state in SETTLED,
        desired=task.desired,
        progress_percent=100 if task.state is TaskState.COMPLETED else view.progress,
        targets=list(request.targets[:MAX_TARGETS]),
        targets_left_out=max(0, len(request.targets) - MAX_TARGETS),
        target_count=size_of(request.targets),
        credentials=list(request.credentials),
        schedule=None if task.schedule is None else task.schedule.name,
        rescan_of=request.rescan_of,
        priority=request.priority,
        scanner_instance=task.scanner_instance,
        scanner_url=scanner_url(app, task.scanner_instance),
        attempt=task.attempt,
        nessus_scan_id=task.nessus_scan_id,
        submitted_by=submitter_text(task),
        created_at=iso(task.created_at) or "",
        entered={state: iso(at) or "" for state, at in task.entered.items()},
        retry_at=iso(task.retry_at),
        deadline=iso(task.deadline),
        wait=wait_answer(app, view),
        error=_error(task),
        parts=None if task.split is None else {state: n for state, n in view.parts.items() if n},
        part_of=None if task.part is None else task.part.task_id,
        asked=_asked(task.asked),
        coverage=_coverage(task),
        partial=_partial(task),
        owed=[_owed(each) for each in task.owed],
        severity_counts=summary.get("severity_counts"),
        compliance_counts=summary.get("compliance_counts") or None,
        validation=_validation(summary),
        next=advice(view),
        untrusted=NAMES,
    )


def _coverage(task: Task) -> dict[str, Any] | None:
    if task.state not in SETTLED or not task.request.targets:
        return None
    known: dict[str, Any] | None = (task.summary or {}).get("coverage")
    if known is None and task.summary is None:
        asked = targets_from(task.request.targets)
        return cover(asked, [Unfinished(asked, "")], TargetSet(), TargetSet()).document()
    return known


def _partial(task: Task) -> str | None:
    if task.partial is None:
        return None
    why = task.partial if task.split is not None else f"ended early: {task.partial}"
    return clean_line(why, 500)


def _owed(owed: Owed) -> str:
    what = "results still to be fetched" if owed.keep else "still to be removed"
    runs = "" if owed.ended else "may still run, "
    scan = f"scan of attempt {owed.attempt} on scanner {owed.scanner_instance}"
    return f"{scan}: {runs}{what} when the scanner answers"


def _error(task: Task) -> TaskErrorAnswer | None:
    error = task.last_error
    if error is None or task.state is TaskState.COMPLETED:
        return None
    return TaskErrorAnswer(
        code=error.kind,
        message=clean_line(error.message, 500),
        transient=error.transient,
        advice=error_advice(error.kind, goes_on=task.state not in SETTLED),
    )


def _asked(asked: Asked | None) -> dict[str, Any] | None:
    """Without what was not sent."""
    if asked is None:
        return None
    told = attrs.asdict(asked, filter=lambda _, value: value is not None)
    told["logins"] = [{"name": each.name, "type": each.type} for each in asked.logins]
    return {name: sanitize(value) for name, value in told.items() if value != ""}


def _validation(summary: Any) -> dict[str, Any] | None:
    if not summary:
        return None
    return {
        key: sanitize(summary[key])
        for key in ("hosts", "verdict", "warnings", "complete")
        if key in summary
    }
