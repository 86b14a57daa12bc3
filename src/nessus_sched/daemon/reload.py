"""Reloading the configuration: validated first, then applied to what runs, or refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import structlog
import trio

from nessus_sched.api.app import Reloaded
from nessus_sched.config.diff import diff
from nessus_sched.config.loading import load
from nessus_sched.config.problems import ConfigError
from nessus_sched.config.schema import Config
from nessus_sched.config.secrets import secrets_of
from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.daemon.sd_notify import Notifier
from nessus_sched.daemon.standby.identity import identity
from nessus_sched.daemon.system import System
from nessus_sched.telemetry import events
from nessus_sched.telemetry.logging import Log

_LOADING: Final = trio.CapacityLimiter(1)
"""One thread, even if it was abandoned."""

log = structlog.get_logger("daemon")


class Reloader:
    """`last` is the outcome of the last reload."""

    def __init__(
        self,
        file: Path,
        environ: Mapping[str, str],
        system: System,
        notifier: Notifier,
        logs: Log,
    ) -> None:
        self._file = file
        self._environ = environ
        self._system = system
        self._started_with = system.context.config
        self._notifier = notifier
        self.logs = logs
        self._lock = trio.Lock()
        self.last = Reloaded()
        self.rejected_at: float | None = None

    async def reload(self, *, actor: str) -> Reloaded:
        """Reads the file again and applies the changes, or none of them if it has mistakes."""
        async with self._lock:
            self._notifier.reloading()
            try:
                self.last = await self._reload(actor)
            finally:
                self._notifier.ready()
            return self.last

    async def _announce(self, config: Config) -> None:
        """Daemons that wait must have the same configuration as this one."""
        if config.store is None:
            return
        try:
            await self._system.store.announce(identity(config, self._file, self._environ))
        except StoreUnavailable as error:
            log.warning(events.STORE_UNAVAILABLE, reason=str(error))

    async def _reload(self, actor: str) -> Reloaded:
        context = self._system.context
        try:
            # A file system that does not answer holds up no stop.
            config = await trio.to_thread.run_sync(
                lambda: load(self._file, environ=self._environ),
                abandon_on_cancel=True,
                limiter=_LOADING,
            )
        except ConfigError as error:
            problems = [str(problem) for problem in error.problems]
            self.rejected_at = context.wall()
            log.error(events.CONFIG_REJECTED, file=str(self._file), problems=problems)
            return Reloaded(problems=problems, needs_restart=self.last.needs_restart)
        changes = diff(context.config, config)
        self.logs.apply(config.log)
        self.logs.mask(secrets_of(config))
        await self._system.operator.configure(config)
        self._system.connections.apply(config.limits)
        self._system.delivery.configured()
        self.rejected_at = None
        told = changes.lines()
        await self._announce(config)
        log.info(events.CONFIG_LOADED, file=str(self._file), changes=told)
        entry = JournalEntry(
            at=context.wall(), event="reloaded", actor=actor, detail={"changes": list(told)}
        )
        try:
            await context.store.note(entry)
        except StoreUnavailable as error:
            log.warning(events.STORE_UNAVAILABLE, reason=str(error))
        # Keys changed at an earlier reload may still be waiting for a restart.
        return Reloaded(changes=told, needs_restart=diff(self._started_with, config).restart)
