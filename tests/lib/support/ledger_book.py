"""A ledger with its findings, for scans that are written by hand."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import attrs

from nessus_sched.config.ledger import HostIdentity
from nessus_sched.results.coverage import scan_coverage
from nessus_sched.results.ledger.hosts import ScanOrigin
from nessus_sched.results.ledger.port import Applied
from nessus_sched.results.ledger.questions import (
    ChangePage,
    ChangeQuery,
    Entry,
    HostPage,
    Shown,
)
from nessus_sched.results.parser.reader import Reader
from nessus_sched.store.executor import Inline
from nessus_sched.store.findings.store import FindingsStore, open_findings
from nessus_sched.store.ledger.store import LedgerStore, open_ledger
from support.nessus_xml import document, host, item, output

DAY = 86_400
T0 = 1_700_000_000
INFORMATION = item(
    19506,
    output(
        "Information about this scan :\n\nPort scanner(s) : nessus_syn_scanner netstat\n"
        "Port range : 1-65535\nThorough tests : no\nParanoia level : 1\nSafe checks : yes\n"
        "Credentialed checks : yes, as 'scan' via ssh\n"
    ),
)
LOGIN = "".join(item(plugin) for plugin in (10180, 141118, 110095))


@attrs.frozen
class Book:
    findings: FindingsStore
    ledger: LedgerStore

    async def scan(
        self,
        *hosts: str,
        task_id: str,
        at: int,
        by: HostIdentity = HostIdentity.ADDRESS,
        targets: str = "192.0.2.0/24",
        plugins: Sequence[int] = (),
        asked: tuple[str, ...] | None = None,
        **origin: Any,
    ) -> Applied:
        policy = (
            "<Policy><Preferences><ServerPreferences><preference><name>TARGET</name>"
            f"<value>{targets}</value></preference><preference><name>plugin_set</name><value>"
            f"{';'.join(map(str, plugins))}</value></preference></ServerPreferences>"
            "</Preferences></Policy>"
        )
        reader = Reader(io.BytesIO(document(*hosts, policy=policy)))
        await self.findings.put(
            task_id, reader, at=at + 60.0, coverage=lambda: scan_coverage(reader.report)
        )
        given = {"series": "weekly", "began": at, "targets": asked, **origin}
        applied = await self.ledger.apply(ScanOrigin(task_id=task_id, **given), identity=by, now=at)
        assert applied is not None
        return applied

    async def host(self, name: str, shown: Shown = Shown.ALL) -> HostPage:
        (page,) = await self.ledger.hosts(name, shown=shown, least_severity=1, limit=100, offset=0)
        return page

    async def only(self, name: str) -> Entry:
        (entry,) = (await self.host(name)).entries
        return entry

    async def changes(self, since: int, **more: Any) -> ChangePage:
        return await self.ledger.changes(ChangeQuery(since=since, **more))


@asynccontextmanager
async def open_book(directory: Path) -> AsyncIterator[Book]:
    async with AsyncExitStack() as stack:
        findings = await open_findings(directory / "findings.db", Inline())
        stack.push_async_callback(findings.aclose)
        ledger = await open_ledger(directory / "ledger.db", directory / "findings.db", Inline())
        stack.push_async_callback(ledger.aclose)
        yield Book(findings, ledger)


def machine(name: str, *items: str, at: int | None, **tags: str) -> str:
    ended = {} if at is None else {"HOST_END_TIMESTAMP": str(at)}
    return host(name, *items, LOGIN, INFORMATION, tags={**tags, **ended})
