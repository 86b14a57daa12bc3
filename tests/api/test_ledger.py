"""Answers about hosts and changes: what they must not leave out, and who may have them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

from nessus_sched.api import validation
from nessus_sched.api.app import App
from nessus_sched.api.operations import Call, ToolError
from nessus_sched.api.outcomes.rebuild import RebuildArgs, rebuild_ledger
from nessus_sched.api.tools import TOOLS
from nessus_sched.core.exceptions.rule import ExceptionKind, Rule
from nessus_sched.core.targets.scope import Scope
from nessus_sched.ipc.peer import Peer
from nessus_sched.results.ledger.questions import (
    ChangePage,
    ChangeQuery,
    Entry,
    Excepted,
    Host,
    HostPage,
    Shown,
)
from nessus_sched.results.ledger.selection import Selected, Selection
from nessus_sched.results.ledger.states import Life, State
from support.apps import app_of
from support.fake_scanner import FakeScanner
from support.world import config_of, scanner_settings, virtual_now, world


@attrs.define
class FakeLedger:
    pages: list[HostPage] = attrs.field(factory=list)
    waiting: int = 0
    asked: list[ChangeQuery] = attrs.field(factory=list)

    async def hosts(
        self,
        name: str,
        *,
        shown: Shown,
        least_severity: int,
        limit: int,
        offset: int,
        now: float = 0.0,
    ) -> Sequence[HostPage]:
        return self.pages

    async def count_covered(self, rule: Rule) -> int:
        return 0

    async def changes(self, query: ChangeQuery) -> ChangePage:
        self.asked.append(query)
        return ChangePage(entries=(), counts={}, first_scans=0, reasons={}, scans=0, after=None)

    async def lost_by_rebuild(self) -> int:
        return 1

    async def rebuild(self) -> int:
        self.waiting = 5
        return 5

    async def selected(self, wanted: Selection, now: float) -> Sequence[Selected]:
        return []

    async def scan_times(self, task_ids: Sequence[str]) -> Sequence[int]:
        return []


def clean_host(now: float) -> HostPage:
    at = int(now)
    host = Host(
        name="192.0.2.1", ip="192.0.2.1", fqdn="<untrusted>web", netbios=None, first_seen=at,
        tried_at=at, reported_at=at, answered_at=at, whole_at=at, login_at=at, login="full",
        logins=(), scanner="east", open={"info": 3},
    )  # fmt: skip
    return HostPage(host=host, entries=(), total=0, unverified=0)


@asynccontextmanager
async def app(tmp_path: Path, ledger: FakeLedger, **changes: Any) -> AsyncIterator[App]:
    config = config_of(tmp_path, scanner_settings("east", 1))
    async with world(config, {"east": FakeScanner(virtual_now())}) as w:
        yield attrs.evolve(app_of(w), ledger=ledger, **changes)


async def ask(app: App, name: str, **arguments: Any) -> dict[str, Any]:
    tool = TOOLS.get(name)
    assert tool is not None
    args: Any = validation.parse(tool.arguments, arguments)
    answer = await tool.fn(app, Call(peer=Peer(connection="t")), args)
    found: dict[str, Any] = validation.answer(answer)[0]
    return found


async def test_an_exception_is_shown_and_makes_no_host_clean(tmp_path: Path) -> None:
    ledger = FakeLedger()
    async with app(tmp_path, ledger) as a:
        page = clean_host(a.now())
        at = int(a.now()) - 60
        accepted = Entry(
            host="192.0.2.1", ip=None, plugin_id=10001, name="Check", severity=3, first_severity=3,
            port=443, protocol="tcp", check=None,
            life=Life(state=State.NEW, first_seen=at, last_seen=at, since=at), first_scan=True,
            unseen_before=None, cves=(), exploited=False, published=None, solution=None,
            first_task_id="t-1", last_task_id="t-1",
            exception=Excepted(exception_id="x-1", kind=ExceptionKind.SEVERITY, severity=1),
        )  # fmt: skip
        other = attrs.evolve(accepted, port=80, exception=None)
        host = attrs.evolve(page.host, open={"high": 2, "info": 3})
        ledger.pages = [
            attrs.evolve(page, host=host, entries=(accepted, other), excepted={"high": 1})
        ]
        found = await ask(a, "get_host", host="192.0.2.1")
        assert (found["open"], found["excepted"]) == ({"high": 2, "info": 3}, {"high": 1})
        assert found["clean"] == "no"
        assert found["why"].endswith("2 high; 1 of these with an exception")
        first, second = found["findings"]
        assert (first["exception"], first["severity"]) == ("x-1: severity", "high")
        assert (first["effective_severity"], second["effective_severity"]) == ("low", "high")
        assert second["exception"] is None


async def test_a_host_that_no_scan_has_seen_is_unknown(tmp_path: Path) -> None:
    async with app(tmp_path, FakeLedger()) as a:
        found = await ask(a, "get_host", host="192.0.2.77")
        assert (found["known"], found["clean"]) == (False, "unknown")
        assert "nothing is known about it" in found["why"]
        assert found["notes"] == ["It is in the configured scope.", "No schedule scans it."]
        outside = await ask(a, "get_host", host="8.8.8.8")
        assert "It is not in the configured scope." in outside["notes"]


async def test_nothing_is_clean_while_a_scan_is_not_entered(tmp_path: Path) -> None:
    ledger = FakeLedger()
    async with app(tmp_path, ledger) as a:
        ledger.pages = [clean_host(a.now())]
        assert (await ask(a, "get_host", host="192.0.2.1"))["clean"] == "yes"
        ledger.waiting = 2
        found = await ask(a, "get_host", host="192.0.2.1")
        assert found["clean"] == "unknown"
        assert found["notes"][0].startswith("2 finished scans not entered yet")


async def test_a_role_sees_its_own_hosts_only(tmp_path: Path) -> None:
    ledger = FakeLedger()
    mine = Scope(("192.0.2.0/28",), (), max_addresses=100)
    async with app(tmp_path, ledger, scopes_of=lambda _peer: (mine,)) as a:
        with pytest.raises(ToolError, match="outside your role"):
            await ask(a, "get_host", host="192.0.2.77")
        ledger.pages = [clean_host(a.now())]
        assert (await ask(a, "get_host", host="192.0.2.1"))["known"]
        other = attrs.evolve(ledger.pages[0].host, ip="192.0.2.77")
        ledger.pages = [attrs.evolve(ledger.pages[0], host=other)]
        assert not (await ask(a, "get_host", host="192.0.2.1"))["known"]
        await ask(a, "get_changes")
        await ask(a, "get_changes", targets=["192.0.2.0/24"])
        assert [query.ranges for query in ledger.asked] == [mine.allow.networks] * 2
        await ask(a, "get_changes", targets=["198.51.100.0/24"])
        assert ledger.asked[-1].ranges == ()


async def test_history_is_not_lost_by_accident(tmp_path: Path) -> None:
    ledger = FakeLedger()
    async with app(tmp_path, ledger) as a:
        call = Call(peer=Peer(connection="t"))
        with pytest.raises(ToolError, match="1 scan in the ledger would be lost"):
            await rebuild_ledger.fn(a, call, RebuildArgs())
        assert not ledger.waiting
        assert (await rebuild_ledger.fn(a, call, RebuildArgs(forget=True))).scans == 5


async def test_a_time_without_scans_is_no_good_news(tmp_path: Path) -> None:
    async with app(tmp_path, FakeLedger()) as a:
        found = await ask(a, "get_changes", since="2026-01-01T00:00:00+00:00")
        assert "does not mean that all is well" in found["notes"][0]
        with pytest.raises(ToolError, match="cursor"):
            await ask(a, "get_changes", cursor="1.2.3")
        with pytest.raises(ToolError, match="addresses only"):
            await ask(a, "get_changes", targets=["web.example.com"])
