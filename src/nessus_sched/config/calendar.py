"""The configuration of schedules, windows and blackouts."""

from __future__ import annotations

import attrs

from nessus_sched.config.types import DAY, HOUR, MINUTE, NAME_BOUNDS, Network, Seconds, Times, Zone
from nessus_sched.core.calendar.timetable import AtEnd
from nessus_sched.core.fields import field


@attrs.frozen(kw_only=True)
class CalendarSettings:
    """General settings for schedules, windows and blackouts. Schedules (requests that are submitted
    repeatedly) are created by command or by tool, not here."""

    time_zone: Zone = field(
        "Time zone, such as Europe/Berlin, of times and cron expressions that name none, and of "
        "times in tool answers.",
        default="UTC",
    )
    catch_up: Seconds = field(
        "How late a firing that was missed (the daemon was down) may still run, unless a schedule "
        "says otherwise. Several missed firings run once.",
        default=HOUR,
        minimum=0,
        maximum=7 * DAY,
    )
    max_pause: Seconds = field(
        "A scan that windows or blackouts keep paused for longer than this is stopped: what it "
        "has found is kept, and the rest is scanned at the next opening.",
        default=DAY,
        minimum=MINUTE,
    )
    min_interval: Seconds = field(
        "Shortest time between two firings of a schedule.", default=15 * MINUTE, minimum=MINUTE
    )
    max_schedules: int = field("Maximum number of schedules.", default=1000, minimum=1)
    model_lifetime: Seconds | None = field(
        "Longest lifetime of a schedule that a model creates; null means no limit.",
        default=None,
        minimum=HOUR,
    )


@attrs.frozen(kw_only=True)
class BlackoutSettings:
    """A time in which nothing is scanned, whatever windows say. It applies to scans that match all
    of `networks`, `scanners` and `pools` that are given."""

    name: str = field("Shown for scans that are waiting for it.", **NAME_BOUNDS)
    times: tuple[Times, ...] = field(
        "When it applies; any number of: `mon-fri 20:00-06:00` (five nights), `sat,sun` (whole "
        "days), `22:00-24:00` (every day), `2026-12-20 to 2027-01-03` (both included), "
        "`2026-12-20 18:00 to 2027-01-03 06:00`.",
        min_length=1,
    )
    time_zone: Zone | None = field("Time zone. Default: that of `calendar`.", default=None)
    networks: tuple[Network, ...] = field("Only scans with targets in these networks.", default=())
    scanners: tuple[str, ...] = field("Only scans on these scanners.", default=())
    pools: tuple[str, ...] = field("Only scans on scanners of these pools.", default=())
    at_end: AtEnd = field(
        "What happens to running scans when scanning is no longer allowed. pause: pause them "
        "until it is allowed again; stop: stop them, keep what they have found, and scan the rest "
        "then; run_on: let them finish. A paused scan keeps its slot.",
        default=AtEnd.PAUSE,
    )


@attrs.frozen(kw_only=True)
class WindowSettings(BlackoutSettings):
    """A time in which scanning is allowed. Scans that match (as for blackouts) start only within
    it, and only if they are expected to end within it. If several windows match, all must be
    open."""


@attrs.frozen(kw_only=True)
class NetworkSettings:
    """A limit for a target network, whichever scanners scan it, so that several scanners do not
    flood one link."""

    cidr: Network = field("The network.")
    max_concurrent_scans: int = field(
        "Maximum number of scans at once with targets in it.", minimum=1, maximum=10_000
    )
    max_concurrent_hosts: int | None = field(
        "Maximum number of hosts scanned at once in it, divided equally among its scans. A scan "
        "that uses a policy on the scanner keeps the policy's limit.",
        default=None,
        minimum=1,
        maximum=1_000_000,
    )
