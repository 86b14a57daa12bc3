"""Schedules: scans that are submitted again and again, or at a certain time."""

from __future__ import annotations

from contextlib import suppress
from enum import StrEnum
from typing import Any, Final

import attrs
import trio

from nessus_sched.api.app import App
from nessus_sched.api.errors import as_tool_errors
from nessus_sched.api.operations import COMMAND_LINE, Call, ToolDef, ToolError, tool
from nessus_sched.api.paging import MAX_ROWS, USUAL_ROWS, parse_cursor, take_within, token_budget
from nessus_sched.api.schedules.answers import ScheduleAnswer, schedule_answer
from nessus_sched.api.submit import (
    SUBMIT_TOOLS,
    SubmitArgs,
    request_of,
    submit_tool,
    submitter_of_call,
)
from nessus_sched.api.untrusted import NAMES
from nessus_sched.api.validation import BadArguments, parse
from nessus_sched.config.types import NAME
from nessus_sched.core.calendar.recurrence import Recurrence, check_recurrence, notes_on
from nessus_sched.core.calendar.schedule import KEPT_FIRINGS, Missed, Overlap, Schedule
from nessus_sched.core.calendar.second_tries import RetryAbsent
from nessus_sched.core.calendar.zones import BadCalendar, parse_moment, zone_of
from nessus_sched.core.fields import field
from nessus_sched.core.task import ScanKind, ScanRequest, Submitter
from nessus_sched.scheduler.errors import QueueFull
from nessus_sched.scheduler.schedules import UnknownSchedule

HOUR: Final = 3600.0
MINUTE: Final = 60.0
_SUBMIT: Final = {tool.name: tool for tool in SUBMIT_TOOLS}


class ScheduleAction(StrEnum):
    PAUSE = "pause"
    RESUME = "resume"
    RUN = "run"
    SKIP = "skip"
    REMOVE = "remove"


@attrs.frozen(kw_only=True)
class CreateArgs:
    name: str = field("Its name.", pattern=f"^{NAME}$", max_length=64, examples=("weekly-web",))
    kind: ScanKind = field("Kind of scan.", default=ScanKind.BASIC)
    scan: dict[str, Any] = field(
        "The arguments of the submit tool of that kind.", examples=({"targets": ["192.0.2.0/24"]},)
    )
    cron: str | None = field(
        "Five fields, with names, L (last) and # (nth). Either this, every_minutes or at.",
        default=None,
        max_length=200,
        examples=("0 2 * * mon",),
    )
    every_minutes: int | None = field(
        "Elapsed minutes between firings.", default=None, minimum=1, maximum=527040
    )
    at: str | None = field(
        "Once: ISO 8601, in time_zone if it has no offset.",
        default=None,
        max_length=40,
    )
    time_zone: str | None = field(
        "IANA name. Default: the operator's.",
        default=None,
        max_length=64,
    )
    until: str | None = field("Ends after this time.", default=None, max_length=40)
    max_tasks: int | None = field("Ends after N tasks.", default=None, minimum=1)
    missed: Missed = field(
        "A missed firing: once: make up for it, late.",
        default=Missed.ONCE,
    )
    catch_up_minutes: int | None = field(
        "How late a missed firing may be.", default=None, minimum=0, maximum=10080
    )
    overlap: Overlap = field(
        "The previous task has not ended: skip; queue_one: wait for it; replace: cancel it.",
        default=Overlap.SKIP,
    )
    jitter_minutes: int = field(
        "Fire up to this much later, to spread load.",
        default=0,
        minimum=0,
        maximum=1440,
    )
    retry_absent: int = field(
        "Rescan absent hosts up to this often, if ever seen.",
        default=0,
        minimum=0,
        maximum=5,
    )
    retry_after_minutes: int = field(
        "How long after each scan.",
        default=240,
        minimum=1,
        maximum=10080,
    )
    replace: bool = field("Redefine one of that name.", default=False)
    dry_run: bool = field("Only check.", default=False)


