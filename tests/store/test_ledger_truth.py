"""The ledger never calls fixed what is still there, and knows since when everything is open."""

from __future__ import annotations

import io
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from nessus_sched.config.ledger import HostIdentity
from nessus_sched.results.coverage import scan_coverage
from nessus_sched.results.ledger.hosts import ScanOrigin
from nessus_sched.results.ledger.states import State
from nessus_sched.results.parser.reader import Reader
from nessus_sched.store.findings.import_report import import_events
from nessus_sched.store.findings.schema import SCHEMA, prepare
from nessus_sched.store.ledger.apply import apply_scan, clear
from nessus_sched.store.ledger.schema import REASONS
from nessus_sched.store.ledger.schema import SCHEMA as LEDGER
from nessus_sched.store.migrations import Schema, migrate
from support import ledger_model as model


@attrs.frozen
class Stores:
    """A findings database and a ledger, on disk only because one is attached to the other."""

    path: Path
    findings: sqlite3.Connection
    ledger: sqlite3.Connection

    def add(self, visit: model.Visit) -> None:
        reader = Reader(io.BytesIO(visit.text.encode()))
        import_events(
            self.findings, visit.task_id, reader, at=visit.at + 60.0, check=lambda: None,
            coverage=lambda: scan_coverage(reader.report),
        )  # fmt: skip
        self.apply(visit)

    def apply(self, visit: model.Visit) -> None:
        origin = ScanOrigin(
            task_id=visit.task_id, series=visit.series, began=visit.at,
            targets=tuple(visit.targets),
        )  # fmt: skip
        apply_scan(self.ledger, self.path, origin, by=HostIdentity.ADDRESS, now=visit.at)

    def entries(self) -> dict[model.Key, model.Entry]:
        rows = self.ledger.execute(
            "SELECT identity, plugin, service, state, reason, e.first_seen, last_seen, since,"
            " unverified_since, resurfaced FROM entries e JOIN machines USING (machine)"
        )
        return {
            (host, plugin, service & 65535): model.Entry(
                state=State(state).word,
                reason=REASONS[reason].value if reason else None,
                first_seen=first, last_seen=last, since=since, unverified_since=unverified,
                resurfaced=resurfaced,
            )
            for host, plugin, service, state, reason, first, last, since, unverified, resurfaced
            in rows
        }  # fmt: skip


def _opened(path: Path, schema: Schema) -> sqlite3.Connection:
    connection = sqlite3.connect(path.as_uri(), uri=True, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA journal_mode = MEMORY")
    migrate(connection, schema)
    return connection


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    path = tmp_path / "findings.db"
    findings, ledger = _opened(path, SCHEMA), _opened(tmp_path / "ledger.db", LEDGER)
    prepare(findings)
    yield Stores(path, findings, ledger)
    findings.close()
    ledger.close()


def follow(stores: Stores, seeds: range) -> model.Oracle:
    """Follows each history with an oracle; what all of them saw together."""
    total = model.Oracle()
    for seed in seeds:
        clear(stores.ledger)
        oracle = model.Oracle()
        for visit in model.history(seed):
            stores.add(visit)
            try:
                oracle.check(visit, stores.entries())
            except AssertionError as error:
                raise AssertionError(f"history {seed}: {error}") from error
        total.knowable += oracle.knowable
        total.fixed += oracle.fixed
        total.late += oracle.late
        total.reasons |= oracle.reasons
    return total


def test_histories_of_a_network(stores: Stores) -> None:
    seen = follow(stores, range(30))
    assert seen.fixed >= 0.85 * seen.knowable > 20


@pytest.mark.slow
def test_many_histories(stores: Stores) -> None:
    """Of 10,000 with `LEDGER_HISTORIES=10000`."""
    seen = follow(stores, range(1000, 1000 + int(os.environ.get("LEDGER_HISTORIES", "300"))))
    assert seen.fixed >= 0.85 * seen.knowable
    assert seen.late > 20
    assert seen.reasons == {
        "host_down", "host_changed", "host_unfinished", "report_incomplete", "plugin_not_run",
        "settings_weaker", "login_failed", "port_not_scanned",
    }  # fmt: skip
