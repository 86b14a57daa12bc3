"""What one route makes of the journal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import attrs

from nessus_sched.config.delivery import When
from nessus_sched.config.types import Severity
from nessus_sched.core.delivery.happenings import FINDINGS
from nessus_sched.core.journal import JournalRecord
from nessus_sched.core.states import SETTLED
from nessus_sched.core.targets.scope import parse_rules
from nessus_sched.core.targets.targets import BadTargets, TargetSet, targets_from
from nessus_sched.core.task import Task
from nessus_sched.core.task_store import TaskStore
from nessus_sched.delivery.compose import Ended, Report
from nessus_sched.delivery.happened import LOGINS_FAIL, Event, event_of, outcome_of
from nessus_sched.delivery.routes import Route
from nessus_sched.results.ledger.news import News, NewsQuery
from nessus_sched.results.ledger.questions import Change

GROUPS: Final = 50
HOSTS: Final = 20
"""Hosts that a group lists."""
EVENTS: Final = 100
TASKS: Final = 50


class Ledger(Protocol):
    """What routes need to know of the ledger; methods raise `StoreUnavailable`."""

    async def has(self, task_id: str) -> bool:
        """Whether the findings of a task are entered."""

    async def news(self, query: NewsQuery) -> News: ...


class NotEntered(Exception):
    """The ledger does not have the findings of a task yet."""


@attrs.define
class Reader:
    """Turns journal rows into reports for a route. `scanners` are the networks of each scanner,
    none for all."""

    route: Route
    tasks: TaskStore
    ledger: Ledger
    networks: dict[str, tuple[str, ...]]
    now: float

    async def report(self, record: JournalRecord, *, patient: bool = True) -> Report | None:
        """What a row reports at once; None for nothing. Raises `NotEntered` if `patient`."""
        ended = await self.ended(record)
        if ended is None:
            event = await self.event(record)
            return None if event is None else Report(events=[event])
        if patient and not await self.entered(ended.task):
            raise NotEntered
        news = await self.news([ended.task.task_id])
        if news.is_empty and not any(map(self.route.wants, ended.happenings())):
            return None
        return Report(ended=[ended], news=news)

    async def ended(self, record: JournalRecord) -> Ended | None:
        """The end of a task that the route reports on, if the row is one."""
        outcome = outcome_of(record.entry)
        if outcome is None or record.entry.task_id is None:
            return None
        task = await self.tasks.get(record.entry.task_id)
        if task is None or task.part is not None or not self._matches(task):
            return None
        return Ended(task=task, outcome=outcome, at=record.entry.at)

    async def event(self, record: JournalRecord) -> Event | None:
        event = event_of(record)
        if event is None or not self.route.wants(event.happening):
            return None
        if record.entry.event == LOGINS_FAIL:
            return await self._alarm(event)
        return event if await self._concerns(event) else None

    async def entered(self, task: Task) -> bool:
        """Whether the ledger has all that it will have of a task."""
        if task.summary is None or task.state not in SETTLED:
            return True
        return await self.ledger.has(task.task_id)

    async def news(self, task_ids: Sequence[str]) -> News:
        changes = tuple(Change(each.value) for each in FINDINGS if self.route.wants(each))
        if not changes or not task_ids:
            return News()
        return await self.ledger.news(
            NewsQuery(
                task_ids=tuple(task_ids),
                changes=changes,
                least_severity=list(Severity).index(self.route.settings.severity),
                region=self.route.region,
                labelled=self.route.labelled,
                groups=GROUPS,
                hosts=HOSTS,
                now=self.now,
            )
        )

    def _matches(self, task: Task) -> bool:
        schedule = None if task.schedule is None else task.schedule.name
        return self.route.of_schedule(schedule) and self.route.reaches(
            targets_from(task.request.targets)
        )

    async def _alarm(self, event: Event) -> Event | None:
        """Logins that fail in a running scan: not for routes that report tasks at their end."""
        if self.route.settings.when is not When.AT_ONCE or event.task_id is None:
            return None
        task = await self.tasks.get(event.task_id)
        if task is None or not self._matches(task):
            return None
        return event

    async def _concerns(self, event: Event) -> bool:
        if event.schedule is not None:
            return self.route.of_schedule(event.schedule) and await self._fires_in(event.schedule)
        if self.route.settings.schedules:
            return False
        if event.scanner is not None:
            networks = self.networks.get(event.scanner, ())
            return not networks or self.route.reaches(_targets(networks))
        return not event.hosts or self.route.reaches(_targets(event.hosts))

    async def _fires_in(self, name: str) -> bool:
        """Whether a schedule has targets that the route reports on."""
        if self.route.region is None and self.route.labelled is None:
            return True
        found = [each for each in await self.tasks.schedules() if each.name == name]
        return any(self.route.reaches(targets_from(each.request.targets)) for each in found)


def _targets(texts: Sequence[str]) -> TargetSet:
    """Networks, addresses and names; of patterns only what they have in common with a name."""
    try:
        rules = parse_rules(texts)
    except BadTargets:
        return TargetSet()
    return TargetSet(ranges=rules.networks, names=tuple(sorted(rules.names)))
