"""The daemon: everything that runs, on one page.

    hold the state directory
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
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from random import SystemRandom
from types import TracebackType

import attrs
import structlog
import trio

from nessus_sched import __version__
from nessus_sched.api.permissions import CurrentRoles, warnings
from nessus_sched.certify.certifier import Certifier
from nessus_sched.certify.files import CertificationFiles
from nessus_sched.config.scanners import ScannerSettings
from nessus_sched.config.schema import Config
from nessus_sched.config.secrets import secrets_of
from nessus_sched.core.clock import steady_clock, system_now
from nessus_sched.core.masking import Masker
from nessus_sched.core.store_errors import StoreError
from nessus_sched.daemon.absent_hosts import AbsentHosts
from nessus_sched.daemon.digest_reports import write_report
from nessus_sched.daemon.instrumentation import measure_loop_lag, scanner_request
from nessus_sched.daemon.kept_scans import TaskScans
from nessus_sched.daemon.ledger_keeper import LedgerKeeper
from nessus_sched.daemon.lifecycle import (
    end_when_idle,
    feed_watchdog,
    freeze_and_resume_gc,
    obey_signals,
    tune_interpreter,
)
from nessus_sched.daemon.name_lookups import SCANNER_LOOKUPS, TARGET_LOOKUPS, NameLookups
from nessus_sched.daemon.plan_accuracy import PlanAccuracy
from nessus_sched.daemon.planner import Planner
from nessus_sched.daemon.reload import Reloader
from nessus_sched.daemon.report_ingest import Reports
from nessus_sched.daemon.scanner_watch import ScannerWatch
from nessus_sched.daemon.sd_notify import Notifier
from nessus_sched.daemon.servers import (
    app_of,
    mcp_server,
    serve_http,
    serve_socket,
    serve_stdio,
)
from nessus_sched.daemon.system import System
from nessus_sched.delivery.lanes import Lanes
from nessus_sched.delivery.router import Router
from nessus_sched.delivery.routes import Routes
from nessus_sched.delivery.service import Delivery
from nessus_sched.delivery.sinks.open import sink_for
from nessus_sched.nessus.client import NessusScanner
from nessus_sched.nessus.part_file import in_thread
from nessus_sched.nessus.wire import Wrap
from nessus_sched.scheduler.context import Context
from nessus_sched.scheduler.exceptions import Exceptions
from nessus_sched.scheduler.fleet import Fleet
from nessus_sched.scheduler.housekeeping import Housekeeping
from nessus_sched.scheduler.operator import OperatorControls
from nessus_sched.scheduler.pool_config import new_pool
from nessus_sched.scheduler.queries import TaskQueries
from nessus_sched.scheduler.schedules import Schedules
from nessus_sched.scheduler.service import Service
from nessus_sched.store.exports import ExportStore
from nessus_sched.store.findings.store import FindingsStore, open_findings
from nessus_sched.store.ledger.store import open_ledger
from nessus_sched.store.lock import hold_state_directory
from nessus_sched.store.tasks.store import TaskStore
from nessus_sched.telemetry import events
from nessus_sched.telemetry.estimate_error import EstimateErrorTracker
from nessus_sched.telemetry.logging import configure
from nessus_sched.telemetry.metrics import Metrics
from nessus_sched.telemetry.task_log import log_change

log = structlog.get_logger("daemon")


@attrs.frozen(kw_only=True)
class ServeOptions:
    """`config_file` is the configuration's file, read again at every reload. `stdio`: also speak
    MCP on stdin and stdout, and exit with them. `on_demand`: a relay started the daemon; exit
    when idle."""

    config_file: Path
    stdio: bool = False
    on_demand: bool = False
    environ: Mapping[str, str] = attrs.field(factory=lambda: os.environ)


async def serve(config: Config, options: ServeOptions) -> None:
    """Runs the daemon until it is stopped.

    Raises `StoreError`, `SocketError` or `HttpTrouble` with a readable message if it cannot
    start.
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
        async with _system(config, metrics, logs.masker) as system, trio.open_nursery() as nursery:
            reloader = Reloader(options.config_file, options.environ, system, notifier, logs)
            nursery.start_soon(obey_signals, nursery.cancel_scope, reloader)
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
        notifier.stopping()
    log.info(events.STOPPED)


def _start_calendar(system: System, nursery: trio.Nursery) -> None:
    for part in (system.schedules, system.planner, system.plan_accuracy, system.exceptions):
        nursery.start_soon(part.run)


def _start_keepers(system: System, nursery: trio.Nursery) -> None:
    for part in (system.ledger, system.delivery, system.scanner_watch, system.housekeeping):
        nursery.start_soon(part.run)


class CrashedAfterStart(Exception):
    """The daemon had started, and was ended by an error."""


@contextmanager
def _crashes(notifier: Notifier) -> Iterator[None]:
    """Lets an error at startup through, and turns the same error after it into a crash."""
    try:
        yield
    except (ExceptionGroup, StoreError, OSError) as error:
        if notifier.was_ready:
            raise CrashedAfterStart("the daemon was ended by this error") from error
        raise


