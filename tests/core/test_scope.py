"""The scope: what passes, what does not and why, and what is sent in the end."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nessus_sched.core.targets.scope import OutOfScope, Resolved, Scope, parse_rules
from nessus_sched.core.targets.targets import BadTargets, parse_targets

SCOPE = Scope(
    ["192.0.2.0/24", "2001:db8:0:1::/64", "*.example.com", "intranet"],
    ["192.0.2.5", "*.secret.example.com", "hr.example.com"],
    300,
)


def refused(targets: str, resolved: Resolved | None = None, scope: Scope = SCOPE) -> str:
    with pytest.raises(OutOfScope) as caught:
        scope.approve(parse_targets(targets), resolved or {})
    return str(caught.value)


def test_what_is_sent_is_canonical_and_pinned() -> None:
    sent = SCOPE.approve(
        parse_targets("192.0.2.8-192.0.2.15, 2001:db8:0:1::1-2001:db8:0:1::3 Web.example.com"),
        {"web.example.com": ["2001:db8:0:1::9", "192.0.2.80", "192.0.2.79"]},
    )
    assert sent == (
        "2001:db8:0:1::1",
        "2001:db8:0:1::2",
        "2001:db8:0:1::3",
        "192.0.2.8/29",
        "web.example.com[192.0.2.79]",
    )


def test_a_name_with_ipv6_only_is_pinned_to_the_lowest() -> None:
    sent = SCOPE.approve(
        parse_targets("intranet"), {"intranet": ["2001:db8:0:1::b", "2001:db8:0:1::a"]}
    )
    assert sent == ("intranet[2001:db8:0:1::a]",)


def test_an_empty_allow_list_allows_nothing() -> None:
    nothing = Scope([], [], 100)
    assert "192.0.2.1: is not on the allow-list" in refused("192.0.2.1", scope=nothing)
    assert "not on the allow-list of names" in refused("a.example", scope=nothing)


def test_deny_wins_over_allow() -> None:
    assert "192.0.2.5: is on the deny-list" in refused("192.0.2.5")
    assert "192.0.2.0/24: 192.0.2.5 is on the deny-list" in refused("192.0.2.0/24")
    assert "hr.example.com: is on the deny-list" in refused(
        "hr.example.com", {"hr.example.com": ["192.0.2.9"]}
    )


def test_part_of_a_range_outside_is_named() -> None:
    assert "192.0.3.0/31 is not on the allow-list" in refused("192.0.2.250-192.0.3.1")


def test_every_address_of_a_name_must_pass() -> None:
    message = refused(
        "web.example.com",
        {"web.example.com": ["192.0.2.9", "192.0.2.5", "203.0.113.1", "::ffff:192.0.2.9"]},
    )
    assert "resolves to 192.0.2.5, which is on the deny-list" in message
    assert "resolves to 203.0.113.1, which is not on the allow-list" in message
    assert "resolves to ::ffff:192.0.2.9, which is IPv4 inside IPv6" in message


@pytest.mark.parametrize("resolved", [{}, {"web.example.com": []}])
def test_a_name_without_addresses_does_not_pass(resolved: Resolved) -> None:
    assert "does not resolve" in refused("web.example.com", resolved)


def test_all_that_is_wrong_with_a_name_is_told_of_it_once() -> None:
    message = refused("web.example.net", {})
    assert message.count("web.example.net") == 1
    assert message.endswith("a name rule; and does not resolve to an address")


NOWHERE = "0.0.0.0"  # noqa: S104 - a target, not something to bind


@pytest.mark.parametrize("answer", ["fe80::1%eth0", NOWHERE, "0x7f.1", "evil.example", "", "::"])
def test_odd_answers_of_a_resolver_do_not_pass(answer: str) -> None:
    assert "resolves to" in refused("web.example.com", {"web.example.com": [answer]})


def test_a_name_needs_a_rule_for_names_even_when_its_addresses_pass() -> None:
    message = refused("web.example.net", {"web.example.net": ["192.0.2.9"]})
    assert "not on the allow-list of names" in message


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("web.example.com", True),
        ("a.b.example.com", True),
        ("example.com", False),
        ("badexample.com", False),
        ("example.com.evil.example", False),
        ("x.secret.example.com", False),
        ("secret.example.com", True),
        ("intranet", True),
        ("intranet.example.net", False),
    ],
)
def test_patterns_match_subdomains_only(name: str, allowed: bool) -> None:
    assert (not SCOPE.check(parse_targets(name), {name: ["192.0.2.9"]})) == allowed


def test_an_iterator_cannot_show_the_check_one_thing_and_the_pinning_another() -> None:
    sent = SCOPE.approve(parse_targets("intranet"), {"intranet": iter(["192.0.2.9"])})
    assert sent == ("intranet[192.0.2.9]",)


def test_the_cap_counts_without_expanding() -> None:
    wide = Scope(["10.0.0.0/8", "2001:db8::/32"], [], 300)
    assert "16777216 addresses are more than the 300" in refused("10.0.0.0/8", scope=wide)
    assert f"{2**96} addresses" in refused("2001:db8::/32", scope=wide)
    assert wide.approve(parse_targets("10.0.0.0-10.0.1.43"), {}) == ("10.0.0.0-10.0.1.43",)
    assert "301 addresses" in refused("10.0.0.0-10.0.1.44", scope=wide)


def test_ipv6_is_written_out_only_up_to_a_bound() -> None:
    wide = Scope(["2001:db8::/32"], [], 2**32)
    assert "at most 65536 IPv6 addresses" in refused("2001:db8::/64", scope=wide)
    assert len(wide.approve(parse_targets("2001:db8::/112"), {})) == 65536


def test_all_that_is_wrong_is_said_at_once() -> None:
    found = SCOPE.check(parse_targets("192.0.2.5 203.0.113.0/24 x.example.net"), {})
    assert {problem.text for problem in found} == {
        "192.0.2.5",
        "203.0.113.0/24",
        "x.example.net",
    }


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("192.0.2.1/24", "write 192.0.2.0/24 for the network, or 192.0.2.1 for the host"),
        ("::ffff:192.0.2.0/120", "write the rule for IPv4"),
        ("64:ff9b::/96", "write the rule for IPv4"),
        ("ex*mple.com", "'*'"),
        ("*example.com", "'*'"),
        ("*.", "neither"),
        ("192.0.2.0/33", "prefix length"),
        ("", "neither"),
    ],
)
def test_bad_rules_are_refused(rule: str, reason: str) -> None:
    with pytest.raises(BadTargets) as caught:
        parse_rules(["192.0.2.0/24", rule])
    assert reason in str(caught.value)


def test_the_ipv6_world_does_not_open_ipv4() -> None:
    six = Scope(["::/0", "*"], [], 10)
    assert "not on the allow-list" in refused("192.0.2.1", scope=six)
    assert "not on the allow-list" in refused("a.example", {"a.example": ["192.0.2.1"]}, six)


networks = st.builds(
    lambda number, prefix: IPv4Network(
        (int(IPv4Address("192.0.2.0")) + number, prefix), strict=False
    ),
    st.integers(0, 255),
    st.integers(24, 32),
)


@settings(deadline=None)
@given(st.lists(networks), st.lists(networks), networks)
def test_membership_agrees_with_the_standard_library(
    allow: list[IPv4Network],
    deny: list[IPv4Network],
    wanted: IPv4Network,
) -> None:
    scope = Scope([str(rule) for rule in allow], [str(rule) for rule in deny], 2**32)
    expected = all(
        any(address in rule for rule in allow) and not any(address in rule for rule in deny)
        for address in wanted
    )
    assert (not scope.check(parse_targets(str(wanted)), {})) == expected
