"""The daemon: everything that runs, on one page.

    hold the state directory
      wait             while another daemon with the same store leads: see `standby`
      open the stores
        nursery
          signals        SIGTERM, SIGINT stop; SIGHUP reloads
          http           /health, /ready, /metrics
          fleet          one driver per scanner, the tasks they carry, the retry timer
          delivery       reads the journal for routes, and delivers their messages
          scanner watch  journals when scanners cannot be used
          socket         MCP and the command line, one task per connection
          stdio          MCP on stdin and stdout, with --stdio
          ledger         enters finished scans in the ledger
          ledger copy    copies it to the database, if there is one
          findings       reads findings that are missing from reports
          housekeeping   deletes what is past its retention
          certifications deletes what an interrupted one left on a scanner
          planner        plans the coming day while somebody looks at the status page
          plan accuracy  compares the plan of every hour with what happens
          loop lag       measured for the metrics
          watchdog       tells systemd that the loop turns
          idle           stops a daemon that a relay started once it is idle

Stopping cancels the nursery: scans keep running on their scanners and are picked up again at
the next start.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType

import attrs
import structlog
import trio

from nessus_sched import __version__
from nessus_sched.api.permissions import warnings
from nessus_sched.config.schema import Config
from nessus_sched.config.secrets import secrets_of
from nessus_sched.core.clock import system_now
from nessus_sched.core.error_groups import flatten_exceptions
from nessus_sched.core.store_errors import (
    OtherConfiguration,
    StoreError,
    StoreTakenOver,
    WrongSchema,
)
from nessus_sched.daemon.compose import Surroundings, compose
from nessus_sched.daemon.digest_reports import write_report
from nessus_sched.daemon.instrumentation import measure_loop_lag
from nessus_sched.daemon.lifecycle import (
    end_when_idle,
    feed_watchdog,
    freeze_and_resume_gc,
    obey_signals,
    tune_interpreter,
)
from nessus_sched.daemon.reload import Reloader
from nessus_sched.daemon.sd_notify import Notifier
from nessus_sched.daemon.servers import (
    app_of,
    mcp_server,
    serve_http,
    serve_socket,
    serve_stdio,
)
from nessus_sched.daemon.standby.identity import identity
from nessus_sched.daemon.standby.results import FollowedResults
from nessus_sched.daemon.standby.standing_by import Standby
from nessus_sched.daemon.storage.places import (
    candidate_of,
    copied_ledger,
    engine_of,
    exports_of,
    mirror_of,
    refuse_newer,
)
from nessus_sched.daemon.system import System
from nessus_sched.store.lock import hold_state_directory
from nessus_sched.store.tasks.engine import Engine
from nessus_sched.telemetry import events
from nessus_sched.telemetry.logging import Log, configure
from nessus_sched.telemetry.metrics import Metrics

log = structlog.get_logger("daemon")


@attrs.frozen(kw_only=True)
class ServeOptions:
    """`config_file` is the configuration's file, read again at every reload. `stdio`: also speak
    MCP on stdin and stdout, and exit with them. `on_demand`: a relay started the daemon; exit
    when idle. `accept_configuration`: lead although the daemon that led last, on another machine,
    had another configuration."""

    config_file: Path
    stdio: bool = False
    on_demand: bool = False
    accept_configuration: bool = False
    environ: Mapping[str, str] = attrs.field(factory=lambda: os.environ)


async def serve(config: Config, options: ServeOptions) -> None:
    """Runs the daemon until it is stopped.

    Raises `StoreError`, `SocketError` or `HttpTrouble` with a readable message if it cannot
    start, and `StoreTakenOver` once another daemon leads.
    """
    started = trio.current_time()
    notifier = Notifier(options.environ)
    logs = configure(config.log)
    logs.mask(secrets_of(config))
    sys.excepthook = _log_crash
    tune_interpreter()
    log.info(events.CONFIG_LOADED, file=str(options.config_file))
    for warning in warnings(config, system_now()):
        log.warning(events.CONFIG_WARNING, warning=warning)
    metrics = Metrics(__version__)
    with _crashes(notifier), hold_state_directory(config.state_directory) as died:
        if died is not None:
            log.warning(events.DIED_BEFORE, pid=died)
        engine = engine_of(config)
        found = await _wait_to_lead(config, options, engine, metrics, notifier, logs)
        if found is not None:
            notifier.was_ready = False  # it was for waiting; to lead, it has yet to start
            metrics.leader.set(1)
            around = Surroundings()
            async with compose(found, metrics, logs.masker, around, engine) as system:
                await _run(system, options, metrics, notifier, logs, started)
        notifier.stopping()
    log.info(events.STOPPED)


async def _wait_to_lead(
    config: Config,
    options: ServeOptions,
    engine: Engine,
    metrics: Metrics,
    notifier: Notifier,
    logs: Log,
) -> Config | None:
    """Returns at once unless another daemon with the same store leads. The configuration with which
    to lead; None if the daemon was stopped while it waited."""
    candidate = candidate_of(engine)
    if candidate is None:
        return config
    candidate.daemon = identity(config, options.config_file, options.environ)
    candidate.accepts_any = options.accept_configuration
    mirror = mirror_of(config, engine)
    standby = Standby(
        config=config,
        file=options.config_file,
        environ=options.environ,
        engine=engine,
        candidate=candidate,
        mirror=mirror,
        metrics=metrics,
        notifier=notifier,
        logs=logs,
        waits=not (options.stdio or options.on_demand),
    )
    if mirror is not None:
        await trio.to_thread.run_sync(refuse_newer, config.state_directory)
        standby.results = FollowedResults(
            directory=config.state_directory,
            exports=exports_of(config),
            ledger=copied_ledger(config, mirror),
            kept=lambda: standby.config.retention.findings,
        )
    return standby.config if await standby.run() else None


async def _run(
    system: System,
    options: ServeOptions,
    metrics: Metrics,
    notifier: Notifier,
    logs: Log,
    started: float,
) -> None:
    config = system.context.config
    async with trio.open_nursery() as nursery:
        reloader = Reloader(options.config_file, options.environ, system, notifier, logs)
        nursery.start_soon(
            obey_signals,
            lambda name: nursery.cancel_scope.cancel(reason=name),
            partial(reloader.reload, actor="signal"),
        )
        await system.operator.restore()
        await system.certifier.restore()
        nursery.start_soon(system.certifier.run)
        # Before the fleet, which may take seconds to read a full queue.
        url = await nursery.start(serve_http, system, reloader, metrics)
        await nursery.start(system.fleet.run)
        nursery.start_soon(system.service.repeat_commands)
        nursery.start_soon(system.service.deadlines.run)
        await system.schedules.restore()
        await system.exceptions.restore()
        _start_calendar(system, nursery)
        app = app_of(system, reloader)
        system.delivery.router.write_report = partial(write_report, app)
        server = mcp_server(app, system, metrics)
        socket = await nursery.start(
            serve_socket, server, system, options.config_file, options.environ
        )
        if options.stdio:
            nursery.start_soon(serve_stdio, server, system, nursery.cancel_scope)
        _start_keepers(system, nursery)
        nursery.start_soon(measure_loop_lag, metrics)
        nursery.start_soon(feed_watchdog, notifier, system)
        if options.on_demand:
            nursery.start_soon(end_when_idle, system, nursery.cancel_scope)
        freeze_and_resume_gc()
        notifier.ready()
        log.info(
            events.STARTED,
            version=__version__,
            state_directory=str(config.state_directory),
            socket=str(socket),
            http=url,
            seconds=round(trio.current_time() - started, 3),
        )


def _start_calendar(system: System, nursery: trio.Nursery) -> None:
    for part in (system.schedules, system.planner, system.plan_accuracy, system.exceptions):
        nursery.start_soon(part.run)


def _start_keepers(system: System, nursery: trio.Nursery) -> None:
    for part in (
        system.ledger,
        system.findings_keeper,
        system.delivery,
        system.scanner_watch,
        system.housekeeping,
    ):
        nursery.start_soon(part.run)
    if system.ledger_copy is not None:
        nursery.start_soon(system.ledger_copy.run)


class CrashedAfterStart(Exception):
    """The daemon had started, and was ended by an error."""


@contextmanager
def _crashes(notifier: Notifier) -> Iterator[None]:
    """Lets an error at startup through, and turns the same error after it into a crash. Raises
    `StoreTakenOver` alone, whatever else followed from it."""
    try:
        yield
    except (ExceptionGroup, StoreError, StoreTakenOver, OSError) as error:
        found = list(flatten_exceptions(error))
        taken = next((each for each in found if isinstance(each, StoreTakenOver)), None)
        if taken is not None and all(isinstance(e, StoreTakenOver | StoreError) for e in found):
            log.warning(events.TAKEN_OVER, reason=str(taken))
            raise taken from None
        if all(isinstance(each, WrongSchema | OtherConfiguration) for each in found):
            raise found[0] from None  # what a daemon that waits has found
        if notifier.was_ready:
            raise CrashedAfterStart("the daemon was ended by this error") from error
        raise


def _log_crash(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """Logs the unexpected error that ends the daemon; through the log, because it masks secrets
    and the interpreter would not."""
    log.critical(events.CRASHED, exc_info=(kind, error, traceback))
