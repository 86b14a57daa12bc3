"""The operations over the stores of a network that was scanned many times."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import attrs
import trio

from nessus_sched.api.app import App
from nessus_sched.core.credentials import Credential, CredentialKind
from nessus_sched.core.secret import Secret
from nessus_sched.daemon.ledger_keeper import LedgerKeeper
from nessus_sched.daemon.report_ingest import Reports
from nessus_sched.store.executor import Inline
from nessus_sched.store.exports import ExportStore
from nessus_sched.store.findings.store import FindingsStore, open_findings
from nessus_sched.store.ledger.store import open_ledger
from nessus_sched.store.tasks.store import TaskStore
from support.apps import app_of
from support.fake_scanner import FakeScanner
from support.patched_network import Network, living, store
from support.world import config_of, scanner_settings, virtual_now, world


async def at_once(work: Callable[..., Any], *args: Any, **_options: Any) -> Any:
    """In place of `trio.to_thread.run_sync`: the virtual clock does not see threads, and would
    leap through hours while one of them reads a file."""
    await trio.lowlevel.checkpoint()
    return work(*args)


LINUX = Credential(
    name="linux", kind=CredentialKind.SSH_PASSWORD, username="u", password=Secret("hush")
)


@asynccontextmanager
async def living_app(directory: Path, **settings: Any) -> AsyncIterator[tuple[App, Network]]:
    """With a ledger that is up to date; `settings` are of the configuration."""
    network = living(virtual_now()())

    async def fill(tasks: TaskStore, findings: FindingsStore) -> None:
        await store(network, tasks, findings)

    async with app_over(directory, fill, **settings) as (app, _):
        yield app, network


@asynccontextmanager
async def app_over(
    directory: Path, fill: Callable[[TaskStore, FindingsStore], Awaitable[None]], **settings: Any
) -> AsyncIterator[tuple[App, LedgerKeeper]]:
    """Over what `fill` stores."""
    async with AsyncExitStack() as stack:
        stack.enter_context(patch.object(trio.to_thread, "run_sync", at_once))
        findings = await open_findings(directory / "findings.db", Inline())
        stack.push_async_callback(findings.aclose)
        ledger = await open_ledger(directory / "ledger.db", directory / "findings.db", Inline())
        stack.push_async_callback(ledger.aclose)
        async with TaskStore.open(directory, now=virtual_now(), executor=Inline()) as tasks:
            await fill(tasks, findings)
        scanner = scanner_settings("east", 1)
        config = config_of(directory, scanner, credentials=(LINUX,), **settings)
        w = await stack.enter_async_context(world(config, {"east": FakeScanner(virtual_now())}))
        app = app_of(w)
        exports = ExportStore(directory / "exports")
        exports.prepare()
        keeper = LedgerKeeper(
            ledger=ledger, tasks=w.store, settings=lambda: config.ledger, wall=w.context.wall,
            exceptions=app.exceptions, findings=findings,
            reports=Reports(findings, exports, w.context.wall),
        )  # fmt: skip
        nursery = await stack.enter_async_context(trio.open_nursery())
        nursery.start_soon(keeper.run)
        await keeper.settled()
        yield attrs.evolve(app, findings=findings, ledger=keeper), keeper
        nursery.cancel_scope.cancel()