@attrs.frozen(kw_only=True)
class CreateAnswer:
    schedule: ScheduleAnswer = field("The schedule, with its next firings.")
    changed: bool = field("False: it was defined exactly like that already.")
    notes: list[str] = field("What may be surprising.")
    untrusted: str = field("How to treat the texts.")


@attrs.frozen(kw_only=True)
class ListSchedulesArgs:
    name: str | None = field("Only this one, with its latest firings.", default=None, max_length=64)
    limit: int = field("Per page.", default=USUAL_ROWS, minimum=1, maximum=MAX_ROWS)
    cursor: str | None = field("`next_cursor` of the page before.", default=None, max_length=40)


@attrs.frozen(kw_only=True)
class ListSchedulesAnswer:
    schedules: list[ScheduleAnswer] = field("Oldest first.")
    next_cursor: str | None = field("For the next page; null at the end.")
    untrusted: str = field("How to treat the texts.")


@attrs.frozen(kw_only=True)
class ChangeArgs:
    name: str = field("The schedule.", max_length=64)
    action: ScheduleAction = field(
        "pause; resume; run: submit a task now, too; skip the next firing; remove: delete it."
    )


@tool(writes=True, open_world=True)
async def create_schedule(app: App, call: Call, args: CreateArgs) -> CreateAnswer:
    """Set up a recurring scan, such as every Monday (cron or every_minutes), or one later (at).
    Every firing is a task. Tell the user the next firings.

    Mondays at 02:00 in Berlin: cron "0 2 * * mon", time_zone "Europe/Berlin"."""
    if not app.may_submit(call.peer, args.kind):
        raise ToolError("not_permitted", f"Your role may not use {submit_tool(args.kind)}.")
    request = _request(app, args)
    schedule = _schedule(app, call, args, request, await submitter_of_call(app, call))
    with as_tool_errors():
        with suppress(QueueFull):  # it need not be so when it fires
            await app.service.submit(
                request, actor=call.peer.actor, dry_run=True, scopes=app.scopes_of(call.peer)
            )
        if args.replace:
            _check_owner(app, call, args.name)
        if args.dry_run:
            changed = app.schedules.would_change(schedule, replace=args.replace)
        else:
            schedule, changed = await app.schedules.add(schedule, replace=args.replace)
    return CreateAnswer(
        schedule=schedule_answer(app, schedule),
        changed=changed,
        notes=[*notes_on(schedule.recurrence), *_notes_on_tries(app, schedule)],
        untrusted=NAMES,
    )


def _notes_on_tries(app: App, schedule: Schedule) -> list[str]:
    if schedule.retry_absent is None:
        return []
    return schedule.retry_absent.notes(schedule.next_firings(app.now(), 2))


@tool(writes=False)
async def list_schedules(app: App, call: Call, args: ListSchedulesArgs) -> ListSchedulesAnswer:
    """List schedules (recurring scans): their next firings, creators and latest results."""
    with as_tool_errors():
        found = app.schedules.all() if args.name is None else [app.schedules.named(args.name)]
    seen = [each for each in found if app.sees(call.peer, each.template)]
    start = parse_cursor(args.cursor, "list_schedules") or 0
    recent = 0 if args.name is None else KEPT_FIRINGS
    rows = []
    for schedule in seen[start : start + args.limit]:
        rows.append(schedule_answer(app, schedule, recent=recent))
        await trio.lowlevel.checkpoint()  # to find its firings takes milliseconds
    rows = take_within(rows, token_budget(args.limit))
    end = start + len(rows)
    return ListSchedulesAnswer(
        schedules=rows,
        next_cursor=str(end) if end < len(seen) else None,
        untrusted=NAMES,
    )


