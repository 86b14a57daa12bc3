"""Snapshots for the gauges, made up."""

from __future__ import annotations

from typing import Any

import attrs

from nessus_sched.core.pool.breaker import BreakerState, BreakerStatistics
from nessus_sched.core.pool.queues import QueueStatistics
from nessus_sched.core.pool.slots import SlotStatistics
from nessus_sched.core.pool.statistics import PoolStatistics, ScannerStatistics
from nessus_sched.telemetry.gauges import Commits, ConnectionUsage, Snapshot


def scanner(scanner_id: str, **changes: Any) -> ScannerStatistics:
    made = ScannerStatistics(
        scanner_id=scanner_id,
        pool="nessus",
        enabled=True,
        draining=False,
        removed=False,
        usable=True,
        obstacle=None,
        held_until=None,
        held_reason="",
        slots=SlotStatistics(limit=4, capacity=4, active=("a", "b"), free=2),
        free=2,
        queue=QueueStatistics(length=3, parked=1, oldest=40.0),
        load=1.25,
        breaker=BreakerStatistics(
            state=BreakerState.OPEN, failures=5, openings=2, opened_at=1.0, probe_at=2.0, reason=""
        ),
        suspension=None,
    )
    return attrs.evolve(made, **changes)


def reading(*scanners: ScannerStatistics) -> Snapshot:
    return Snapshot(
        at=100.0,
        pool=PoolStatistics(
            paused=False,
            scanners=scanners,
            overflow=QueueStatistics(length=7, parked=0, oldest=None),
            active=2,
            queued=10,
            capacity=4,
            free=2,
        ),
        up={"one": True},
        plugin_set_at={"one": 40.0},
        outage=True,
        dead_letters=3,
        sizes={"tasks": 4096},
        commits=Commits(commits=9, changes=20, largest_batch=5, p50=0.001, p99=0.01),
        connections=ConnectionUsage(
            connections=2,
            most_connections=256,
            memory=4096,
            most_memory=2**20,
            refused={"limits.connections": 7, "role": 1},
            displaced=3,
        ),
    )
