"""Stops an idle daemon that a relay started."""

from __future__ import annotations

import structlog
import trio

from nessus_sched.core.states import LIVE
from nessus_sched.daemon.system import System
from nessus_sched.telemetry import events

log = structlog.get_logger("daemon")


async def end_when_idle(system: System, stop: trio.CancelScope) -> None:
    """Cancels `stop` after `limits.idle_exit` seconds without a client and without an
    unfinished task."""
    while True:
        changed = system.connections.changed
        patience = system.context.config.limits.idle_exit
        idle_since = system.connections.statistics().idle_since
        if idle_since is None:
            await changed.wait()
            continue
        left = idle_since + patience - trio.current_time()
        if left <= 0 and not _unfinished(system):
            log.info(events.STOPPING, reason="idle")
            stop.cancel(reason="idle")
            return
        with trio.move_on_after(left if left > 0 else patience):
            await changed.wait()


def _unfinished(system: System) -> bool:
    counts = system.context.store.counts()
    return any(counts[state] for state in LIVE)
