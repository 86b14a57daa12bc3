PRAGMA application_id = 1853060145;
PRAGMA user_version = 7;
BEGIN TRANSACTION;
CREATE TABLE chain (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    base_seq INTEGER NOT NULL,          -- the last row pruned from the journal's beginning
    base_hash BLOB NOT NULL,
    head_seq INTEGER NOT NULL,
    head_hash BLOB NOT NULL
) STRICT;
INSERT INTO "chain" VALUES(1,0,X'0000000000000000000000000000000000000000000000000000000000000000',15,X'651EA53BE0FE28935FB465F04BD08FD8AA17353D1F55F719CD7AD057A4C3C337');
CREATE TABLE exception (                -- findings that someone answers for
    exception_id TEXT PRIMARY KEY,
    document TEXT NOT NULL              -- the whole exception as JSON
) STRICT, WITHOUT ROWID;
INSERT INTO "exception" VALUES('x-23456789abcdef','{"exception_id":"x-23456789abcdef","rule":{"kind":"severity","hosts":["192.0.2.0/24","www.example.com"],"plugins":[51192],"cves":["CVE-2014-0160"],"port":443,"protocol":"tcp","severity":1},"reason":"Behind a proxy.","owner":"web team","actor":"uid:1000","proposed_at":1700000020.0,"expires":1707776000.0,"submitter":{"uid":1000,"gid":1000,"user":"alice","client":"claude-ai"},"status":"approved","approved_at":1700000030.0,"decided_by":"uid:1001","decider":{"uid":1001,"user":"bob","client":"nessus-sched"},"decided_at":1700000030.0,"known":{"51192":{"severity":2,"version":"1.9"}}}');
CREATE TABLE idempotency (
    key TEXT PRIMARY KEY,
    task_id TEXT NOT NULL,
    request_digest BLOB NOT NULL,
    expires_at REAL NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "idempotency" VALUES('key','t00000002',X'47FE2980FF933E73C4C48AED4E296D09554A047CD6A486C8F3D17BDC7E89D774',2700000002.0);
CREATE TABLE journal (
    seq INTEGER PRIMARY KEY,
    task_ord INTEGER,                   -- of the task it is about
    purged_id TEXT,                     -- the task's id, in the row that says it was deleted
    task_digest BLOB,                   -- SHA-256 of the task's document after this entry
    content TEXT NOT NULL,              -- the entry as JSON
    hash BLOB NOT NULL
) STRICT;
INSERT INTO "journal" VALUES(1,1,NULL,X'647B768B2D5962C3D2DEBCE11ED25C90699A92970256C84CB251204940FA2E8F','{"at":1700000001.0,"event":"submitted","actor":"cli:alice","task_id":"t00000001","after":"queued"}',X'024E437606ED70235A7E201A584CE543BC0480EE0469E026A6147088A9571A3B');
INSERT INTO "journal" VALUES(2,1,NULL,X'26F3C7A17A881989486BC9714E81544A6376F0A3A6F445FE81C5954962355637','{"at":1700000002.0,"event":"launching","task_id":"t00000001","before":"queued","after":"launching"}',X'7CD537E5158340269ED706AAE385CB4DC89BF5C4201A7DF03D2CD381A4D49B16');
INSERT INTO "journal" VALUES(3,1,NULL,X'FCCD610C0725859F41E9D4E6A139BB44C61D2173D7D2E95736A0B74026E7D219','{"at":1700000002.0,"event":"running","task_id":"t00000001","before":"launching","after":"running"}',X'63A7A2BD8344E4A258148FC8830684CBDC0A16F686603777E2E942593514CDC7');
INSERT INTO "journal" VALUES(4,1,NULL,X'CE31A592E3CB3729C2F7332C40BAA7208E3CAA1731A7683486A08BFD74CFDF92','{"at":1700000002.0,"event":"exporting","task_id":"t00000001","before":"running","after":"exporting"}',X'696BE6966E01B7FCD6CC110A3CA6030878A8F36C22293108EA59AE316E4F28F5');
INSERT INTO "journal" VALUES(5,1,NULL,X'F649BF3F9EB44FA04991EC6AC81BE79F80F776593C4304FEF7C595FBE4E6BCA7','{"at":1700000002.0,"event":"completed","task_id":"t00000001","before":"exporting","after":"completed"}',X'B2F88A306837694269A18A595712135DF1F81DAB4855AD1104AE8F2FDFF5A7CA');
INSERT INTO "journal" VALUES(6,2,NULL,X'5EE9FB7009460535C22BC5DEE367B48682C2E159B3CCEFD4A47E18D5ECA3D58B','{"at":1700000002.0,"event":"submitted","actor":"cli:alice","task_id":"t00000002","after":"queued"}',X'EB5C20AB169B0F1F9CB1CAAA05BA38D40B30D2D02A47B3DFEB27D5359FAE28E5');
INSERT INTO "journal" VALUES(7,3,NULL,X'24EDA3466CA1C2558ECB684F801F6C0CDC0FC68C0E9DC0E101ABE946511AABE2','{"at":1700000003.0,"event":"submitted","actor":"cli:alice","task_id":"t00000003","after":"queued"}',X'A24FA93553C183F178DE20A6E08361BA8592F72956DA51445E74A43AD56C6B01');
INSERT INTO "journal" VALUES(8,3,NULL,X'2CA8B84F55EFD8070A44A2794674F06219DF777848E9142F44CF264FB3F4FC7C','{"at":1700000004.0,"event":"dead","task_id":"t00000003","before":"queued","after":"dead"}',X'04E09E1B005216F3457D54E154F90C5A279D14D88611A4AAF53F1502E0370046');
INSERT INTO "journal" VALUES(9,NULL,NULL,NULL,'{"at":1700000009.0,"event":"drained","actor":"cli:bob","cause":"maintenance","detail":{"scanner":"local"}}',X'85E451E4964C5EA66FA0D9BBFB46256E5D518378BFC2C84D33D815B8E95385F3');
INSERT INTO "journal" VALUES(10,4,NULL,X'D1F9B9D5BE4D56714F01D36D950159291E2140E5028FD9A66AC99E1ED0296098','{"at":1700000004.0,"event":"submitted","actor":"cli:alice","task_id":"t00000004","after":"queued"}',X'FABAB7DAE30A6666EA4BE3B431C30530B8F67E78C389F91750F97DFA91939CB3');
INSERT INTO "journal" VALUES(11,4,NULL,X'7F5719194DD4C38D6C27524E7A852A58DEF3187881F538D9D88DC1893EAAF000','{"at":1700000005.0,"event":"canceled","task_id":"t00000004","before":"queued","after":"canceled"}',X'3E3A00DEF9122DF7AAA3E106076CFA4EBF41C50604A25085DF01734F7F802F11');
INSERT INTO "journal" VALUES(12,4,'t00000004',NULL,'{"at":1700000020.0,"event":"purged","task_id":"t00000004","before":"canceled"}',X'29E2176BB23F2048281A0713DEE3C9FF3B84608AB2CBE375B1692F7F39E19C89');
INSERT INTO "journal" VALUES(13,NULL,NULL,NULL,'{"at":1700000000.0,"event":"schedule_created","actor":"uid:1000","detail":{"schedule":"weekly","schedule_id":"s-1"}}',X'94A130A4073D6D2B3857B54057A2656CFDAE014129BF78F0FF6B7779FA7EDEC6');
INSERT INTO "journal" VALUES(14,NULL,NULL,NULL,'{"at":1700000020.0,"event":"exception_proposed","actor":"uid:1000","detail":{"exception_id":"x-23456789abcdef"}}',X'7272BB3A8A1ED15B9424E12322ADFA7B2688837B894781C6B1E7302CEF73B8D5');
INSERT INTO "journal" VALUES(15,NULL,NULL,NULL,'{"at":1700000030.0,"event":"exception_approved","actor":"uid:1001","detail":{"exception_id":"x-23456789abcdef"}}',X'651EA53BE0FE28935FB465F04BD08FD8AA17353D1F55F719CD7AD057A4C3C337');
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
INSERT INTO "outbox" VALUES(1,'soc.8.00112233','soc','waiting','{"message_id": "soc.8.00112233", "route": "soc", "kind": "event", "at": 1700000004.0, "title": "Weekly DMZ (failed)", "document": {"tasks": [{"task_id": "t00000003", "outcome": "dead"}]}, "task_id": "t00000003"}',1700000005.0,0,NULL);
CREATE TABLE probe (filler BLOB) STRICT;
CREATE TABLE route (
    name TEXT PRIMARY KEY,
    seq INTEGER NOT NULL,               -- the last journal row that it has read
    digest_at REAL NOT NULL             -- when its last digest was due, or when it began
) STRICT, WITHOUT ROWID;
INSERT INTO "route" VALUES('soc',8,1700000000.0);
CREATE TABLE schedule (
    schedule_id TEXT PRIMARY KEY,
    document TEXT NOT NULL              -- the whole schedule as JSON
) STRICT, WITHOUT ROWID;
INSERT INTO "schedule" VALUES('s-1','{"schedule_id":"s-1","name":"weekly","recurrence":{"cron":"0 2 * * mon","zone":"Europe/Berlin","start":1700000000.0},"request":{"kind":"basic","targets":["192.0.2.0/24"]},"actor":"uid:1000","created_at":1700000000.0,"catch_up":3600.0,"decided":1700000000.0}');
CREATE TABLE seal (                     -- signs the names of our scans on the scanners
    id INTEGER PRIMARY KEY CHECK (id = 1),
    key BLOB NOT NULL,
    plain_until INTEGER NOT NULL        -- attempts begun by this journal row have names unsigned
) STRICT;
INSERT INTO "seal" VALUES(1,X'4E00680F09A1A9ADA61190705E08C05977AC823AB754D810D5F07A4BD958D4EC',12);
CREATE TABLE switch (                   -- what operators have set, until they set it back
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
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
, owed INTEGER NOT NULL DEFAULT 0, part_of TEXT) STRICT;
INSERT INTO "task" VALUES(1,'t00000001','completed','local','basic','nessus','normal','cli:alice',1700000001.0,1700000002.0,5,'weekly dmz
','{"task_id":"t00000001","trace_id":"00000000000000000000000000000001","request":{"kind":"basic","targets":["192.0.2.0/24"],"name":"Weekly DMZ"},"actor":"cli:alice","created_at":1700000001.0,"order":1,"state":"completed","attempt":1,"scanner_instance":"local","nessus_scan_id":7,"scan_uuid":"u-1","progress":100,"entered":{"queued":1700000001.0,"launching":1700000002.0,"running":1700000002.0,"exporting":1700000002.0,"completed":1700000002.0},"export_file":"t00000001.nessus.gz","summary":{"hosts":3}}',0,NULL);
INSERT INTO "task" VALUES(2,'t00000002','queued',NULL,'basic','nessus','normal','cli:alice',1700000002.0,1700000002.0,6,'weekly dmz
','{"task_id":"t00000002","trace_id":"00000000000000000000000000000002","request":{"kind":"basic","targets":["192.0.2.0/24"],"name":"Weekly DMZ"},"actor":"cli:alice","created_at":1700000002.0,"order":2,"idempotency_key":"key","entered":{"queued":1700000002.0}}',0,NULL);
INSERT INTO "task" VALUES(3,'t00000003','dead',NULL,'basic','nessus','normal','cli:alice',1700000003.0,1700000004.0,8,'weekly dmz
','{"task_id":"t00000003","trace_id":"00000000000000000000000000000003","request":{"kind":"basic","targets":["192.0.2.0/24"],"name":"Weekly DMZ"},"actor":"cli:alice","created_at":1700000003.0,"order":3,"state":"dead","entered":{"queued":1700000003.0,"dead":1700000004.0}}',0,NULL);
CREATE INDEX task_by_state ON task (state);
CREATE INDEX task_by_scanner ON task (scanner) WHERE scanner IS NOT NULL;
CREATE INDEX task_by_actor ON task (actor);
CREATE INDEX task_by_kind ON task (kind);
CREATE INDEX journal_by_task ON journal (task_ord) WHERE task_ord IS NOT NULL;
CREATE INDEX journal_of_purged ON journal (purged_id) WHERE purged_id IS NOT NULL;
CREATE INDEX idempotency_by_age ON idempotency (expires_at);
CREATE INDEX task_owing ON task (ord) WHERE owed > 0;
CREATE INDEX task_parts ON task (part_of) WHERE part_of IS NOT NULL;
CREATE INDEX task_by_age ON task (state, updated_at)
    WHERE state IN ('completed', 'partial', 'canceled', 'timed_out', 'dead');
CREATE INDEX outbox_by_route ON outbox (route, state, number);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('outbox',1);
COMMIT;
