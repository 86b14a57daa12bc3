"""Exceptions for findings: which they cover, which counts, when they lapse, and bad definitions."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.core.exceptions.exception import (
    DAY,
    Decision,
    ExceptionStatus,
    FindingException,
    PluginFacts,
    check_end,
    chosen,
    parse_end,
)
from nessus_sched.core.exceptions.rule import (
    MAX_ITEMS,
    SEVERITIES,
    BadException,
    ExceptionKind,
    Rule,
    Subject,
    address_number,
    read_rule,
)

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC).timestamp()
KINDS = tuple(ExceptionKind)


def exception(rule: Rule, exception_id: str = "x-1", **changes: Any) -> FindingException:
    usual: dict[str, Any] = {
        "reason": "behind a proxy",
        "owner": "web team",
        "actor": "uid:1000",
        "proposed_at": NOW,
        "expires": NOW + 90 * DAY,
    }
    return FindingException(exception_id=exception_id, rule=rule, **{**usual, **changes})


def approved(rule: Rule, exception_id: str = "x-1", **changes: Any) -> FindingException:
    usual: dict[str, Any] = {
        "status": ExceptionStatus.APPROVED, "approved_at": NOW, "decided_at": NOW,
    }  # fmt: skip
    return exception(rule, exception_id, **{**usual, **changes})


def rule(**changes: Any) -> Rule:
    usual: dict[str, Any] = {
        "kind": ExceptionKind.ACCEPTED, "plugins": [51192], "hosts": ["192.0.2.0/28"],
    }  # fmt: skip
    return read_rule(**{**usual, **changes})


CVES = ("CVE-2021-44228", "CVE-2014-0160", "CVE-2017-0144")
PLACES = (
    "192.0.2.0/30", "192.0.2.2-192.0.2.5", "192.0.2.3", "2001:db8::/126", "www.example.com",
    "db.example.com",
)  # fmt: skip
HOSTS = (
    "192.0.2.1", "192.0.2.3", "192.0.2.5", "192.0.2.9", "2001:db8::2", "2001:db8::9",
    "www.example.com", "db.example.com", "example.com",
)  # fmt: skip


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    kind = draw(st.sampled_from(KINDS))
    plugins = draw(st.lists(st.integers(1, 4), max_size=3))
    cves = draw(st.lists(st.sampled_from(CVES), min_size=not plugins, max_size=2))
    return read_rule(
        kind=kind,
        plugins=plugins,
        cves=cves,
        hosts=draw(
            st.just(["*"]) | st.lists(st.sampled_from(PLACES), min_size=1, max_size=3, unique=True)
        ),
        port=draw(st.sampled_from((None, "443", "443/tcp", "53/udp", "0"))),
        severity=draw(st.sampled_from(SEVERITIES)) if kind is ExceptionKind.SEVERITY else None,
    )


@st.composite
def subjects(draw: st.DrawFn) -> Subject:
    name = draw(st.sampled_from(HOSTS))
    behind = address_number(name)
    if behind is None:
        behind = address_number(draw(st.sampled_from((None, *HOSTS[:6]))))
    return Subject(
        plugin_id=draw(st.integers(1, 5)),
        cves=draw(st.lists(st.sampled_from(CVES), max_size=2)),
        name=name,
        address=behind,
        port=draw(st.sampled_from((0, 53, 443))),
        protocol=draw(st.sampled_from(("tcp", "udp"))),
    )


def in_place(place: str, subject: Subject) -> bool:
    """The meaning of a host of a rule, by the standard library."""
    if place == "*" or place == subject.name:
        return True
    if place.endswith("example.com") or subject.address is None:
        return False
    if "-" in place:
        first, last = (address_number(end) or 0 for end in place.split("-"))
    else:
        network = ipaddress.ip_network(place)
        first, last = (address_number(str(end)) or 0 for end in (network[0], network[-1]))
    return first <= subject.address <= last


@pytest.mark.slow
@given(rules(), subjects())
def test_a_rule_covers_what_its_words_say(found: Rule, subject: Subject) -> None:
    port, _, protocol = (found.port_text or "").partition("/")
    expected = (
        (subject.plugin_id in found.plugins or not set(subject.cves).isdisjoint(found.cves))
        and any(in_place(place, subject) for place in found.hosts)
        and (not port or int(port) == subject.port)
        and (not protocol or protocol == subject.protocol)
    )
    assert found.covers(subject) is expected


@pytest.mark.slow
@given(rules())
def test_a_rule_written_out_reads_as_the_same_rule(found: Rule) -> None:
    again = read_rule(
        kind=found.kind,
        plugins=found.plugins,
        cves=[cve.lower() for cve in found.cves],
        hosts=found.hosts,
        port=found.port_text,
        severity=None if found.severity is None else SEVERITIES[found.severity],
    )
    assert again == found


@pytest.mark.slow
@given(st.lists(rules(), max_size=5), st.randoms(use_true_random=False))
def test_which_one_counts_does_not_depend_on_the_order(found: list[Rule], random: Any) -> None:
    several = [approved(each, f"x-{number}") for number, each in enumerate(found)]
    first = chosen(several)
    random.shuffle(several)
    assert chosen(several) == first
    assert (first is None) is (not several)
    if first is not None:
        assert not any(each.rule.width < first.rule.width for each in several)


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        ({"hosts": ["192.0.2.0/24"]}, {"hosts": ["*"]}),
        ({"hosts": ["192.0.2.1"]}, {"hosts": ["192.0.2.0/28"]}),
        ({"port": "443"}, {}),
        ({"port": "443/tcp"}, {"port": "443"}),
        ({"plugins": [1]}, {"plugins": [1, 2]}),
        ({"kind": ExceptionKind.SEVERITY, "severity": "low"}, {}),
        ({}, {"kind": ExceptionKind.FALSE_POSITIVE}),
        (
            {"kind": ExceptionKind.SEVERITY, "severity": "high"},
            {"kind": ExceptionKind.SEVERITY, "severity": "low"},
        ),
        (
            {"kind": ExceptionKind.FALSE_POSITIVE, "hosts": ["192.0.2.1"]},
            {"kind": ExceptionKind.SEVERITY, "severity": "high"},
        ),
    ],
)
def test_the_narrowest_counts_and_then_the_strictest(
    narrow: dict[str, Any], wide: dict[str, Any]
) -> None:
    two = [approved(rule(**wide), "x-1"), approved(rule(**narrow), "x-2")]
    found = chosen(two)
    assert found is not None
    assert found.exception_id == "x-2"


@given(st.text(max_size=40) | st.sampled_from(["1.2.3.4.5", "::", "0x7f.1", "*", "192.0.2.1\n"]))
def test_no_name_of_a_host_makes_trouble_or_gets_in(name: str) -> None:
    subject = Subject(plugin_id=51192, name=name, address=address_number(name))
    expected = name in {f"192.0.2.{last}" for last in range(16)}
    assert rule().covers(subject) is expected
    assert rule(hosts=["*"]).covers(subject)


facts = st.builds(
    PluginFacts,
    severity=st.integers(0, 4),
    exploited=st.booleans(),
    version=st.sampled_from((None, "1.1", "1.2")),
)


@given(st.sampled_from(KINDS), facts, facts)
def test_it_lapses_exactly_when_it_is_worse_or_another_check(
    kind: ExceptionKind, then: PluginFacts, now: PluginFacts
) -> None:
    severity = "info" if kind is ExceptionKind.SEVERITY else None
    found = approved(rule(kind=kind, severity=severity), known={51192: then})
    changed = then.version != now.version and then.version is not None and now.version is not None
    expected = (
        now.severity > then.severity
        or (now.exploited and not then.exploited)
        or (kind is ExceptionKind.FALSE_POSITIVE and changed)
    )
    reason = found.lapse(51192, now)
    assert (reason is not None) is expected
    assert reason is None or "51192" in reason
    assert found.lapse(51193, now) is None


@given(st.lists(facts, min_size=1, max_size=6))
def test_what_is_learned_first_is_what_it_was_approved_for(scans: list[PluginFacts]) -> None:
    found = approved(rule())
    for each in scans:
        found = found.learned(51192, each)
    known = found.known[51192]
    assert (known.severity, known.exploited) == (scans[0].severity, scans[0].exploited)
    assert known.version == next((each.version for each in scans if each.version), None)
    assert found.learned(51192, known) is found


def test_it_is_in_force_from_its_approval_to_its_end() -> None:
    found = approved(rule())
    assert found.in_force(NOW)
    assert found.in_force(found.expires - 1)
    assert not found.in_force(found.expires)
    assert not exception(rule()).in_force(NOW)
    for status in ExceptionStatus:
        assert attrs.evolve(found, status=status).in_force(NOW) is (status == "approved")


def test_what_can_be_decided_in_which_status() -> None:
    possible = {
        (status, decision)
        for status in ExceptionStatus
        for decision in Decision
        if approved(rule(), status=status).may_be(decision)
    }
    assert possible == {
        ("proposed", "approve"), ("proposed", "reject"), ("approved", "revoke"),
        ("approved", "extend"), ("expired", "extend"),
    }  # fmt: skip
    never = exception(rule(), status=ExceptionStatus.EXPIRED)
    assert not never.may_be(Decision.EXTEND)


def test_notice_comes_before_the_end_but_not_at_the_beginning() -> None:
    found = approved(rule())
    assert found.notice_at(14 * DAY) == found.expires - 14 * DAY
    assert found.notice_at(200 * DAY) == NOW + 45 * DAY
    assert attrs.evolve(found, announced=True).notice_at(14 * DAY) is None
    assert exception(rule()).notice_at(14 * DAY) is None


@pytest.mark.parametrize(
    ("changes", "fields", "said"),
    [
        ({"plugins": []}, ["plugins"], "at least one plugin or CVE"),
        ({"plugins": [0, -1]}, ["plugins", "plugins"], "0 is not the id of a plugin"),
        ({"plugins": [2**31]}, ["plugins"], "is not the id of a plugin"),
        ({"cves": ["CVE-21-1"]}, ["cves"], "'CVE-21-1' is not a CVE such as"),
        ({"cves": ["CVE-2021-44228 OR 1=1"]}, ["cves"], "is not a CVE"),
        ({"hosts": []}, ["hosts"], "* for all"),
        ({"hosts": ["*", "192.0.2.1"]}, ["hosts"], "give it alone"),
        ({"hosts": ["192.0.2.5/24"]}, ["hosts"], "192.0.2.5/24"),
        ({"hosts": ["<b>"]}, ["hosts"], "<b>"),
        ({"hosts": [f"192.0.2.{n}" for n in range(1, 256, 2)]}, ["hosts"], "more than 100"),
        ({"plugins": list(range(1, MAX_ITEMS + 2))}, ["plugins"], "101 are more than 100"),
        ({"port": "70000"}, ["port"], "is not a port"),
        ({"port": "http"}, ["port"], "is not a port"),
        ({"port": "443/sctp"}, ["port"], "is not a port"),
        ({"severity": "low"}, ["severity"], "has no meaning for the kind accepted"),
        ({"kind": ExceptionKind.SEVERITY}, ["severity"], "missing"),
        ({"kind": ExceptionKind.SEVERITY, "severity": "mild"}, ["severity"], "not one of info"),
        ({"plugins": [], "hosts": [], "port": "x"}, ["plugins", "hosts", "port"], ""),
    ],
)
def test_every_mistake_of_a_rule_is_said(
    changes: dict[str, Any], fields: list[str], said: str
) -> None:
    with pytest.raises(BadException) as caught:
        rule(**changes)
    assert [each.field for each in caught.value.problems] == fields
    assert said in str(caught.value)


def end_of(text: str) -> float:
    end = parse_end(text, zone="Europe/Berlin", now=NOW)
    check_end(end, zone="Europe/Berlin", now=NOW, max_term=365 * DAY)
    return end


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("2026-03-02", "2026-03-03T00:00:00+01:00"),  # all of today
        ("2026-03-28", "2026-03-29T00:00:00+01:00"),
        ("2026-03-29", "2026-03-30T00:00:00+02:00"),  # a day of 23 hours
        ("2026-06-01 08:00", "2026-06-01T08:00:00+02:00"),
        ("2026-06-01T08:00Z", "2026-06-01T08:00:00+00:00"),
        ("90d", "2026-05-31T12:00:00+00:00"),
        ("365d", "2027-03-02T12:00:00+00:00"),
        ("2027-03-02", "2027-03-03T00:00:00+01:00"),  # the day on which the longest term ends
    ],
)
def test_an_end_as_people_write_it(text: str, end: str) -> None:
    assert end_of(text) == datetime.fromisoformat(end).timestamp()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "write a date such as"),
        ("soon", "'soon' is not an end"),
        ("0d", "in the past"),
        ("2026-03-01", "in the past"),
        ("366d", "more than 365 d away"),
        ("2027-03-04", "more than 365 d away"),
        ("99999d", "more than 365 d away"),
        ("٩d", "not an end"),
        ("9999-12-31", "too far"),
        ("2026-13-01", "not an end"),
    ],
)
def test_a_bad_end_is_refused(text: str, said: str) -> None:
    with pytest.raises(BadException, match=said) as caught:
        end_of(text)
    assert [each.field for each in caught.value.problems] == ["until"]


@given(st.text(max_size=30))
def test_any_text_is_an_end_or_refused(text: str) -> None:
    try:
        found = end_of(text)
    except BadException:
        return
    assert NOW < found <= NOW + 366 * DAY
    assert found == int(found)
