"""The running parts of a daemon, for its servers and helpers.

This is not `api.app.App`, which holds what operations may use. `App` lies below the daemon and
cannot name its parts; it gets what it needs of them as functions (`reload`, `plan_accuracy`,
`keep_report`). Tests run it over fakes, and `ReadApp` is the part of it that works without a
daemon. `servers.app_of` makes the `App` of a `System`.
"""

from __future__ import annotations

import attrs

from nessus_sched.api.permissions import CurrentRoles
from nessus_sched.certify.certifier import Certifier
from nessus_sched.daemon.ledger_keeper import LedgerKeeper
from nessus_sched.daemon.name_lookups import NameLookups
from nessus_sched.daemon.plan_accuracy import PlanAccuracy
from nessus_sched.daemon.planner import Planner
from nessus_sched.daemon.scanner_watch import ScannerWatch
from nessus_sched.daemon.storage.findings_keeper import FindingsKeeper
from nessus_sched.daemon.storage.ledger_copy import LedgerCopy
from nessus_sched.delivery.service import Delivery
from nessus_sched.http.server import PageConnections
from nessus_sched.ipc.listener import Connections
from nessus_sched.scheduler.context import Context
from nessus_sched.scheduler.exceptions import Exceptions
from nessus_sched.scheduler.fleet import Fleet
from nessus_sched.scheduler.housekeeping import Housekeeping
from nessus_sched.scheduler.operator import OperatorControls
from nessus_sched.scheduler.queries import TaskQueries
from nessus_sched.scheduler.schedules import Schedules
from nessus_sched.scheduler.service import Service
from nessus_sched.store.exports import ExportStore
from nessus_sched.store.findings.store import FindingsStore
from nessus_sched.store.tasks.store import TaskStore


@attrs.frozen(kw_only=True)
class System:
    context: Context
    store: TaskStore
    fleet: Fleet
    queries: TaskQueries
    service: Service
    schedules: Schedules
    planner: Planner
    plan_accuracy: PlanAccuracy
    exceptions: Exceptions
    operator: OperatorControls
    certifier: Certifier
    housekeeping: Housekeeping
    findings: FindingsStore
    ledger: LedgerKeeper
    exports: ExportStore
    findings_keeper: FindingsKeeper
    ledger_copy: LedgerCopy | None
    """None if the ledger is only here."""
    delivery: Delivery
    scanner_watch: ScannerWatch
    lookups: NameLookups
    scanner_lookups: NameLookups
    roles: CurrentRoles
    connections: Connections = attrs.field(factory=Connections)
    pages: PageConnections = attrs.field(factory=PageConnections)
