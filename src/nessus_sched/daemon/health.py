"""Health and readiness for /health and /ready, computed from snapshots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

import attrs
import trio

from nessus_sched.core.calendar.zones import local_text
from nessus_sched.core.error_kinds import ErrorKind
from nessus_sched.core.exceptions.exception import ExceptionStatus
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import TaskError
from nessus_sched.core.text import pluralize
from nessus_sched.daemon.outages import Outage, outage_of
from nessus_sched.daemon.reload import Reloader
from nessus_sched.daemon.system import System
from nessus_sched.scheduler.views import ScannerView, nobody_answers
from nessus_sched.telemetry.health import Health, HealthRecord, Observation, Status

FOLLOWED_EVERY: Final = 5.0


class HealthCheck:
    """Combines the components; remembers since when each has had its status."""

    def __init__(self, system: System, reloader: Reloader) -> None:
        self._system = system
        self._reloader = reloader
        self._record = HealthRecord()

    def health(self) -> Health:
        context = self._system.context
        found = {
            **self._role(),
            "store": self._store(),
            "config": self._config(),
            **self._scheduler(),
        }
        # Measured on the steady clock, and shown on the wall clock as it is now.
        steady = {name: _moved(each, context.by_steady_clock) for name, each in found.items()}
        components = self._record.update(steady, context.now()).components
        return Health(
            components={
                name: attrs.evolve(each, since=context.shown(each.since))
                for name, each in components.items()
            }
        )

    async def follow(self) -> None:
        """Checks periodically, so that `since` does not depend on when anyone asks."""
        while True:
            self.health()
            await trio.sleep(FOLLOWED_EVERY)

    def ready(self) -> bool:
        """Whether work is accepted and some scanner can do it."""
        components = self.health().components
        return all(
            name in components and components[name].status is not Status.FAILED
            for name in ("store", "scanners")
        )

    def _role(self) -> dict[str, Observation]:
        """Nothing if the store is nobody else's."""
        if self._system.context.config.store is None:
            return {}
        if self._system.store.lease.held:
            return {"role": Observation(Status.OK, "leader")}
        reason = (
            "leader that may have been replaced: nothing is sent to scanners until it can write"
        )
        return {"role": Observation(Status.DEGRADED, reason)}

    def _store(self) -> Observation:
        health = self._system.context.store.health
        if not health.ok:
            reason = f"the store is read-only: {health.reason}"
            return Observation(Status.FAILED, reason, health.since)
        if (error := self._unstored_report()) is not None:
            return Observation(Status.DEGRADED, error.message, error.at)
        return Observation(Status.OK, "writes are durable")

    def _unstored_report(self) -> TaskError | None:
        """Why a fetched report cannot be stored; None if none is held up."""
        exporting = (
            run.task
            for driver in self._system.fleet.drivers.values()
            for run in driver.runs.values()
            if run.task.state is TaskState.EXPORTING
        )
        errors = (task.last_error for task in exporting if task.last_error is not None)
        return next((error for error in errors if error.kind == ErrorKind.DISK_TROUBLE), None)

    def _config(self) -> Observation:
        problems, restart = self._reloader.last.problems, self._reloader.last.needs_restart
        if not problems:
            but = f", except for what needs a restart: {', '.join(restart)}" if restart else ""
            return Observation(Status.OK, f"the configuration file is in effect{but}")
        return Observation(
            Status.DEGRADED,
            "the latest reload was refused, the previous configuration stays in effect: "
            f"{problems[0]}",
            self._reloader.rejected_at,
        )

    def _scheduler(self) -> dict[str, Observation]:
        if not self._system.fleet.recovered:
            return {"startup": Observation(Status.FAILED, "starting: reading the unfinished tasks")}
        scanners, now = self._system.queries.scanners(), self._system.context.wall()
        return {
            "scanners": _scanners(scanners),
            "scheduling": self._scheduling(),
            **self._schedules(now),
            "ledger": self._ledger(),
            **self._exceptions(now),
            **self._delivery(),
            **{f"scanner:{each.settings.id}": _scanner(each, now) for each in scanners},
        }

    def _scheduling(self) -> Observation:
        if self._system.queries.statistics().paused:
            return Observation(Status.DEGRADED, "paused by an operator: no scans start")
        return Observation(Status.OK, "tasks start as slots become free")

    def _ledger(self) -> Observation:
        keeper = self._system.ledger
        if keeper.trouble is not None:
            return Observation(Status.DEGRADED, keeper.trouble)
        copy = self._system.ledger_copy
        if copy is not None and copy.trouble is not None:
            return Observation(Status.DEGRADED, copy.trouble)
        if keeper.waiting:
            return Observation(Status.OK, f"{pluralize(keeper.waiting, 'scan')} still to enter")
        return Observation(Status.OK, "every finished scan is entered")

    def _schedules(self, now: float) -> dict[str, Observation]:
        """Nothing if there are no schedules."""
        schedules = self._system.schedules.all()
        if not schedules:
            return {}
        for schedule in schedules:
            if schedule.trouble is not None:
                reason = f"schedule {schedule.name}: {schedule.trouble}"
                at = schedule.recent[-1].at if schedule.recent else None
                return {"schedules": Observation(Status.DEGRADED, reason, at)}
        due = [(at, each) for each in schedules if (at := each.next_due) is not None]
        count = pluralize(len(schedules), "schedule")
        if not due:
            return {"schedules": Observation(Status.OK, f"{count}, none fires")}
        at, first = min(due, key=lambda each: each[0])
        zone = first.recurrence.zone
        reason = f"{count}, next: {first.name} at {local_text(max(at, now), zone)}"
        return {"schedules": Observation(Status.OK, reason)}

    def _delivery(self) -> dict[str, Observation]:
        """Nothing if there are no routes."""
        delivery = self._system.delivery
        if troubles := delivery.troubles():
            return {"delivery": Observation(Status.DEGRADED, "; ".join(troubles))}
        routes = delivery.lanes.routes()
        if not routes:
            return {}
        waiting = sum(each.waiting for each in delivery.backlogs.values())
        said = f"{pluralize(waiting, 'message')} to deliver" if waiting else "everything delivered"
        return {"delivery": Observation(Status.OK, f"{pluralize(len(routes), 'route')}, {said}")}

    def _exceptions(self, now: float) -> dict[str, Observation]:
        """Nothing if there are none. A proposal does not make the daemon less healthy: a model
        could make one at any time."""
        found = self._system.exceptions.all()
        waiting = sum(each.status is ExceptionStatus.PROPOSED for each in found)
        ends = [each.expires for each in found if each.in_force(now)]
        if not ends and not waiting:
            return {}
        said = [f"{len(ends)} in force"]
        if ends:
            zone = self._system.context.config.calendar.time_zone
            said.append(f"the next ends at {local_text(min(ends), zone)}")
        if waiting:
            said.append(f"{pluralize(waiting, 'proposal')} to be decided")
        return {"exceptions": Observation(Status.OK, ", ".join(said))}


