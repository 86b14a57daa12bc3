"""Verifies the journal: the chain from beginning to head, and every task against it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final, Literal, NamedTuple

import attrs

from nessus_sched.store.connection import FAILURES, Connection, Dialect, dialect_of
from nessus_sched.store.tasks.codec import decode_task, digest_of, encode_task
from nessus_sched.store.tasks.journal import GENESIS, PRUNED, PURGED, JournalHead, chain_hash

PAGE: Final = 2000
MOST_PROBLEMS: Final = 100


def _journal_sql(dialect: Dialect) -> str:
    """Read as bytes, so that invalid text is detected here and not in the driver."""
    text, plain = dialect.text_bytes.format, dialect.bytes_.format
    owner = """coalesce(t.task_id, (SELECT p.purged_id FROM journal p
            WHERE p.task_ord = j.task_ord ORDER BY p.seq DESC LIMIT 1))"""
    return f"""
SELECT j.seq, {plain("j.task_digest")}, {text("j.content")}, {plain("j.hash")},
       j.purged_id IS NOT NULL, {text(owner)}
FROM journal j LEFT JOIN task t ON t.ord = j.task_ord
WHERE j.seq > ? ORDER BY j.seq LIMIT ?"""  # noqa: S608 - our own


def _tasks_sql(dialect: Dialect) -> str:
    text, plain = dialect.text_bytes.format, dialect.bytes_.format
    return f"""
SELECT t.ord, t.journal_seq, {text("t.document")}, t.updated_at,
       (SELECT max(seq) FROM journal WHERE task_ord = t.ord),
       {plain("j.task_digest")}, {text("j.content")},
       t.task_id, t.state, t.scanner, t.kind, t.pool, t.priority, t.actor, t.created_at,
       {text("t.words")}, t.owed, t.part_of
