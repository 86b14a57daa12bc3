"""Which targets a rescan has: nothing that was not asked for."""

from __future__ import annotations

import io
from contextlib import aclosing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.core.targets.targets import TargetSet, includes, parse_targets
from nessus_sched.results.parser.reader import Reader
from nessus_sched.results.query.input import read_query
from nessus_sched.results.reached import ScannedHost
from nessus_sched.results.rescan import targets_of
from nessus_sched.store.findings.store import open_findings
from support.nessus_xml import document, host, item, output


def seen(name: str, *, ip: str | None = None, fqdn: str | None = None) -> ScannedHost:
    return ScannedHost(name=name, ip=ip, fqdn=fqdn)


ASKED = parse_targets(["192.0.2.0/29", "web.example.com", "2001:db8::1", "2001:db8::2"])


@pytest.mark.parametrize(
    ("hosts", "targets"),
    [
        ([seen("192.0.2.1")], ["192.0.2.1"]),
        ([seen("192.0.2.1"), seen("192.0.2.1")], ["192.0.2.1"]),
        ([seen("web.example.com", ip="192.0.2.200")], ["web.example.com"]),
        ([seen("192.0.2.200", fqdn="WEB.example.com.")], ["web.example.com"]),
        ([seen("db.example.com", ip="192.0.2.7")], ["192.0.2.7"]),
        ([seen("2001:DB8:0::1")], ["2001:db8:0::1"]),
        ([seen("192.0.2.8"), seen("other.example.com")], []),
        ([seen("https://192.0.2.1/")], []),
        ([], []),
    ],
)
def test_hosts_become_targets_by_a_name_that_was_asked_for(
    hosts: list[ScannedHost], targets: list[str]
) -> None:
    assert targets_of(hosts, ASKED) == targets


NAMES = st.one_of(
    st.integers(0, 15).map(lambda n: f"192.0.2.{n}"),
    st.sampled_from(["a.example.com", "b.example.com", "198.51.100.1", "https://x/", ""]),
)
HOSTS = st.lists(
    st.builds(
        ScannedHost,
        name=NAMES,
        ip=st.none() | NAMES,
        fqdn=st.none() | NAMES,
        answered=st.booleans(),
        ended=st.booleans(),
    )
)
TARGETS = st.lists(
    st.sampled_from(["192.0.2.0/29", "192.0.2.4-192.0.2.11", "a.example.com", "192.0.2.15"]),
    min_size=1,
).map(parse_targets)


@pytest.mark.slow
@given(HOSTS, TARGETS)
def test_a_rescan_is_part_of_what_was_asked_for(hosts: list[ScannedHost], asked: TargetSet) -> None:
    assert all(includes(asked, each) for each in targets_of(hosts, asked))


ENDED = {"HOST_START": "Fri Nov  7 13:25:52 2025", "HOST_END": "Fri Nov  7 13:26:52 2025"}
INFO = item(19506, output("Information about this scan :\n\nCredentialed checks : no\n"))
OPEN = item(11219, port=22)


async def test_hosts_of_a_stored_scan(tmp_path: Path) -> None:
    begun = {"HOST_START": ENDED["HOST_START"]}
    report = document(
        host("192.0.2.1", INFO, OPEN, item(1, severity=4), tags=ENDED),
        host("192.0.2.2", INFO, OPEN, tags=begun),
        host("192.0.2.3", INFO, item(10180, output("is considered as dead")), tags=ENDED),
        host("192.0.2.4", INFO, OPEN, item(104410), tags={**ENDED, "host-ip": "192.0.2.44"}),
        host("192.0.2.5"),
    )
    async with aclosing(await open_findings(tmp_path / "findings.db")) as store:
        await store.put("t", Reader(io.BytesIO(report)), at=0.0)

        async def found(*filters: str) -> dict[str, bool]:
            query = read_query({"filters": list(filters), "group_by": "host"})
            return {each.name: each.reached for each in await store.hosts("t", query)}

        everything = await found()
        assert everything == {
            "192.0.2.1": True,
            "192.0.2.2": False,
            "192.0.2.3": False,
            "192.0.2.4": True,
            "192.0.2.5": False,
        }
        assert await found("severity>=high") == {"192.0.2.1": True}
        assert await found("host_login=failed") == {"192.0.2.4": True}
        assert await found("host_login=failed", "severity>=high") == {}
        assert (await found("host=192.0.2.5")).keys() == {"192.0.2.5"}
