"""What the operations on schedules answer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import attrs

from nessus_sched.api.answers import iso, submitter_text
from nessus_sched.api.app import App
from nessus_sched.api.schedules.definition import definition_of
from nessus_sched.core.calendar.schedule import Firing, Schedule
from nessus_sched.core.calendar.zones import zone_of
from nessus_sched.core.fields import field
from nessus_sched.core.text import duration

NEXT = 5
_TARGETS = 5


@attrs.frozen(kw_only=True)
class FiringAnswer:
    due: str = field("The time for which it fired.")
    outcome: str = field("submitted, skipped or failed.")
    task_id: str | None = field("The task it submitted.")
    reason: str = field("Why it was skipped, failed or late.")


@attrs.frozen(kw_only=True)
class ScheduleAnswer:
    name: str = field("Its name.")
    schedule_id: str = field("Its id.")
    status: str = field("active, paused, ended, or broken: its time zone is not known.")
    trouble: str | None = field("Why someone should look at it.")
    when: str = field("When it fires, in words.")
    cron: str | None = field("The cron expression.")
    time_zone: str = field("Its time zone.")
    next: list[str] = field("The next five firings, in its time zone.")
    kind: str = field("Kind of scan.")
    targets: list[str] = field("The first five targets.")
    targets_left_out: int = field("How many more there are.")
    created_by: str = field("Who created it: its tasks are theirs.")
    client: str | None = field("The program through which it was created, as it calls itself.")
    created_at: str = field("ISO 8601.")
    ends: str | None = field("When or after how many tasks it ends.")
    missed: str = field("What is done about missed firings.")
    overlap: str = field("What is done when the previous task has not ended.")
    tasks: int = field("Tasks that it has submitted by its calendar.")
    skip_next: int = field("How many of the next firings are skipped on request.")
    second_tries: str | None = field("Scans of hosts that were absent, and where they stand.")
    last: FiringAnswer | None = field("What became of the latest firing.")
    recent: list[FiringAnswer] = field("The latest firings, newest first; only for one schedule.")
    definition: dict[str, Any] | None = field("As create_schedule takes it; only for one schedule.")


def schedule_answer(app: App, schedule: Schedule, *, recent: int = 0) -> ScheduleAnswer:
    request, recurrence = schedule.request, schedule.recurrence
    firings = [firing_answer(schedule, firing) for firing in reversed(schedule.recent)]
    return ScheduleAnswer(
        name=schedule.name,
        schedule_id=schedule.schedule_id,
        status=_status(schedule),
        trouble=schedule.trouble,
        when=recurrence.text,
        cron=recurrence.cron,
        time_zone=recurrence.zone,
        next=local_times(schedule, schedule.next_firings(app.now(), NEXT)),
        kind=request.kind,
        targets=list(request.targets[:_TARGETS]),
        targets_left_out=max(0, len(request.targets) - _TARGETS),
        created_by=submitter_text(schedule.template),
        client=None if schedule.submitter is None else schedule.submitter.client,
        created_at=iso(schedule.created_at) or "",
        ends=_ends(schedule),
        missed=schedule.missed,
        overlap=schedule.overlap,
        tasks=schedule.fired,
        skip_next=schedule.skip_next,
        second_tries=_second_tries(schedule),
        last=firings[0] if firings else None,
        recent=firings[:recent],
        definition=definition_of(schedule) if recent else None,
    )


def _status(schedule: Schedule) -> str:
    if not schedule.zone_known:
        return "broken"
    if schedule.paused:
        return "paused"
    return "ended" if schedule.ended else "active"


def firing_answer(schedule: Schedule, firing: Firing) -> FiringAnswer:
    (due,) = local_times(schedule, [firing.nominal])
    return FiringAnswer(
        due=due, outcome=firing.outcome, task_id=firing.task_id, reason=firing.reason
    )


def local_times(schedule: Schedule, moments: Sequence[float]) -> list[str]:
    """ISO 8601 with the offset of the schedule's time zone."""
    zone = zone_of(schedule.recurrence.zone if schedule.zone_known else "UTC")
    return [datetime.fromtimestamp(at, zone).isoformat(timespec="seconds") for at in moments]


def _ends(schedule: Schedule) -> str | None:
    ends = []
    if schedule.until is not None:
        ends += local_times(schedule, [schedule.until])
    if schedule.max_firings is not None:
        ends.append(f"after {schedule.max_firings} tasks")
    return " or ".join(ends) or None


def _second_tries(schedule: Schedule) -> str | None:
    """`up to 2, 4h after each scan; 1 done (t-...), next at ...`."""
    rule, tries = schedule.retry_absent, schedule.tries
    if rule is None:
        return None
    text = f"up to {rule.times}, {duration(rule.after)} after each scan"
    if tries is None:
        return text
    done = f"{len(tries.tasks)} done" + (f" ({', '.join(tries.tasks)})" if tries.tasks else "")
    if tries.over:
        return f"{text}; {done}: {tries.over}"
    if tries.due is None:
        return f"{text}; {done}, next after task {tries.task_id}"
    (due,) = local_times(schedule, [tries.due])
    return f"{text}; {done}, next at {due}"
