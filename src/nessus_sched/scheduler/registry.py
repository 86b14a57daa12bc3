"""What the pool needs to know of the configuration."""

from __future__ import annotations

from collections.abc import Sequence

from nessus_sched.config.schema import Config, ScannerSettings
from nessus_sched.core.breaker import BreakerSettings
from nessus_sched.core.lanes import ScannerSpec
from nessus_sched.core.pool import PoolSettings
from nessus_sched.core.scope import parse_rules
from nessus_sched.core.targets import TargetSet


def specs_of(config: Config) -> Sequence[ScannerSpec]:
    return [_spec(settings) for settings in config.scanners]


def pool_settings(config: Config) -> PoolSettings:
    scheduling, polling = config.scheduling, config.polling
    return PoolSettings(
        fairness_after=scheduling.fairness_after,
        ageing_after=scheduling.ageing_after,
        overlap_guard=scheduling.overlap_guard,
        breaker=BreakerSettings(probe=polling.probe, probe_max=polling.probe_max),
    )


def _spec(settings: ScannerSettings) -> ScannerSpec:
    return ScannerSpec(
        scanner_id=settings.id,
        limit=settings.max_concurrent_scans,
        pool=settings.pool,
        enabled=settings.enabled,
        networks=_networks(settings.networks) if settings.networks else None,
    )


def _networks(texts: Sequence[str]) -> TargetSet:
    """As written in the configuration, where `0.0.0.0/0` may stand for everything."""
    return TargetSet(ranges=parse_rules(texts).networks)
