"""Signals: SIGTERM and SIGINT stop, SIGHUP reloads."""

from __future__ import annotations

import signal

import structlog
import trio

from nessus_sched.daemon.reload import Reloader
from nessus_sched.telemetry import events

log = structlog.get_logger("daemon")


async def obey_signals(stop: trio.CancelScope, reloader: Reloader) -> None:
    """Obeys signals until told to stop, then cancels `stop`."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as received:
        # It was held back while we started.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        async for number in received:
            if number == signal.SIGHUP:
                await reloader.reload(actor="signal")
                continue
            name = signal.Signals(number).name
            log.info(events.STOPPING, reason=name)
            stop.cancel(reason=name)
            return
