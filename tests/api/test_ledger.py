"""Answers about hosts and changes: what they must not leave out, and who may have them."""

from __future__ import annotations

from collections.abc import AsyncIterator
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
from nessus_sched.config.delivery import LabelSettings
from nessus_sched.core.credentials import Credential, CredentialKind
from nessus_sched.core.exceptions.rule import ExceptionKind
from nessus_sched.core.secret import Secret
from nessus_sched.core.targets.scope import Scope
from nessus_sched.core.targets.targets import parse_targets
from nessus_sched.ipc.peer import Peer
from nessus_sched.results.ledger.logins import LoginRun
from nessus_sched.results.ledger.questions import (
    Entry,
    Excepted,
    Host,
    HostPage,
)
from nessus_sched.results.ledger.reach import Reached, Tries
from nessus_sched.results.ledger.states import Life, State
from support.apps import app_of
from support.fake_ledger import FakeLedger
from support.fake_scanner import FakeScanner
from support.world import config_of, scanner_settings, virtual_now, world


def clean_host(now: float) -> HostPage:
    at = int(now)
    host = Host(
        name="192.0.2.1", ip="192.0.2.1", fqdn="<untrusted>web", netbios=None, first_seen=at,
        tried_at=at, reported_at=at, answered_at=at, whole_at=at, login_at=at, login="full",
        logins=(), scanner="east", open={"info": 3},
    )  # fmt: skip
    return HostPage(host=host, entries=(), total=0, unverified=0)


@asynccontextmanager
async def app(
    tmp_path: Path, ledger: FakeLedger, labels: tuple[LabelSettings, ...] = (), **changes: Any
) -> AsyncIterator[App]:
    config = attrs.evolve(config_of(tmp_path, scanner_settings("east", 1)), labels=labels)
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
        assert (first["exception"], first["exception_id"]) == ("severity", "x-1")
        assert (first["severity"], first["effective_severity"]) == ("high", "low")
        assert second.keys().isdisjoint(("exception", "exception_id", "effective_severity"))


async def test_a_host_has_its_labels_whether_or_not_it_was_scanned(tmp_path: Path) -> None:
    ledger = FakeLedger()
    labels = (
        LabelSettings(networks=("192.0.2.0/24",), owner="network team", site="Berlin"),
        LabelSettings(hosts=("*.example.com",), owner="web team"),
    )
    async with app(tmp_path, ledger, labels=labels) as a:
        found = await ask(a, "get_host", host="192.0.2.77")
        assert found["labels"] == {"owner": "network team", "site": "Berlin"}
        assert (await ask(a, "get_host", host="www.example.com"))["labels"] == {"owner": "web team"}
        page = clean_host(a.now())
        ledger.pages = [attrs.evolve(page, host=attrs.evolve(page.host, fqdn="db.example.com"))]
        found = await ask(a, "get_host", host="192.0.2.1")
        assert found["labels"] == {"owner": "web team", "site": "Berlin"}
        await ask(a, "search_findings", filters=["owner=WEB team"])
        (search,) = ledger.searched
        assert search.labels.values("owner") == ("network team", "web team")


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


def reached(number: int, now: float, **changes: Any) -> Reached:
    at = int(now) - 60
    target = parse_targets([f"192.0.2.{number}"]).ranges[0][0]
    seen = Reached(
        target=target, tried_at=at, answered_at=at, whole_at=at, login_at=at, login="full",
        scanner="east",
    )  # fmt: skip
    return attrs.evolve(seen, **changes)


async def test_how_well_targets_are_covered(tmp_path: Path) -> None:
    asked = ["192.0.2.0/29", "web.example.com"]
    ledger = FakeLedger()
    async with app(tmp_path, ledger) as a:
        nothing = await ask(a, "get_coverage", targets=asked)
        assert nothing["counts"] == {
            "requested": 9, "never_scanned": 9, "not_lately": 0, "never_answered": 0,
            "no_longer_answers": 0, "unfinished": 0, "without_login": 0, "covered": 0,
        }  # fmt: skip
        tried = parse_targets(["192.0.2.0/30"])
        ledger.tries = Tries(ever=tried, lately=tried)
        ledger.reached = [
            reached(1, a.now()), reached(2, a.now(), login_at=int(a.now() - 90 * 86400))
        ]  # fmt: skip
        ledger.waiting = 1
        found = await ask(a, "get_coverage", targets=asked, days=30)
        assert [(row["targets"], row["count"], row["status"]) for row in found["rows"]] == [
            ("192.0.2.0", 1, "never_answered"), ("192.0.2.1", 1, "covered"),
            ("192.0.2.2", 1, "without_login"), ("192.0.2.3", 1, "never_answered"),
            ("192.0.2.4/30", 4, "never_scanned"), ("web.example.com", 1, "never_scanned"),
        ]  # fmt: skip
        assert "last with a login" in found["rows"][2]["why"]
        assert "not entered yet" in found["notes"][0]
        paged: list[Any] = []
        cursor = None
        while True:
            page = await ask(a, "get_coverage", targets=asked, limit=2, cursor=cursor)
            paged += page["rows"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert paged == found["rows"]
        some = await ask(a, "get_coverage", targets=asked, status=["never_scanned"], limit=1)
        assert [row["targets"] for row in some["rows"]] == ["192.0.2.4/30"]
        assert some["next_cursor"] == "192.0.2.7"
        year = await ask(a, "get_coverage", targets=["192.0.2.2"], days=365)
        assert year["counts"]["covered"] == 1


async def test_coverage_is_asked_of_a_task_or_of_targets(tmp_path: Path) -> None:
    mine = Scope(("192.0.2.0/28",), (), max_addresses=100)
    async with app(tmp_path, FakeLedger(), scopes_of=lambda _peer: (mine,)) as a:
        for wrong in ({}, {"task_id": "t-1", "targets": ["192.0.2.1"]}):
            with pytest.raises(ToolError, match="give task_id or targets"):
                await ask(a, "get_coverage", **wrong)
        with pytest.raises(ToolError, match="'silent' is not a status of targets across all scans"):
            await ask(a, "get_coverage", targets=["192.0.2.1"], status=["silent"])
        with pytest.raises(ToolError, match="targets: "):
            await ask(a, "get_coverage", targets=["192.0.2.0/99"])
        with pytest.raises(ToolError, match="outside your role's targets"):
            await ask(a, "get_coverage", targets=["192.0.2.0/24"])


async def test_credentials_show_how_their_logins_went(tmp_path: Path) -> None:
    ledger = FakeLedger()
    run = LoginRun(task_id="t-9", at=0, hosts=16, full=12, partial=1, failed=3, others=())
    ledger.runs = [run] * 9
    mine = Scope(("192.0.2.0/28",), (), max_addresses=100)
    credential = Credential(
        name="linux", kind=CredentialKind.SSH_PASSWORD, username="u", password=Secret("hush")
    )
    async with app(tmp_path, ledger) as a:
        a.service.context.config = attrs.evolve(a.config, credentials=(credential,))
        (row,) = (await ask(a, "list_credentials"))["credentials"]
        assert len(row["logins"]) == 5
        assert row["logins"][0] == {
            "at": "1970-01-01T00:00:00+00:00", "task_id": "t-9", "hosts": 16, "full": 12,
            "partial": 1, "failed": 3, "others": [],
        }  # fmt: skip
        limited = attrs.evolve(a, scopes_of=lambda _peer: (mine,))
        (row,) = (await ask(limited, "list_credentials"))["credentials"]
        assert row["logins"] == []
