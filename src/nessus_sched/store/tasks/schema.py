"""The schema of the task store, as numbered migrations.

`task` is the current state (one document per task, plus the columns that listings need);
`journal` is the history (append-only, each row hashed with the previous hash). `chain` has one
row: where the journal begins and ends.
"""

from __future__ import annotations

from typing import Final

from nessus_sched.store.migrations import Schema

FILE_NAME: Final = "tasks.db"

_V1: Final = """
CREATE TABLE task (
    ord INTEGER PRIMARY KEY,            -- place in the order of acceptance
    task_id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    scanner TEXT,                       -- assigned, or else the one asked for
    kind TEXT NOT NULL,
    pool TEXT NOT NULL,
    priority TEXT NOT NULL,
    actor TEXT NOT NULL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    journal_seq INTEGER NOT NULL,       -- its latest row in the journal
    words TEXT NOT NULL,                -- name and description, case-folded, for search
    document TEXT NOT NULL              -- the whole task as JSON
) STRICT;
CREATE INDEX task_by_state ON task (state);
CREATE INDEX task_by_scanner ON task (scanner) WHERE scanner IS NOT NULL;
CREATE INDEX task_by_actor ON task (actor);
CREATE INDEX task_by_kind ON task (kind);
CREATE INDEX task_by_age ON task (state, updated_at)
    WHERE state IN ('completed', 'canceled', 'timed_out', 'dead');

CREATE TABLE journal (
    seq INTEGER PRIMARY KEY,
    task_ord INTEGER,                   -- of the task it is about
    purged_id TEXT,                     -- the task's id, in the row that says it was deleted
    task_digest BLOB,                   -- SHA-256 of the task's document after this entry
    content TEXT NOT NULL,              -- the entry as JSON
    hash BLOB NOT NULL
) STRICT;
CREATE INDEX journal_by_task ON journal (task_ord) WHERE task_ord IS NOT NULL;
CREATE INDEX journal_of_purged ON journal (purged_id) WHERE purged_id IS NOT NULL;

CREATE TABLE chain (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    base_seq INTEGER NOT NULL,          -- the last row pruned from the journal's beginning
    base_hash BLOB NOT NULL,
    head_seq INTEGER NOT NULL,
    head_hash BLOB NOT NULL
) STRICT;
INSERT INTO chain VALUES (1, 0, zeroblob(32), 0, zeroblob(32));

CREATE TABLE idempotency (
    key TEXT PRIMARY KEY,
    task_id TEXT NOT NULL,
    request_digest BLOB NOT NULL,
    expires_at REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_by_age ON idempotency (expires_at);

CREATE TABLE switch (                   -- what operators have set, until they set it back
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE probe (filler BLOB) STRICT; -- written and emptied to see if the disk is back
"""

_V2: Final = """
CREATE TABLE seal (                     -- signs the names of our scans on the scanners
    id INTEGER PRIMARY KEY CHECK (id = 1),
    key BLOB NOT NULL,
    plain_until INTEGER NOT NULL        -- attempts begun by this journal row have names unsigned
) STRICT;
INSERT INTO seal SELECT 1, randomblob(32), head_seq FROM chain;
"""

_V3: Final = """
-- scans to be cleaned up when their scanner answers
ALTER TABLE task ADD COLUMN owed INTEGER NOT NULL DEFAULT 0;
CREATE INDEX task_owing ON task (ord) WHERE owed > 0;
"""

_V4: Final = """
-- the id of the split task whose part it is
ALTER TABLE task ADD COLUMN part_of TEXT;
CREATE INDEX task_parts ON task (part_of) WHERE part_of IS NOT NULL;
-- with the state "partial"
DROP INDEX task_by_age;
CREATE INDEX task_by_age ON task (state, updated_at)
    WHERE state IN ('completed', 'partial', 'canceled', 'timed_out', 'dead');
"""

_V5: Final = """
CREATE TABLE schedule (
    schedule_id TEXT PRIMARY KEY,
    document TEXT NOT NULL              -- the whole schedule as JSON
) STRICT, WITHOUT ROWID;
"""

_V6: Final = """
CREATE TABLE exception (                -- findings that someone answers for
    exception_id TEXT PRIMARY KEY,
    document TEXT NOT NULL              -- the whole exception as JSON
) STRICT, WITHOUT ROWID;
"""

_V7: Final = """
CREATE TABLE route (
    name TEXT PRIMARY KEY,
    seq INTEGER NOT NULL,               -- the last journal row that it has read
    digest_at REAL NOT NULL             -- when its last digest was due, or when it began
) STRICT, WITHOUT ROWID;
CREATE TABLE outbox (                   -- messages that are not delivered
    number INTEGER PRIMARY KEY AUTOINCREMENT,  -- gives the order, never given twice
    message_id TEXT NOT NULL UNIQUE,
    route TEXT NOT NULL,
    state TEXT NOT NULL,
    document TEXT NOT NULL,             -- the whole message as JSON
    stored_at REAL NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    error TEXT
) STRICT;
CREATE INDEX outbox_by_route ON outbox (route, state, number);
"""

TASKS: Final = Schema(
    name=FILE_NAME, application_id=0x6E737431, steps=(_V1, _V2, _V3, _V4, _V5, _V6, _V7)
)
