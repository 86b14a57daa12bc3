"""How the daemon is: what /health and /ready say, from snapshots only."""

from __future__ import annotations

from nessus_sched.daemon.reload import Reloader
from nessus_sched.daemon.system import System
from nessus_sched.scheduler.views import ScannerView
from nessus_sched.telemetry.health import Found, Health, HealthRecord, Status


class HealthCheck:
    """Puts the components together; remembers since when each is as it is."""

    def __init__(self, system: System, reloader: Reloader) -> None:
        self._system = system
        self._reloader = reloader
        self._record = HealthRecord()

    def health(self) -> Health:
        scanners = self._system.service.scanners()
        found: dict[str, Found] = {
            "store": self._store(),
            "config": self._config(),
            "scanners": _scanners(scanners),
            "scheduling": self._scheduling(),
            **{f"scanner:{each.settings.id}": _scanner(each) for each in scanners},
        }
        return self._record.update(found, self._system.context.now())

    def ready(self) -> bool:
        """Work is accepted, and some scanner can do it."""
        components = self.health().components
        return all(components[name].status is not Status.FAILED for name in ("store", "scanners"))

    def _store(self) -> Found:
        health = self._system.context.store.health
        if health.ok:
            return Found(Status.OK, "writes are durable")
        return Found(
            Status.FAILED, f"the store does not take writes: {health.reason}", health.since
        )

    def _config(self) -> Found:
        problems, restart = self._reloader.last.problems, self._reloader.last.needs_restart
        if not problems:
            but = f", but for what needs a restart: {', '.join(restart)}" if restart else ""
            return Found(Status.OK, f"the configuration file is in force{but}")
        return Found(
            Status.DEGRADED,
            f"the latest reload was refused, the configuration before is in force: {problems[0]}",
            self._reloader.rejected_at,
        )

    def _scheduling(self) -> Found:
        if self._system.service.statistics().paused:
            return Found(Status.DEGRADED, "everything was paused by an operator: nothing starts")
        return Found(Status.OK, "tasks start as slots become free")


def _scanners(scanners: list[ScannerView]) -> Found:
    wanted = [each for each in scanners if each.statistics.enabled]
    usable = [each for each in wanted if each.trouble is None]
    if not scanners:
        return Found(Status.FAILED, "no scanner is configured")
    if not wanted:
        return Found(Status.FAILED, "every scanner is disabled")
    if not usable:
        return Found(
            Status.FAILED,
            f"no scanner is reachable ({len(wanted)} configured)",
            max(each.since for each in wanted),
        )
    if len(usable) < len(wanted):
        return Found(
            Status.DEGRADED,
            f"{len(usable)} of {len(wanted)} scanners are reachable",
            max(each.since for each in wanted if each.trouble is not None),
        )
    return Found(Status.OK, f"{len(usable)} of {len(wanted)} scanners are reachable")


def _scanner(view: ScannerView) -> Found:
    statistics = view.statistics
    if not statistics.enabled:
        return Found(Status.OK, "disabled by the operator")
    if view.trouble is not None:
        return Found(Status.DEGRADED, view.trouble, view.since)
    if statistics.obstacle is not None:
        return Found(Status.DEGRADED, statistics.obstacle.text)
    slots = statistics.slots
    return Found(Status.OK, f"{len(slots.active)} of {slots.capacity} slots used")
