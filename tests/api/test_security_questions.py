"""What a security team asks, each in at most two calls and 1,500 tokens, against what is true."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast

import attrs
import pytest

from nessus_sched.api import validation
from nessus_sched.api.app import App
from nessus_sched.api.operations import Call
from nessus_sched.api.tools import TOOLS
from nessus_sched.core.exceptions.exception import Decision
from nessus_sched.core.targets.scope import Scope
from nessus_sched.daemon.ledger_keeper import LedgerKeeper
from nessus_sched.ipc.peer import Peer
from nessus_sched.scheduler.exceptions import Decider
from support.living_app import living_app
from support.patched_network import BY_PLUGIN, DAY, NETWORK, Key, Network

TOKENS: Final = 1500
BYTES_PER_TOKEN: Final = 4
WORDS: Final = ("info", "low", "medium", "high", "critical")


@attrs.define
class Desk:
    """Asks on behalf of the team; a question begins with `question`."""

    app: App
    network: Network
    _calls: int = 0
    _bytes: int = 0

    def question(self) -> None:
        self._calls = self._bytes = 0

    async def look(self, name: str, **arguments: Any) -> dict[str, Any]:
        """An answer, however long."""
        tool = TOOLS.get(name)
        assert tool is not None
        args: Any = validation.parse(tool.arguments, arguments)
        answer = await tool.fn(self.app, Call(peer=Peer(connection="t", uid=0)), args)
        found: dict[str, Any] = validation.answer(answer)[0]
        return found

    async def ask(self, name: str, **arguments: Any) -> dict[str, Any]:
        found = await self.look(name, **arguments)
        self._calls += 1
        self._bytes += len(json.dumps(found, ensure_ascii=False).encode())
        assert self._calls <= 2
        assert self._bytes / BYTES_PER_TOKEN <= TOKENS, f"{name} answers {self._bytes} bytes"
        return found


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with living_app(tmp_path) as (app, network):
        yield Desk(app, network)


def when(text: str | None) -> int | None:
    return None if text is None else int(datetime.fromisoformat(text).timestamp())


def keys(rows: Iterable[dict[str, Any]]) -> set[Key]:
    return {(row["host"], row["plugin_id"]) for row in rows}


def since(desk: Desk, days: float) -> str:
    return datetime.fromtimestamp(desk.network.now - days * DAY, UTC).isoformat()


async def test_is_this_host_clean_and_since_when_is_it_open(desk: Desk) -> None:
    """1 and 2, for every host."""
    assert len({name for name, _ in desk.network.open}) > 5
    for name in desk.network.hosts():
        desk.question()
        found = await desk.ask("get_host", host=name, severity="info")
        open_here = {key: each for key, each in desk.network.open.items() if key[0] == name}
        assert keys(found["findings"]) - open_here.keys() <= {
            (name, plugin) for plugin in (10180, 19506, 104410, 110095, 141118)
        }
        for row in found["findings"]:
            truth = open_here.pop((name, row["plugin_id"]), None)
            if truth is not None:
                assert (when(row["first_seen"]), when(row["last_seen"])) == (
                    truth.first,
                    truth.last,
                )
                assert ("unverified" not in row) is (truth.doubt is None)
                assert row["age_days"] == int(desk.network.days(truth.first))
        assert not open_here
        seen, entered = desk.network.last(name), desk.network.last(name, login=True)
        clean = not any(key[0] == name for key in desk.network.open)
        whole = clean and seen == entered == desk.network.times[-1]
        assert found["clean"] == ("yes" if whole else "unknown" if clean else "no")
        assert (when(found["last_answered"]), when(found["last_login"])) == (seen, entered)


async def test_a_finding_has_the_same_fields_and_values_in_every_answer(desk: Desk) -> None:
    by_key: dict[tuple[Any, ...], dict[str, Any]] = {}
    for name in desk.network.hosts():
        hosts = await desk.look("get_host", host=name, shown="all", severity="info", limit=200)
        searched = await desk.look(
            "search_findings", profile="summary", page_size=200, max_bytes=40_000,
            filters=[f"host={name}", "state in open, fixed"],
        )  # fmt: skip
        assert hosts["findings"]
        assert sorted(hosts["findings"], key=str) == sorted(searched["findings"], key=str)
        by_key |= {(row["host"], row["plugin_id"], row["port"]): row for row in hosts["findings"]}
    changed = await desk.look("get_changes", since=since(desk, 61), limit=10)
    for row in changed["rows"]:
        shown = {key: value for key, value in row.items() if key not in ("change", "why")}
        assert shown == by_key[row["host"], row["plugin_id"], row["port"]]
        assert ("why" in row) is (row["change"] == "new")


async def test_what_is_new_fixed_back_and_in_doubt_since_a_day(desk: Desk) -> None:
    """3 to 7: also, did last month get better?"""
    for days in (7, 13, 31, 61):
        begin = desk.network.now - days * DAY
        expected: dict[str, set[Key]] = {"new": set(), "fixed": set(), "resurfaced": set()}
        doubts: Counter[str] = Counter()
        for key, truth in desk.network.truth.items():
            if not truth.open:
                if truth.fixed_at is not None and truth.fixed_at > begin:
                    expected["fixed"].add(key)
            elif truth.doubted_at is not None and truth.doubted_at > begin:
                assert truth.doubt is not None
                doubts[truth.doubt] += 1
            elif truth.back_at is not None and truth.back_at > begin:
                expected["resurfaced"].add(key)
            elif truth.first > begin:
                expected["new"].add(key)
        for change, wanted in expected.items():
            desk.question()
            rows, cursor = [], None
            found = await desk.ask(
                "get_changes", since=since(desk, days), changes=[change], limit=10
            )
            rows, cursor = found["rows"], found["next_cursor"]
            while cursor is not None:
                desk.question()
                page = await desk.ask(
                    "get_changes",
                    since=since(desk, days),
                    changes=[change],
                    cursor=cursor,
                    limit=10,
                )
                rows, cursor = [*rows, *page["rows"]], page["next_cursor"]
            assert keys(rows) == wanted
            counts = Counter(WORDS[BY_PLUGIN[plugin].severity] for _, plugin in wanted)
            assert found["counts"].get(change, {}) == counts
            assert found["unverified"] == doubts


async def test_where_do_scans_not_reach(desk: Desk) -> None:
    """8 to 12: never scanned, not lately, silent, gone, without a login."""
    network = desk.network
    for days in (3, 30):
        desk.question()
        found = await desk.ask("get_coverage", targets=[NETWORK, "203.0.113.0/30"], days=days)
        status = {}
        for row in found["rows"]:
            if row["count"] == 1:
                status[row["targets"]] = row["status"]
        assert found["counts"]["requested"] == 20
        assert found["counts"]["never_scanned"] == 4
        assert found["counts"]["never_answered"] == 16 - len(network.hosts())
        for name in network.hosts():
            answered, entered = network.last(name), network.last(name, login=True)
            assert answered is not None
            expected = "covered"
            if answered < network.times[-1]:
                expected = "no_longer_answers"
            elif entered is None or network.days(entered) > days:
                expected = "without_login"
            assert status[name] == expected, name
    desk.question()
    old = await desk.ask(
        "get_coverage", targets=[NETWORK], days=3650, status=["without_login"]
    )  # never scanned with a login
    never = {name for name in network.hosts() if network.last(name, login=True) is None}
    assert {row["targets"] for row in old["rows"]} == {
        name for name in never if network.last(name) == network.times[-1]
    }


async def test_do_our_logins_work(desk: Desk) -> None:
    """13."""
    desk.question()
    (row,) = (await desk.ask("list_credentials"))["credentials"]
    expected = [
        (at, len(scan), sum(entered for _, entered in scan.values()))
        for at, scan in zip(desk.network.times, desk.network.seen, strict=True)
    ]
    assert [(when(run["at"]), run["hosts"], run["full"]) for run in row["logins"]] == (
        expected[::-1][:5]
    )
    assert all(run["failed"] == run["hosts"] - run["full"] for run in row["logins"])


async def test_what_is_open_now_and_where(desk: Desk) -> None:
    """14 to 17: who has this CVE, what is exploited, what is old, what is open on a network."""
    everything = desk.network.open
    for filters, wanted in (
        (["cve=CVE-2021-44228"], {key for key in everything if key[1] == 155999}),
        (["cve contains 2021"], {key for key in everything if key[1] in (155999, 156032)}),
        (["cisa_kev=true"], {key for key in everything if BY_PLUGIN[key[1]].exploited}),
        (
            ["first_seen<" + since(desk, 30), "severity>=high"],
            {
                key
                for key, truth in everything.items()
                if desk.network.days(truth.first) > 30 and BY_PLUGIN[key[1]].severity >= 3
            },
        ),
        (
            ["host=192.0.2.0/30", "severity>=low"],
            {key for key in everything if key[0] in ("192.0.2.1", "192.0.2.2", "192.0.2.3")},
        ),
        (["unverified=login_failed", "severity>=low"], {key for key, truth in everything.items()
                                       if truth.doubt == "login_failed"}),
    ):  # fmt: skip
        assert wanted, filters
        rows: list[dict[str, Any]] = []
        cursor = None
        while True:
            desk.question()
            found = await desk.ask(
                "search_findings", filters=filters, profile="minimal", page_size=12, cursor=cursor
            )
            rows, cursor = [*rows, *found["findings"]], found["next_cursor"]
            if cursor is None:
                break
        assert keys(rows) == wanted
        assert found["total"] == len(rows) == len(wanted)
        counts = Counter(WORDS[BY_PLUGIN[plugin].severity] for _, plugin in wanted)
        assert found["severity_counts"] == counts


async def test_what_do_i_fix_first(desk: Desk) -> None:
    """18: one line per solution, with how many hosts it helps."""
    desk.question()
    found = await desk.ask("search_findings", filters=["severity>=low"], group_by="solution")
    expected: dict[str, list[Key]] = {}
    for key in desk.network.open:
        expected.setdefault(BY_PLUGIN[key[1]].solution, []).append(key)
    told = {row["solution"]: row for row in found["findings"]}
    assert told.keys() == expected.keys()
    for solution, wanted in expected.items():
        row = told[solution]
        assert (row["findings"], row["hosts"]) == (len(wanted), len({host for host, _ in wanted}))
        assert row["cisa_kev"] is any(BY_PLUGIN[plugin].exploited for _, plugin in wanted)
        oldest = min(desk.network.open[key].first for key in wanted)
        assert when(row["first_seen"]) == oldest
        counts = Counter(WORDS[BY_PLUGIN[plugin].severity] for _, plugin in wanted)
        assert row.get("severities", {row["severity"]: row["findings"]}) == counts
        assert ("severities" in row) is (len(counts) > 1)
        assert "excepted" not in row
    ranks = [(-WORDS.index(row["severity"]), not row["cisa_kev"]) for row in found["findings"]]
    assert ranks == sorted(ranks)


async def test_which_hosts_are_worst_and_what_was_fixed(desk: Desk) -> None:
    """19 and 20."""
    desk.question()
    found = await desk.ask("search_findings", filters=["severity>=high"], group_by="host")
    worst = Counter(host for host, plugin in desk.network.open if BY_PLUGIN[plugin].severity >= 3)
    assert {row["host"]: row["findings"] for row in found["findings"]} == worst
    desk.question()
    fixed = await desk.ask(
        "search_findings", filters=["state=fixed", "severity>=low"], profile="minimal",
        fields=["fixed_at"], page_size=10,
    )  # fmt: skip
    closed = {key: each for key, each in desk.network.truth.items() if not each.open}
    assert fixed["total"] == len(closed)
    for row in fixed["findings"]:
        assert when(row["fixed_at"]) == closed[row["host"], row["plugin_id"]].fixed_at


async def every_row(desk: Desk, **asked: Any) -> list[dict[str, Any]]:
    """All pages; each is a question of its own."""
    rows: list[dict[str, Any]] = []
    cursor = None
    while True:
        desk.question()
        found = await desk.ask("search_findings", page_size=6, cursor=cursor, **asked)
        rows += found["findings"]
        cursor = found["next_cursor"]
        if cursor is None:
            assert found["total"] == len(rows) == len(keys(rows))
            counts = Counter(WORDS[BY_PLUGIN[plugin].severity] for _, plugin in keys(rows))
            assert {word: n for word, n in found["severity_counts"].items() if n} == counts
            return rows


async def test_who_has_this_now_and_what_is_old_exploited_or_in_doubt(desk: Desk) -> None:
    """14 to 19."""
    network = desk.network
    above = "severity>=low"
    log4shell = {key for key in network.open if BY_PLUGIN[key[1]].cve == "CVE-2021-44228"}
    assert log4shell
    assert keys(await every_row(desk, filters=["cve contains 2021-44228"])) == log4shell
    old = {key for key, truth in network.open.items() if network.days(truth.first) > 50}
    assert keys(await every_row(desk, filters=["age_days>=50", above])) == old
    exploited = {key for key in network.open if BY_PLUGIN[key[1]].exploited}
    assert keys(await every_row(desk, filters=["cisa_kev=true", above])) == exploited
    doubted = {key: truth.doubt for key, truth in network.open.items() if truth.doubt}
    rows = await every_row(
        desk, filters=["unverified present", above], fields=["unverified"], profile="minimal"
    )
    assert {(row["host"], row["plugin_id"]): row["unverified"] for row in rows} == doubted
    back = {key for key, truth in network.open.items() if truth.back}
    assert keys(await every_row(desk, filters=["times_resurfaced>0", above])) == back
    near = {key for key in network.open if int(key[0].rpartition(".")[2]) < 8}
    assert keys(await every_row(desk, filters=["host=192.0.2.0/29", above])) == near


async def test_what_do_we_fix_first(desk: Desk) -> None:
    """20: by what mends most, and by host."""
    for group in ("solution", "host"):
        desk.question()
        found = await desk.ask("search_findings", group_by=group, filters=["severity>=low"])
        expected: dict[str, set[Key]] = {}
        for key in desk.network.open:
            named = key[0] if group == "host" else BY_PLUGIN[key[1]].solution
            expected.setdefault(named, set()).add(key)
        assert {row[group]: row["findings"] for row in found["findings"]} == {
            each: len(some) for each, some in expected.items()
        }
        worst = [
            max(BY_PLUGIN[plugin].severity for _, plugin in expected[row[group]])
            for row in found["findings"]
        ]
        assert worst == sorted(worst, reverse=True)


async def test_we_accept_this_until_then(desk: Desk) -> None:
    """21 and 22: what is accepted, and until when."""
    desk.question()
    made = await desk.ask(
        "propose_exception", cves=["CVE-2021-44228"], hosts=[NETWORK], kind="accepted",
        reason="cannot be reached", owner="web team", until="90d",
    )  # fmt: skip
    log4shell = {key for key in desk.network.open if BY_PLUGIN[key[1]].cve == "CVE-2021-44228"}
    assert made["concerns"] == len(log4shell)
    name = made["exception"]["exception_id"]
    await desk.app.exceptions.decide(name, Decision.APPROVE, Decider(actor="uid:7"))
    desk.question()
    cast(LedgerKeeper, desk.app.ledger).wake()
    found = await desk.ask("search_findings", filters=["severity>=low"], page_size=1)
    assert found["excepted"] == {"critical": len(log4shell)}
    rows = await every_row(desk, filters=["severity>=low", "exception absent"])
    assert keys(rows) == desk.network.open.keys() - log4shell
    desk.question()
    (listed,) = (await desk.ask("list_exceptions"))["exceptions"]
    assert (listed["exception_id"], listed["status"]) == (name, "approved")
    assert network_days(desk, listed["until"]) == -90


async def test_is_it_really_fixed(desk: Desk) -> None:
    """23: what a verification would scan, and what is proved already."""
    having = {key[0] for key in desk.network.open if key[1] == 51192}
    desk.question()
    found = await desk.ask("verify_fix", plugin_ids=[51192], dry_run=True)
    assert {target for scan in found["scans"] for target in scan["targets"]} == having
    fixed = {key: truth for key, truth in desk.network.truth.items() if not truth.open}
    rows = await every_row(
        desk, filters=["state=fixed", "severity>=low"], fields=["fixed_at"], profile="minimal"
    )
    assert {(row["host"], row["plugin_id"]): when(row["fixed_at"]) for row in rows} == {
        key: truth.fixed_at for key, truth in fixed.items()
    }


@pytest.mark.slow
async def test_a_role_and_a_question_may_name_many_networks(desk: Desk) -> None:
    """More than SQLite takes side by side in one expression."""
    many = tuple(f"198.51.{number // 128}.{number * 2 % 256}" for number in range(1500))
    scope = Scope((*many, NETWORK), (), max_addresses=10**6)
    whole = await desk.ask("search_findings", page_size=1)
    desk.app = attrs.evolve(desk.app, scopes_of=lambda _peer: (scope,))
    desk.question()
    assert (await desk.ask("search_findings", page_size=1))["total"] == whole["total"]
    assert (await desk.ask("get_changes", limit=1, severity="info"))["scans"] > 0
    desk.question()
    hosts = [" ".join(many[at : at + 500]) for at in range(0, 1500, 500)]
    found = await desk.ask("verify_fix", hosts=[*hosts, NETWORK], plugin_ids=[51192], dry_run=True)
    having = {key[0] for key in desk.network.open if key[1] == 51192}
    assert {target for scan in found["scans"] for target in scan["targets"]} >= having
    networks = [f"{address}/31" for address in many[:480]]
    for history in (False, True):
        desk.question()
        named = {"field": "host", "op": "in", "value": [*networks, NETWORK]}
        found = await desk.ask("search_findings", filters=[named], history=history, page_size=1)
        assert found["total"] >= whole["total"]


def network_days(desk: Desk, text: str) -> int:
    return round(desk.network.days(datetime.fromisoformat(text).timestamp()))
