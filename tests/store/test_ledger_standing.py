"""What the ledger knows of a finding of one scan is of that finding and of no other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from nessus_sched.config.ledger import HostIdentity
from nessus_sched.core.exceptions.exception import ExceptionStatus, FindingException
from nessus_sched.core.exceptions.rule import ExceptionKind, read_rule
from nessus_sched.results.ledger.questions import Change, Entry, Spot
from nessus_sched.results.ledger.states import State
from support.ledger_book import DAY, T0, Book, machine, open_book
from support.nessus_xml import element, item

WEB = "192.0.2.1"


@pytest.fixture
async def book(tmp_path: Path) -> AsyncIterator[Book]:
    async with open_book(tmp_path) as opened:
        yield opened


def spot(plugin: int = 10, **changes: Any) -> Spot:
    usual = Spot(task_id="t-1", host=WEB, plugin_id=plugin, port=443, protocol="tcp")
    return attrs.evolve(usual, **changes)


async def of(book: Book, *spots: Spot, now: float = T0 + 9 * DAY) -> list[Entry | None]:
    return await book.ledger.standing(spots, now)


def finding(plugin: int, port: int = 443, protocol: str = "tcp", severity: int = 3) -> str:
    return item(plugin, port=port, protocol=protocol, severity=severity)


def check(name: str, audit: str = "cis.audit") -> str:
    return item(
        21157, element("compliance", "true"), element("cm:compliance-check-name", name),
        element("cm:compliance-audit-file", audit), element("cm:compliance-result", "FAILED"),
        port=0, severity=3,
    )  # fmt: skip


async def test_a_port_of_another_protocol_is_another_place(book: Book) -> None:
    await book.scan(
        machine(WEB, finding(10), finding(10, protocol="udp", severity=2), at=T0),
        task_id="t-1", at=T0,
    )  # fmt: skip
    over_tcp, over_udp, over_icmp, unheard_of = await of(
        book, spot(), spot(protocol="udp"), spot(protocol="icmp"), spot(protocol="sctp")
    )
    assert over_tcp is not None
    assert over_udp is not None
    assert (over_tcp.protocol, over_tcp.severity) == ("tcp", 3)
    assert (over_udp.protocol, over_udp.severity) == ("udp", 2)
    assert (over_icmp, unheard_of) == (None, None)
    ports = await of(book, spot(port=443), spot(port=8443), spot(plugin=11), spot(host="192.0.2.2"))
    assert [each is None for each in ports] == [False, True, True, True]


async def test_checks_of_an_audit_are_told_apart_by_name(book: Book) -> None:
    items = check("1.1 Passwords"), check("1.2 Logging"), finding(10)
    await book.scan(machine(WEB, *items, at=T0), task_id="t-1", at=T0)
    await book.scan(
        machine(WEB, check("1.2 Logging"), finding(10), at=T0 + DAY), task_id="t-2", at=T0 + DAY
    )
    audit = spot(21157, port=0)
    found = await of(
        book, attrs.evolve(audit, check="1.1 Passwords"), attrs.evolve(audit, check="1.2 Logging"),
        attrs.evolve(audit, check="1.3 Time"), audit, spot(), spot(check="1.1 Passwords"),
    )  # fmt: skip
    assert [each and (each.check, each.life.last_seen) for each in found] == [
        ("1.1 Passwords", T0), ("1.2 Logging", T0 + DAY), None, None, (None, T0 + DAY), None,
    ]  # fmt: skip


async def test_nothing_is_said_of_a_check_that_may_be_another(book: Book) -> None:
    one, two = (machine(WEB, check("1.1 Passwords"), at=T0), machine(
        "192.0.2.2", check("1.1 Passwords"), check("1.1 Passwords", "web.audit"), at=T0
    ))  # fmt: skip
    await book.scan(one, two, task_id="t-1", at=T0)
    audit = spot(21157, port=0, check="1.1 Passwords")
    found = await of(
        book, audit, attrs.evolve(audit, check=None), attrs.evolve(audit, host="192.0.2.2")
    )
    assert [each is None for each in found] == [False, True, True]


async def test_an_address_that_went_to_another_machine_does_not_bring_its_findings(
    book: Book,
) -> None:
    """With names as identities the scan decides which machine had the address."""
    for number, name in enumerate(("old.example.com", "new.example.com")):
        at = T0 + number * DAY
        tags = {"host-ip": WEB, "host-fqdn": name}
        shown = [finding(10)] if number == 0 else [finding(10), finding(11)]
        await book.scan(
            machine(WEB, *shown, at=at, **tags), task_id=f"t-{number + 1}", at=at,
            by=HostIdentity.NAME,
        )  # fmt: skip
    first, second = await of(book, spot(), spot(task_id="t-2"))
    assert first is not None
    assert second is not None
    assert (first.fqdn, first.life.first_seen) == ("old.example.com", T0)
    assert (second.fqdn, second.life.first_seen) == ("new.example.com", T0 + DAY)
    assert await of(book, spot(11), spot(task_id="t-3")) == [None, None]


async def test_a_finding_that_was_fixed_later_says_so_in_the_scan_that_had_it(book: Book) -> None:
    plugins = (10, 11, 10180, 19506, 110095, 141118)
    await book.scan(machine(WEB, finding(10), at=T0), task_id="t-1", at=T0, plugins=plugins)
    await book.scan(machine(WEB, at=T0 + DAY), task_id="t-2", at=T0 + DAY, plugins=plugins)
    (entry,) = await of(book, spot())
    assert entry is not None
    assert (entry.life.state, entry.life.since) == (State.FIXED, T0 + DAY)


def exception(exception_id: str, expires: float = T0 + 9e9, **rule: Any) -> FindingException:
    given: dict[str, Any] = {"kind": ExceptionKind.ACCEPTED, "plugins": [10], **rule}
    return FindingException(
        exception_id=exception_id, rule=read_rule(**given), reason="r", owner="o", actor="uid:1",
        proposed_at=T0, status=ExceptionStatus.APPROVED, expires=expires,
    )  # fmt: skip


async def test_of_several_exceptions_the_narrowest_counts_where_it_applies(book: Book) -> None:
    hosts = [
        machine(name, finding(10), finding(10, protocol="udp"), finding(11), at=T0)
        for name in (WEB, "192.0.2.2")
    ]
    await book.scan(*hosts, task_id="t-1", at=T0)
    await book.ledger.cover(
        [
            exception("x-wide", hosts=["192.0.2.0/24"]),
            exception("x-over-udp", hosts=[WEB], port="443/udp", severity="low",
                      kind=ExceptionKind.SEVERITY),
            exception("x-brief", hosts=["192.0.2.2"], expires=T0 + 5 * DAY),
        ]
    )  # fmt: skip
    spots = (
        spot(), spot(protocol="udp"), spot(11), spot(host="192.0.2.2"),
    )  # fmt: skip

    async def ids(now: float) -> list[str | None]:
        found = await of(book, *spots, now=now)
        excepted = [None if entry is None else entry.exception for entry in found]
        return [None if each is None else each.exception_id for each in excepted]

    assert await ids(T0 + DAY) == ["x-wide", "x-over-udp", None, "x-brief"]
    assert (await ids(T0 + 6 * DAY))[3] != "x-brief"
    (_, over_udp, *_) = await of(book, *spots)
    assert over_udp is not None
    assert (over_udp.severity, over_udp.effective_severity) == (3, 1)


async def test_exceptions_for_checks_are_in_no_count_by_severity(book: Book) -> None:
    await book.scan(
        machine(WEB, check("1.1"), check("1.2"), finding(10), at=T0), task_id="t-1", at=T0
    )
    await book.ledger.cover([exception("x-1", plugins=[10, 21157], hosts=[WEB])])
    page = await book.host(WEB)
    assert (page.excepted, page.host.failed_checks) == ({"high": 1}, 2)
    assert {name: n for name, n in page.host.open.items() if name == "high"} == {"high": 1}
    changed = await book.changes(T0 - 1)
    assert (changed.excepted, changed.checks) == ({Change.NEW: 1}, {Change.NEW: 2})
    assert changed.counts[Change.NEW]["high"] == 1
