"""Queries against a brute-force oracle that looks at every finding."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from nessus_sched.results.catalog import FIELDS
from nessus_sched.results.columns import Kind
from nessus_sched.results.model import COMPLIANCE_RESULTS, SEVERITIES
from nessus_sched.results.query.input import read_query
from nessus_sched.results.query.model import OF_CHECKS, OPERATORS, PROFILES
from nessus_sched.store.executor import Inline
from nessus_sched.store.findings import read
from nessus_sched.store.findings.store import FindingsStore, open_findings
from support.made_findings import (
    MadeReport,
    as_json,
    made_condition,
    make_report,
    matching,
    ordered,
    sample_values,
)

SORTABLE = [name for name, field in FIELDS.items() if field.kind is not Kind.LIST]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FindingsStore]:
    path: Path = tmp_path_factory.mktemp("findings") / "findings.db"
    store = trio.run(open_findings, path, Inline())
    yield store
    trio.run(store.aclose)


def put(store: FindingsStore, report: MadeReport, task_id: str = "t") -> None:
    async def work() -> None:
        await store.put(task_id, report.events, at=0.0)
        await store.vacuum_deleted()

    trio.run(work)


def rows_of(store: FindingsStore, asked: dict[str, Any], **limits: Any) -> list[dict[str, Any]]:
    """All rows of a query, page after page; checks what the pages say of the whole."""
    found: list[dict[str, Any]] = []

    async def work() -> None:
        cursor = None
        while True:
            page = await store.page("t", read_query({**asked, "cursor": cursor}), **limits)
            found.extend(map(dict, page.rows))
            assert page.total == sum(page.severities.values()) + sum(page.checks.values())
            assert len(found) <= page.total, "a row came twice"
            cursor = page.next_cursor
            if cursor is None:
                assert len(found) == page.total
                return
            assert page.rows, "a page that is not the last goes on"

    trio.run(work)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("few", [20_000, -1], ids=["by index", "in order"])
def test_every_operator_on_every_field(
    store: FindingsStore, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(read, "_FEW", few)
    chance = random.Random(6)
    report = make_report(chance, findings=60)
    put(store, report)
    for field, about in FIELDS.items():
        for op in OPERATORS[about.kind]:
            condition = made_condition(chance, field, op)
            got = rows_of(store, {"fields": ["index"], "filters": [condition], "page_size": 100})
            want = [row["index"] for row in matching(report, [condition])]
            assert [row["index"] for row in got] == want, condition


@pytest.mark.sampled(4)
@pytest.mark.parametrize("kind", list(Kind))
def test_every_value_of_every_kind(store: FindingsStore, kind: Kind) -> None:
    report = make_report(random.Random(kind), findings=60)
    put(store, report)
    field = next(name for name, about in FIELDS.items() if about.kind is kind)
    for op in OPERATORS[kind]:
        for value in sample_values(kind):
            condition = {"field": field, "op": op, "value": value}
            if op in {"in", "not in"}:
                condition["value"] = [value]
            if op in {"present", "absent"}:
                del condition["value"]
            got = rows_of(store, {"fields": ["index"], "filters": [condition], "page_size": 100})
            want = [row["index"] for row in matching(report, [condition])]
            assert [row["index"] for row in got] == want, condition


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_combinations_in_any_order_page_by_page(store: FindingsStore, data: st.DataObject) -> None:
    chance = data.draw(st.randoms(use_true_random=False))
    report = make_report(chance)
    put(store, report)
    fields = data.draw(st.lists(st.sampled_from([*FIELDS, "severity", "cve", "host"]), max_size=4))
    conditions = [
        made_condition(chance, name, chance.choice(OPERATORS[FIELDS[name].kind])) for name in fields
    ]
    match = data.draw(st.sampled_from(["all", "any"]))
    sort = data.draw(st.lists(st.sampled_from([*SORTABLE, "severity", "port"]), max_size=3))
    sort = [chance.choice(["", "-"]) + key for key in sort]
    profile = data.draw(st.sampled_from([*PROFILES]))
    asked = {
        "profile": profile,
        "fields": ["index"],
        "filters": conditions,
        "match": match,
        "sort": sort,
        "page_size": data.draw(st.integers(1, 6)),
    }
    max_bytes = data.draw(st.sampled_from([None, 300, 5000, 100_000]))
    got = rows_of(store, asked, max_bytes=max_bytes)
    want = ordered(matching(report, conditions, match), sort)
    assert [row["index"] for row in got] == [row["index"] for row in want]
    if max_bytes is None:
        assert got == [projected(row, profile) for row in want]


def projected(row: dict[str, Any], profile: str) -> dict[str, Any]:
    full = as_json(row)
    if profile == "full":
        return {name: value for name, value in full.items() if value is not None and value != []}
    optional = {
        "compliance_check_name",
        "compliance_result",
        "compliance_policy_value",
        "compliance_actual_value",
        "host_fqdn",
    }
    if not full["cisa_kev"]:
        del full["cisa_kev"]
    names = dict.fromkeys((*PROFILES[profile], "index"))
    return {
        name: full[name]
        for name in names
        if name in full and (name not in optional or full[name] is not None)
    }


def test_counts_are_those_of_the_matching_findings(store: FindingsStore) -> None:
    report = make_report(random.Random(1), findings=80)
    put(store, report)
    seen = 0
    for filters in (["severity>=high"], ["host=192.0.2.9"], ["cve~2021"], ["port=443"], []):
        asked = {"fields": ["severity", *OF_CHECKS], "filters": filters, "page_size": 1}
        page = trio.run(store.page, "t", read_query(asked))
        further = trio.run(store.page, "t", read_query({**asked, "cursor": page.next_cursor}))
        rows = rows_of(store, {**asked, "page_size": 100})
        checks = [row for row in rows if any(row[name] is not None for name in OF_CHECKS)]
        seen += len(checks)
        severities = Counter(row["severity"] for row in rows if row not in checks)
        results = Counter(
            each if (each := row["compliance_result"]) in COMPLIANCE_RESULTS else "UNKNOWN"
            for row in checks
        )
        for answer in (page, further):
            assert (answer.severities, answer.checks) == (severities, results), filters
            assert list(answer.severities) == [
                name for name in (*reversed(SEVERITIES), "unknown") if name in severities
            ]
    assert seen > 20
