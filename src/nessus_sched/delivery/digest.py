"""Takes a digest of a route: all that its journal rows between two positions report."""

from __future__ import annotations

from typing import Final

from nessus_sched.core.delivery.outbox import Outbox
from nessus_sched.delivery.compose import EVENTS, TASKS, Ended, Report
from nessus_sched.delivery.happened import Event
from nessus_sched.delivery.reading import NotEntered, Reader

PAGE: Final = 1000


async def take_digest(
    reader: Reader,
    outbox: Outbox,
    *,
    after: int,
    until: int,
    period: tuple[float, float],
    patient: bool = False,
) -> tuple[Report, bytes]:
    """The report of the rows after `after` until `until`, and the hash of the last of them. Raises
    `NotEntered` if `patient` and the ledger does not have all tasks yet."""
    ended, events = dict[str, Ended](), list[Event]()
    task_ids: list[str] = []
    events_left_out, last = 0, b""
    while after < until:
        rows = await outbox.journal(after=after, limit=min(PAGE, until - after))
        if not rows:
            break
        for row in rows:
            if (end := await reader.ended(row)) is not None:
                if patient and not await reader.entered(end.task):
                    raise NotEntered
                task_ids.append(end.task.task_id)
                if any(map(reader.route.wants, end.happenings())):
                    ended[end.task.task_id] = end
            elif (event := await reader.event(row)) is not None:
                events.append(event)
                if len(events) > EVENTS:
                    del events[0]
                    events_left_out += 1
        after, last = rows[-1].seq, rows[-1].hash
    worst_first = sorted(ended.values(), key=lambda each: (not each.not_reached, each.at))
    report = Report(
        ended=worst_first[:TASKS],
        ended_left_out=max(0, len(worst_first) - TASKS),
        events=events,
        events_left_out=events_left_out,
        news=await reader.news(list(dict.fromkeys(task_ids))),
        period=period,
    )
    return report, last
