"""The configuration of limits on what clients and scanners can make the daemon do."""

from __future__ import annotations

import attrs

from nessus_sched.config.types import MINUTE, Seconds, Size
from nessus_sched.core.fields import field


@attrs.frozen(kw_only=True)
class LimitSettings:
    """Limits on what clients and scanners can make the daemon do."""

    connections: int = field(
        "Maximum number of MCP and command line connections.", default=256, minimum=1, maximum=65536
    )
    message_size: Size = field(
        "Largest message a client may send.", default=4 * 2**20, minimum=4096, maximum=2**30
    )
    message_items: int = field(
        "Maximum number of values (members of lists and objects, at any depth) in a message.",
        default=25_000,
        minimum=1000,
        maximum=10_000_000,
    )
    connection_memory: Size = field(
        "Memory for all connections together: unfinished messages, requests in progress and "
        "unread answers. A user gets at most half of it.",
        default=96 * 2**20,
        minimum=16 * 2**20,
        maximum=2**40,
    )
    stall: Seconds = field(
        "How long a client may take to send its first message, to complete a message, or to read "
        "an answer before it is disconnected. Idle clients stay connected.",
        default=30,
        minimum=1,
    )
    calls_at_once: int = field(
        "Concurrent calls per connection.", default=32, minimum=1, maximum=4096
    )
    calls_per_second: float = field(
        "Calls per second and connection, averaged over ten seconds.",
        default=50.0,
        minimum=0.1,
        maximum=10000,
    )
    queued_tasks: int = field(
        "Maximum number of unfinished tasks. A user gets at most half of it; an eighth is reserved "
        "for root and the service's user. A waiting task takes about 1 KiB of memory.",
        default=100_000,
        minimum=1,
        maximum=10_000_000,
    )
    queued_targets: int = field(
        "Maximum number of targets (addresses, networks, ranges and names) of all unfinished tasks "
        "together, shared like queued_tasks. A network or range counts as one. Each takes 8 bytes "
        "of memory, 32 for IPv6.",
        default=1_000_000,
        minimum=1,
        maximum=1_000_000_000,
    )
    export_size: Size = field(
        "Largest report to fetch from a scanner.",
        default=4 * 2**30,
        minimum=2**20,
        maximum=2**40,
    )
    idle_exit: Seconds = field(
        "A daemon that a client started automatically exits after this long without clients, "
        "unfinished tasks and schedules that will fire.",
        default=10 * MINUTE,
        minimum=1,
    )