def _log_crash(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """Logs the unexpected error that ends the daemon; through the log, because it masks secrets
    and the interpreter would not."""
    log.critical(events.CRASHED, exc_info=(kind, error, traceback))


def _delivery(
    context: Context,
    store: TaskStore,
    ledger: LedgerKeeper,
    exports: ExportStore,
    metrics: Metrics,
) -> Delivery:
    scans = TaskScans(
        tasks=store,
        exports=exports,
        ledger=ledger,
        config=lambda: context.config,
        wall=context.wall,
    )
    routes = Routes(lambda: context.config)
    router = Router(
        outbox=store.outbox,
        tasks=store,
        ledger=ledger,
        config=lambda: context.config,
        routes=routes,
        head=lambda: store.journal_head,
        next_commit=store.next_commit,
        wall=context.wall,
        mask=context.mask,
    )
    lanes = Lanes(
        outbox=store.outbox,
        routes=routes,
        writable=lambda: store.health.ok,
        sink_for=lambda route: sink_for(
            route.sink, wall=context.wall, scans=scans, document_only=route.task_document
        ),
        now=context.now,
        wall=context.wall,
        random=context.random,
        mask=context.mask,
        count=lambda outcome: metrics.notifications.labels(outcome.value).inc(),
    )
    router.on_message = lanes.wake
    return Delivery(
        outbox=store.outbox,
        router=router,
        lanes=lanes,
        wall=context.wall,
        shown=context.shown,
        expired=context.expired,
    )


@asynccontextmanager
async def _system(config: Config, metrics: Metrics, mask: Masker) -> AsyncIterator[System]:
    """Stores and scheduler, not yet running."""
    async with AsyncExitStack() as stack:
        exports, findings, store = await _stores(stack, config.state_directory)
        reports = Reports(findings, exports, system_now)
        now = steady_clock()
        pool = new_pool(config, now(), on_wake=lambda scanner_id: fleet.ring(scanner_id))
        lookups, scanner_lookups = NameLookups(TARGET_LOOKUPS), NameLookups(SCANNER_LOOKUPS)
        trio.socket.set_custom_hostname_resolver(scanner_lookups)
        estimate_errors = EstimateErrorTracker(metrics.estimate_error.observe)
        context = Context(
            config=config,
            pool=pool,
            store=store,
            exports=reports,
            digest=reports.digest,
            resolve=lookups.resolve,
            now=now,
            wall=system_now,
            seal=await store.seal(),
            random=SystemRandom(),
            mask=mask,
            last_order=await store.last_order(),
            observers=[log_change, metrics.observe_change, estimate_errors.observe],
        )
        roles = CurrentRoles(context)
        context.rights_to = lambda task: roles.now().rights_to(task)
        fleet = Fleet(context, partial(_connect, context, metrics))
        queries = TaskQueries(context, fleet)
        service = Service(context, fleet, queries)
        service.on_told = estimate_errors.estimate_given
        exceptions = Exceptions(context)
        ledger = await _ledger(stack, context, exceptions, reports)
        service.on_import = ledger.wake
        context.last_worked = ledger.last_worked
        absent = AbsentHosts(queries=queries, findings=findings, ledger=ledger)
        schedules = _schedules(context, service, absent, metrics)
        planner = Planner(context, queries, schedules)
        yield System(
            context=context,
            roles=roles,
            store=store,
            fleet=fleet,
            queries=queries,
            schedules=schedules,
            planner=planner,
            plan_accuracy=PlanAccuracy(context, planner, metrics.observe_plan),
            exceptions=exceptions,
            operator=OperatorControls(context, fleet),
            certifier=_certifier(context, metrics),
            housekeeping=Housekeeping(context, fleet, findings, exports, metrics.observe_deletions),
            service=service,
            lookups=lookups,
            scanner_lookups=scanner_lookups,
            findings=findings,
            ledger=ledger,
            exports=exports,
            delivery=_delivery(context, store, ledger, exports, metrics),
            scanner_watch=ScannerWatch(store, queries.scanners, context.wall, mask),
        )


def _schedules(
    context: Context, service: Service, absent: AbsentHosts, metrics: Metrics
) -> Schedules:
    schedules = Schedules(context, service)
    schedules.on_firing = lambda outcome: metrics.schedule_firings.labels(outcome.value).inc()
    schedules.absent = absent
    return schedules


async def _stores(
    stack: AsyncExitStack, directory: Path
) -> tuple[ExportStore, FindingsStore, TaskStore]:
    exports = ExportStore(directory / "exports")
    await trio.to_thread.run_sync(exports.prepare)
    findings = await open_findings(directory / "findings.db")
    stack.push_async_callback(findings.aclose)
    store = await stack.enter_async_context(TaskStore.open(directory, now=system_now))
    return exports, findings, store


def _certifier(context: Context, metrics: Metrics) -> Certifier:
    files = CertificationFiles.of(context.config.state_directory)
    return Certifier(context, files, partial(_connect, context, metrics), in_thread)


async def _ledger(
    stack: AsyncExitStack, context: Context, exceptions: Exceptions, reports: Reports
) -> LedgerKeeper:
    directory = context.config.state_directory
    ledger = await open_ledger(directory / "ledger.db", directory / "findings.db")
    stack.push_async_callback(ledger.aclose)
    keeper = LedgerKeeper(
        ledger=ledger,
        tasks=context.store,
        settings=lambda: context.config.ledger,
        wall=context.wall,
        exceptions=exceptions,
        findings=reports.findings,
        reports=reports,
    )
    exceptions.on_change = keeper.wake
    context.observers.append(keeper.observe)
    return keeper


def _connect(
    context: Context, metrics: Metrics, scanner: ScannerSettings, wrap: Wrap = lambda bare: bare
) -> NessusScanner:
    return NessusScanner(
        scanner,
        now=system_now,
        export_limit=lambda: context.config.limits.export_size,
        on_request=partial(scanner_request, metrics, scanner),
        mask=context.mask,
        wrap=wrap,
    )
