"""Searches of the ledger answer as if someone had looked at every finding."""

from __future__ import annotations

import io
import os
import random
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest

from nessus_sched.config.delivery import LabelSettings
from nessus_sched.config.labels import labels_of
from nessus_sched.config.ledger import HostIdentity
from nessus_sched.core.targets.ranges import V4
from nessus_sched.results.coverage import scan_coverage
from nessus_sched.results.ledger.fields import LEDGER, LEDGER_FIELDS
from nessus_sched.results.ledger.hosts import ScanOrigin
from nessus_sched.results.ledger.search import LedgerPage, LedgerSearch, Seen
from nessus_sched.results.parser.reader import Reader
from nessus_sched.results.query.input import read_query
from nessus_sched.results.query.model import BadQuery
from nessus_sched.store.findings.import_report import import_events
from nessus_sched.store.findings.schema import SCHEMA as FINDINGS
from nessus_sched.store.findings.schema import prepare
from nessus_sched.store.ledger.addresses import address_key
from nessus_sched.store.ledger.apply import apply_scan
from nessus_sched.store.ledger.schema import SCHEMA
from nessus_sched.store.ledger.search import source
from nessus_sched.store.ledger.search.page import read_search
from nessus_sched.store.migrations import Schema, migrate
from support import ledger_model, ledger_oracle
from support.ledger_oracle import Row

QUESTIONS = int(os.environ.get("LEDGER_QUESTIONS", "400"))
NETWORKS = ("192.0.2.", "198.51.100.", "203.0.113.")
LABELS = labels_of(tuple(LabelSettings(**each) for each in ledger_oracle.LABELS))
STALE = 2.5 * ledger_oracle.DAY


@attrs.frozen
class Book:
    """A ledger, and all that is in it."""

    connection: sqlite3.Connection
    now: float
    rows: list[Row]

    def ask(self, asked: Mapping[str, Any], **changes: Any) -> LedgerPage:
        search = LedgerSearch(
            query=read_query(asked, LEDGER), now=self.now, stale_after=STALE,
            scheduled=ledger_oracle.SCHEDULES, labels=LABELS,
        )  # fmt: skip
        return read_search(self.connection, attrs.evolve(search, **changes), None)

    def walk(self, asked: Mapping[str, Any]) -> Iterator[LedgerPage]:
        page = self.ask(asked)
        yield page
        while page.next_cursor is not None:
            assert len(page.next_cursor) < 2000
            later = self.now + 100 * ledger_oracle.DAY
            page = self.ask({**asked, "cursor": page.next_cursor}, now=later)
            yield page


def _opened(path: Path, schema: Schema) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path.as_uri(), uri=True, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA journal_mode = MEMORY")
    migrate(connection, schema)
    return connection


def scan(
    findings: sqlite3.Connection,
    ledger: sqlite3.Connection,
    path: Path,
    visit: ledger_model.Visit,
    task_id: str,
    text: str,
) -> None:
    reader = Reader(io.BytesIO(text.encode()))
    import_events(
        findings, task_id, reader, at=visit.at + 60.0, check=lambda: None,
        coverage=lambda: scan_coverage(reader.report),
    )  # fmt: skip
    origin = ScanOrigin(task_id=task_id, series=visit.series, began=visit.at)
    apply_scan(ledger, path, origin, by=HostIdentity.ADDRESS, now=visit.at)


def made(directory: Path, seed: int) -> Book:
    """A network and its scans, with exceptions and more about its plugins and hosts."""
    path = directory / "findings.db"
    findings, ledger = _opened(path, FINDINGS), _opened(directory / "ledger.db", SCHEMA)
    prepare(findings)
    at = 0
    for number, network in enumerate(NETWORKS):
        for visit in ledger_model.history(seed + 100 * number):
            text = visit.text.replace("192.0.2.", network)
            text = text.replace(".example.com", f".n{number}.example.com")
            at = max(at, visit.at)
            scan(findings, ledger, path, visit, f"t-{number}{visit.number}", text)
    findings.close()
    now = at + 1.5 * ledger_oracle.DAY
    ledger_oracle.enrich(ledger, random.Random(seed), now)
    return Book(ledger, now, ledger_oracle.rows_of(ledger, now, STALE))


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    found = made(tmp_path_factory.mktemp("ledger"), 11)
    yield found
    found.connection.close()


