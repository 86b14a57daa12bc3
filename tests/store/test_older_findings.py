"""A findings database of a version that knew fewer fields, read without changing it."""

from __future__ import annotations

import io
import sqlite3
from contextlib import aclosing
from pathlib import Path

from nessus_sched.results.parser.reader import Reader
from nessus_sched.results.query.input import read_query
from nessus_sched.results.query.model import Query
from nessus_sched.store.findings.reader import open_findings_offline
from nessus_sched.store.findings.store import open_findings
from support.nessus_xml import document, host, item

RELEASED = Path(__file__).parent / "released"
LATER = ("host_login", "host_privilege", "host_login_reasons")


async def test_fields_that_it_does_not_have_are_absent(tmp_path: Path) -> None:
    path = tmp_path / "findings.db"
    async with aclosing(await open_findings(path)) as store:
        events = Reader(io.BytesIO(document(host("192.0.2.1", item(104410, severity=3)))))
        await store.put("t", events, at=0.0)
    connection = sqlite3.connect(path)
    for column in LATER:
        connection.execute(f"ALTER TABLE hosts DROP COLUMN {column}")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    before = path.read_bytes()
    async with aclosing(await open_findings_offline(path)) as findings:
        (row,) = (await findings.page("t", read_query({"profile": "full"}))).rows
        assert (row["host"], row["severity"]) == ("192.0.2.1", "high")
        assert not set(LATER) & set(row)
        (group,) = (await findings.page("t", read_query({"group_by": "host"}))).rows
        assert (group["login"], group["findings"]) == ("unknown", 1)
        failed = read_query({"filters": ["host_login=failed"]})
        assert (await findings.page("t", failed)).total == 0
    assert path.read_bytes() == before


async def test_the_coverage_of_an_older_file_has_what_the_file_has(tmp_path: Path) -> None:
    path = tmp_path / "findings.db"
    old = sqlite3.connect(path)
    old.executescript((RELEASED / "findings-1.sql").read_text())
    ((task_id, name),) = old.execute(
        "SELECT task_id, host FROM scans, hosts WHERE host_row BETWEEN first_row AND last_row"
        " LIMIT 1"
    ).fetchall()
    old.close()
    before = path.read_bytes()
    async with aclosing(await open_findings_offline(path)) as findings:
        offline = await findings.hosts(task_id, Query())
    assert path.read_bytes() == before
    async with aclosing(await open_findings(path)) as store:
        assert await store.hosts(task_id, Query()) == offline
    host = next(each for each in offline if each.name == name)
    assert (host.reached, host.scanner_instance) == (True, None)
