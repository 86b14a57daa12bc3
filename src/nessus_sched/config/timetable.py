"""The windows and blackouts of a configuration, to keep them and to check them."""

from __future__ import annotations

from nessus_sched.config.calendar import BlackoutSettings
from nessus_sched.config.schema import Config
from nessus_sched.core.calendar.periods import parse_period
from nessus_sched.core.calendar.timetable import Rule, Timetable
from nessus_sched.core.targets.scope import parse_rules


def timetable(config: Config) -> Timetable:
    """The windows and blackouts of a configuration."""
    zone = config.calendar.time_zone
    return Timetable(
        rules=(
            *(_rule(each, zone, blackout=False) for each in config.windows),
            *(_rule(each, zone, blackout=True) for each in config.blackouts),
        ),
        zone=zone,
    )


def _rule(settings: BlackoutSettings, zone: str, *, blackout: bool) -> Rule:
    networks = parse_rules(settings.networks).networks if settings.networks else None
    return Rule(
        name=settings.name,
        period=parse_period(settings.times, settings.time_zone or zone),
        blackout=blackout,
        networks=networks,
        scanners=frozenset(settings.scanners),
        pools=frozenset(settings.pools),
        at_end=settings.at_end,
    )