def check(book: Book, asked: Mapping[str, Any]) -> None:
    expected = ledger_oracle.answer(book.rows, asked)
    pages = list(book.walk(asked))
    for page in pages:
        assert page.total == expected.total, asked
        assert page.groups == (None if expected.groups is None else len(expected.groups)), asked
        assert (page.severities, page.checks) == (expected.severities, expected.checks), asked
        assert page.excepted == expected.excepted, asked
    rows = [row for page in pages for row in page.rows]
    listed = expected.total if expected.groups is None else len(expected.groups)
    assert len(pages) == max(1, -(-listed // asked["page_size"])), asked
    if expected.groups is not None:
        assert [{name: row[name] for name in group} for row, group in
                zip(rows, expected.groups, strict=True)] == expected.groups, asked  # fmt: skip
        return
    by_key = {row["key"]: row for row in book.rows}
    assert expected.keys is not None
    for row, key in zip(rows, expected.keys, strict=True):
        told = by_key[key]
        for name, value in row.items():
            assert value == _shown(name, told[name]), (asked, name, key)


def _shown(name: str, value: Any) -> Any:
    if name in ("severity", "effective_severity"):
        return "unknown" if value == -1 else ledger_oracle.WORDS[value]
    return value


def ask_many(book: Book, seed: int, number: int) -> None:
    chance = random.Random(seed)
    times = sorted({row["first_seen"] for row in book.rows})
    for _ in range(number):
        check(book, ledger_oracle.question(chance, times))


def test_any_search_is_answered_as_by_looking_at_all_there_is(book: Book) -> None:
    assert len(book.rows) > 60
    assert {row["state"] for row in book.rows} == {*ledger_oracle.STATES}
    ask_many(book, 1, 30)


@pytest.mark.slow
def test_without_tallies_and_from_few_machines_the_answers_are_the_same(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What large ledgers read: not machine by machine."""
    monkeypatch.setattr(source, "MANY", 3)
    ask_many(book, 2, 10)


@pytest.mark.parametrize("state", ["state=active", "state=fixed"])
@pytest.mark.parametrize("host", [("host=10.0.0.0/16",), ()], ids=["on a network", "anywhere"])
def test_many_plugins_are_not_looked_for_one_by_one(host: tuple[str, ...], state: str) -> None:
    """A family has more plugins than a host has findings."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection, SCHEMA)
        fill(connection, hosts=40, each=10, plugins=1000)
        usual = steps(connection, *host, state, "port=443")
        assert steps(connection, *host, state, "plugin_family=General") < 5 * usual + 100_000


def fill(connection: sqlite3.Connection, *, hosts: int, each: int, plugins: int) -> None:
    """Hosts with `each` findings, half of them fixed, of plugins of one family."""
    connection.execute(
        "INSERT INTO runs (task_id, source, at, applied_at, series) VALUES ('t-1', 1, 1, 1, '')"
    )
    connection.executemany(
        "INSERT INTO definitions VALUES (?, x'', '', 'General', '', 0, 5.0, 0, NULL, NULL, '')",
        ((plugin,) for plugin in range(plugins)),
    )
    for machine in range(hosts):
        address = address_key(V4 + (10 << 24) + machine)
        connection.execute(
            "INSERT INTO machines (machine, identity, name, address, at, run, tried_at, tried_run,"
            " high) VALUES (?1, ?2, ?2, ?3, 1, 1, 1, 1, ?4)",
            (machine, f"10.0.0.{machine}", address, each // 2),
        )
        connection.executemany(
            "INSERT INTO entries"
            " VALUES (?, ?, 443, 0, ?, 0, 3, 3, 1, 1, 1, NULL, 1, 0, 0, 1, 1, 1)",
            ((machine, 7 * machine + place, 1 + 2 * (place % 2)) for place in range(each)),
        )


def steps(connection: sqlite3.Connection, *filters: str) -> int:
    """How many steps SQLite's machine takes for a search, about."""
    counted = [0]

    def count() -> int:
        counted[0] += 100
        return 0

    connection.set_progress_handler(count, 100)
    query = read_query({"filters": list(filters), "page_size": 20}, LEDGER)
    page = read_search(connection, LedgerSearch(query=query, now=10, stale_after=9), None)
    connection.set_progress_handler(None, 0)
    assert page.total == 200
    return counted[0]


def test_a_role_sees_and_counts_its_own_hosts_only(book: Book) -> None:
    first = V4 + int.from_bytes(bytes((192, 0, 2, 0)))
    seen = Seen(ranges=((first, first + 2),), name=lambda name: name in ("192.0.2.1", "192.0.2.2"))
    mine = [row for row in book.rows if row["host_ip"] in ("192.0.2.1", "192.0.2.2")
            and row["host"] in ("192.0.2.1", "192.0.2.2")]  # fmt: skip
    assert mine
    for match in ("all", "any"):
        filters = [{"field": "severity", "op": ">=", "value": "low"}]
        asked = {"filters": filters, "match": match, "page_size": 500}
        expected = ledger_oracle.answer(mine, asked)
        page = book.ask(asked, seen=seen)
        assert (page.total, page.severities) == (expected.total, expected.severities)
        assert page.checks == expected.checks
        assert page.excepted == expected.excepted
        assert {row["host"] for row in page.rows} <= {row["host"] for row in mine}
        grouped = book.ask({**asked, "group_by": "host"}, seen=seen)
        assert {row["host"] for row in grouped.rows} <= {row["host"] for row in mine}
    told = book.ask({"filters": ["host=198.51.100.1"]}, seen=seen)
    assert told.notes[0].startswith("198.51.100.1: no scan has ever reported it.")
    assert book.ask({}, seen=Seen(ranges=(), name=lambda _name: False)).total == 0


@pytest.mark.slow
def test_a_role_sees_no_host_by_a_name_that_it_may_not_see(tmp_path: Path) -> None:
    book = made(tmp_path, 4)
    seen = Seen(ranges=((0, 2 * V4),), name=lambda name: name == "www.example.com")
    addressed = {row["host"] for row in book.ask({"page_size": 500}, seen=seen).rows}
    assert "192.0.2.1" in addressed
    for name, shown in (("www.example.com", True), ("www.example.org", False)):
        book.connection.execute("UPDATE machines SET name = ? WHERE ip = '192.0.2.1'", (name,))
        found = book.ask({"page_size": 500}, seen=seen)
        hosts = {row["host"] for row in found.rows}
        assert hosts == addressed - {"192.0.2.1"} | ({name} if shown else set())
        assert found.total == len(found.rows)
    book.connection.close()


def test_cursors_fit_one_question_only(book: Book) -> None:
    page = book.ask({"page_size": 2})
    assert page.next_cursor is not None
    with pytest.raises(BadQuery, match="another question"):
        book.ask({"page_size": 2, "filters": ["severity>=low"], "cursor": page.next_cursor})
    with pytest.raises(BadQuery, match="damaged"):
        book.ask({"page_size": 2, "cursor": page.next_cursor[:-2]})


@pytest.mark.slow
def test_what_changes_between_pages_neither_moves_them_nor_goes_unsaid(tmp_path: Path) -> None:
    book = made(tmp_path, 4)
    filters = [{"field": "severity", "op": ">=", "value": "info"}]
    asked = {"page_size": 5, "filters": filters, "match": "all"}
    first = book.ask(asked)
    last = ledger_oracle.answer(book.rows, asked).keys
    assert last is not None
    book.connection.execute(
        "UPDATE entries SET state = 3 WHERE plugin = ? AND machine = ? AND service = ?"
        " AND audit_check = ?",
        last[4],
    )
    second = book.ask({**asked, "cursor": first.next_cursor})
    by_key = {row["key"]: row for row in book.rows}
    assert [(row["plugin_id"], row["host"], row["port"]) for row in second.rows] == [
        tuple(by_key[key][name] for name in ("plugin_id", "host", "port")) for key in last[5:10]
    ]
    assert second.total == first.total
    book.connection.execute("UPDATE machines SET tried_at = tried_at + 86400")
    told = book.ask({"filters": ["host=192.0.2.1"]}).notes[0]
    assert "did not reach it or did not finish; last scanned to its end: 2023-11-" in told
    assert told.endswith("That does not mean it is clean.")
    book.connection.close()


def test_the_notes_say_what_is_known_of_a_host(book: Book) -> None:
    def told(*filters: str) -> str:
        return book.ask({"filters": list(filters)}).notes[0]

    assert told("host=203.0.113.250") == (
        "203.0.113.250: no scan has ever reported it. That does not mean it is clean."
    )
    assert "2001:db8::/32: no scan has ever reported it" in told("host in 2001:db8::/32")
    assert " of it known, last scanned 2023-" in told("host=192.0.2.0/24")
    assert "192.0.2.1: last scanned 2023-11-" in told("host=192.0.2.1")
    assert "hosts that were never scanned are not among them" in told("plugin_id=1")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"filters": ["state=closed"]}, "state takes one of new, active, resurfaced, fixed, open"),
        ({"filters": ["unverified=dunno"]}, "unverified takes one of unknown"),
        ({"filters": ["plugin_outputt present"]}, "did you mean 'plugin_output'"),
        ({"filters": ["age_day>3"]}, "did you mean 'age_days'"),
        ({"filters": ["schedule=monthly"]}, "no scan of a schedule 'monthly' is stored"),
        ({"filters": ["owner=web-tema"]}, r"no label 'web-tema' .* \(of these: db, web team\)"),
        ({"sort": ["schedule"]}, "schedule is for filters only"),
        ({"fields": ["schedule"]}, "schedule is for filters only"),
    ],
)
def test_mistakes_are_named(book: Book, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(BadQuery, match=said):
        book.ask(asked)


@pytest.mark.parametrize("op", ["contains", "not contains"])
def test_a_part_of_a_label_need_not_be_one(book: Book, op: str) -> None:
    owner = {"field": "owner", "op": op, "value": "team"}
    check(book, {"filters": [owner], "match": "all", "page_size": 40, "profile": "brief"})


@pytest.mark.slow
def test_a_ledger_of_before_the_searches_is_searched(tmp_path: Path) -> None:
    book = made(tmp_path, 4)
    expected = [page.rows for page in book.walk({"page_size": 40})]
    before = attrs.evolve(SCHEMA, steps=SCHEMA.steps[:3])
    old = _opened(tmp_path / "old.db", before)
    tables = old.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    old.execute("ATTACH DATABASE ? AS new", ((tmp_path / "ledger.db").as_uri(),))
    for (table,) in tables:
        old.execute(f"INSERT OR IGNORE INTO {table} SELECT * FROM new.{table}")  # noqa: S608
    old.execute("DETACH DATABASE new")
    migrate(old, SCHEMA)
    again = attrs.evolve(book, connection=old)
    assert [page.rows for page in again.walk({"page_size": 40})] == expected
    old.close()
    book.connection.close()


def test_all_fields_of_the_ledger_are_documented_and_shown() -> None:
    assert all(field.doc.endswith((".", "...")) for field in LEDGER_FIELDS.values())


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4, 8))
def test_many_searches_of_many_ledgers(seed: int, tmp_path: Path) -> None:
    book = made(tmp_path, seed)
    ask_many(book, seed, QUESTIONS // 4)
    book.connection.close()
