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
from nessus_sched.core.calendar.zones import zone_of
from nessus_sched.core.fields import field
from nessus_sched.results.untrusted import clean_line
from nessus_sched.scheduler.plan import Plan, plan_until

HOUR: Final = 3600.0
_WAITING: Final = 200


@attrs.frozen(kw_only=True)
class PlanArgs:
    hours: int = field("How far ahead.", default=24, minimum=1, maximum=744)


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
class PlanReport:
    begin: str = field("ISO 8601, in the operator's time zone, as all times here.")
    until: str = field("The end of the plan.")
    scans: list[PlannedAnswer] = field("In the order in which they could start.")
    left_out: int = field("How many more are not in the plan.")
    untrusted: str = field("How to treat the texts.")


@tool(writes=False)
async def get_plan(app: App, call: Call, args: PlanArgs) -> PlanReport:
    """Forecast the coming hours: when waiting scans and firings of schedules should start and end,
    what will not fit, and why."""
    service = app.service
    until = app.now() + args.hours * HOUR
    waiting = [view.task for view in await app.queries.waiting(limit=_WAITING, estimated=False)]
    found = await plan_until(
        service.context,
        [each for each in app.schedules.all() if app.sees(call.peer, each.template)],
        [task for task in waiting if app.sees(call.peer, task)],
        until,
    )
    return _report(found, app.config.calendar.time_zone)


PLAN_TOOLS: tuple[ToolDef, ...] = (get_plan,)


def _report(found: Plan, zone: str) -> PlanReport:
    return PlanReport(
        begin=_time(found.begin, zone) or "",
        until=_time(found.until, zone) or "",
        scans=[_planned(each, found, zone) for each in found.scans],
        left_out=found.left_out,
        untrusted=NAMES,
    )


def _planned(each: Planned, found: Plan, zone: str) -> PlannedAnswer:
    start, end = each.start or _UNKNOWN, each.end or _UNKNOWN
    fits = None if each.end is None else end.high <= found.until
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
        fits=fits,
        remark=_remark(each, fits=fits),
    )


_UNKNOWN: Final = Interval(median=math.nan, low=math.nan, high=math.nan)


def _remark(each: Planned, *, fits: bool | None) -> str:
    said = []
    if each.closed is not None:
        said.append(f"waits for {each.closed.text}")
    if each.never:
        said.append("no opening within a year: it needs a different window or scanner")
    elif each.end is None:
        said.append("no like scan has been measured yet")
    if each.paused:
        said.append(
            "longer than its opening, so it is paused and resumed: more time or fewer addresses"
        )
    if fits is False and not each.never:
        said.append("does not finish in time: more time, another scanner, or fewer addresses")
    return clean_line("; ".join(said), 300)


def _time(moment: float, zone: str) -> str | None:
    if not math.isfinite(moment):
        return None
    return datetime.fromtimestamp(moment, zone_of(zone)).isoformat(timespec="seconds")
