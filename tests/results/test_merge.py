"""Several reports of one task are read as one."""

from __future__ import annotations

import io
from bisect import bisect_right
from contextlib import nullcontext
from functools import partial
from typing import BinaryIO, cast

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.results.merge import MergedReader
from nessus_sched.results.model import Finding, HostEnd, HostReport
from nessus_sched.results.plausibility import ScanFacts
from nessus_sched.results.summary import SummaryBuilder
from support.nessus_xml import document, host, item, output

BEGAN = {"HOST_START": "Mon Mar  3 10:00:00 2025"}
ENDED = {**BEGAN, "HOST_END": "Mon Mar  3 10:10:00 2025"}
REPORTS = st.lists(
    st.dictionaries(st.sampled_from("abcdef"), st.booleans(), max_size=6), min_size=1, max_size=4
)
"""For each report, whether its hosts were finished."""
POLICY = (
    "<Policy><Preferences><ServerPreferences>"
    "<preference><name>TARGET</name><value>{}</value></preference>"
    "<preference><name>plugin_set</name><value>{}</value></preference>"
    "</ServerPreferences></Preferences></Policy>"
)


class Opened:
    """Documents that count how often, and how many at once, they are open."""

    def __init__(self, *documents: bytes) -> None:
        self.reader = MergedReader([partial(self._open, data) for data in documents])
        self.times = 0

    def _open(self, data: bytes) -> nullcontext[BinaryIO]:
        self.times += 1
        return nullcontext(cast(BinaryIO, io.BytesIO(data)))


def plugin_of(number: int) -> int:
    return 100 + number


@pytest.mark.slow
@given(REPORTS)
def test_each_host_counts_once_as_the_latest_scan_that_finished_it_saw_it(
    reports: list[dict[str, bool]],
) -> None:
    documents = [
        document(
            *(
                host(name, item(plugin_of(number)), tags=ENDED if done else BEGAN)
                for name, done in hosts.items()
            )
        )
        for number, hosts in enumerate(reports)
    ]
    expected = {}
    for number, hosts in enumerate(reports):
        for name, done in hosts.items():
            if done or not any(name in r and r[name] for r in reports):
                expected[name] = plugin_of(number)
    opened = Opened(*documents)
    events = list(opened.reader)
    found = [each for each in events if isinstance(each, Finding)]
    assert {each.host: each.plugin.plugin_id for each in found} == expected
    assert len(found) == len(expected) == opened.reader.report.findings
    assert [each.index for each in found] == list(range(len(found)))
    began = [each for each in events if isinstance(each, HostReport)]
    ended = [each.host for each in events if isinstance(each, HostEnd)]
    assert [each.index for each in began] == list(range(opened.reader.report.hosts))
    assert [(each.index, each.key) for each in ended] == [(each.index, each.key) for each in began]
    numbers = {each.key: each.index for each in began}
    assert all(numbers[each.host] == each.host_index for each in found)
    firsts = [first for first, _ in opened.reader.runs]
    for each in began:
        _, number = opened.reader.runs[bisect_right(firsts, each.index) - 1]
        assert expected[each.key] == plugin_of(number), "it knows which report a host is from"
    assert opened.times <= 2 * len(reports)
    if all(all(hosts.values()) for hosts in reports):
        assert opened.times == len(reports), "whole reports are read once"


def test_hosts_without_a_name_are_all_kept() -> None:
    one = document(host("", item(1), tags=ENDED), host("", item(2), tags=BEGAN))
    other = document(host("", item(3), tags=ENDED), host("", item(4), tags=BEGAN))
    found = [each for each in Opened(one, other).reader if isinstance(each, Finding)]
    assert {each.plugin.plugin_id for each in found} == {1, 2, 3, 4}
    assert len({each.host_index for each in found}) == 4


def test_the_report_says_what_holds_for_all() -> None:
    one = document(host("192.0.2.1"), policy=POLICY.format("192.0.2.1,192.0.2.2", "1;2;3"))
    other = document(host("192.0.2.2"), policy=POLICY.format("192.0.2.2", "2;3;4"))
    reader = Opened(one, other[:-20]).reader
    list(reader)
    assert reader.report.requested == "192.0.2.1,192.0.2.2"
    assert reader.report.plugin_set == "2;3"
    assert not reader.report.complete
    assert reader.report.problem_counts == {"truncated": 1}
    assert reader.report.bytes_read == len(one) + len(other) - 20
    unknown = Opened(one, document()).reader
    list(unknown)
    assert (unknown.report.requested, unknown.report.plugin_set) == (None, None)


def test_different_plugins_and_scanners_are_pointed_out() -> None:
    def scanned(name: str, version: str, plugins: str) -> bytes:
        told = f"Nessus version : {version}\nPlugin feed version : {plugins}\n"
        return document(host(name, item(19506, output(told)), tags=ENDED))

    def codes(*documents: bytes) -> set[str]:
        builder, reader = SummaryBuilder(), Opened(*documents).reader
        for event in reader:
            builder.add(event)
        facts = attrs.evolve(ScanFacts(), now=1_740_996_000.0)
        warnings = builder.finish(reader.report, facts)["warnings"]
        return {each["code"] for each in warnings if each["code"].endswith("_differ")}

    one, same = scanned("a", "10.8.3", "202503020101"), scanned("b", "10.8.3", "202503020101")
    other = scanned("c", "10.9.0", "202503030101")
    assert codes(one, same) == set()
    assert codes(one, same, other) == {"plugin_sets_differ", "scanner_versions_differ"}
