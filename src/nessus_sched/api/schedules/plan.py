"""The plan: what will run in the coming hours, what will not fit, and what would help."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Final

import attrs

from nessus_sched.api.app import App
from nessus_sched.api.operations import Call, ToolDef, tool
from nessus_sched.api.untrusted import NAMES
from nessus_sched.core.calendar.plan import Interval, Planned
from nessus_sched.core.calendar.timeline import Bar, Closed, Timeline
from nessus_sched.core.calendar.zones import zone_of
from nessus_sched.core.fields import field
from nessus_sched.results.untrusted import clean_line
from nessus_sched.scheduler.plan import Plan, plan_until

HOUR: Final = 3600.0
_WAITING: Final = 200
_BARS: Final = 1000
"""Scans in a timeline, shared out to the scanners."""
_LEAST_BARS: Final = 10
"""Scans of a scanner, however many scanners there are."""


@attrs.frozen(kw_only=True)
class PlanArgs:
    hours: int = field("How far ahead.", default=24, minimum=1, maximum=744)
    timeline: bool = field("Also return what each scanner does over time.", default=False)


@attrs.frozen(kw_only=True)
class PlannedAnswer:
    name: str = field("The schedule, or the name of a task that waits.")
    due: str | None = field("When the schedule fires; null for a task that waits already.")
    scanners: list[str] = field("Scanners that it would use.")
    scans: int = field("About how many scans it is.")
    start: str | None = field("Median of the start; null when too little is known.")
    start_low: str | None = field("Lower end of the 80 % interval.")
    start_high: str | None = field("Upper end.")
    end: str | None = field("Median of the end.")
    end_low: str | None = field("Lower end of the 80 % interval.")
    end_high: str | None = field("Upper end.")
    fits: bool | None = field("It ends in the time of the plan; null when not known.")
    remark: str = field("What it waits for, why it does not fit, and what would help.")


@attrs.frozen(kw_only=True)
class ScanBar:
    begin: str = field("ISO 8601; of a running scan, the begin of the plan.")
    end: str = field("Its likely end, or the end of the plan.")
    kind: str = field("`running`, `waiting`, or `firing` (of a schedule).")
    name: str | None = field("Of the task or schedule; null if it is another user's.")


@attrs.frozen(kw_only=True)
class ClosedSpan:
    begin: str = field("ISO 8601.")
    end: str = field("When scanning is allowed again, or the end of the plan.")
    reason: str = field("The window or blackout.")


@attrs.frozen(kw_only=True)
class ScannerTimeline:
    scanner: str = field("Its id.")
    slots: int = field("How many scans it runs at once; 0 if it may start none.")
    scans: list[ScanBar] = field("One typical course, in the order of their begins.")
    left_out: int = field("How many more scans there are.")
    closed: list[ClosedSpan] = field("When it may scan nothing.")


@attrs.frozen(kw_only=True)
class RuleTimeline:
    rule: str = field("A window or blackout for some networks only.")
    closed: list[ClosedSpan] = field("When these may not be scanned.")


@attrs.frozen(kw_only=True)
class PlanTimeline:
    time_zone: str = field("The operator's time zone.")
    scanners: list[ScannerTimeline] = field("All scanners.")
    rules: list[RuleTimeline] = field("Those that close something in this time.")


@attrs.frozen(kw_only=True)
class PlanReport:
    begin: str = field("ISO 8601, in the operator's time zone, as all times here.")
    until: str = field("The end of the plan.")
    scans: list[PlannedAnswer] = field("In the order in which they could start.")
    left_out: int = field("How many more are not in the plan.")
    timeline: PlanTimeline | None = field("If it was asked for.")
    accuracy: str | None = field("How good earlier plans were; null until enough is measured.")
    untrusted: str = field("How to treat the texts.")


@tool(writes=False)
async def get_plan(app: App, call: Call, args: PlanArgs) -> PlanReport:
    """What will be scanned in the coming hours (tonight): when waiting and scheduled scans should
    start and end, what will not fit, and why."""
    service = app.service
    until = app.now() + args.hours * HOUR
    waiting = [view.task for view in await app.queries.waiting(limit=_WAITING, estimated=False)]
    found = await plan_until(
        service.context,
        [each for each in app.schedules.all() if app.sees(call.peer, each.template)],
        [task for task in waiting if app.sees(call.peer, task)],
        until,
        [view.task for view in app.queries.active() if app.sees(call.peer, view.task)],
    )
    zone = app.config.calendar.time_zone
    return report(found, zone, app.plan_accuracy(), drawn=args.timeline)


PLAN_TOOLS: tuple[ToolDef, ...] = (get_plan,)


def report(found: Plan, zone: str, accuracy: str | None = None, *, drawn: bool) -> PlanReport:
    """The plan as an answer, `drawn` with its timeline; times are in the zone."""
    return PlanReport(
        begin=_moment(found.begin, zone),
        until=_moment(found.until, zone),
        scans=[_planned(each, found, zone) for each in found.scans],
        left_out=found.left_out,
        timeline=_timeline(found.timeline, zone) if drawn else None,
        accuracy=accuracy,
        untrusted=NAMES,
    )


def _timeline(found: Timeline, zone: str) -> PlanTimeline:
    most = max(_LEAST_BARS, _BARS // max(1, len(found.scanners)))
    return PlanTimeline(
        time_zone=zone,
        scanners=[
            ScannerTimeline(
                scanner=row.scanner_id,
                slots=row.slots,
                scans=[_bar(bar, zone) for bar in row.bars[:most]],
                left_out=max(0, len(row.bars) - most),
                closed=[_span(span, zone) for span in row.closed],
            )
            for row in found.scanners
        ],
        rules=[
            RuleTimeline(rule=row.text, closed=[_span(span, zone) for span in row.closed])
            for row in found.rules
        ],
    )


def _bar(bar: Bar, zone: str) -> ScanBar:
    return ScanBar(
        begin=_moment(bar.begin, zone),
        end=_moment(bar.end, zone),
        kind=bar.kind.value,
        name=clean_line(bar.name) or None,
    )


def _span(span: Closed, zone: str) -> ClosedSpan:
    return ClosedSpan(
        begin=_moment(span.begin, zone), end=_moment(span.end, zone), reason=span.reason
    )


def _planned(each: Planned, found: Plan, zone: str) -> PlannedAnswer:
    start, end = each.start or _UNKNOWN, each.end or _UNKNOWN
    return PlannedAnswer(
        name=clean_line(each.job.name),
        due=_time(each.job.ready, zone) if each.job.firing else None,
        scanners=list(each.scanners),
        scans=each.job.scans,
        start=_time(start.median, zone),
        start_low=_time(start.low, zone),
        start_high=_time(start.high, zone),
        end=_time(end.median, zone),
        end_low=_time(end.low, zone),
        end_high=_time(end.high, zone),
        fits=found.fits(each),
        remark=clean_line(found.remark(each), 300),
    )


_UNKNOWN: Final = Interval(median=math.nan, low=math.nan, high=math.nan)


def _time(moment: float, zone: str) -> str | None:
    if not math.isfinite(moment):
        return None
    return _moment(moment, zone)


def _moment(moment: float, zone: str) -> str:
    return datetime.fromtimestamp(moment, zone_of(zone)).isoformat(timespec="seconds")
