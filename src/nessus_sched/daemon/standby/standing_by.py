"""Waits until this daemon leads, and meanwhile serves what a daemon serves that does not."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Final, Protocol, TypeVar

import attrs
import structlog
import trio

from nessus_sched.api.permissions import Roles
from nessus_sched.config.loading import load
from nessus_sched.config.problems import ConfigError
from nessus_sched.config.schema import Config
from nessus_sched.config.secrets import secrets_of
from nessus_sched.core.clock import system_now
from nessus_sched.core.leading.leader import Daemon, Leader
from nessus_sched.core.store_errors import AlreadyRunning, StoreUnavailable, StoreUnreachable
from nessus_sched.daemon.lifecycle import freeze_and_resume_gc
from nessus_sched.daemon.sd_notify import Notifier
from nessus_sched.daemon.servers import (
    FIRST_PASSED_FD,
    is_passed,
    published,
    transport_limits,
)
from nessus_sched.daemon.standby.answers import WaitingApp, waiting_server, who
from nessus_sched.daemon.standby.identity import identity, socket_path
from nessus_sched.daemon.standby.results import FollowedResults
from nessus_sched.daemon.storage.ledger_copy import Mirror
from nessus_sched.http.app import App as HttpApp
from nessus_sched.http.app import PageSources
from nessus_sched.http.server import listen
from nessus_sched.http.server import serve as serve_pages
from nessus_sched.ipc.accepting import PatientListener
from nessus_sched.ipc.discovery import standby_of
from nessus_sched.ipc.framing import closing_line
from nessus_sched.ipc.listener import (
    Connections,
    Guest,
    accept,
    inherited_listener,
    unix_listener,
)
from nessus_sched.mcp.transport import serve_stream
from nessus_sched.scheduler.queries import StoredTasks
from nessus_sched.store.tasks.engine import Engine
from nessus_sched.store.tasks.reading import WatchedTasks
from nessus_sched.telemetry import events
from nessus_sched.telemetry.health import Health, HealthRecord, Observation, Status
from nessus_sched.telemetry.logging import Log
from nessus_sched.telemetry.metrics import Metrics

T = TypeVar("T")

LOOK_EVERY: Final = 1.0
"""Seconds between two looks at the leader."""
FOLLOW_EVERY: Final = 60.0
"""Seconds between two looks at the leader's ledger."""
FAREWELL: Final = 1.0
COUNT_EVERY: Final = 10.0
"""Seconds between two counts of tasks, which read an index."""

log = structlog.get_logger("daemon")


class Candidate(Protocol):
    """Of `store.postgres.leading`. Its methods block."""

    daemon: Daemon
    leader: Leader | None
    differs: tuple[str, ...]

    def look(self) -> bool: ...

    def close(self) -> None: ...