def _moved(found: Observation, to: Callable[[float], float]) -> Observation:
    since = None if found.since is None else to(found.since)
    changed_at = None if found.changed_at is None else to(found.changed_at)
    return attrs.evolve(found, since=since, changed_at=changed_at)


def _scanners(scanners: list[ScannerView]) -> Observation:
    wanted = [each for each in scanners if each.statistics.enabled]
    if not scanners:
        return Observation(Status.FAILED, "no scanners configured")
    if not wanted:
        return Observation(Status.FAILED, "every scanner is disabled")
    out = [found for each in wanted if (found := outage_of(each)) is not None]
    if not out:
        if all(each.statistics.draining for each in wanted):
            return Observation(Status.DEGRADED, "every scanner is draining: no scans start")
        changed_at = max(each.since for each in wanted)
        return Observation(
            Status.OK, f"{len(wanted)} of {len(wanted)} scanners usable", changed_at=changed_at
        )
    since = max(each.since for each in out)
    if len(out) < len(wanted):
        can = f"{len(wanted) - len(out)} of {len(wanted)} scanners usable"
        return Observation(Status.DEGRADED, f"{can}; {_troubles(out)}", since)
    if not nobody_answers(scanners):
        return Observation(Status.FAILED, f"no scanner is usable: {_troubles(out)}", since)
    running = sum(len(each.statistics.slots.active) for each in scanners)
    kept = f"; {pluralize(running, 'running scan')} not given up" if running else ""
    return Observation(Status.FAILED, f"no scanner answers: {_troubles(out)}{kept}", since)


def _troubles(out: list[Outage]) -> str:
    """The problem in full if there is one, counts by kind if there are more."""
    if len(out) == 1:
        return f"{out[0].scanner_id}: {out[0].reason}"
    kinds = Counter(each.kind for each in out)
    return ", ".join(f"{count} {words}" for words, count in kinds.most_common())


def _scanner(view: ScannerView, now: float) -> Observation:
    statistics = view.statistics
    if not statistics.enabled:
        return Observation(Status.OK, "disabled by the operator")
    if view.trouble is not None:
        owed = f"; {pluralize(view.owed, 'abandoned scan')} to clean up there" if view.owed else ""
        return Observation(Status.DEGRADED, view.trouble + owed, view.since)
    if statistics.obstacle is not None:
        suspension = statistics.suspension
        since = None if suspension is None else suspension.since
        return Observation(Status.DEGRADED, statistics.obstacle.text, since)
    slots = statistics.slots
    used = f"{len(slots.active)} of {slots.capacity} slots used"
    held = f"; no new scans now: {statistics.held_reason}" if statistics.held_until else ""
    owed = f"; {pluralize(view.owed, 'abandoned scan')} to clean up" if view.owed else ""
    return Observation(Status.OK, used + held + owed, changed_at=view.since)
