"""One scanner as seen by the pool: its settings, slots, breaker and switches."""

from __future__ import annotations

import attrs

from nessus_sched.core.pool.breaker import Breaker, BreakerSettings
from nessus_sched.core.pool.entry import QueueEntry
from nessus_sched.core.pool.slots import Slots
from nessus_sched.core.suspension import Suspension
from nessus_sched.core.targets.ranges import difference
from nessus_sched.core.targets.targets import TargetSet
from nessus_sched.core.task import DEFAULT_POOL, ScanKind


@attrs.frozen(kw_only=True)
class ScannerSpec:
    """What the configuration says of a scanner, as far as scheduling cares.

    `limit` is `max_concurrent_scans`; `networks` what it can reach, None for everything;
    `licensed_hosts` what its license allows, None for no limit or while it is not known.
    """

    scanner_id: str
    limit: int
    pool: str = DEFAULT_POOL
    enabled: bool = True
    networks: TargetSet | None = None
    licensed_hosts: int | None = None

    def reaches(self, targets: TargetSet) -> bool:
        """Every address must be in `networks`. A name that was not resolved excludes no
        scanner: where it leads is not known here."""
        return self.networks is None or not difference(targets.ranges, self.networks.ranges)

    def licensed(self, entry: QueueEntry) -> bool:
        """The license has room for all targets, should all be alive: hosts beyond it would be
        skipped in silence. Host discovery does not use it up."""
        if self.licensed_hosts is None or entry.kind is ScanKind.QUICK:
            return True
        # Names that were resolved are among the ranges as well.
        hosts = max(entry.packed.addresses, len(entry.packed.names), entry.hosts)
        return hosts <= self.licensed_hosts

    def admits(self, entry: QueueEntry) -> bool:
        return self.licensed(entry) and (self.networks is None or self.reaches(entry.targets))


class PoolScanner:
    """A scanner in the pool.

    One that is not (or no longer) in the configuration is `removed`: it takes nothing, and is
    kept while scans run there or tasks that name it wait.
    """

    def __init__(self, spec: ScannerSpec, breaker: BreakerSettings, *, removed: bool) -> None:
        self.spec = spec
        self.slots = Slots(spec.limit)
        self.breaker = Breaker(breaker)
        self.suspension = Suspension(breaker)
        self.enabled = spec.enabled
        self.draining = False
        self.closed = ""
        """Why windows and blackouts allow no scans there now, in words."""
        self.removed = removed
        self.hold_until = float("-inf")
        self.hold_reason = ""
        self.hold_at_latest = False
        self.chosen = 0
        """When routing last chose it, as a running number: ties go round."""

    def configure(self, spec: ScannerSpec, breaker: BreakerSettings) -> None:
        """Takes over a new configuration. An operator's enable or disable holds until the
        configuration says something new about it."""
        if self.removed or spec.enabled != self.spec.enabled:
            self.enabled = spec.enabled
        self.removed = False
        self.spec = spec
        self.slots.set_limit(spec.limit)
        self.breaker.settings = self.suspension.settings = breaker

    @property
    def scanner_id(self) -> str:
        return self.spec.scanner_id

    @property
    def usable(self) -> bool:
        """May be given work, now or when it has a free slot."""
        return self._open and not self.suspension.active

    @property
    def _open(self) -> bool:
        wanted = self.enabled and not self.draining and not self.closed
        return wanted and not self.removed and self.breaker.closed

    def free(self, now: float) -> int:
        """Slots in which a scan may be started now; one while suspended, when a try is due."""
        if not self._open or now < self.hold_until:
            return 0
        if self.suspension.active:
            return min(1, self.slots.free) if self.suspension.due(now) else 0
        return self.slots.free

    def load(self, queued: int) -> float:
        """Active and queued over capacity."""
        return (self.slots.active + queued) / max(1, self.slots.capacity)

    def deadline(self, now: float) -> float | None:
        """When something changes here by itself: a hold ends, or a probe is due."""
        ahead = (self.hold_until, self.suspension.probe_at)
        times = [self.breaker.probe_at, *(time for time in ahead if time and time > now)]
        return min((time for time in times if time is not None), default=None)