@attrs.define(kw_only=True, eq=False)
class Standby:
    """A daemon that waits. `config` is replaced at a reload, so the daemon leads with the latest
    one that had no mistakes."""

    config: Config
    file: Path
    environ: Mapping[str, str]
    engine: Engine
    candidate: Candidate
    mirror: Mirror | None = None
    results: FollowedResults | None = None
    """None if they are not kept here."""
    metrics: Metrics
    notifier: Notifier
    logs: Log
    waits: bool = True
    """Whether it waits at all for a leader to go."""
    connections: Connections = attrs.field(factory=Connections)
    trouble: str | None = None
    """Why the store cannot be used at the moment."""
    rejected: str | None = None
    """The first mistake in a configuration that was refused."""
    leads: bool = False
    _health: HealthRecord = attrs.field(factory=HealthRecord)
    _session: Lock = attrs.field(factory=Lock)
    _ledger: Lock = attrs.field(factory=Lock)
    """Held by the thread that uses them, perhaps after it was abandoned."""
    _clients: set[trio.CancelScope] = attrs.field(factory=set)
    _stopped: bool = False

    async def run(self) -> bool:
        """Returns True once this daemon leads, False if it was stopped.

        Raises `StoreUnavailable`, `WrongSchema` or `OtherConfiguration` if it cannot even wait, the
        latter two also later, in a group, and `SocketError` or `HttpTrouble`.
        """
        try:
            if await self._look():
                return True
        except StoreUnreachable as error:
            # After a power cut it may come up later than we do.
            if not self.waits:
                raise
            self._note(str(error))
        leader = self.candidate.leader
        if not self.waits:
            raise AlreadyRunning(f"{who(leader)}, and this one was not started to wait", pid=None)
        log.info(
            events.WAITING,
            leader=None if leader is None else leader.daemon.host,
            since=None if leader is None else leader.since,
        )
        self.metrics.leader.set(0)
        freeze_and_resume_gc()
        try:
            async with WatchedTasks.open(self.engine) as tasks, trio.open_nursery() as nursery:
                nursery.start_soon(self._obey_signals, nursery.cancel_scope)
                nursery.start_soon(self._count, tasks)
                nursery.start_soon(self._follow_ledger)
                if self.results is not None:
                    nursery.start_soon(self.results.run, tasks)
                await nursery.start(self._serve_http)
                await nursery.start(self._serve_socket, tasks)
                nursery.start_soon(self._turn_away)
                nursery.start_soon(self._feed_watchdog)
                self.notifier.ready()
                await self._wait()
                nursery.cancel_scope.cancel(reason="this daemon leads")
        finally:
            # Until the daemon that leads handles it.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
            if (not self.leads or self._stopped) and self._session.acquire(blocking=False):
                self.candidate.close()
        if self._stopped:
            return False
        # The parts of a leader begin with the ledger.
        await trio.to_thread.run_sync(self._ledger.acquire)
        self.notifier.status("leads")
        before = self.candidate.leader
        log.info(events.LEADING, before=None if before is None else before.daemon.host)
        return True

    async def _look(self) -> bool:
        """A stop does not wait for a database that does not answer."""
        self.leads = await trio.to_thread.run_sync(
            _holding(self._session, self.candidate.look), abandon_on_cancel=True
        )
        return self.leads

    async def _wait(self) -> None:
        said = ""
        while not self.leads:
            leader = self.candidate.leader
            if (status := f"waits: {who(leader)}") != said:
                self.notifier.status(said := status)
            await trio.sleep(LOOK_EVERY)
            try:
                await self._look()
                self._note(None)
            except StoreUnavailable as error:
                self._note(str(error))
            if _another(leader, self.candidate.leader):
                for scope in list(self._clients):
                    scope.cancel(reason="another daemon leads, and may be one that they can find")

    def _note(self, trouble: str | None) -> None:
        if trouble is not None and trouble != self.trouble:
            log.warning(events.NOT_LEADING, reason=trouble)
        self.trouble = trouble

    async def _count(self, tasks: WatchedTasks) -> None:
        while True:
            try:
                await tasks.count_again()
            except StoreUnavailable as error:
                log.debug(events.STORE_UNAVAILABLE, reason=str(error))
            await trio.sleep(COUNT_EVERY)

    async def _follow_ledger(self) -> None:
        """Fetches the ledger as it changes, which a daemon that begins to lead would wait for."""
        while self.mirror is not None:
            began = system_now()
            try:
                await trio.to_thread.run_sync(
                    _holding(self._ledger, self.mirror.catch_up), abandon_on_cancel=True
                )
                if self.results is not None:
                    self.results.ledger.caught_up(began)
            except StoreUnavailable as error:
                log.debug(events.STORE_UNAVAILABLE, reason=str(error))
            await trio.sleep(FOLLOW_EVERY)

    def health(self) -> Health:
        observed = {"role": self._role(), "store": self._store(), "config": self._configuration()}
        if self.results is not None:
            observed["findings"] = _findings(self.results)
        return self._health.update(observed, system_now())

    def _role(self) -> Observation:
        leader = self.candidate.leader
        if self.candidate.differs and leader is not None:
            sections = ", ".join(self.candidate.differs)
            return Observation(
                Status.DEGRADED,
                f"standby that does not take over: its configuration differs ({sections}) from "
                f"that of the daemon on {leader.daemon.host}",
            )
        return Observation(Status.OK, f"standby: {who(leader)}")

    def _store(self) -> Observation:
        if self.trouble is not None:
            return Observation(Status.FAILED, self.trouble)
        return Observation(Status.OK, "it can be read")

    def _configuration(self) -> Observation:
        if self.rejected is not None:
            return Observation(Status.DEGRADED, f"the latest reload was refused: {self.rejected}")
        return Observation(Status.OK, "the configuration file is in effect")

    async def _serve_http(
        self, *, task_status: trio.TaskStatus[str | None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        settings = self.config.http
        if settings.bind is None:
            task_status.started(None)
            return
        sources = PageSources(
            health=self.health,
            ready=lambda: False,
            registry=self.metrics.registry,
            refresh=_nothing,
            hosts=frozenset(settings.hosts),
            mask=self.logs.masker,
        )
        await serve_pages(HttpApp(sources), listen(settings.bind), task_status=task_status)

    async def _serve_socket(
        self, tasks: WatchedTasks, *, task_status: trio.TaskStatus[Path] = trio.TASK_STATUS_IGNORED
    ) -> None:
        config = self.config
        scanners = [each.id for each in config.scanners]
        roles = Roles(config)
        app = WaitingApp(
            config=config,
            queries=StoredTasks(tasks, scanners),
            mask=self.logs.masker,
            roles=roles,
            leader=lambda: self.candidate.leader,
            results=self.results,
        )
        server = waiting_server(app, self.metrics)
        self.connections.apply(config.limits)

        async def serve_client(stream: trio.SocketStream, guest: Guest) -> None:
            limits = transport_limits(config.limits)
            with trio.CancelScope() as scope:
                self._clients.add(scope)
                try:
                    await serve_stream(
                        server,
                        stream,
                        guest.peer,
                        limits,
                        memory=guest.memory,
                        activity=guest.activity,
                    )
                finally:
                    self._clients.discard(scope)

        path = Path(standby_of(str(socket_path(config, self.file, self.environ))))
        settings = config.socket
        async with unix_listener(path, mode=settings.mode, group=settings.group) as listener:
            with published(config, self.file, path, self.environ, standby=True):
                task_status.started(path)
                await accept(listener, serve_client, self.connections, roles.admit)

    async def _turn_away(self) -> None:
        """Where systemd holds the socket, clients of it would wait for ever."""

        async def turn_away(stream: trio.SocketStream) -> None:
            reason = f"this daemon waits: {who(self.candidate.leader)}"
            async with stream:
                with suppress(trio.BrokenResourceError), trio.move_on_after(FAREWELL):
                    await stream.send_all(closing_line(reason, standby=True))

        if is_passed(self.environ):
            async with inherited_listener(FIRST_PASSED_FD) as listener:
                await trio.serve_listeners(turn_away, [PatientListener(listener, "socket")])

    async def _obey_signals(self, stop: trio.CancelScope) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as received:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
            async for number in received:
                if number == signal.SIGHUP:
                    await self._reload()
                    continue
                name = signal.Signals(number).name
                log.info(events.STOPPING, reason=name)
                self._stopped = True
                stop.cancel(reason=name)
                return

    async def _reload(self) -> None:
        """The parts that serve keep what they began with; the leader begins with the new one."""
        self.notifier.reloading()
        try:
            config = await trio.to_thread.run_sync(lambda: load(self.file, environ=self.environ))
        except ConfigError as error:
            problems = [str(problem) for problem in error.problems]
            self.rejected = problems[0]
            log.error(events.CONFIG_REJECTED, file=str(self.file), problems=problems)
        else:
            self.config, self.rejected = config, None
            self.logs.apply(config.log)
            self.logs.mask(secrets_of(config))
            self.candidate.daemon = identity(config, self.file, self.environ)
            log.info(events.CONFIG_LOADED, file=str(self.file))
        self.notifier.ready()

    async def _feed_watchdog(self) -> None:
        """The database may be away for long; that is no reason to start this daemon again."""
        period = self.notifier.watchdog
        while period is not None:
            self.notifier.alive()
            await trio.sleep(period / 2)


def _holding(lock: Lock, work: Callable[[], T]) -> Callable[[], T]:
    def held() -> T:
        with lock:
            return work()

    return held


def _findings(results: FollowedResults) -> Observation:
    if results.trouble is not None:
        return Observation(Status.DEGRADED, results.trouble)
    return Observation(Status.OK, results.state())


def _another(before: Leader | None, after: Leader | None) -> bool:
    return after is not None and (before is None or before.since != after.since)


async def _nothing() -> None:
    """There are no gauges to read."""
