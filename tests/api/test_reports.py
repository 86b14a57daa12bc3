"""The numbers of reports against what is true of a network that was scanned six times."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.api import validation
from nessus_sched.api.app import App
from nessus_sched.api.operations import Call, ToolError
from nessus_sched.api.reporting.scope import labels_cover
from nessus_sched.api.tools import ALL_TOOLS, OPERATORS
from nessus_sched.config.delivery import LabelSettings, SlaSettings
from nessus_sched.core.exceptions.exception import Decision
from nessus_sched.core.secret import Secret
from nessus_sched.core.targets.labels import Labelled, LabelRule, Labels
from nessus_sched.core.targets.scope import Scope, parse_rules
from nessus_sched.core.targets.targets import TargetSet, parse_targets
from nessus_sched.core.task import ScheduledFor
from nessus_sched.daemon.ledger_keeper import LedgerKeeper
from nessus_sched.ipc.peer import Peer
from nessus_sched.results.ledger.trend import TrendQuery
from nessus_sched.scheduler.exceptions import Decider
from support.living_app import living_app
from support.patched_network import BY_PLUGIN, DAY, NETWORK, Key, Network
from support.reading import Page
from support.stored import a_request, a_task, submitted

WORDS: Final = ("info", "low", "medium", "high", "critical")


LABELS: Final = (
    LabelSettings(networks=("192.0.2.0/29",), owner="Web Team", site="Paris"),
    LabelSettings(networks=("192.0.2.4/30",), owner="db-team"),
)
WEB: Final = tuple(f"192.0.2.{number}" for number in range(4))


@attrs.frozen
class Desk:
    app: App
    network: Network

    async def report(self, kind: str, **asked: Any) -> dict[str, Any]:
        return await called(self.app, "read_report", kind=kind, **asked)

    async def rows(self, kind: str, **asked: Any) -> list[dict[str, Any]]:
        text = (await self.report(kind, form="jsonl", **asked))["text"]
        return [json.loads(line) for line in text.splitlines()]

    async def page(self, kind: str, **asked: Any) -> Page:
        return Page((await self.report(kind, **asked))["text"])

    def open(self, hosts: Iterable[str] | None = None) -> list[Key]:
        wanted = None if hosts is None else set(hosts)
        return [key for key in self.network.open if wanted is None or key[0] in wanted]


async def called(app: App, name: str, **arguments: Any) -> dict[str, Any]:
    found = OPERATORS.get(name) or ALL_TOOLS.get(name)
    assert found is not None
    args: Any = validation.parse(found.arguments, arguments)
    result = await found.fn(app, Call(peer=Peer(connection="t", uid=0)), args)
    answer: dict[str, Any] = validation.answer(result)[0]
    return answer


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with living_app(tmp_path, labels=LABELS) as (app, network):
        yield Desk(app, network)


def severities(keys: Iterable[Key]) -> Counter[str]:
    return Counter(WORDS[BY_PLUGIN[plugin].severity] for _, plugin in keys)


def by_solution(keys: Iterable[Key]) -> dict[str, list[Key]]:
    found = defaultdict(list)
    for key in keys:
        found[BY_PLUGIN[key[1]].solution].append(key)
    return found


# -- management


HALF: Final = [f"192.0.2.{number}" for number in range(1, 7)]


@pytest.mark.parametrize("hosts", [None, HALF])
async def test_the_posture_is_what_is_open(desk: Desk, hosts: list[str] | None) -> None:
    asked = {} if hosts is None else {"targets": ["192.0.2.1-6"]}
    page = await desk.page("management", **asked)
    expected = desk.open(hosts)
    assert len(expected) > 5
    shown = {name: int(count) for name, count in page.tiles().items()}
    known = severities(expected)
    assert {name: shown[name] for name in WORDS[1:]} == {name: known[name] for name in WORDS[1:]}
    assert shown["exploited"] == sum(BY_PLUGIN[plugin].exploited for _, plugin in expected)


@pytest.mark.slow
async def test_what_to_do_first_is_grouped_by_solution(desk: Desk) -> None:
    rows = await desk.rows("management")
    expected = by_solution(desk.open())
    assert {row["solution"] for row in rows} == set(expected)
    for row in rows:
        keys = expected[row["solution"]]
        assert row["findings"] == len(keys)
        assert row["hosts"] == len({host for host, _ in keys})
        assert row["plugins"] == len({plugin for _, plugin in keys})
        assert row["severity"] == WORDS[max(BY_PLUGIN[plugin].severity for _, plugin in keys)]
        assert row["cisa_kev"] == any(BY_PLUGIN[plugin].exploited for _, plugin in keys)
    worst = [WORDS.index(row["severity"]) for row in rows]
    assert worst == sorted(worst, reverse=True)


@pytest.mark.slow
async def test_a_table_has_the_same_rows(desk: Desk) -> None:
    rows = await desk.rows("management")
    made = await desk.report("management", form="csv")
    lines = made["text"].split("\r\n")
    assert (
        lines[0]
        == ",".join(rows[0])
        == ("solution,severity,findings,hosts,plugins,cisa_kev,first_seen")
    )
    assert len(lines) == len(rows) + 2 == made["rows"] + 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"task_id": "t00000001", "schedule": "weekly"}, "bad_arguments"),
        ({"schedule": "nosuch"}, "no_results"),
        ({"task_id": "t99999999"}, "unknown_task"),
        ({"targets": ["192.0.2.0/24", "192.0.2.300"]}, "bad_arguments"),
        ({"since": "2099-01-01T00:00:00Z"}, "bad_arguments"),
        ({"since": "0001-01-01T00:00:00Z"}, "bad_arguments"),
        ({"until": "0001-01-01T00:00:00Z"}, "bad_arguments"),
        ({"since": "1999-01-01T00:00:00Z", "last": "week"}, "bad_arguments"),
    ],
)
async def test_what_cannot_be_asked(desk: Desk, asked: dict[str, Any], code: str) -> None:
    with pytest.raises(ToolError) as caught:
        await desk.report("management", **asked)
    assert caught.value.code == code


@pytest.mark.slow
async def test_a_comparison_ends_now(desk: Desk) -> None:
    with pytest.raises(ToolError, match="a comparison ends now: give since without until or last"):
        await desk.report("comparison", last="week")


SCOPES: Final[tuple[tuple[dict[str, Any], Sequence[str] | None], ...]] = (
    ({}, None),
    ({"targets": ["192.0.2.1-6"]}, HALF),
    ({"owner": "web team"}, WEB),
)


@pytest.mark.slow
@pytest.mark.parametrize(("asked", "hosts"), SCOPES)
async def test_what_was_fixed_and_what_is_overdue(
    desk: Desk, asked: dict[str, Any], hosts: Sequence[str] | None
) -> None:
    """A finding that was fixed twice counts twice."""
    now = desk.network.now
    mine = {
        key: truth for key, truth in desk.network.truth.items() if hosts is None or key[0] in hosts
    }
    fixed = sum(at > now - 30 * DAY for truth in mine.values() for at in truth.fixes)
    page = await desk.page("management", **asked)
    assert int(page.tiles()["fixed"]) == fixed > 0
    drawn = page.texts("table.sr tbody tr td")
    assert len(drawn) >= 13 * 4
    assert int(drawn[-4]) == len(desk.open(hosts)), "open at the end"
    limits, counts = desk.app.config.sla, Counter[str]()
    for (_, plugin), truth in mine.items():
        check = BY_PLUGIN[plugin]
        limit = limit_of(limits, check.severity, exploited=check.exploited)
        if limit is None:
            continue
        due = truth.first + limit
        if truth.open:
            late, near = now > due, now > due - limits.due_soon
            counts["overdue" if late else "due soon" if near else "in time"] += 1
        elif truth.fixed_at is not None and truth.fixed_at >= now - 30 * DAY:
            counts["fixed late" if truth.fixed_at > due else "in time"] += 1
    for name in ("in time", "due soon", "fixed late", "overdue"):
        assert f"{name}: {counts[name]} (" in page.words


@pytest.mark.slow
@pytest.mark.parametrize(("asked", "hosts"), SCOPES)
async def test_ages(desk: Desk, asked: dict[str, Any], hosts: Sequence[str] | None) -> None:
    page = await desk.page("management", **asked)
    (text,) = [each for each in page.texts("svg desc") if each.startswith("to 30 days: ")]
    ages = [int(desk.network.days(desk.network.open[key].first)) for key in desk.open(hosts)]
    for label, low, high in (
        ("to 30 days", 0, 30), ("to 90 days", 31, 90), ("to 180 days", 91, 180),
        ("longer", 181, 9999),
    ):  # fmt: skip
        count = sum(low <= age <= high for age in ages)
        assert f"{label}: {count}" in text


@pytest.mark.slow
async def test_a_past_period_ends_when_it_ended(desk: Desk) -> None:
    now = desk.network.now
    begin, end = now - 50 * DAY, now - 20 * DAY
    (point,) = (await desk.app.ledger.trend(TrendQuery(since=end - 1, until=end)))[-1:]
    page = await desk.page(
        "management",
        **{name: datetime.fromtimestamp(at, UTC).isoformat()
           for name, at in (("since", begin), ("until", end))},
    )  # fmt: skip
    for name in WORDS[1:]:
        assert int(page.tiles()[name]) == point.open.get(name, 0)
    assert "What to do first, of what is open now" in page.texts("main h2")


@pytest.mark.slow
async def test_exceptions_count(desk: Desk) -> None:
    """One is accepted, one gets another severity; the trend knows nothing of either."""
    kinds: dict[int, dict[str, str]] = {
        155999: {"kind": "accepted"},
        51192: {"kind": "severity", "severity": "low"},
    }
    for plugin, words in kinds.items():
        made = await called(
            desk.app, "propose_exception", plugins=[plugin], hosts=[NETWORK], reason="known",
            owner="web team", until="90d", **words,
        )  # fmt: skip
        name = made["exception"]["exception_id"]
        await desk.app.exceptions.decide(name, Decision.APPROVE, Decider(actor="uid:7"))
    cast(LedgerKeeper, desk.app.ledger).wake()
    accepted = {key for key in desk.open() if key[1] == 155999}
    lowered = {key for key in desk.open() if key[1] == 51192}
    assert accepted
    assert lowered
    known = severities(key for key in desk.open() if key not in accepted | lowered)
    known["low"] += len(lowered)
    page = await desk.page("management")
    assert {name: int(page.tiles()[name]) for name in WORDS[1:]} == {
        name: known[name] for name in WORDS[1:]
    }
    assert f"{len(accepted)} accepted, {len(lowered)} severity" in page.words
    rows = await desk.rows("team")
    assert {(row["host"], row["plugin_id"]) for row in rows} == set(desk.open()) - accepted
    assert {row["severity"] for row in rows if row["plugin_id"] == 51192} == {"low"}
    changed = await desk.rows("comparison", since="2020-01-01T00:00:00Z")
    reasons = [row["reason"] for row in changed if row["plugin_id"] == 155999]
    assert sum("exception: accepted" in (reason or "") for reason in reasons) == len(accepted)


# -- labels


@pytest.mark.slow
async def test_labels_select_hosts(desk: Desk) -> None:
    for asked, hosts in (
        ({"owner": "web team"}, WEB),
        ({"owner": "db-team"}, [f"192.0.2.{number}" for number in range(4, 8)]),
        ({"site": "Paris", "owner": "db-team"}, [f"192.0.2.{number}" for number in range(4, 8)]),
        ({"owner": "Web Team", "targets": ["192.0.2.0/31"]}, WEB[:2]),
    ):  # fmt: skip
        expected = {key for key in desk.open(hosts) if BY_PLUGIN[key[1]].severity}
        rows = await desk.rows("team", **asked)
        assert {(row["host"], row["plugin_id"]) for row in rows} == expected, asked
        page = await desk.page("management", **asked)
        known = severities(expected)
        assert {name: int(page.tiles()[name]) for name in WORDS[1:]} == {
            name: known[name] for name in WORDS[1:]
        }
        changed = await desk.rows("comparison", **asked)
        assert changed
        assert {row["host"] for row in changed} <= set(hosts)
    assert "Of 4 targets" in (await desk.page("management", owner="Web Team")).words
    with pytest.raises(ToolError, match="no host has 'web-team'; there are Web Team, db-team"):
        await desk.report("team", owner="web-team")


# -- team


@pytest.mark.slow
async def test_a_team_is_told_what_to_fix_where_and_until_when(desk: Desk) -> None:
    rows = await desk.rows("team")
    limits = desk.app.config.sla
    expected = set()
    for host, plugin in desk.open():
        check, truth = BY_PLUGIN[plugin], desk.network.open[host, plugin]
        if check.severity == 0:
            continue
        due = limit_of(limits, check.severity, exploited=check.exploited)
        expected.add(
            (
                host, plugin, check.solution, WORDS[check.severity], check.exploited,
                day(truth.first), None if due is None else day(truth.first + due),
                truth.doubt is not None,
            )
        )  # fmt: skip
    assert len(rows) == len(expected)
    assert {
        (
            row["host"], row["plugin_id"], row["solution"], row["severity"], row["cisa_kev"],
            row["first_seen"], row["due"], row["not_confirmed"] is not None,
        )
        for row in rows
    } == expected  # fmt: skip
    page = await desk.page("team")
    now = desk.network.now
    overdue = sum(row["due"] is not None and row["due"] < day(now) for row in rows)
    assert f"{len(rows)} findings of severity low or higher on " in page.words
    assert f"{overdue} findings overdue" in page.words
    for solution, keys in by_solution(desk.open()).items():
        assert any(text.endswith(f". {solution}") for text in page.texts("section.card h3"))
        for host, _ in keys:
            assert host in page.words


def limit_of(limits: SlaSettings, severity: int, *, exploited: bool) -> float | None:
    days = [(None, limits.low, limits.medium, limits.high, limits.critical)[severity]]
    return min(filter(None, [*days, limits.exploited if exploited else None]), default=None)


def day(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}"


# -- technical


@pytest.mark.slow
async def test_the_technical_report_has_every_finding_of_a_task(desk: Desk) -> None:
    for number, scan in enumerate(desk.network.seen):
        rows = await desk.rows("technical", task_id=f"t{number + 1:08d}")
        found = {(row["host"], row["plugin_id"]) for row in rows if row["severity"] != "info"}
        assert found == {(host, plugin) for host, (plugins, _) in scan.items()
                         for plugin in plugins}  # fmt: skip
    page = await desk.page("technical", task_id="t00000006")
    for plugin in {plugin for plugins, _ in desk.network.seen[-1].values() for plugin in plugins}:
        assert f"Check {plugin}" in page.texts("section.card h3")
    with pytest.raises(ToolError, match="of one task"):
        await desk.report("technical")


# -- comparison


@pytest.mark.slow
@pytest.mark.parametrize("days", [7, 13, 31, 61])
async def test_what_changed_since_a_time(desk: Desk, days: int) -> None:
    begin = desk.network.now - days * DAY
    expected = set()
    for (host, plugin), truth in desk.network.truth.items():
        if not truth.open and truth.fixed_at is not None and truth.fixed_at > begin:
            expected.add(("fixed", host, plugin))
        elif truth.open and truth.doubted_at is not None and truth.doubted_at > begin:
            expected.add(("unverified", host, plugin))
        elif truth.open and truth.back_at is not None and truth.back_at > begin:
            expected.add(("resurfaced", host, plugin))
        elif truth.open and truth.first > begin:
            expected.add(("new", host, plugin))
    since = datetime.fromtimestamp(begin, UTC).isoformat()
    rows = await desk.rows("comparison", since=since)
    assert {(row["change"], row["host"], row["plugin_id"]) for row in rows} == expected
    assert all(row["reason"] for row in rows if row["change"] in ("new", "unverified"))
    page = await desk.page("comparison", since=since)
    for change, title in (("fixed", "Fixed"), ("new", "New"), ("unverified", "Not confirmed")):
        count = sum(each[0] == change for each in expected)
        headings = [text for text in page.texts("main h2") if text.startswith(f"{title}: ")]
        assert [f"{count} finding" in heading for heading in headings] == [True] * bool(count)


@pytest.mark.slow
async def test_what_changed_between_two_scans(desk: Desk) -> None:
    earlier, later = desk.network.seen[2], desk.network.seen[5]
    rows = await desk.rows("comparison", before_task_id="t00000003", task_id="t00000006")
    changes = {(row["host"], row["plugin_id"]): row["change"] for row in rows}
    assert len(changes) == len(rows)
    for (host, plugin), change in changes.items():
        was = host in earlier and plugin in earlier[host][0]
        is_now = host in later and plugin in later[host][0]
        assert was is not is_now
        local = BY_PLUGIN[plugin].local
        other = earlier if is_now else later
        proved = host in other and (other[host][1] or not local)
        words = {True: ("new", "not_checked_before"), False: ("fixed", "not_checked")}[is_now]
        assert change == words[not proved], (host, plugin)
    both = {
        (host, plugin)
        for scan in (earlier, later)
        for host, (plugins, _) in scan.items()
        for plugin in plugins
    }
    stayed = {
        key for key in both
        if all(key[0] in scan and key[1] in scan[key[0]][0] for scan in (earlier, later))
    }  # fmt: skip
    assert set(changes) == both - stayed


# -- in general


@pytest.mark.slow
async def test_a_model_gets_the_path_of_a_file(desk: Desk) -> None:
    kept: dict[str, str] = {}

    async def keep(name: str, text: str) -> str:
        kept[name] = text
        return f"/state/{name}"

    app = attrs.evolve(desk.app, keep_report=keep)
    answer = await called(app, "create_report", kind="team", targets=["192.0.2.1-6"])
    ((name, text),) = kept.items()
    assert answer["path"] == f"/state/{name}"
    assert Page(text).texts("main h2") == (await desk.page("team", targets=["192.0.2.1-6"])).texts(
        "main h2"
    )


@pytest.mark.parametrize("form", ["html", "csv", "jsonl"])
async def test_secrets_are_masked_even_in_what_is_kept(desk: Desk, form: str) -> None:
    secret = "Turn off SSL"
    assert secret in (await desk.report("team", form=form))["text"]
    desk.app.mask.know([Secret(secret)])
    text = (await desk.report("team", form=form))["text"]
    assert secret not in text
    assert "*** 2 and 3." in text


# -- what a role may see


@pytest.mark.slow
async def test_a_limited_role_sees_its_targets_only(desk: Desk) -> None:
    limit = Scope(("192.0.2.0/29",), (), max_addresses=100)
    app = attrs.evolve(desk.app, scopes_of=lambda _peer: (limit,))
    few = Desk(app, desk.network)
    mine = [f"192.0.2.{number}" for number in range(8)]
    rows = await few.rows("management")
    assert {row["solution"]: row["findings"] for row in rows} == {
        solution: len(keys) for solution, keys in by_solution(desk.open(mine)).items()
    }
    page = await few.page("management")
    drawn = page.texts("table.sr tbody tr td")
    assert int(drawn[-4]) == len(desk.open(mine))
    assert "linux" not in page.text, "figures of logins are of all hosts of a scan"
    assert "all hosts of your role" in page.text
    with pytest.raises(ToolError) as caught:
        await few.report("management", targets=[NETWORK])
    assert caught.value.code == "not_permitted"


RULES: Final = st.builds(
    LabelRule,
    st.lists(st.sampled_from(["192.0.2.0/29", "192.0.2.4/30", "192.0.2.6", "192.0.2.0/28"]))
    .map(parse_rules),
    st.dictionaries(st.sampled_from(["owner", "site"]), st.sampled_from(["a", "B", "b"])),
)  # fmt: skip


@given(
    rules=st.lists(RULES, max_size=6),
    wanted=st.dictionaries(
        st.sampled_from(["owner", "site"]), st.sampled_from(["a", "b"]), min_size=1
    ),
)
def test_the_targets_with_labels_are_those_that_have_them(
    rules: list[LabelRule], wanted: dict[str, str]
) -> None:
    labels, every = Labels(rules), parse_targets(["192.0.2.0/27"])
    covered = labels_cover(labels, wanted, every)
    ((first, last),) = every.ranges
    for address in range(first, last + 1):
        inside = any(low <= address <= high for low, high in covered.ranges)
        assert inside is Labelled(labels, wanted).has(address)


async def test_a_second_try_does_not_narrow_the_report_of_its_schedule(desk: Desk) -> None:
    """It scanned only hosts that the whole scan had not reached."""
    for number, targets in enumerate(((NETWORK,), ("192.0.2.1",))):
        fired = ScheduledFor(schedule_id="s-1", name="weekly", nominal=0.0, number=number)
        task = a_task(90 + number, request=a_request(targets=targets), schedule=fired)
        await desk.app.service.context.store.submit(task, submitted(task))
    rows = await desk.rows("team", schedule="weekly")
    assert {row["host"] for row in rows} == {
        host for host, plugin in desk.open() if BY_PLUGIN[plugin].severity
    }


async def test_coverage_is_that_of_the_program_not_of_a_wide_allow_list(desk: Desk) -> None:
    known = parse_targets([NETWORK]).address_count
    allowed = TargetSet(ranges=desk.app.config.targets.scope.allow.networks).address_count
    words = (await desk.page("management")).words
    assert f"Of {known} targets that a scan has ever finished, in the last 30 days." in words
    assert f"{allowed - known:,} more may be scanned but never were." in words
    words = (await desk.page("management", targets=[NETWORK, "198.51.100.0/30"])).words
    assert f"Of {known + 4} targets, in the last 30 days." in words
    assert "never were" not in words