FROM task t LEFT JOIN journal j ON j.seq = t.journal_seq
WHERE t.ord > ? ORDER BY t.ord LIMIT ?"""  # noqa: S608 - our own


class _JournalRow(NamedTuple):
    """A row of `_JOURNAL`; `owner` is the id of its task, which may be purged."""

    seq: int
    digest: bytes | None
    content: bytes
    hash: bytes
    purges: int
    owner: bytes | None


class _TaskRow(NamedTuple):
    """A row of `_TASKS`: the task, its latest journal row, and its indexed columns."""

    order: int
    journal_seq: int
    document: bytes
    updated_at: float
    latest: int | None
    digest: bytes | None
    content: bytes | None
    task_id: str
    state: str
    scanner: str | None
    kind: str
    pool: str
    priority: str
    actor: str
    created_at: float
    words: bytes
    owed: int
    part_of: str | None


@attrs.frozen(kw_only=True)
class VerifyReport:
    """The result of `verify`. `head` can be kept elsewhere and passed to a later verify;
    `base` is (0, zeros) until housekeeping prunes the journal."""

    rows: int
    tasks: int
    base: JournalHead
    head: JournalHead
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.problems


class Verification:
    """One pass over the store, one page per snapshot, so that it can run alongside the daemon.

    Call `step` with a connection in a read transaction until it returns False, then
    `report`. `expected` is an earlier head that the journal must still contain.
    """

    def __init__(self, expected: JournalHead | None = None) -> None:
        self._expected = expected
        self._pages = self._all_pages()
        self._connection: Connection | None = None
        self._rows = self._tasks = 0
        self._base = self._at = JournalHead(0, b"")
        self._pruned: object = None
        self._contained = False
        self._problems: list[str] = []

    def step(self, connection: Connection) -> bool:
        """Verifies the next page within one snapshot; returns False if none is left."""
        self._connection = connection
        try:
            more = next(self._pages, False)
        except FAILURES as error:
            self._problem(f"database: {error}")
            return False
        return more and len(self._problems) < MOST_PROBLEMS

    def report(self) -> VerifyReport:
        return VerifyReport(
            rows=self._rows,
            tasks=self._tasks,
            base=self._base,
            head=self._at,
            problems=tuple(self._problems),
        )

    def _problem(self, text: str) -> None:
        self._problems.append(text)

    @property
    def _dialect(self) -> Dialect:
        assert self._connection is not None
        return dialect_of(self._connection)

    def _query(self, sql: str, *parameters: object) -> list[tuple]:  # type: ignore[type-arg]
        assert self._connection is not None
        return self._connection.execute(sql, parameters).fetchall()

    def _all_pages(self) -> Iterator[bool]:
        """Yields wherever the next snapshot may begin."""
        integrity = self._dialect.integrity
        for (finding,) in self._query(integrity) if integrity else ():
            if finding != "ok":
                self._problem(f"database: {finding}")
        yield True
        yield from self._journal_pages()
        yield from self._task_pages()

    def _journal_pages(self) -> Iterator[bool]:
        while True:
            self._follow_pruning()
            page = self._query(_journal_sql(self._dialect), self._at.seq, PAGE)
            for row in map(_JournalRow._make, page):
                self._check_row(row)
            if len(page) < PAGE:
                break
            yield True
        self._check_ends()
        yield True

    def _follow_pruning(self) -> None:
        """Follows the journal's beginning, which housekeeping may move during verification."""
        self._base = self._end("base")
        if self._at.seq <= self._base.seq:
            self._at = self._base
        if self._query("SELECT 1 FROM journal WHERE seq <= ? LIMIT 1", self._base.seq):
            self._problem(f"journal: rows before its beginning at {self._base.seq + 1}")

    def _end(self, which: Literal["base", "head"]) -> JournalHead:
        digest = self._dialect.bytes_.format(f"{which}_hash")
        rows = self._query(f"SELECT {which}_seq, {digest} FROM chain")  # noqa: S608 - our own
        if not rows:
            self._problem(f"journal: its {which} is not noted")
            return JournalHead(0, GENESIS)
        return JournalHead(*rows[0])

    def _check_row(self, row: _JournalRow) -> None:
        self._rows += 1
        entry = _of(row.content)
        if problem := _row_problem(row, self._at, entry):
            self._problem(f"journal: row {row.seq} {problem}")
        self._at = JournalHead(row.seq, row.hash or b"")
        if entry.get("event") == PRUNED:
            self._pruned = entry.get("detail")
        if self._expected is not None and self._expected.seq == row.seq:
            self._contained = self._expected == self._at

    def _check_ends(self) -> None:
        """Call this in the snapshot of the last page, so that the ends belong to it."""
        head = self._end("head")
        if self._base.seq and self._pruned != {"through": self._base.text}:
            self._problem(f"journal: rows up to {self._base.seq} are gone without a pruning")
        if self._at != head:
            self._problem(f"journal: ends at row {self._at.seq}, but its head is {head.seq}")
        if self._expected and self._expected.seq > self._base.seq and not self._contained:
            self._problem(f"journal: row {self._expected.seq} is not the one it once ended with")

    def _task_pages(self) -> Iterator[bool]:
        after = -(2**63)
        while page := self._query(_tasks_sql(self._dialect), after, PAGE):
            for row in map(_TaskRow._make, page):
                self._tasks += 1
                if problem := _task_problem(row):
                    self._problem(f"task with order {row.order}: {problem}")
            after = page[-1][0]
            yield True


def _row_problem(row: _JournalRow, before: JournalHead, entry: Mapping[str, object]) -> str:
    if row.seq != before.seq + 1:
        return f"follows row {before.seq}"
    if chain_hash(before.hash, row.seq, row.digest, row.content) != row.hash:
        return "is not what was written, or not in its place"
    if row.purges != (entry.get("event") == PURGED):
        return "is marked wrongly as that of a deleted task"
    if entry.get("task_id") != (row.owner and row.owner.decode("utf-8", "replace")):
        return "is of a task that is gone without a purge, or filed under another"
    return ""


def _task_problem(row: _TaskRow) -> str:
    if row.content is None or row.latest != row.journal_seq:
        return f"points to journal row {row.journal_seq}, its latest is {row.latest}"
    try:
        text = row.document.decode()
        if digest_of(text) != row.digest:
            return "is not what the journal says it became"
        encoded = encode_task(decode_task(text), updated_at=row.updated_at)
    except (ValueError, TypeError, KeyError) as error:
        return f"cannot be read: {error}"
    words = row.words.decode("utf-8", "replace").replace("\0", "?")  # as older versions wrote them
    columns = (row.order, *row[7:-3], words, row.owed, row.part_of)
    if columns != (
        *encoded[:9],
        encoded.words,
        encoded.owed,
        encoded.part_of,
    ) or row.updated_at != _of(row.content).get("at"):
        return "is filed under other words than its document has"
    return ""


def _of(content: bytes) -> dict[str, object]:
    """The entry in a row with a valid hash, or empty if it is not an entry."""
    try:
        entry = json.loads(content)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}
