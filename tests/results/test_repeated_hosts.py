"""A host in several elements of a report is one host, wherever the others are."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.results.summary import summarize
from support.command import typed
from support.nessus_xml import document, host, item, output

YES = item(19506, output("Credentialed checks : yes, as 'scan' via ssh\n"))
NO = item(19506, output("Credentialed checks : no\n"))
FAILED = item(104410, output("    Message     : Bad key\n"), port=22, svc_name="ssh")
DEAD = item(10180, output("The remote host is considered as dead - not scanning\n"))
BEGAN = {"HOST_START": "Mon Mar  3 10:00:00 2025"}
ENDED = {**BEGAN, "HOST_END": "Mon Mar  3 10:10:00 2025"}
COUNTED = (
    "hosts", "findings", "severity_counts", "top_findings", "known_exploited", "exploitable",
    "top_hosts", "families", "host_verdicts_left_out", "hosts_finished",
)  # fmt: skip
ITEMS = st.tuples(st.sampled_from("abcde"), st.integers(1, 6), st.integers(0, 4))


def summary(*elements: str) -> dict[str, Any]:
    return summarize(io.BytesIO(document(*elements)))


@pytest.mark.slow
@given(st.lists(ITEMS, max_size=30, unique=True), st.data())
def test_it_does_not_matter_how_a_host_is_cut_up(
    found: list[tuple[str, int, int]], data: st.DataObject
) -> None:
    """Each finding in an element of its own, against one element a host."""
    cut = [host(name, item(plugin, severity=worth)) for name, plugin, worth in found]
    cut += [host(name) for name, _, _ in found[:2]]
    whole: dict[str, list[str]] = {}
    for name, plugin, worth in found:
        whole.setdefault(name, []).append(item(plugin, severity=worth))
    one = summary(*(host(name, *items) for name, items in whole.items()))
    other = summary(*data.draw(st.permutations(cut)))
    assert {key: _ordered(other[key]) for key in COUNTED} == {
        key: _ordered(one[key]) for key in COUNTED
    }


def _ordered(value: Any) -> Any:
    """Without the order of first appearance, which decides between equals."""
    if isinstance(value, list):
        return sorted(value, key=repr)
    if isinstance(value, dict) and "top" in value:
        return {**value, "top": sorted(value["top"], key=repr)}
    return value


@pytest.mark.parametrize(
    ("elements", "login"),
    [
        ((YES, YES), "full"),
        ((YES, NO), "partial"),
        ((NO, YES), "partial"),
        ((YES, NO + FAILED), "partial"),
        ((NO, NO + FAILED), "failed"),
        ((YES, item(1)), "full"),
        ((DEAD, YES), "full"),
    ],
)
def test_what_its_elements_say_of_its_login_is_one_verdict(
    elements: tuple[str, ...], login: str
) -> None:
    found = summary(*(host("a", each) for each in elements), host("b", YES))
    (verdict,) = [each for each in found["host_verdicts"] if each["host"] == "a"]
    assert (verdict["login"], verdict["alive"]) == (login, True)
    counts = found["verdict"]["counts"]
    assert sum(counts.values()) == 2
    assert counts[login] == (2 if login == "full" else 1)


def test_it_is_finished_when_all_of_it_is() -> None:
    assert summary(host("a", tags=ENDED), host("a", tags=ENDED))["hosts_finished"] == 1
    assert summary(host("a", tags=ENDED), host("A.", tags=BEGAN))["hosts_finished"] == 0


def test_what_another_element_repeats_counts_once() -> None:
    found = (item(1, severity=4), item(1, severity=4), item(2, output("x")), item(2, output("y")))
    once, twice = summary(host("a", *found)), summary(host("a", *found), host("a", *found))
    assert {key: twice[key] for key in COUNTED} == {key: once[key] for key in COUNTED}
    assert once["findings"] == 4, "one element may mean two things"
    assert summary(host("a", *found), host("b", *found))["findings"] == 8
    assert summary(host("a", item(1)), host("a", item(1, output("more"))))["findings"] == 2


def test_hosts_without_a_name_are_not_taken_for_one() -> None:
    assert summary(host("", item(1)), host("", item(2)))["hosts"] == 2


def test_its_rows_are_of_one_host(tmp_path: Path) -> None:
    path = tmp_path / "scan.nessus"
    path.write_bytes(
        document(
            host("192.0.2.1", YES, item(1, severity=4), tags={**ENDED, "host-ip": "192.0.2.1"}),
            host("192.0.2.2", YES),
            host("192.0.2.1", NO, item(2), tags={"operating-system": "Linux"}),
        )
    )
    shown = json.loads(typed("results", "show", str(path), "--group-by", "host", "--json").out)
    logins = {row["host"]: row["login"] for row in shown["findings"]}
    assert logins == {"192.0.2.1": "partial", "192.0.2.2": "full"}
    fields = ("--fields", "plugin_id,host_ip,host_os,host_login")
    rows = json.loads(typed("results", "show", str(path), "--json", *fields).out)["findings"]
    of_it = [row for row in rows if row.get("host_ip") == "192.0.2.1"]
    assert {row["plugin_id"] for row in of_it} == {1, 2, 19506}
    assert {(*row["host_os"], row["host_login"]) for row in of_it} == {("Linux", "partial")}


def test_comparing_it_with_the_same_report_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "scan.nessus"
    path.write_bytes(document(*[host("192.0.2.1", NO, item(1, severity=4), tags=ENDED)] * 2))
    said = json.loads(typed("results", "compare", str(path), str(path), "--json").out)
    assert said["counts"]["hosts_in_both"] == 1
    assert said["counts"]["hosts_gone_total"] == said["counts"]["hosts_added_total"] == 0
