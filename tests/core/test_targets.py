"""Targets: what is read, what is refused with which reason, and the sets they make."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nessus_sched.core.targets.targets import BadTargets, TargetSet, parse_targets


@pytest.mark.parametrize(
    ("written", "texts", "count"),
    [
        ("192.0.2.1", ("192.0.2.1",), 1),
        ("192.0.2.0/24", ("192.0.2.0/24",), 256),
        ("192.0.2.1/32", ("192.0.2.1",), 1),
        ("192.0.2.1-192.0.2.20", ("192.0.2.1-192.0.2.20",), 20),
        ("192.0.2.1-20", ("192.0.2.1-192.0.2.20",), 20),
        ("192.0.2.9-9", ("192.0.2.9",), 1),
        ("192.0.2.0-192.0.2.255", ("192.0.2.0/24",), 256),
        ("192.0.2.0/25,192.0.2.128/25", ("192.0.2.0/24",), 256),
        ("192.0.2.2 192.0.2.1\n192.0.2.2", ("192.0.2.1-192.0.2.2",), 2),
        ("10.0.0.0/8", ("10.0.0.0/8",), 2**24),
        ("2001:DB8:0:0:0:0:0:1", ("2001:db8::1",), 1),
        ("2001:db8::/32", ("2001:db8::/32",), 2**96),
        ("2001:db8::1-2001:db8::1:0", ("2001:db8::1-2001:db8::1:0",), 2**16),
        ("::1", ("::1",), 1),
        ("127.0.0.1", ("127.0.0.1",), 1),
        ("Web.Example.COM.", ("web.example.com",), 1),
        ("localhost", ("localhost",), 1),
        ("192.0.2.1.example.com", ("192.0.2.1.example.com",), 1),
        ("xn--bcher-kva.example", ("xn--bcher-kva.example",), 1),
        ("b.example a.example", ("a.example", "b.example"), 2),
        ("192.0.2.1, 2001:db8::1, a.example", ("2001:db8::1", "192.0.2.1", "a.example"), 3),
    ],
)
def test_targets_are_read_and_normalised(written: str, texts: tuple[str, ...], count: int) -> None:
    found = parse_targets(written)
    assert (found.texts, found.address_count) == (texts, count)
    assert parse_targets(found.texts) == found


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("", "no targets given"),
        (" ,\n", "no targets given"),
        ("192.0.2.01", "leading zeros"),
        ("0300.0.2.1", "leading zeros"),
        ("0xc0.0.2.1", "ends in a number"),
        ("192.0.2.0x1", "ends in a number"),
        ("0xC0000201", "ends in a number"),
        ("3221225985", "four decimal numbers"),
        ("192.513", "four decimal numbers"),
        ("192.0.2", "four decimal numbers"),
        ("192.0.2.1.", "four decimal numbers"),
        ("192.0.2.256", "above 255"),
        ("192.0.2.1/33", "from 0 to 32"),
        ("192.0.2.1/024", "from 0 to 32"),
        ("192.0.2.1/", "from 0 to 32"),
        ("192.0.2.0/255.255.255.0", "from 0 to 32"),
        ("2001:db8::/129", "from 0 to 128"),
        ("192.0.2.5/24", "write 192.0.2.0/24 for the network, or 192.0.2.5 for the host"),
        ("2001:db8::5/64", "write 2001:db8::/64 for the network, or 2001:db8::5 for the host"),
        ("192.0.2.20-192.0.2.1", "ends before it begins"),
        ("192.0.2.20-1", "ends before it begins"),
        ("192.0.2.1-2001:db8::1", "not an IPv6 address"),
        ("192.0-1.2.3", "four decimal numbers"),
        ("192.0.2.1 - 192.0.2.9", "neither"),
        ("::ffff:192.0.2.1", "IPv4 inside IPv6"),
        ("::ffff:c000:201", "IPv4 inside IPv6"),
        ("::192.0.2.1", "IPv4 inside IPv6"),
        ("64:ff9b::192.0.2.1", "NAT64"),
        ("2002:c000:201::1", "6to4"),
        ("2001::c000:201", "Teredo"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "zone"),
        ("2001:db8::1%1", "zone"),
        ("[2001:db8::1]", "brackets"),
        ("web.example.com[192.0.2.1]", "brackets"),
        ("https://192.0.2.1/", "URL"),
        ("192.0.2.1:443", "port"),
        ("web.example.com:443", "port"),
        ("2001:db8:::1", "not an IPv6 address"),
        ("0.0.0.0", "no host in particular"),  # noqa: S104 - a target, not something to bind
        ("0.0.0.0/0", "no host in particular"),
        ("::/0", "no host in particular"),
        ("224.0.0.1", "multicast"),
        ("ff02::1", "multicast"),
        ("255.255.255.255", "broadcast"),
        ("١٩٢.0.2.1", "not ASCII"),
        ("192。0。2。1", "not ASCII"),
        ("192.0.2.1\u00a0", "not ASCII"),
        ("bücher.example", "not ASCII"),
        ("a;b", "';'"),
        ("$(id)", "'$'"),
        ("a'b", '"\'"'),
        ("a\0b", "'\\x00'"),
        ("user@192.0.2.1", "'@'"),
        ("*.example.com", "'*'"),
        ("-rf", "neither"),
        ("a..b", "neither"),
        (".a", "neither"),
        ("a" * 64 + ".example", "neither"),
        ("a." * 130 + "example", "neither"),
        ("example.123", "ends in a number"),
        ("link6", "link6"),
        ("link6%eth0", "zone"),
    ],
)
def test_targets_are_refused_with_a_reason(written: str, reason: str) -> None:
    with pytest.raises(BadTargets) as caught:
        parse_targets(written)
    assert reason in str(caught.value)


def test_every_bad_target_is_listed_at_once() -> None:
    with pytest.raises(BadTargets) as caught:
        parse_targets(["192.0.2.1", "192.0.2.256", "a;b", "web.example.com", "fe80::1"])
    assert [problem.text for problem in caught.value.problems] == ["192.0.2.256", "a;b", "fe80::1"]


def test_what_is_shown_of_a_bad_target_is_short_and_printable() -> None:
    with pytest.raises(BadTargets) as caught:
        parse_targets("\x1b[31m\u202e" + "x" * 10_000)
    shown = str(caught.value)
    assert shown.isascii()
    assert shown.isprintable()
    assert len(shown) < 200


def test_a_flood_of_bad_targets_makes_a_short_message() -> None:
    with pytest.raises(BadTargets, match="and 4980 more") as caught:
        parse_targets(["a;b"] * 5000)
    assert len(str(caught.value)) < 2000
    with pytest.raises(BadTargets, match="more than 1000000 characters"):
        parse_targets("x" * 1_000_001)


numbers = st.integers(2**24, 2**32 - 2**29 - 1)
names = st.from_regex(r"[a-z]{1,8}\.example", fullmatch=True)


@st.composite
def words(draw: st.DrawFn) -> str:
    """A well-formed target."""
    low, high = sorted((draw(numbers), draw(numbers)))
    prefix = draw(st.integers(8, 32))
    offset = draw(st.integers(0, 2**64 - 1))
    return draw(
        st.sampled_from(
            [
                str(IPv4Address(low)),
                f"{IPv4Address(low)}-{IPv4Address(high)}",
                str(ip_network((low, prefix), strict=False)),
                str(IPv6Address((0x20010DB8 << 96) + offset)),
                str(ip_network(((0x20010DB8 << 96) + offset, 64 + prefix), strict=False)),
                draw(names),
            ]
        )
    )


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(words(), min_size=1))
def test_normalising_twice_is_normalising_once(given_words: list[str]) -> None:
    once = parse_targets(given_words)
    assert parse_targets(once.texts) == once
    assert parse_targets(" ".join(reversed(given_words))) == once


small = st.integers(0, 40).map(lambda offset: IPv4Address("192.0.2.0") + offset)


@st.composite
def small_sets(draw: st.DrawFn) -> tuple[TargetSet, set[IPv4Address]]:
    """A set of a few ranges, and the same as a plain set of addresses."""
    pairs = draw(st.lists(st.tuples(small, small).map(sorted), min_size=1, max_size=5))
    plain = {
        IPv4Address(number) for first, last in pairs for number in range(int(first), int(last) + 1)
    }
    return parse_targets(f"{first}-{last}" for first, last in pairs), plain


@pytest.mark.slow
@settings(deadline=None)
@given(small_sets(), small_sets())
def test_sets_agree_with_sets_of_addresses(
    left: tuple[TargetSet, set[IPv4Address]], right: tuple[TargetSet, set[IPv4Address]]
) -> None:
    assert left[0].address_count == len(left[1])
    assert left[0].overlaps(right[0]) == bool(left[1] & right[1])
    assert right[0].overlaps(left[0]) == left[0].overlaps(right[0])
    for address in right[1]:
        assert left[0].overlaps(parse_targets(str(address))) == (address in left[1])


@pytest.mark.slow
@settings(deadline=None)
@given(words(), words())
def test_overlap_agrees_with_the_standard_library(left: str, right: str) -> None:
    if "-" in left + right or "example" in left + right:
        return
    one, two = ip_network(left, strict=False), ip_network(right, strict=False)
    expected = one.version == two.version and one.overlaps(two)
    assert parse_targets(left).overlaps(parse_targets(right)) == expected


def test_ipv4_and_ipv6_never_meet() -> None:
    everything_six = parse_targets("4000::-fbff::")
    assert not everything_six.overlaps(parse_targets("1.0.0.0-223.255.255.255"))


def test_names_overlap_by_name_and_by_address_once_resolved() -> None:
    web = parse_targets("web.example.com")
    assert web.overlaps(parse_targets(["WEB.example.com", "192.0.2.1"]))
    network = parse_targets("192.0.2.0/24")
    assert not web.overlaps(network)
    assert web.resolved({"web.example.com": ["192.0.2.7", "2001:db8::7"]}).overlaps(network)
    assert web.resolved({}) == web


@pytest.mark.slow
def test_overlap_of_many_ranges_is_fast() -> None:
    many = parse_targets(f"10.{n // 256}.{n % 256}.1" for n in range(50_000))
    few = parse_targets("10.195.79.2, 192.0.2.1")
    assert not any(many.overlaps(few) for _ in range(10_000))
