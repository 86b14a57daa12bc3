"""Puts the parts of a daemon together, not yet running.

What is around it (clocks, the way to its scanners) is an argument, so that a simulation of weeks
runs the same parts.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from random import SystemRandom

import attrs
import trio

from nessus_sched.api.permissions import CurrentRoles
from nessus_sched.certify.certifier import Certifier, OpenScanner
from nessus_sched.certify.files import CertificationFiles
from nessus_sched.config.scanners import ScannerSettings
from nessus_sched.config.schema import Config
from nessus_sched.core.clock import Now, steady_clock, system_now
from nessus_sched.core.masking import Masker
from nessus_sched.daemon.absent_hosts import AbsentHosts
from nessus_sched.daemon.instrumentation import scanner_request
from nessus_sched.daemon.kept_scans import TaskScans
from nessus_sched.daemon.ledger_keeper import LOOK_EVERY as LEDGER_EVERY
from nessus_sched.daemon.ledger_keeper import LedgerKeeper
from nessus_sched.daemon.name_lookups import SCANNER_LOOKUPS, TARGET_LOOKUPS, NameLookups
from nessus_sched.daemon.plan_accuracy import PlanAccuracy
from nessus_sched.daemon.planner import Planner
from nessus_sched.daemon.report_ingest import Reports
from nessus_sched.daemon.scanner_watch import LOOK_EVERY as WATCH_EVERY
from nessus_sched.daemon.scanner_watch import ScannerWatch
from nessus_sched.daemon.storage.findings_keeper import FindingsKeeper
from nessus_sched.daemon.storage.ledger_copy import LedgerCopy, Mirror
from nessus_sched.daemon.storage.places import (
    engine_of,
    exports_of,
    mirror_of,
    refuse_newer,
    set_aside,
)
from nessus_sched.daemon.storage.stored_findings import StoredFindings
from nessus_sched.daemon.system import System
from nessus_sched.delivery.lanes import Lanes
from nessus_sched.delivery.router import Router
from nessus_sched.delivery.routes import Routes
from nessus_sched.delivery.service import Delivery
from nessus_sched.delivery.sinks.open import OpenSink, sink_for
from nessus_sched.nessus.client import NessusScanner
from nessus_sched.nessus.part_file import in_thread
from nessus_sched.nessus.wire import Transport, Wrap
from nessus_sched.scheduler.context import CLOCK_CHECKS, Context, Observer
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
from nessus_sched.store.tasks.engine import Engine
from nessus_sched.store.tasks.store import TaskStore
from nessus_sched.telemetry.estimate_error import EstimateErrorTracker
from nessus_sched.telemetry.metrics import Metrics
from nessus_sched.telemetry.task_log import log_change


@attrs.frozen(kw_only=True)
class Surroundings:
    """`wall` is the wall clock, `steady()` makes a clock that nothing sets, and `transport` gives
    the way to a scanner (None: the network). `rarer` is a factor on the seconds between
    looks that are taken just in case, such as whether the wall clock was set. `sink` opens where
    messages go."""

    wall: Now = system_now
    steady: Callable[[], Now] = steady_clock
    transport: Callable[[ScannerSettings], Transport | None] = lambda _settings: None
    rarer: float = 1.0
    sink: OpenSink = sink_for


def _delivery(
    context: Context,
    store: TaskStore,
    ledger: LedgerKeeper,
    exports: ExportStore,
    metrics: Metrics,
    sink: OpenSink,
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
        sink_for=lambda route: sink(
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
async def compose(
    config: Config,
    metrics: Metrics,
    mask: Masker,
    around: Surroundings,
    engine: Engine | None = None,
) -> AsyncIterator[System]:
    """Stores and scheduler, not yet running. `engine`: of the task store, if it has been chosen."""
    async with AsyncExitStack() as stack:
        engine = engine or engine_of(config)
        exports, findings, store = await _stores(stack, config, engine, around.wall)
        reports = Reports(findings, exports, around.wall)
        lookups, scanner_lookups = NameLookups(TARGET_LOOKUPS), NameLookups(SCANNER_LOOKUPS)
        trio.socket.set_custom_hostname_resolver(scanner_lookups)
        estimate_errors = EstimateErrorTracker(metrics.estimate_error.observe)
        context = await _context(
            *(config, mask, around, store, reports, lookups),
            observers=[log_change, metrics.observe_change, estimate_errors.observe],
            on_wake=lambda scanner_id: fleet.ring(scanner_id),
        )
        roles = CurrentRoles(context)
        context.rights_to = lambda task: roles.now().rights_to(task)
        connect = partial(_connect, context, metrics, around)
        fleet = Fleet(context, connect)
        queries = TaskQueries(context, fleet)
        service = Service(context, fleet, queries)
        service.on_told = estimate_errors.estimate_given
        exceptions = Exceptions(context)
        mirror = mirror_of(config, engine)
        ledger = await _ledger(stack, context, exceptions, reports, mirror, around.rarer)
        service.on_import = ledger.wake
        context.last_worked = ledger.last_worked
        schedules = _schedules(context, service, metrics)
        schedules.absent = AbsentHosts(queries=queries, findings=findings, ledger=ledger)
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
            certifier=_certifier(context, connect),
            housekeeping=Housekeeping(context, fleet, findings, exports, metrics.observe_deletions),
            service=service,
            lookups=lookups,
            scanner_lookups=scanner_lookups,
            findings=findings,
            ledger=ledger,
            exports=exports,
            findings_keeper=_findings_keeper(context, reports, ledger),
            ledger_copy=None if mirror is None else LedgerCopy(mirror=mirror),
            delivery=_delivery(context, store, ledger, exports, metrics, around.sink),
            scanner_watch=_scanner_watch(context, queries, around),
        )


async def _context(
    config: Config,
    mask: Masker,
    around: Surroundings,
    store: TaskStore,
    reports: Reports,
    lookups: NameLookups,
    *,
    observers: list[Observer],
    on_wake: Callable[[str], None],
) -> Context:
    now = around.steady()
    return Context(
        config=config,
        pool=new_pool(config, now(), on_wake=on_wake),
        store=store,
        exports=reports,
        digest=reports.digest,
        resolve=lookups.resolve,
        now=now,
        wall=around.wall,
        clock_checks=CLOCK_CHECKS * around.rarer,
        lease=store.lease,
        seal=await store.seal(),
        random=SystemRandom(),
        mask=mask,
        last_order=await store.last_order(),
        observers=observers,
    )


def _scanner_watch(context: Context, queries: TaskQueries, around: Surroundings) -> ScannerWatch:
    every = WATCH_EVERY * around.rarer
    return ScannerWatch(context.store, queries.scanners, context.wall, context.mask, every=every)


def _schedules(context: Context, service: Service, metrics: Metrics) -> Schedules:
    schedules = Schedules(context, service)
    schedules.on_firing = lambda outcome: metrics.schedule_firings.labels(outcome.value).inc()
    return schedules


async def _stores(
    stack: AsyncExitStack, config: Config, engine: Engine, wall: Now
) -> tuple[ExportStore, FindingsStore, TaskStore]:
    await trio.to_thread.run_sync(refuse_newer, config.state_directory)
    findings = await open_findings(config.state_directory / "findings.db")
    stack.push_async_callback(findings.aclose)
    store = await stack.enter_async_context(TaskStore.open_engine(engine, now=wall))
    exports = exports_of(config, engine)
    await trio.to_thread.run_sync(exports.prepare)
    if config.store is not None:
        await trio.to_thread.run_sync(set_aside, config.state_directory, await store.seal())
    return exports, findings, store


def _certifier(context: Context, connect: OpenScanner) -> Certifier:
    files = CertificationFiles.of(context.config.state_directory)
    return Certifier(context, files, connect, in_thread)


async def _ledger(
    stack: AsyncExitStack,
    context: Context,
    exceptions: Exceptions,
    reports: Reports,
    mirror: Mirror | None,
    rarer: float,
) -> LedgerKeeper:
    directory = context.config.state_directory
    if mirror is not None:
        await trio.to_thread.run_sync(mirror.catch_up)
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
        every=LEDGER_EVERY * rarer,
    )
    exceptions.on_change = keeper.wake
    context.observers.append(keeper.observe)
    return keeper


def _findings_keeper(context: Context, reports: Reports, keeper: LedgerKeeper) -> FindingsKeeper:
    stored = StoredFindings(
        reports=reports,
        findings=reports.findings,
        tasks=context.store,
        expired=lambda: context.expired(context.config.retention.findings),
        shared=context.config.store is not None,
    )
    found = FindingsKeeper(
        stored=stored, ledger=keeper.ledger, wake=keeper.wake, began=context.wall()
    )
    keeper.prepare = found.prepare
    return found


def _connect(
    context: Context,
    metrics: Metrics,
    around: Surroundings,
    scanner: ScannerSettings,
    wrap: Wrap = lambda bare: bare,
) -> NessusScanner:
    return NessusScanner(
        scanner,
        now=around.wall,
        transport=around.transport(scanner),
        export_limit=lambda: context.config.limits.export_size,
        on_request=partial(scanner_request, metrics, scanner),
        mask=context.mask,
        wrap=wrap,
        lease=context.lease,
    )
