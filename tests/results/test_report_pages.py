"""What reports group, count, draw and leave out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.config.delivery import SlaSettings
from nessus_sched.results.ledger.logins import LoginRun
from nessus_sched.results.ledger.sla import SlaCounts
from nessus_sched.results.ledger.trend import Step
from nessus_sched.results.reports import charts, comparison, management, team, technical
from nessus_sched.results.reports.grouping import Found, by_solution, found_of, rank
from nessus_sched.results.reports.period import DAY, Period
from nessus_sched.results.reports.rendering import compact, number, signed

NOW = 1_800_000_000.0
PERIOD = Period(since=NOW - 30 * DAY, until=NOW)
SEVERITIES = ("info", "unknown", "low", "medium", "high", "critical")

FOUND = st.builds(
    found_of,
    host=st.integers(1, 60).map(lambda n: f"192.0.2.{n}"),
    port=st.sampled_from([0, 80, 443]),
    protocol=st.just("tcp"),
    plugin_id=st.integers(1, 9),
    name=st.sampled_from(["a", "b", None]),
    severity=st.sampled_from(SEVERITIES),
    solution=st.sampled_from(["Update it.", "Turn it off.", None, "x" * 999]),
    exploited=st.booleans(),
    since=st.integers(0, 400).map(lambda days: NOW - days * DAY),
    note=st.sampled_from([None, "why"]),
    sla=st.just(SlaSettings()),
)


def test_severities_rise() -> None:
    assert sorted(SEVERITIES, key=rank) == list(SEVERITIES)


@pytest.mark.slow
@given(st.lists(FOUND, max_size=40))
def test_groups_have_everything_once_and_the_worst_come_first(found: list[Found]) -> None:
    groups = by_solution(found)
    assert sorted(map(id, found)) == sorted(id(each) for _, several in groups for each in several)
    worst = [max(rank(each.severity) for each in several) for _, several in groups]
    assert worst == sorted(worst, reverse=True)


@pytest.mark.slow
@given(st.lists(FOUND, min_size=1, max_size=60))
def test_a_team_sees_each_host_once_per_solution_and_when_it_is_due(found: list[Found]) -> None:
    document = team.document(found, len(found) + 3, PERIOD, NOW, 7 * DAY)
    assert len(document["rows"]) == len(found)
    assert document["findings_left_out"] == 3
    assert document["overdue"] == sum(each.due is not None and each.due < NOW for each in found)
    for card in document["groups"]:
        mine = [each for each in found if each.solution == card["solution"]]
        listed = [host for line in card["lines"] for day in line["days"] for host in day["hosts"]]
        assert sorted(listed) == sorted({each.host for each in mine})
        assert not card["hosts_left_out"]
        late = {each.host for each in mine if each.due is not None and each.due < NOW}
        overdue = [line for line in card["lines"] if line["state"] == "Overdue since"]
        assert {h for line in overdue for day in line["days"] for h in day["hosts"]} == late


def many(count: int, hosts: int = 1) -> list[Found]:
    return [
        found_of(
            host=f"host-{host}.example.com", port=0, protocol="tcp", plugin_id=each, name="n" * 300,
            severity="high", solution=f"{each} " + "words " * 60, exploited=False,
            since=NOW - host * DAY, sla=SlaSettings(),
        )
        for each in range(count)
        for host in range(hosts)
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("count", "hosts"), [(1, 500), (400, 1), (100, 60)])
def test_a_team_report_has_a_length(count: int, hosts: int) -> None:
    found = many(count, hosts)
    document = team.document(found, len(found), PERIOD, NOW, 7 * DAY)
    listed = len(document["groups"]) + len(document["rest"]) + document["left_out"]
    assert listed == document["solutions"] == count
    assert document["groups"]
    assert len(document["groups"]) < 100
    assert len(document["rest"]) <= team.IN_TABLE
    for card in document["groups"]:
        named = sum(len(day["hosts"]) for line in card["lines"] for day in line["days"])
        assert named + card["hosts_left_out"] == hosts
        assert named <= team.MOST_HOSTS
    assert len(document["rows"]) == len(found)


def test_a_comparison_counts_what_it_does_not_list() -> None:
    section = comparison.Section(change="new", counts={"high": 500}, found=many(100, 4))
    document = comparison.document([section], PERIOD)
    (shown,) = document["sections"]
    assert len(shown["groups"]) + shown["left_out"] == 100
    assert shown["findings_left_out"] == 100
    assert len(document["rows"]) == 400
    assert comparison.document([], PERIOD)["sections"] == []


def test_reasons_are_counted_unless_all_have_the_same() -> None:
    one = many(1, 3)
    same = [found_of(**_fields(each), note="host down") for each in one]
    mixed = [*same[:2], *one[2:]]
    for found, reasons in ((same, ["host down"]), (mixed, ["2: host down"]), (one, [])):
        section = comparison.Section(change="unverified", counts={"high": 3}, found=found)
        (shown,) = comparison.document([section], PERIOD)["sections"]
        assert shown["groups"][0]["reasons"] == reasons


def _fields(found: Found) -> dict[str, Any]:
    names = ("host", "port", "protocol", "plugin_id", "name", "severity", "solution", "exploited",
             "since")  # fmt: skip
    return {name: getattr(found, name) for name in names}


# -- technical


def row(host: str, output: str | None, port: int = 443, **more: Any) -> dict[str, Any]:
    return {
        "host": host, "port": port, "protocol": "tcp", "severity": "high", "plugin_id": 1,
        "plugin_name": "n", "plugin_output": output, "cve": (f"CVE-{host}",), **more,
    }  # fmt: skip


def groups(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    return list(technical._groups(rows))


def test_a_finding_is_listed_once_with_its_hosts_by_port() -> None:
    (group,) = groups(row("a", "x"), row("b", "x", 80), row("c", "y"), row("c", None))
    assert group["places"] == [
        {"port": "443/tcp", "hosts": ["a", "c"]},
        {"port": "80/tcp", "hosts": ["b"]},
    ]
    assert (group["hosts"], group["findings"], group["places_left_out"]) == (3, 4, 0)
    assert group["output"] == {"text": "x", "host": "a", "same": 1, "others": 1}
    assert group["cves"] == ["CVE-a", "CVE-b", "CVE-c"]


def test_another_check_of_the_same_plugin_is_another_finding() -> None:
    names = ("compliance_check_name", "compliance_result", "severity", "plugin_name")
    for name in names:
        assert len(groups(row("a", "x"), {**row("a", "x"), name: "other"})) == 2


def test_outputs_and_hosts_are_bounded() -> None:
    many_rows = [row(f"h{number}", "line\n" * 1000) for number in range(200)]
    (group,) = groups(*many_rows)
    assert len(group["output"]["text"]) <= 400
    assert group["output"]["text"].count("\n") <= 6
    assert group["output"]["text"].endswith("…")
    listed = sum(len(place["hosts"]) for place in group["places"])
    assert listed + group["places_left_out"] == 200
    assert listed == technical.MOST_HOSTS
    information = [{**each, "severity": "info"} for each in many_rows]
    (group,) = groups(*information)
    assert (group["places"], group["ports"]) == ([], "443/tcp")


# -- charts and numbers


@given(
    st.lists(
        st.fixed_dictionaries(
            {"label": st.text(max_size=5), **{
                name: st.integers(0, 10**7) for name in ("open", "new", "fixed", "hosts")
            }}
        ),
        max_size=60,
    )
)  # fmt: skip
def test_a_trend_stays_in_its_frame(points: list[dict[str, Any]]) -> None:
    chart = charts.trend(points)
    ticks = [tick["value"] for tick in chart["ticks"]]
    assert ticks[0] == 0
    assert ticks == sorted(set(ticks))
    assert all(tick == int(tick) for tick in ticks)
    assert ticks[-1] >= max((each["open"] for each in points), default=0)
    for column, point in zip(chart["columns"], points, strict=True):
        for name in ("new", "fixed", "hosts"):
            bar = column[name]
            assert bar["y"] >= 0
            assert bar["height"] >= 0
            assert chart["left"] <= bar["x"] <= chart["right"]
            assert bar["y"] + bar["height"] <= chart["base"] + 0.2
        assert 0 <= column["open_y"] <= chart["bottom"]
        assert (column["open_y"] == chart["bottom"]) >= (point["open"] == 0)
    assert sum(column["label"] is not None for column in chart["columns"]) <= 7


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=6))
def test_shares_fill_their_bar(counts: list[int]) -> None:
    parts = charts.shares((str(count), count) for count in counts)["parts"]
    whole = sum(part["width"] for part in parts)
    assert whole == pytest.approx(300 if any(counts) else 0, abs=1)
    for part, count in zip(parts, counts, strict=True):
        assert (part["percent"] == "100%") <= (count == sum(counts))
        assert (part["percent"] == "0%") <= (count == 0)


def test_numbers_are_short_and_signed() -> None:
    assert [compact(each) for each in (0, 999, 1000, 25_500, 1_500_000)] == [
        "0", "999", "1k", "25.5k", "1.5M",
    ]  # fmt: skip
    assert [signed(each) for each in (0, 3, -1200)] == ["±0", "+3", "\N{MINUS SIGN}1,200"]
    assert number(1234567) == "1,234,567"


def test_credentials_of_the_same_scan_share_a_line() -> None:
    """How its logins went is known of the scan, not of each credential."""

    def run(task_id: str, day: int) -> LoginRun:
        at = int(NOW - day * DAY)
        return LoginRun(task_id=task_id, at=at, hosts=4, full=3, partial=0, failed=1, others=())

    both = run("t-1", 1)
    facts = management.Facts(
        period=PERIOD, open={}, ended=False, exploited=0, ages=[{} for _ in management.AGES],
        history=management.History(step=Step.WEEK, points=[], before={}, within=[]),
        solutions=[], solutions_total=0, coverage={}, all_allowed=True, days=30, excepted={},
        logins={"linux": both, "windows": both, "snmp": run("t-2", 2)},
        sla=SlaCounts(counts={}, excepted={}, unlimited=0),
    )  # fmt: skip
    first, second = management.document(facts)["logins"]
    assert (
        first == f"linux and windows, {PERIOD.day(both.at)}: full login on 3 of 4 hosts, 1 failed."
    )
    assert second.startswith("snmp, ")
