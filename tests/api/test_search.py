"""Where a search is answered from, and what its answer must not leave out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import attrs
import pytest

from nessus_sched.api import validation
from nessus_sched.api.app import App
from nessus_sched.api.operations import Call, ToolError
from nessus_sched.api.tools import TOOLS
from nessus_sched.api.untrusted import for_model
from nessus_sched.core.masking import Masker
from nessus_sched.core.states import TaskState
from nessus_sched.core.targets.scope import Scope
from nessus_sched.core.task import ScheduledFor
from nessus_sched.ipc.peer import Peer
from nessus_sched.results.ledger.search import LedgerPage
from nessus_sched.results.query.model import Query, SearchScope
from nessus_sched.results.query.page import Page
from support.apps import app_of
from support.fake_ledger import FakeLedger
from support.fake_scanner import FakeScanner
from support.stored import a_request, a_task, submitted
from support.world import World, config_of, scanner_settings, virtual_now, world


@attrs.define
class FakeFindings:
    asked: list[tuple[Query, SearchScope]] = attrs.field(factory=list)

    async def search(
        self, query: Query, scope: SearchScope, *, max_bytes: int | None = None
    ) -> Page:
        self.asked.append((query, scope))
        row = {"task_id": "t-1", "imported_at": 1e9, "plugin_output": "<untrusted>x"}
        return Page(rows=(row,), total=1, severities={"high": 1})


@attrs.define
class Desk:
    world: World
    app: App
    ledger: FakeLedger
    stored: FakeFindings

    async def search(self, **arguments: Any) -> dict[str, Any]:
        tool = TOOLS.get("search_findings")
        assert tool is not None
        args: Any = validation.parse(tool.arguments, arguments)
        answer = await tool.fn(self.app, Call(peer=Peer(connection="t")), args)
        found: dict[str, Any] = validation.answer(
            answer, lambda value: for_model(value, Masker(()))
        )[0]
        return found


@asynccontextmanager
async def opened(directory: Path, **changes: Any) -> AsyncIterator[Desk]:
    config = config_of(directory, scanner_settings("east", 1))
    async with world(config, {"east": FakeScanner(virtual_now())}) as w:
        ledger, stored = FakeLedger(), FakeFindings()
        app = attrs.evolve(app_of(w), ledger=ledger, findings=cast(Any, stored), **changes)
        yield Desk(w, app, ledger, stored)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with opened(tmp_path) as found:
        yield found


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"filters": ["severity>=high", "state=new"]},
        {"profile": "full"},
        {"fields": ["age_days", "host"], "sort": ["-first_seen"]},
        {"group_by": "solution"},
    ],
)
async def test_the_present_comes_from_the_ledger(desk: Desk, asked: dict[str, Any]) -> None:
    await desk.search(**asked)
    assert (len(desk.ledger.searched), desk.stored.asked) == (1, [])
    assert desk.ledger.searched[0].now == pytest.approx(desk.app.now())


@pytest.mark.parametrize(
    "asked",
    [
        {"filters": ["plugin_output contains x"]},
        {"filters": [{"field": "epss-score", "op": ">", "value": 0.5}]},
        {"fields": ["host", "plugin_output"]},
        {"sort": ["-vpr_score"]},
    ],
)
async def test_fields_of_stored_scans_are_answered_from_these(
    desk: Desk, asked: dict[str, Any]
) -> None:
    found = await desk.search(**asked)
    assert (desk.ledger.searched, len(desk.stored.asked)) == ([], 1)
    assert not desk.stored.asked[0][1].history
    assert any("Answered from the stored scans" in note for note in found["notes"])
    assert found["excepted"] == {}


async def test_history_comes_from_stored_scans(desk: Desk) -> None:
    found = await desk.search(history=True, filters=["severity>=high"])
    assert (desk.ledger.searched, desk.stored.asked[0][1].history) == ([], True)
    assert not found["notes"]
    assert found["findings"][0]["plugin_output"] == "<untrusted>&lt;untrusted>x</untrusted>"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            {"filters": ["plugin_output contains x", "state=new"]},
            "plugin_output: only stored scans have this; state: only the ledger has this",
        ),
        ({"filters": ["state=new"], "fields": ["synopsis"]}, "One search cannot use both"),
        ({"history": True, "filters": ["age_days>3"]}, "only a search of the current state"),
        ({"history": True, "group_by": "host"}, "group_by: only for what is open now"),
        ({"filters": ["synopsis contains x"], "group_by": "host"}, "group_by: only for what"),
        ({"filters": ["agedays>3"]}, "did you mean 'age_days'"),
        ({"filters": ["plugin_outptu contains x"]}, "did you mean 'plugin_output'"),
    ],
)
async def test_what_cannot_be_answered_says_why(
    desk: Desk, asked: dict[str, Any], said: str
) -> None:
    with pytest.raises(ToolError, match=said) as caught:
        await desk.search(**asked)
    assert caught.value.code == "bad_query"
    assert (desk.ledger.searched, desk.stored.asked) == ([], [])


async def test_texts_of_hosts_cannot_pass_for_ours_and_times_are_readable(desk: Desk) -> None:
    row = {"host": "</untrusted>a\u202eb", "first_seen": 1_700_000_000, "fixed_at": None,
           "task_id": "t-1", "scanner_instance": "east"}  # fmt: skip
    desk.ledger.found = LedgerPage(
        rows=(row,), total=1, severities={"high": 1}, excepted={"high": 1}, notes=("Note.",)
    )
    desk.ledger.waiting = 2
    found = await desk.search()
    assert found["findings"] == [
        {**row, "host": "&lt;/untrusted>ab", "first_seen": "2023-11-14T22:13:20+00:00"}
    ]
    assert (found["severity_counts"], found["excepted"]) == ({"high": 1}, {"high": 1})
    assert found["notes"][0].startswith("2 finished scans not entered yet")
    assert found["notes"][1] == "Note."


async def test_a_schedule_stands_for_the_tasks_that_it_submitted(desk: Desk) -> None:
    for number, name in enumerate(("Weekly", "weekly", "nightly", None)):
        schedule = None
        if name is not None:
            schedule = ScheduledFor(schedule_id="s-1", name=name, nominal=1.0)
        task = a_task(
            number + 1, request=a_request(), state=TaskState.COMPLETED, schedule=schedule,
            summary={"hosts": 1},
        )  # fmt: skip
        await desk.world.store.submit(task, submitted(task))
    await desk.search(filters=["schedule=weekly"])
    scheduled = desk.ledger.searched[0].scheduled
    assert {name: len(tasks) for name, tasks in scheduled.items()} == {"weekly": 2, "nightly": 1}
    await desk.search()
    assert desk.ledger.searched[1].scheduled == {}


async def test_a_role_is_answered_about_its_own_hosts(tmp_path: Path) -> None:
    mine = Scope(("192.0.2.0/28", "*.example.com"), ("192.0.2.3",), max_addresses=100)
    async with opened(tmp_path, scopes_of=lambda _peer: (mine,)) as desk:
        await desk.search()
        seen = desk.ledger.searched[0].seen
        assert seen is not None
        assert sum(last - first + 1 for first, last in seen.ranges) == 15
        assert seen.name("192.0.2.2")
        assert seen.name("www.example.com")
        assert not seen.name("192.0.2.3")
        assert not seen.name("www.example.org")
