"""The numbers of reports against what is true of a network that was scanned six times."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

from nessus_sched.api import validation
from nessus_sched.api.app import App
from nessus_sched.api.operations import Call, ToolError
from nessus_sched.api.tools import ALL_TOOLS, OPERATORS
from nessus_sched.core.targets.scope import Scope
from nessus_sched.ipc.peer import Peer
from support.living_app import living_app
from support.patched_network import BY_PLUGIN, NETWORK, Key, Network
from support.reading import Page

WORDS: Final = ("info", "low", "medium", "high", "critical")


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
    async with living_app(tmp_path) as (app, network):
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
        assert row["exploited"] == any(BY_PLUGIN[plugin].exploited for _, plugin in keys)
    worst = [WORDS.index(row["severity"]) for row in rows]
    assert worst == sorted(worst, reverse=True)


async def test_a_table_has_the_same_rows(desk: Desk) -> None:
    rows = await desk.rows("management")
    made = await desk.report("management", form="csv")
    lines = made["text"].split("\r\n")
    assert lines[0] == ",".join(rows[0])
    assert len(lines) == len(rows) + 2 == made["rows"] + 2


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"task_id": "t00000001", "schedule": "weekly"}, "bad_arguments"),
        ({"schedule": "nosuch"}, "no_results"),
        ({"task_id": "t99999999"}, "unknown_task"),
        ({"targets": ["192.0.2.0/24", "192.0.2.300"]}, "bad_arguments"),
        ({"since": "2099-01-01T00:00:00Z"}, "bad_arguments"),
        ({"since": "1999-01-01T00:00:00Z", "last": "week"}, "bad_arguments"),
    ],
)
async def test_what_cannot_be_asked(desk: Desk, asked: dict[str, Any], code: str) -> None:
    with pytest.raises(ToolError) as caught:
        await desk.report("management", **asked)
    assert caught.value.code == code


# -- what a role may see


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
    assert "linux" not in page.text, "figures of logins are of all hosts of a scan"
    assert "all hosts of your role" in page.text
    with pytest.raises(ToolError) as caught:
        await few.report("management", targets=[NETWORK])
    assert caught.value.code == "not_permitted"
