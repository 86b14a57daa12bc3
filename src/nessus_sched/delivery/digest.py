"""Takes a digest of a route: all that its journal rows between two positions report."""

from __future__ import annotations

from typing import Final

import attrs

from nessus_sched.core.delivery.outbox import Outbox
from nessus_sched.delivery.compose import EVENTS, TASKS, Ended, Report
from nessus_sched.delivery.happened import Event
from nessus_sched.delivery.reading import NotEntered, Reader

PAGE: Final = 1000


@attrs.define
class _Ends:
    """The ends of tasks that a digest lists, those with unreached targets first. Only few are kept:
    a task may have thousands of targets. A task that ended twice is listed as it ended last."""

    _kept: dict[str, Ended] = attrs.field(factory=dict, init=False)
    _ids: set[str] = attrs.field(factory=set, init=False)

    def add(self, end: Ended) -> None:
        self._ids.add(end.task.task_id)
        self._kept[end.task.task_id] = end
        if len(self._kept) > 2 * TASKS:
            self._kept = {each.task.task_id: each for each in self.listed()}

    def listed(self) -> list[Ended]:
        order = sorted(self._kept.values(), key=lambda each: (not each.not_reached, each.at))
        return order[:TASKS]

    @property
    def left_out(self) -> int:
        return max(0, len(self._ids) - TASKS)


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
    ends, events = _Ends(), list[Event]()
    task_ids: dict[str, None] = {}
    events_left_out, last = 0, b""
    while after < until:
        rows = await outbox.journal(after=after, limit=min(PAGE, until - after))
        if not rows:
            break
        for row in rows:
            if (end := await reader.ended(row)) is not None:
                if patient and not await reader.entered(end.task):
                    raise NotEntered
                task_ids[end.task.task_id] = None
                if any(map(reader.route.wants, end.happenings())):
                    ends.add(end)
            elif (event := await reader.event(row)) is not None:
                events.append(event)
                if len(events) > EVENTS:
                    del events[0]
                    events_left_out += 1
        after, last = rows[-1].seq, rows[-1].hash
    report = Report(
        ended=ends.listed(),
        ended_left_out=ends.left_out,
        events=events,
        events_left_out=events_left_out,
        news=await reader.news(list(task_ids)),
        period=period,
    )
    return report, last
