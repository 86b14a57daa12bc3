"""The watchdog: systemd hears from us only while the daemon really works."""

from __future__ import annotations

import trio

from nessus_sched.daemon.sd_notify import Notifier
from nessus_sched.daemon.system import System


async def feed_watchdog(notifier: Notifier, system: System) -> None:
    """Reports a turning event loop and readable task store, twice in each period."""
    if notifier.watchdog is None:
        return
    while True:
        with trio.move_on_after(notifier.watchdog / 2):
            await system.context.store.get("t-watchdog")
            notifier.alive()
        await trio.sleep(notifier.watchdog / 2)
