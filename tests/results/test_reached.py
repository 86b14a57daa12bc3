"""Which targets the hosts of a report are, and what became of them."""

from __future__ import annotations

import io
from contextlib import aclosing
from pathlib import Path

import pytest

from nessus_sched.core.coverage import Coverage, Unfinished
from nessus_sched.core.targets.targets import parse_targets
from nessus_sched.results.coverage import ScanCoverage
from nessus_sched.results.parser.reader import Reader
from nessus_sched.results.reached import ScannedHost, by_target, covered, target_of
from nessus_sched.store.findings.store import open_findings
from support.nessus_xml import document, host, item, output

ASKED = ("192.0.2.0/29", "web.example.com", "2001:db8::1", "2001:db8::2")


def seen(
    name: str, *, ip: str | None = None, fqdn: str | None = None, how: str = ""
) -> ScannedHost:
    return ScannedHost(name=name, ip=ip, fqdn=fqdn, answered=how != "silent", ended=how != "no end")


def outcome(*hosts: ScannedHost, left: tuple[str, ...] = ()) -> Coverage:
    missed = [Unfinished(parse_targets(left), "why")] if left else []
    return covered(parse_targets(ASKED), missed, by_target(hosts))


@pytest.mark.parametrize(
    ("hosts", "answered"),
    [
        ([], ()),
        ([seen("192.0.2.1"), seen("192.0.2.1")], ("192.0.2.1",)),
        ([seen("192.0.2.1", how="silent")], ()),
        ([seen("192.0.2.1", how="no end")], ()),
        ([seen("192.0.2.1", how="no end"), seen("192.0.2.1")], ("192.0.2.1",)),
        ([seen("192.0.2.1"), seen("192.0.2.1", how="no end")], ("192.0.2.1",)),
        ([seen("web.example.com", ip="192.0.2.7")], ("192.0.2.7", "web.example.com")),
        ([seen("192.0.2.200", fqdn="WEB.example.com.")], ("web.example.com",)),
        ([seen("2001:db8:0::1")], ("2001:db8::1",)),
        ([seen("192.0.2.8"), seen("192.0.2.0/29"), seen("https://192.0.2.1/")], ()),
    ],
)
def test_a_target_has_answered_if_the_report_has_it(
    hosts: list[ScannedHost], answered: tuple[str, ...]
) -> None:
    assert outcome(*hosts).answered.texts == answered


def test_a_host_without_an_end_was_not_reached_and_one_without_an_answer_was_silent() -> None:
    hosts = (
        seen("192.0.2.1", how="no end"),
        seen("192.0.2.2", how="silent"),
        seen("192.0.2.3", how="silent"),
        ScannedHost(name="192.0.2.4", answered=False, ended=False),
    )
    found = outcome(*hosts, left=("192.0.2.3",))
    assert found.missed.texts == ("192.0.2.1", "192.0.2.3")
    assert found.silent.texts[1:4] == ("192.0.2.0", "192.0.2.2", "192.0.2.4/30")


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("192.0.2.1", parse_targets("192.0.2.1").ranges[0][0]),
        ("2001:db8:0::1", parse_targets("2001:db8::1").ranges[0][0]),
        ("www.example.com", "www.example.com"),
        ("192.0.2.0/24", None),
        ("192.0.2.1-9", None),
        ("https://192.0.2.1/", None),
    ],
)
def test_what_is_a_target(name: str, target: int | str | None) -> None:
    assert target_of(name) == target


ENDED = {"HOST_START": "Fri Nov  7 13:25:52 2025", "HOST_END": "Fri Nov  7 13:26:52 2025"}
OPEN = (item(19506, output("Information about this scan :\n")), item(11219, port=22))


async def test_a_stored_scan_knows_what_became_of_its_targets(tmp_path: Path) -> None:
    report = document(
        host("192.0.2.1", *OPEN, tags=ENDED),
        host("192.0.2.2", *OPEN, tags={**ENDED, "HOST_END_TIMESTAMP": "1762521912"}),
        host("192.0.2.3", *OPEN, item(104410), tags=ENDED),
        host("192.0.2.4", *OPEN, tags={"HOST_START": ENDED["HOST_START"]}),
        host("192.0.2.5", OPEN[0], tags=ENDED),
    )
    scanned = ScanCoverage(whole=True, scanners=((0, "east"), (2, "west")))
    async with aclosing(await open_findings(tmp_path / "findings.db")) as store:
        await store.put("t", Reader(io.BytesIO(report)), at=0.0, coverage=lambda: scanned)
        await store.put("u", Reader(io.BytesIO(report)), at=0.0, coverage=lambda: scanned)
        for task_id in "tu":
            found, hosts = await store.coverage_as(
                task_id,
                ("192.0.2.0/29",),
                lambda: [Unfinished(parse_targets("192.0.2.7"), "why")],
                lambda coverage, hosts: (coverage, hosts),
            )
            assert found.answered.texts == ("192.0.2.1-192.0.2.3",)
            assert found.silent.texts == ("192.0.2.0", "192.0.2.5-192.0.2.6")
            assert found.missed.texts == ("192.0.2.4", "192.0.2.7")
            first, second, third = (
                hosts[parse_targets(f"192.0.2.{n}").ranges[0][0]] for n in (1, 2, 3)
            )
            assert (first.scanner_instance, second.scanner_instance) == ("east", "east")
            assert (third.scanner_instance, third.login) == ("west", "failed")
            assert first.ended_at == "2025-11-07T13:26:52"
            assert second.ended_at == "2025-11-07T13:25:12+00:00"