@tool(writes=True, destructive=True, idempotent=False, open_world=True)
async def change_schedule(app: App, call: Call, args: ChangeArgs) -> ScheduleAnswer:
    """Pause, resume or remove (delete) a schedule, skip its next firing, or run it now as well. Its
    running task continues; cancel_scan stops it."""
    actor, schedules = call.peer.actor, app.schedules
    with as_tool_errors():
        _check_owner(app, call, args.name)
        match args.action:
            case ScheduleAction.PAUSE:
                schedule = await schedules.change(args.name, actor, "paused", paused=True)
            case ScheduleAction.RESUME:
                schedule = await schedules.resume(args.name, actor=actor)
            case ScheduleAction.RUN:
                schedule = await schedules.run_now(args.name, actor=actor)
            case ScheduleAction.SKIP:
                skipped = schedules.named(args.name).skip_next + 1
                schedule = await schedules.change(args.name, actor, "skip_asked", skip_next=skipped)
            case ScheduleAction.REMOVE:
                schedule = await schedules.remove(args.name, actor=actor)
    return schedule_answer(app, schedule)


SCHEDULE_TOOLS: tuple[ToolDef, ...] = (create_schedule, list_schedules, change_schedule)


def _request(app: App, args: CreateArgs) -> ScanRequest:
    """Raises `ToolError` for what is wrong with the arguments of the submit tool."""
    definition = _SUBMIT[submit_tool(args.kind)]
    refused = {"idempotency_key", "dry_run"} & args.scan.keys()
    if refused:
        raise ToolError("invalid_arguments", f"scan: {min(refused)} does not apply to a schedule.")
    try:
        parsed: SubmitArgs = parse(definition.arguments, {"name": args.name, **args.scan})
    except BadArguments as error:
        raise ToolError(error.code, f"scan: {error}") from error
    return request_of(app, parsed, args.kind)


def _schedule(
    app: App, call: Call, args: CreateArgs, request: ScanRequest, submitter: Submitter | None
) -> Schedule:
    settings, now = app.config.calendar, app.now()
    zone = args.time_zone or settings.time_zone
    try:
        zone_of(zone)
        recurrence = Recurrence(
            cron=None if args.cron is None else " ".join(args.cron.split()),
            every=None if args.every_minutes is None else args.every_minutes * MINUTE,
            at=None if args.at is None else parse_moment(args.at, zone),
            zone=zone,
            start=now,
        )
        if not _known(app, args, recurrence):
            check_recurrence(recurrence, now=now, min_interval=settings.min_interval)
        until = None if args.until is None else parse_moment(args.until, zone)
        first = recurrence.next_after(now)
        if until is not None and first is not None and until < first:
            raise BadCalendar("it would end before it fires for the first time")
    except BadCalendar as error:
        raise ToolError("bad_schedule", f"{str(error)[0].upper()}{str(error)[1:]}.") from error
    if settings.model_lifetime is not None and call.client != COMMAND_LINE:
        latest = float(int(now + settings.model_lifetime))  # whole, so that a text can say it
        until = min(until or latest, latest)
    late = args.catch_up_minutes
    return Schedule(
        schedule_id="",
        name=args.name,
        recurrence=recurrence,
        request=request,
        actor=call.peer.actor,
        submitter=submitter,
        created_at=now,
        missed=args.missed,
        catch_up=settings.catch_up if late is None else late * MINUTE,
        overlap=args.overlap,
        jitter=args.jitter_minutes * MINUTE,
        until=until,
        max_firings=args.max_tasks,
        retry_absent=RetryAbsent(times=args.retry_absent, after=args.retry_after_minutes * MINUTE)
        if args.retry_absent
        else None,
        decided=now,
    )


def _known(app: App, args: CreateArgs, recurrence: Recurrence) -> bool:
    """Whether the schedule of that name has the same single time, which may be over."""
    same = next((each for each in app.schedules.all() if each.name == args.name), None)
    at = recurrence.at
    return args.replace and at is not None and same is not None and same.recurrence.at == at


def _check_owner(app: App, call: Call, name: str) -> None:
    """Raises `ToolError` if there is such a schedule, by name or id, and the caller may not change
    it."""
    with suppress(UnknownSchedule):
        schedule = app.schedules.named(name)
        if app.manages(call.peer, schedule.template):
            return
        raise ToolError(
            "not_permitted",
            f"Schedule {schedule.name} is another user's, and your role does not manage those.",
            "Ask its creator, or the operator for a role with `manage_others`.",
        )
