"""The pool as the configuration wants it: made at start, and changed at every reload."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs
import trio

from nessus_sched.config.scanners import ScannerSettings
from nessus_sched.config.schema import Config
from nessus_sched.config.timetable import timetable
from nessus_sched.core.calendar.timetable import drain_rule
from nessus_sched.core.pool.breaker import BreakerSettings
from nessus_sched.core.pool.network_limits import NetworkLimit
from nessus_sched.core.pool.pool import Pool
from nessus_sched.core.pool.scanners import ScannerSpec
from nessus_sched.core.pool.state import PoolSettings
from nessus_sched.core.targets.scope import parse_rules
from nessus_sched.core.targets.targets import TargetSet
from nessus_sched.scheduler.context import Context


def new_pool(config: Config, now: float, *, on_wake: Callable[[str], None]) -> Pool:
    """A pool of the configured scanners, in which nothing waits yet."""
    pool = Pool(_settings(config), on_wake=on_wake)
    _configure(pool, config, {}, now)
    return pool


async def configure_pool(context: Context) -> None:
    """Tells the pool what the configuration, and the scanners' licenses, say now."""
    _configure(context.pool, context.config, context.licensed, context.now())
    while context.pool.refile(context.now()):
        await trio.lowlevel.checkpoint()


def _configure(pool: Pool, config: Config, licensed: Mapping[str, int | None], now: float) -> None:
    """`licensed` is how many hosts the license of each scanner allows, as far as known."""
    specs = [_spec(settings, licensed.get(settings.id)) for settings in config.scanners]
    pool.configure(specs, _settings(config), now)


def _settings(config: Config) -> PoolSettings:
    scheduling, polling = config.scheduling, config.polling
    return PoolSettings(
        fairness_after=scheduling.fairness_after,
        ageing_after=scheduling.ageing_after,
        overlap_guard=scheduling.overlap_guard,
        breaker=BreakerSettings(probe=polling.probe, probe_max=polling.probe_max),
    )


def _spec(settings: ScannerSettings, licensed: int | None) -> ScannerSpec:
    return ScannerSpec(
        scanner_id=settings.id,
        limit=settings.max_concurrent_scans,
        pool=settings.pool,
        enabled=settings.enabled,
        networks=_networks(settings.networks) if settings.networks else None,
        licensed_hosts=licensed,
    )


def _networks(texts: Sequence[str]) -> TargetSet:
    """As written in the configuration, where `0.0.0.0/0` may stand for everything."""
    return TargetSet(ranges=parse_rules(texts).networks)


def configure_calendar(context: Context) -> None:
    """Tells the pool the windows and blackouts, and the limits of networks."""
    limits = (
        NetworkLimit(
            name=each.cidr,
            ranges=parse_rules([each.cidr]).networks,
            most=each.max_concurrent_scans,
        )
        for each in context.config.networks
    )
    context.pool.gate.set_network_limits(limits, context.now())
    table = timetable(context.config)
    drains = (
        drain_rule(scanner_id, drain.begin, drain.end, table.zone)
        for scanner_id, drain in context.drains.items()
    )
    table = attrs.evolve(table, rules=(*table.rules, *drains))
    context.pool.gate.set_timetable(table, context.shown, context.now())
