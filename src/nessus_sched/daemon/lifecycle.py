"""How the daemon's process runs and stops: signals, watchdog, idle exit, interpreter settings."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import structlog
import trio

from nessus_sched.core.states import LIVE
from nessus_sched.daemon.sd_notify import Notifier
from nessus_sched.daemon.system import System
from nessus_sched.telemetry import events

SWITCH_INTERVAL: Final = 0.0005
"""Seconds for which a thread that parses or stores may keep the interpreter from the loop,
which asks for it several times in each answer; Python's default of 5 ms adds up."""
GC_THRESHOLD: Final = 20_000
"""New containers between two collections. Python's default of 700 collects several times
while a batch of submissions is stored and finds everything in use: 5 to 10 % of the time."""

log = structlog.get_logger("daemon")


async def obey_signals(
    stop: Callable[[str], None], reload: Callable[[], Awaitable[object]]
) -> None:
    """Reloads on SIGHUP; on SIGTERM or SIGINT calls `stop` with its name and returns, even in the
    midst of a reload. Of several reloads that are asked for during one, the last is made."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as received:
        # Blocked until now, so that a reload does not meet a daemon that is starting.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        async with trio.open_nursery() as nursery:
            asked, heard = trio.open_memory_channel[None](1)
            nursery.start_soon(_for_each, heard, reload)
            async for number in received:
                if number == signal.SIGHUP:
                    with suppress(trio.WouldBlock):
                        asked.send_nowait(None)
                    continue
                name = signal.Signals(number).name
                log.info(events.STOPPING, reason=name)
                stop(name)
                nursery.cancel_scope.cancel(reason=name)
                return


async def _for_each(
    heard: trio.MemoryReceiveChannel[None], work: Callable[[], Awaitable[object]]
) -> None:
    async for _ in heard:
        await work()


async def feed_watchdog(notifier: Notifier, system: System) -> None:
    """Tells systemd twice in each watchdog period that the loop turns and the store is readable."""
    if notifier.watchdog is None:
        return
    while True:
        with trio.move_on_after(notifier.watchdog / 2):
            await system.context.store.get("t-watchdog")
            notifier.alive()
        await trio.sleep(notifier.watchdog / 2)


async def end_when_idle(system: System, stop: trio.CancelScope) -> None:
    """Cancels `stop` after `limits.idle_exit` seconds without a client, an unfinished task and a
    schedule that will fire."""
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
    will_fire = any(each.next_due is not None for each in system.schedules.all())
    return will_fire or any(counts[state] for state in LIVE)


def tune_interpreter() -> None:
    """For a process that has to answer while it works."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    gc.set_threshold(GC_THRESHOLD, 10, 10)


def freeze_and_resume_gc() -> None:
    """Ends the pause that `nessus-sched serve` starts with. From now on only new objects are
    searched for garbage."""
    gc.freeze()
    gc.enable()
