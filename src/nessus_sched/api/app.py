"""What the operations work on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import attrs

from nessus_sched.certify.certifier import Certifier
from nessus_sched.config.schema import Config
from nessus_sched.config.types import LogLevel
from nessus_sched.core.clock import Now
from nessus_sched.core.masking import Masker
from nessus_sched.core.targets.scope import Scope
from nessus_sched.core.task import ScanKind, Task
from nessus_sched.delivery.service import Delivery
from nessus_sched.ipc.peer import Peer
from nessus_sched.ipc.users import Users
from nessus_sched.results.findings_port import FindingsReader, FindingsStore
from nessus_sched.results.ledger.port import KeptLedger, LedgerReader
from nessus_sched.scheduler.exceptions import Exceptions
from nessus_sched.scheduler.housekeeping import Housekeeping
from nessus_sched.scheduler.operator import OperatorControls
from nessus_sched.scheduler.queries import StoredTasks, TaskQueries
from nessus_sched.scheduler.schedules import Schedules
from nessus_sched.scheduler.service import Service


@attrs.frozen(kw_only=True)
class Reloaded:
    """The result of a reload: `problems`, and then nothing was applied, or the `changes`.
    `needs_restart` lists changed keys that take effect only after a restart."""

    problems: Sequence[str] = ()
    changes: Sequence[str] = ()
    needs_restart: Sequence[str] = ()


async def _nothing_to_reload() -> Reloaded:
    return Reloaded()


def _keep_level(level: LogLevel, _component: str | None) -> tuple[LogLevel, Mapping[str, LogLevel]]:
    return level, {}


def _no_limits(_peer: Peer) -> Sequence[Scope]:
    return ()


def _every_kind(_peer: Peer, _kind: ScanKind) -> bool:
    return True


def _everything(_peer: Peer, _task: Task) -> bool:
    return True


def _not_measured() -> str | None:
    return None


async def _not_kept(_name: str, _text: str) -> str:
    raise NotImplementedError


def _every_peer(_peer: Peer) -> bool:
    return True


def _same(users: Users) -> Callable[[], Users]:
    return lambda: users


class ReadApp(Protocol):
    """What operations that only read need, with a daemon or on its files; see `App`."""

    @property
    def config(self) -> Config: ...

    @property
    def now(self) -> Now: ...

    @property
    def mask(self) -> Masker: ...

    @property
    def queries(self) -> StoredTasks: ...

    @property
    def findings(self) -> FindingsReader: ...

    @property
    def ledger(self) -> LedgerReader: ...

    @property
    def scopes_of(self) -> Callable[[Peer], Sequence[Scope]]: ...

    @property
    def sees(self) -> Callable[[Peer, Task], bool]: ...

    @property
    def users(self) -> Callable[[], Users]: ...


@attrs.frozen(kw_only=True)
class App:
    """`reload` re-reads the configuration; `set_log_level(level, component)` changes the log
    level and returns all levels; `scopes_of` returns the target limits of a peer's role, `sees`
    whether it may see a task, `manages` whether it may change one, `may_submit` whether it
    may submit scans of a kind, `may_approve` whether it may decide about exceptions;
    `plan_accuracy()` tells how good plans were; `users()` looks users up; `keep_report(name, text)`
    writes a report for people and returns its path."""

    queries: TaskQueries
    service: Service
    operator: OperatorControls
    schedules: Schedules
    exceptions: Exceptions
    housekeeping: Housekeeping
    findings: FindingsStore
    ledger: KeptLedger
    certifier: Certifier | None = None
    delivery: Delivery | None = None
    reload: Callable[[], Awaitable[Reloaded]] = _nothing_to_reload
    set_log_level: Callable[[LogLevel, str | None], tuple[LogLevel, Mapping[str, LogLevel]]] = (
        _keep_level
    )
    scopes_of: Callable[[Peer], Sequence[Scope]] = _no_limits
    sees: Callable[[Peer, Task], bool] = _everything
    manages: Callable[[Peer, Task], bool] = _everything
    may_submit: Callable[[Peer, ScanKind], bool] = _every_kind
    plan_accuracy: Callable[[], str | None] = _not_measured
    may_approve: Callable[[Peer], bool] = _every_peer
    users: Callable[[], Users] = attrs.field(factory=lambda: _same(Users()))
    keep_report: Callable[[str, str], Awaitable[str]] = _not_kept

    @property
    def config(self) -> Config:
        """The configuration in effect."""
        return self.service.context.config

    @property
    def now(self) -> Now:
        return self.service.context.wall

    @property
    def mask(self) -> Masker:
        """Knows every configured secret."""
        return self.service.context.mask
