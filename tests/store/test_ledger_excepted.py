"""Exceptions in the ledger: the one that counts for each finding, and both numbers everywhere."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

import attrs
import pytest

from nessus_sched.config.ledger import HostIdentity
from nessus_sched.core.exceptions.exception import (
    ExceptionStatus,
    FindingException,
    PluginFacts,
    chosen,
)
from nessus_sched.core.exceptions.rule import (
    SEVERITIES,
    ExceptionKind,
    Subject,
    address_number,
    read_rule,
)
from nessus_sched.results.coverage import scan_coverage
from nessus_sched.results.ledger.hosts import ScanOrigin
from nessus_sched.results.ledger.port import Applied
from nessus_sched.results.ledger.questions import ChangeQuery, Entry, HostPage, Shown
from nessus_sched.results.parser.reader import Reader
from nessus_sched.store.executor import Inline
from nessus_sched.store.findings.store import FindingsStore, open_findings
from nessus_sched.store.ledger.store import LedgerStore, open_ledger
from support.nessus_xml import document, element, host, item
from support.stored import START

SEEDS = int(os.environ.get("NESSUS_SCHED_SEEDS", "12"))
HOSTS = ("192.0.2.1", "192.0.2.2", "192.0.2.9", "2001:db8::5", "www.example.com")
CVES = {10002: ("CVE-2021-44228",), 10003: ("CVE-2014-0160", "CVE-2021-44228"), 10004: ()}
PLUGINS = (10001, 10002, 10003, 10004)
PORTS = ((0, "tcp"), (443, "tcp"), (443, "udp"), (53, "udp"))
END = START + 9e9


@attrs.frozen
class Site:
    findings: FindingsStore
    ledger: LedgerStore

    async def scan(
        self, number: int, hosts: Mapping[str, Sequence[str]], **tags: str
    ) -> Applied | None:
        at = int(START + number * 86400)
        report = document(
            *(
                host(
                    name, *items, tags={"HOST_END_TIMESTAMP": str(at), "host-ip": _ip(name), **tags}
                )
                for name, items in hosts.items()
            )
        )
        task_id, reader = f"t-{number}", Reader(BytesIO(report))
        await self.findings.put(
            task_id, reader, at=at + 60.0, coverage=lambda: scan_coverage(reader.report)
        )
        origin = ScanOrigin(task_id=task_id, series="basic", began=at - 600.0, targets=tuple(hosts))
        return await self.ledger.apply(origin, identity=HostIdentity.ADDRESS, now=at + 120.0)

    async def page(self, name: str, **changes: Any) -> HostPage:
        usual = {"shown": Shown.ALL, "least_severity": 0, "limit": 1000, "offset": 0}
        (found,) = await self.ledger.hosts(name, **{**usual, **changes})
        return found


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Site]:
    findings = await open_findings(path / "findings.db", Inline())
    ledger = await open_ledger(path / "ledger.db", path / "findings.db", Inline())
    try:
        yield Site(findings, ledger)
    finally:
        await ledger.aclose()
        await findings.aclose()


def finding(plugin: int, port: int = 443, protocol: str = "tcp", severity: int = 3,
            version: str = "1.1", exploited: bool = False) -> str:  # fmt: skip
    children = [element("cve", cve) for cve in CVES.get(plugin, ())]
    children.append(element("script_version", version))
    if exploited:
        children.append(element("cisa-known-exploited", "2026/01/01"))
    return item(plugin, *children, port=port, protocol=protocol, severity=severity)


def exception(exception_id: str = "x-1", **changes: Any) -> FindingException:
    terms = {"expires": changes.pop("expires", END)}
    rule: dict[str, Any] = {
        "kind": ExceptionKind.ACCEPTED, "plugins": [10001], "hosts": ["192.0.2.0/28"], **changes,
    }  # fmt: skip
    return FindingException(
        exception_id=exception_id,
        rule=read_rule(**rule),
        reason="r",
        owner="o",
        actor="uid:1",
        proposed_at=START,
        status=ExceptionStatus.APPROVED,
        **terms,
    )


def _ip(name: str) -> str:
    return "192.0.2.9" if name == "www.example.com" else name


def expected(entry: Entry, exceptions: Sequence[FindingException]) -> str | None:
    subject = Subject(
        plugin_id=entry.plugin_id,
        cves=CVES.get(entry.plugin_id, ()),
        name=entry.host,
        address=address_number(_ip(entry.host)),
        port=entry.port,
        protocol=entry.protocol,
    )
    found = chosen(each for each in exceptions if each.rule.covers(subject))
    return found.exception_id if found and entry.life.open else None


def some_exceptions(random: Random) -> list[FindingException]:
    found = []
    for number in range(random.randint(0, 6)):
        kind = random.choice(list(ExceptionKind))
        plugins = random.sample(PLUGINS, random.randint(0, 2))
        found.append(
            exception(
                f"x-{number}",
                kind=kind,
                plugins=plugins,
                cves=random.sample(["CVE-2021-44228", "CVE-2014-0160"], 1 if not plugins else 0),
                hosts=random.choice(
                    [["*"], ["192.0.2.0/30"], ["192.0.2.1"], ["2001:db8::/120"],
                     ["www.example.com", "192.0.2.2"], ["192.0.2.9"]]
                ),
                port=random.choice([None, None, "443", "443/tcp", "53/udp", "0"]),
                severity=random.choice(SEVERITIES) if kind is ExceptionKind.SEVERITY else None,
            )
        )  # fmt: skip
    return found


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_the_right_exception_counts_for_every_finding_after_every_scan(
    tmp_path: Path, seed: int
) -> None:
    random = Random(seed)
    exceptions = some_exceptions(random)
    async with opened(tmp_path) as site:
        for number in range(1, 5):
            if number % 2:
                exceptions = some_exceptions(random) if number > 1 else exceptions
                covered = await site.ledger.cover(exceptions)
                assert covered.keys() == {each.exception_id for each in exceptions}
            scanned = random.sample(HOSTS, random.randint(1, len(HOSTS)))
            await site.scan(
                number,
                {
                    name: [
                        finding(plugin, port, protocol, random.randint(0, 4))
                        for plugin in PLUGINS
                        for port, protocol in PORTS
                        if random.random() < 0.4
                    ]
                    for name in scanned
                },
            )
            for name in HOSTS:
                for found in await site.ledger.hosts(
                    name, shown=Shown.ALL, least_severity=0, limit=1000, offset=0
                ):
                    assert len(found.entries) == found.total
                    counts: Counter[str] = Counter()
                    for entry in found.entries:
                        counted = entry.exception and entry.exception.exception_id
                        assert counted == expected(entry, exceptions), (entry, exceptions)
                        if counted:
                            counts[SEVERITIES[entry.severity]] += 1
                    assert found.excepted == counts
                    assert all(found.excepted[each] <= found.host.open[each] for each in counts)
        changed = await site.ledger.changes(ChangeQuery(since=0, least_severity=0, limit=1000))
        pairs = [(change, entry) for change, entry in changed.entries]
        assert changed.excepted == Counter(
            change for change, entry in pairs if expected(entry, exceptions)
        )
        for each in exceptions:
            again = (await site.ledger.cover(exceptions))[each.exception_id]
            assert again.count == await site.ledger.count_covered(each.rule)


async def test_an_exception_that_has_ended_does_not_count(tmp_path: Path) -> None:
    async with opened(tmp_path) as site:
        await site.scan(1, {"192.0.2.1": [finding(10001)]})
        await site.ledger.cover([exception(expires=END - 5)])
        for now, counted in ((END - 6, {"high": 1}), (END - 5, {})):
            page = await site.page("192.0.2.1", now=now)
            assert page.excepted == counted
            assert (page.entries[0].exception is not None) is bool(counted)
            changes = await site.ledger.changes(ChangeQuery(since=0, now=now))
            assert bool(changes.excepted) is bool(counted)
        await site.ledger.cover([])
        assert (await site.page("192.0.2.1")).excepted == {}


async def test_another_severity_is_shown_beside_the_scanners(tmp_path: Path) -> None:
    async with opened(tmp_path) as site:
        await site.scan(1, {"192.0.2.1": [finding(10001, severity=4)]})
        await site.ledger.cover([exception(kind=ExceptionKind.SEVERITY, severity="low")])
        (entry,) = (await site.page("192.0.2.1")).entries
        assert (entry.severity, entry.effective_severity) == (4, 1)


async def test_a_name_that_a_host_claims_gets_no_exception(tmp_path: Path) -> None:
    rule = exception(hosts=["www.example.com"])
    async with opened(tmp_path) as site:
        await site.ledger.cover([rule])
        claims = {"netbios-name": "www.example.com", "host-fqdn": "www.example.com"}
        await site.scan(1, {"192.0.2.1": [finding(10001)]}, **claims)
        assert (await site.page("192.0.2.1")).excepted == {}
        await site.scan(2, {"www.example.com": [finding(10001)]})
        assert await site.ledger.count_covered(rule.rule) == 1


async def test_what_is_fixed_has_no_exception_and_what_comes_back_does(tmp_path: Path) -> None:
    rules = [exception(plugins=[10004])]
    async with opened(tmp_path) as site:
        await site.ledger.cover(rules)
        await site.scan(1, {"192.0.2.1": [finding(10001), finding(10004)]})
        assert (await site.page("192.0.2.1")).excepted == {"high": 1}
        site.ledger._writer.execute("UPDATE entries SET state = 3 WHERE plugin = 10004")
        await site.scan(2, {"192.0.2.1": [finding(10001)]})
        entries = (await site.page("192.0.2.1")).entries
        assert [each.exception for each in entries] == [None, None]
        await site.ledger.cover(rules)
        assert [each.exception for each in (await site.page("192.0.2.1")).entries] == [None, None]
        await site.scan(3, {"192.0.2.1": [finding(10001), finding(10004)]})
        (back,) = [each for each in (await site.page("192.0.2.1")).entries if each.exception]
        assert (back.plugin_id, back.life.state.word) == (10004, "resurfaced")


async def test_a_scan_says_what_its_exceptions_find(tmp_path: Path) -> None:
    false = exception("x-2", kind=ExceptionKind.FALSE_POSITIVE, plugins=[10002], hosts=["*"])
    elsewhere = exception("x-3", plugins=[10001], hosts=["198.51.100.0/24"])
    async with opened(tmp_path) as site:
        await site.scan(1, {"192.0.2.1": [finding(10001), finding(10001, 80, severity=2)]})
        covered = await site.ledger.cover([exception(), false, elsewhere])
        assert covered["x-1"].facts == {10001: PluginFacts(severity=3)}
        assert (covered["x-1"].count, covered["x-2"].count, covered["x-3"].count) == (2, 0, 0)
        applied = await site.scan(
            2, {"192.0.2.2": [finding(10002, version="1.7", exploited=True), finding(10001)]}
        )
        assert applied is not None
        assert applied.facts == {
            "x-1": {10001: PluginFacts(severity=3, version="1.1")},
            "x-2": {10002: PluginFacts(severity=3, exploited=True, version="1.7")},
        }


async def test_forgetting_everything_forgets_what_is_excepted(tmp_path: Path) -> None:
    async with opened(tmp_path) as site:
        await site.ledger.cover([exception()])
        await site.scan(1, {"192.0.2.1": [finding(10001)]})
        await site.ledger.clear()
        await site.scan(1, {"192.0.2.2": [finding(10004)]})
        assert (await site.page("192.0.2.2")).excepted == {}
