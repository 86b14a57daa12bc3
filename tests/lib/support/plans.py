"""A plan of a night, for what draws plans."""

from __future__ import annotations

from typing import Any, Final

import attrs

from nessus_sched.api.schedules.plan import report
from nessus_sched.core.calendar.periods import parse_period
from nessus_sched.core.calendar.plan import plan
from nessus_sched.core.calendar.playing import Job, Slot
from nessus_sched.core.calendar.timeline import timeline
from nessus_sched.core.calendar.timetable import Rule, Timetable
from nessus_sched.core.calendar.zones import parse_moment
from nessus_sched.core.targets.packed import pack
from nessus_sched.core.targets.targets import targets_from
from nessus_sched.scheduler.plan import Plan

HOUR: Final = 3600.0
ZONE: Final = "Europe/Berlin"
NOW: Final = parse_moment("2026-03-02 16:20", ZONE)
NIGHTS: Final = Rule(
    name="nights",
    period=parse_period(["18:00-06:00"], ZONE),
    blackout=False,
    scanners=frozenset({"west"}),
)
FREEZE: Final = Rule(
    name="freeze",
    period=parse_period(["2026-03-02 20:00 to 2026-03-03 04:00"], ZONE),
    blackout=True,
    networks=targets_from(["198.51.100.0/24"]).ranges,
)


def _job(name: str, ready: float, takes: tuple[float, ...], **changes: Any) -> Job:
    usual: dict[str, Any] = {
        "firing": True,
        "targets": pack(targets_from(["192.0.2.1"])),
        "between": None,
        "pool": "nessus",
        "durations": dict.fromkeys(("east", "west"), tuple(each * HOUR for each in takes)),
    }
    return Job(name=name, ready=NOW + ready * HOUR, **{**usual, **changes})


def night(name: str = "weekly-dmz", *, hours: float = 24.0) -> Plan:
    """Two scanners, one of them closed by day; `name` is that of the first schedule."""
    jobs = [
        _job(name, 3.7, (1.5, 2.0, 2.5)),
        _job("branch offices", 0.0, (0.8, 0.9, 1.1), firing=False, scans=9),
        _job("printers", 5.0, (0.5,), targets=pack(targets_from(["198.51.100.9"]))),
        _job("core network", 9.7, (4.0, 6.0, 9.0)),
        _job("new site", 2.0, ()),
    ]
    slots = [
        Slot(
            scanner_id="east",
            running=_job("t-1", 0, (), durations={"east": (HOUR, 1.4 * HOUR)}),
        ),
        Slot(scanner_id="east"),
        Slot(scanner_id="west"),
    ]
    table = Timetable(rules=(NIGHTS, FREEZE), zone=ZONE)
    until = NOW + hours * HOUR
    scans = plan(jobs, slots, table, NOW)
    pools = {"east": "nessus", "west": "nessus", "spare": "nessus"}
    drawn = timeline(scans, slots, pools, {"t-1": "web servers"}, table, (NOW, until))
    return Plan(begin=NOW, until=until, scans=scans, left_out=0, timeline=drawn)


def answered(found: Plan) -> dict[str, Any]:
    """As `get_plan` answers it, with its timeline."""
    return attrs.asdict(report(found, ZONE, drawn=True))
