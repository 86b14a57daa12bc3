"""Groups of findings against an oracle that groups every finding that matches."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from nessus_sched.results.catalog import FIELDS
from nessus_sched.results.query.input import read_query
from nessus_sched.results.query.model import OF_CHECKS, OPERATORS
from nessus_sched.store.executor import Inline
from nessus_sched.store.findings import groups
from nessus_sched.store.findings.schema import TABLE_OF, Table
from nessus_sched.store.findings.store import FindingsStore, open_findings
from support.made_findings import MadeReport, made_condition, make_report, matching

KEYS = {"plugin": ("plugin_id", "plugin_name"), "solution": ("solution",), "host": ("host",)}
OF_PLUGINS = ("plugin_id", "plugin_family", "cve", "cvss_score", "severity")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FindingsStore]:
    path: Path = tmp_path_factory.mktemp("groups") / "findings.db"
    store = trio.run(open_findings, path, Inline())
    yield store
    trio.run(store.aclose)


def without_checks(report: MadeReport) -> MadeReport:
    findings = (attrs.evolve(each, compliance=None) for each in report.findings)
    return attrs.evolve(report, findings=tuple(findings))


def asked_of(store: FindingsStore, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """All groups, page after page."""

    async def work() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        cursor = None
        while True:
            page = await store.page("t", read_query({**asked, "cursor": cursor}))
            found += map(dict, page.rows)
            cursor = page.next_cursor
            if cursor is None:
                assert page.groups == len(found)
                return found

    return trio.run(work)


def wanted(rows: list[dict[str, Any]], by: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    """What each group has to say of its findings."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        group = found.setdefault(
            tuple(row[name] for name in KEYS[by]),
            {"findings": 0, "severities": {}, "hosts": set(), "plugins": set(), "where": set()},
        )
        group["findings"] += 1
        if all(row[name] is None for name in OF_CHECKS):
            known = group["severities"]
            known[row["severity"]] = known.get(row["severity"], 0) + 1
        group["hosts"].add(row["host"])
        group["plugins"].add(row["plugin_id"])
        group["where"].add(f"{row['host']}:{row['port']}" if row["port"] else row["host"])
    return found


def check(store: FindingsStore, report: MadeReport, by: str, **asked: Any) -> None:
    rows = matching(report, asked.get("filters", ()), asked.get("match", "all"))
    want = wanted(rows, by)
    got = asked_of(store, {**asked, "group_by": by, "page_size": 3})
    if by == "host":
        if any(TABLE_OF[each["field"]] is not Table.HOSTS for each in asked.get("filters", ())):
            assert all(each["findings"] for each in got)
        got = [each for each in got if each["findings"]]  # others may match as hosts
    assert {tuple(each[name] for name in KEYS[by]) for each in got} == want.keys()
    assert len(got) == len(want)
    for each in got:
        group = want[tuple(each[name] for name in KEYS[by])]
        assert each["findings"] == group["findings"]
        assert sum(each["severities"].values()) == sum(group["severities"].values())
        assert sorted(each["severities"].values()) == sorted(group["severities"].values())
        if by != "host":
            assert each["hosts"] == len(group["hosts"])
            named = {place for place in each["where"] if not place.startswith("…")}
            assert named <= group["where"]
            assert len(named) == min(20, len(group["where"]))
        if by != "plugin":
            assert each["plugins"] == len(group["plugins"] - {None})


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_groups_are_those_of_the_matching_findings(
    store: FindingsStore, data: st.DataObject
) -> None:
    chance = data.draw(st.randoms(use_true_random=False))
    report = make_report(chance)
    if data.draw(st.booleans()):
        report = without_checks(report)
    names = OF_PLUGINS if data.draw(st.booleans()) else tuple(FIELDS)
    fields = data.draw(st.lists(st.sampled_from(names), max_size=3))
    filters = [made_condition(chance, f, chance.choice(OPERATORS[FIELDS[f].kind])) for f in fields]

    async def put() -> None:
        # The plugins of another scan are the same rows.
        await store.put("other", report.events, at=0.0)
        await store.put("t", report.events, at=0.0)
        await store.vacuum_deleted()

    trio.run(put)
    match = data.draw(st.sampled_from(["all", "any"]))
    for by in KEYS:
        check(store, report, by, filters=filters, match=match)


def test_groups_of_some_severities_have_only_these(store: FindingsStore) -> None:
    report = without_checks(make_report(random.Random(5), findings=200))
    trio.run(lambda: store.put("t", report.events, at=0.0))
    for by in KEYS:
        check(store, report, by, filters=[{"field": "severity", "op": ">=", "value": "high"}])
        either = [
            {"field": "severity", "op": "=", "value": "low"},
            {"field": "plugin_id", "op": "present"},
        ]
        check(store, report, by, filters=either, match="any")


@pytest.mark.parametrize("many", [10**6, 0], ids=["looked up once", "asked for again"])
def test_costly_conditions_give_the_same_groups_either_way(
    store: FindingsStore, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    monkeypatch.setattr(groups, "_MANY", many)
    report = without_checks(make_report(random.Random(3), findings=200))
    trio.run(lambda: store.put("t", report.events, at=0.0))
    for field in ("plugin_output", "port", "svc_name"):
        for by in KEYS:
            filters = [{"field": field, "op": "present"}]
            check(store, report, by, filters=filters)
