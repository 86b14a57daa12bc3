"""Makes evidence packs from a state directory, with or without a running daemon.

The store is read page by page. That is consistent because nothing in a past period changes: rows of
the journal are only appended, and the ledger is read as of the end of the period.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from importlib.resources import files
from typing import IO, Any, BinaryIO, Final

import attrs

from nessus_sched import __version__
from nessus_sched.config.labels import labels_of
from nessus_sched.config.schema import Config
from nessus_sched.config.secrets import secrets_of
from nessus_sched.core.masking import Masker
from nessus_sched.core.outcome import outcome_of
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.core.text import pluralize
from nessus_sched.daemon.storage.places import read_tasks
from nessus_sched.results.ledger.as_of import AsOfPlace, AsOfQuery, PastFinding
from nessus_sched.results.ledger.logins import ScanRun
from nessus_sched.results.ledger.states import State
from nessus_sched.results.pack import findings, scans
from nessus_sched.results.pack.exceptions import Covering, Exceptions, Term
from nessus_sched.results.pack.journal import (
    ChainRow,
    Head,
    ScanEnd,
    find_bounds,
    scan_ends,
)
from nessus_sched.results.pack.readme import readme, scope_text
from nessus_sched.results.pack.schedules import Schedules
from nessus_sched.results.pack.scope import PackScope, ScopeReader
from nessus_sched.results.pack.times import iso
from nessus_sched.results.pack.verify_pack import FORMAT, JOURNAL, OPEN, SCANS, VERSION
from nessus_sched.results.pack.writer import PackWriter, Table
from nessus_sched.store.ledger.store import OfflineLedger, open_ledger_offline
from nessus_sched.store.tasks.offline import OfflineStore

PAGE: Final = 1000
_NAMED: Final = 5
_IN_MEMORY: Final = 4 * 2**20


class NoEvidence(Exception):
    """The pack cannot be made; `str()` is a sentence for a person."""


@attrs.frozen(kw_only=True)
class Written:
    """What is in a pack: rows by table, and how many of those of findings are compliance checks.
    `missing` says what is not there although it should be."""

    rows: Mapping[str, int]
    checks: Mapping[str, int]
    missing: Sequence[str]
    head: str


async def write_evidence(
    config: Config, file: BinaryIO, scope: PackScope, since: int, until: int, *, now: float
) -> Written:
    """Writes the pack of the period from `since`, before `until` (epoch seconds). Raises
    `NoEvidence`, `BadScope` and `StoreError`."""
    if since >= until:
        raise NoEvidence("the period ends before it begins")
    if until > now:
        raise NoEvidence(f"the period ends at {iso(until)}, which has not come yet")
    directory = config.state_directory
    with read_tasks(config) as store:
        ledger = await open_ledger_offline(directory / "ledger.db", directory / "findings.db")
        try:
            maker = _Maker(config, store, ledger, scope, since, until)
            return await maker.write(file)
        finally:
            await ledger.aclose()


class _Maker:
    """Makes one pack."""

    def __init__(
        self,
        config: Config,
        store: OfflineStore,
        ledger: OfflineLedger,
        scope: PackScope,
        since: int,
        until: int,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._since, self._until = since, until
        self._mask = Masker(secrets_of(config))
        self._base = Head(*store.chain_base())
        self._bounds = find_bounds(self._rows(self._base.seq), self._base, since, until)
        self._scope = ScopeReader(scope, labels_of(config.labels))
        self._missing: list[str] = []
        self._masked = 0
        self._open: Counter[str] = Counter()
        self._checks: Counter[str] = Counter()
        self._covered: Counter[str] = Counter()

    async def write(self, file: BinaryIO) -> Written:
        self._check_complete()
        terms, schedules = self._replay()
        runs = await self._ledger_scans()
        self._scope.check_schedule(schedules)
        self._note_what_is_missing(runs)
        with PackWriter(file) as pack:
            pack.add("README.txt", self._readme().encode())
            pack.add("verify.py", verifier())
            self._write_scans(pack, runs)
            await self._write_findings(pack, Covering(terms, self._until))
            self._write_exceptions(pack, terms)
            with pack.lines("schedules.jsonl") as lines:
                lines.write(self._mask.masked(schedules))
            self._write_journal(pack)
            rows = {each.name: each.rows for each in pack.members if each.rows is not None}
            pack.finish(self._manifest())
        return Written(
            rows=rows, checks=dict(self._checks), missing=self._missing,
            head=self._bounds.head.text,
        )  # fmt: skip

    # -- the journal

    def _rows(self, after: int, last: int | None = None) -> Iterator[ChainRow]:
        while page := self._store.chain(after=after, limit=PAGE):
            for row in map(ChainRow._make, page):
                if last is not None and row.seq > last:
                    return
                if row.seq != after + 1:
                    raise StoreUnavailable(
                        f"rows {after + 1} to {row.seq - 1} of the journal are gone; "
                        "if they were just deleted by retention, try again"
                    )
                after = row.seq
                yield row

    def _check_complete(self) -> None:
        """Raises `NoEvidence` while results of the period may still come."""
        waiting = self._ledger.waiting
        if waiting:
            raise NoEvidence(
                f"{pluralize(waiting, 'finished scan')} not in the ledger yet: "
                "try again when the daemon has entered them"
            )
        running = self._bounds.unfinished
        if running:
            named = ", ".join(running[:_NAMED])
            more = f" and {len(running) - _NAMED} more" if len(running) > _NAMED else ""
            raise NoEvidence(
                f"{pluralize(len(running), 'scan')} that began before {iso(self._until)} not ended "
                f"yet: {named}{more}; try again when they have"
            )

    def _replay(self) -> tuple[list[Term], list[dict[str, Any]]]:
        """Exceptions and schedules at the end of the period."""
        bounds = self._bounds
        exceptions, schedules = Exceptions(self._store.exceptions()), Schedules()
        for row in self._rows(self._base.seq, bounds.head.seq):
            entry = row.entry
            exceptions.read(entry)
            schedules.read(entry, inside=row.seq > bounds.before.seq)
        terms = exceptions.complete(self._until)
        shown = [each for each in terms if each.ended_at is None or each.ended_at >= self._since]
        wanted = [each for each in schedules.documents() if self._scope.has_schedule(each["name"])]
        return shown, wanted

    def _ends(self) -> Iterator[ScanEnd]:
        rows = self._rows(self._base.seq, self._bounds.last)
        return scan_ends(rows, self._bounds)

    def _write_journal(self, pack: PackWriter) -> None:
        bounds = self._bounds
        with pack.lines(JOURNAL) as lines:
            for row in self._rows(bounds.before.seq, bounds.head.seq):
                lines.write((self._journal_document(row),))

    def _journal_document(self, row: ChainRow) -> dict[str, Any]:
        document: dict[str, Any] = {
            "seq": row.seq,
            "task_digest": None if row.digest is None else row.digest.hex(),
            "content": row.content,
            "hash": row.hash.hex(),
        }
        if self._mask.finds(row.content):
            self._masked += 1
            content = json.dumps(self._mask.masked(row.entry), separators=(",", ":"))
            document |= {"content": content, "masked": True}
        return document

    # -- scans

    async def _ledger_scans(self) -> list[ScanRun]:
        """Scans of the period that only the ledger knows, and what the scope is."""
        known = set()
        for end in self._ends():
            known.add(end.task_id)
            self._scope.learn(self._outcome(end)[0])
        found = await self._ledger.runs(self._since, self._until)
        return [each for each in found if each.task_id not in known]

    def _outcome(self, end: ScanEnd) -> tuple[Mapping[str, Any] | None, str]:
        """What came of a scan, and where that is from."""
        if end.outcome is not None:
            return end.outcome, scans.JOURNAL
        task = self._store.get(end.task_id)
        if task is not None and task.entered.get(task.state) == end.settled:
            return outcome_of(task), "task"
        return None, "deleted"

    def _documents(self, runs: Sequence[ScanRun]) -> Iterator[dict[str, Any]]:
        for end in self._ends():
            outcome, source = self._outcome(end)
            if self._scope.has_scan(outcome):
                yield self._mask.masked(scans.scan_document(end, outcome=outcome, source=source))
        for run in runs:
            yield self._mask.masked(scans.ledger_document(run))

    def _write_scans(self, pack: PackWriter, runs: Sequence[ScanRun]) -> None:
        tables: tuple[tuple[str, Sequence[str], Callable[[Any], Any]], ...] = (
            ("scans.csv", scans.SCAN_COLUMNS, lambda each: (scans.scan_row(each),)),
            ("unreached.csv", scans.UNREACHED_COLUMNS, scans.unreached_rows),
            ("logins.csv", scans.LOGIN_COLUMNS, scans.login_rows),
        )
        with pack.lines(SCANS) as lines:
            lines.write(self._documents(runs))
        for name, columns, rows_of in tables:
            with pack.table(name, columns) as table:
                for document in self._documents(runs):
                    table.write(rows_of(document))

    # -- findings

    async def _write_findings(self, pack: PackWriter, covering: Covering) -> None:
        """In one pass; what is fixed or new waits in temporary files."""
        with ExitStack() as stack:
            fixed, new = (
                _Spool(stack.enter_context(tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)))
                for _ in range(2)
            )
            with pack.table(OPEN, findings.OPEN_COLUMNS) as table:
                after: AsOfPlace | None = None
                while True:
                    page = await self._ledger.as_of(self._query(after))
                    self._write_page(page.findings, covering, table, fixed, new)
                    after = page.after
                    if after is None:
                        break
            for name, columns, spool in (
                ("fixed.csv", findings.FIXED_COLUMNS, fixed),
                ("new.csv", findings.NEW_COLUMNS, new),
            ):
                with pack.table(name, columns) as table:
                    table.write(spool.read())

    def _query(self, after: AsOfPlace | None) -> AsOfQuery:
        return AsOfQuery(
            at=self._until - 1, fixed_since=self._since, region=self._scope.region,
            labelled=self._scope.labelled, limit=PAGE, after=after,
        )  # fmt: skip

    def _write_page(
        self,
        page: Sequence[PastFinding],
        covering: Covering,
        table: Table,
        fixed: _Spool,
        new: _Spool,
    ) -> None:
        standing, gone = [], []
        for each in page:
            if each.state is State.FIXED:
                gone.append(findings.fixed_row(each))
                continue
            exception = findings.exception_of(each, covering)
            if each.check is None:
                self._open[findings.severity_of(each)] += 1
            if exception is not None:
                self._covered[exception.exception_id] += 1
            standing.append(findings.open_row(each, exception))
        first = [row for each in page if (row := findings.new_row(each, self._since)) is not None]
        quoted = self._mask.finds('"'.join(findings.texts_of(page)))
        for name, out, rows in (
            (OPEN, table, standing),
            ("fixed.csv", fixed, gone),
            ("new.csv", new, first),
        ):
            self._checks[name] += sum(row["compliance_check_name"] is not None for row in rows)
            out.write(self._mask.masked(rows) if quoted else rows)

    def _write_exceptions(self, pack: PackWriter, terms: Sequence[Term]) -> None:
        rows = [
            findings.exception_row(each, self._covered[each.exception.exception_id])
            for each in terms
        ]
        with pack.table("exceptions.csv", findings.EXCEPTION_COLUMNS) as table:
            table.write(self._mask.masked(rows))

    # -- what is said about it

    def _note_what_is_missing(self, runs: Sequence[ScanRun]) -> None:
        first = self._bounds.first_at
        if self._base.seq and (first is None or first > self._since):
            self._missing.append(
                f"The journal up to row {self._base.seq} was deleted by retention. Its first row "
                f"now is of {iso(first) or 'no time'}, so the beginning of the period is missing."
            )
        if runs:
            self._missing.append(
                f"Of {pluralize(len(runs), 'scan')} the journal has no end in the period: it was "
                'deleted, or a report was imported later. scans.csv lists them, source "ledger".'
            )
        gone = sum(self._outcome(end)[1] == "deleted" for end in self._ends())
        if gone:
            self._missing.append(
                f"{pluralize(gone, 'scan')} of an older release, deleted since: the journal has "
                'no more than how they ended. scans.csv lists them, source "deleted".'
            )
        self._missing += self._scope.notes

    def _period(self) -> dict[str, str]:
        return {"since": iso(self._since), "until": iso(self._until)}

    def _scope_document(self) -> dict[str, Any]:
        document: dict[str, Any] = self._mask.masked(self._scope.document)
        return document

    def _readme(self) -> str:
        return readme(
            period=self._period(), scope=scope_text(self._scope_document()), version=__version__,
            head=self._bounds.head.text, missing=self._missing,
        )  # fmt: skip

    def _manifest(self) -> dict[str, Any]:
        bounds = self._bounds
        return {
            "format": FORMAT,
            "format_version": VERSION,
            "program": {"name": "nessus-sched", "version": __version__},
            "period": self._period(),
            "scope": self._scope_document(),
            "journal": {
                "before": bounds.before.text,
                "head": bounds.head.text,
                "masked": self._masked,
            },
            "open_by_severity": dict(sorted(self._open.items())),
            "open_checks": self._checks[OPEN],
            "missing": self._missing,
        }


class _Spool:
    """Rows that wait to be written: few in memory, many in a temporary file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        for row in rows:
            self._file.write(json.dumps(row).encode() + b"\n")

    def read(self) -> Iterator[dict[str, Any]]:
        self._file.seek(0)
        for line in self._file:
            yield json.loads(line)


def verifier() -> bytes:
    """The program that checks a pack, as it is put into it."""
    return files("nessus_sched.results.pack").joinpath("verify_pack.py").read_bytes()
