"""Comparisons never call fixed what is still there, and say it where it can be known."""

from __future__ import annotations

import io
import os
import random
import sqlite3
from collections import Counter
from collections.abc import Iterator

import attrs
import pytest

from nessus_sched.results.comparison import Change
from nessus_sched.results.coverage import scan_coverage
from nessus_sched.results.parser.reader import Reader
from nessus_sched.results.query.input import read_query
from nessus_sched.store.findings.compare import changed, compare
from nessus_sched.store.findings.import_report import import_events
from nessus_sched.store.findings.page import read_page
from nessus_sched.store.findings.schema import SCHEMA, prepare
from nessus_sched.store.migrations import migrate
from support import compare_model as model

ALL = read_query({"page_size": 1000, "fields": ["host", "plugin_id", "port", "host_ip"]})


@pytest.fixture
def findings() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, SCHEMA)
    prepare(connection)
    yield connection
    connection.close()


def put(findings: sqlite3.Connection, task_id: str, document: bytes) -> None:
    reader = Reader(io.BytesIO(document))
    import_events(
        findings, task_id, reader, at=0.0, check=lambda: None,
        coverage=lambda: scan_coverage(reader.report),
    )  # fmt: skip


def listed(findings: sqlite3.Connection, change: Change) -> set[tuple[str, int, int]]:
    with changed(findings, "before", "after", change, ALL) as (question, annotate):
        page = read_page(
            findings, [question], ALL, context=("t",), max_bytes=None, annotate=annotate
        )
    return {(row["host_ip"], row["plugin_id"], row["port"]) for row in page.rows}


@attrs.frozen(kw_only=True)
class Pair:
    """Two scans of a network, before and after something happened to it."""

    before: tuple[model.Scan, list[model.Machine]]
    after: tuple[model.Scan, list[model.Machine]]

    def wrong(self, change: Change, found: set[tuple[str, int, int]]) -> set[tuple[str, int, int]]:
        """What is called fixed and is still there, or new and was there."""
        machines = self.before[1] + self.after[1]
        has = self.after[1] if change is Change.FIXED else self.before[1]
        there = {key for machine in has for key in _keys(machine)}
        replaced = {
            machine.address for machine in machines
            if any(other.number == machine.number and other.serial != machine.serial
                   for other in machines)
        }  # fmt: skip
        return {key for key in found if key in there or key[0] in replaced}

    def knowable(self) -> set[tuple[str, int, int]]:
        """What is gone, was shown, and would for certain be shown if it were still there."""
        (then, earlier), (now, later) = self.before, self.after
        if not (model.readable(then) and model.readable(now)):
            return set()
        return {
            (was.address, weakness.check.id, weakness.port)
            for was, machine in zip(earlier, later, strict=True)
            for weakness in was.weaknesses - machine.weaknesses
            if was.serial == machine.serial
            and model.shows(then, was, weakness)
            and model.certain(then, was, now, machine, weakness)
            and machine.number not in now.unfinished | then.unfinished
        }


def _keys(machine: model.Machine) -> Iterator[tuple[str, int, int]]:
    for weakness in machine.weaknesses:
        yield machine.address, weakness.check.id, weakness.port


def pair_of(chance: random.Random) -> Pair:
    earlier = model.network(chance)
    later = model.later(chance, earlier)
    then = model.scan_of(chance, earlier)
    return Pair(before=(then, earlier), after=(model.scan_of(chance, later, then), later))


def check_pairs(findings: sqlite3.Connection, seeds: range) -> Counter[str]:
    seen: Counter[str] = Counter()
    for seed in seeds:
        pair = pair_of(random.Random(seed))
        put(findings, "before", model.document(*pair.before))
        put(findings, "after", model.document(*pair.after))
        fixed = listed(findings, Change.FIXED)
        assert not pair.wrong(Change.FIXED, fixed), seed
        assert not pair.wrong(Change.NEW, listed(findings, Change.NEW)), seed
        knowable = pair.knowable()
        seen["fixed"] += len(fixed & knowable)
        seen["knowable"] += len(knowable)
        seen.update(compare(findings, "before", "after", ALL).not_checked.keys())
    return seen


@pytest.mark.slow
def test_a_finding_called_fixed_is_gone(findings: sqlite3.Connection) -> None:
    seen = check_pairs(findings, range(100))
    assert seen["fixed"] >= 0.9 * seen["knowable"] > 50


@pytest.mark.slow
def test_many_pairs(findings: sqlite3.Connection) -> None:
    """Of 10,000 with `COMPARED_PAIRS=10000`, which takes ten minutes."""
    pairs = int(os.environ.get("COMPARED_PAIRS", "800"))
    seen = check_pairs(findings, range(1000, 1000 + pairs))
    assert seen["fixed"] >= 0.9 * seen["knowable"]
