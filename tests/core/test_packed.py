from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network
from operator import attrgetter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nessus_sched.core.targets.address import (
    Unreadable,
    parse_range,
    refuse_special,
    usual_address,
    usual_range,
)
from nessus_sched.core.targets.packed import pack
from nessus_sched.core.targets.ranges import address_text
from nessus_sched.core.targets.targets import TargetSet, parse_targets

TARGETS = st.lists(
    st.one_of(
        st.ip_addresses(v=4, network="192.0.2.0/24").map(str),
        st.ip_addresses(v=6, network="2001:db8::/64").map(str),
        st.builds("198.51.100.{}-198.51.100.{}".format, st.integers(0, 99), st.integers(100, 255)),
        st.builds("2001:db8:1::{:x}/120".format, st.just(0)),
        st.sampled_from(["0:0:0:0:0:0:0:1", "223.255.255.255", "www.example.com"]),
    ),
    min_size=1,
)


@given(TARGETS, TARGETS)
def test_packed_targets_mean_the_same_and_compare_alike(
    texts: list[str], others: list[str]
) -> None:
    targets, other = parse_targets(texts), parse_targets(others)
    packed = pack(targets)
    assert packed.unpack() == targets
    assert packed.address_count == targets.address_count
    assert packed.size == len(targets.ranges) + len(targets.names)
    assert pack(packed) is packed
    assert (packed == pack(other)) == (targets == other)
    assert hash(packed) == hash(pack(parse_targets(reversed(texts))))


def test_four_thousand_scattered_addresses_take_eight_bytes_each() -> None:
    packed = pack(parse_targets(f"10.{n // 128}.{n % 128}.1" for n in range(4096)))
    assert len(packed.v4) == 8 * 4096
    assert packed.v6 == b""


@given(count=st.integers(0, 600), first=st.integers(0, 2**100), wide=st.booleans())
@example(count=128, first=0, wide=False)
@example(count=256, first=0, wide=True)
def test_the_bounds_of_ipv6_ranges_are_those_of_the_set(count: int, first: int, wide: bool) -> None:
    ranges = [(first + 4 * each, first + 4 * each + wide) for each in range(count)]
    firsts, lasts = pack(TargetSet(ranges=tuple(ranges), names=())).v6_bounds
    found = zip(map(int.from_bytes, firsts), map(int.from_bytes, lasts), strict=True)
    assert list(found) == ranges


ANY_V6 = st.one_of(
    st.ip_addresses(v=6),
    st.builds(
        lambda kept, seed: IPv6Address(kept & seed),  # with runs of zeros
        st.lists(st.sampled_from([0, 0xFFFF]), min_size=8, max_size=8).map(
            lambda groups: sum(group << 16 * at for at, group in enumerate(groups))
        ),
        st.integers(0, 2**128 - 1),
    ),
)


@given(
    st.one_of(
        st.ip_addresses(v=4).map(str),
        ANY_V6.map(str),
        ANY_V6.map(attrgetter("exploded")),
        st.text("0123456789. -/", max_size=16),
        st.text("0123456789abcdefABCDEF:.%", max_size=40),
        st.text(max_size=8),
    )
)
def test_the_fast_reading_of_addresses_agrees_with_the_strict_one(text: str) -> None:
    usual = usual_address(text)
    if usual is None:
        return
    assert text == str(ip_address(text))
    assert parse_range(text) == (usual, usual)
    refuse_special((usual, usual))
    assert address_text(usual) == text


@given(
    st.one_of(
        st.builds("{}/{}".format, st.ip_addresses(), st.integers(0, 130)),
        st.builds(
            lambda address, length: str(ip_network(f"{address}/{length}", strict=False)),
            st.ip_addresses(v=4),
            st.integers(0, 32),
        ),
        st.builds(
            lambda address, length: str(ip_network(f"{address}/{length}", strict=False)),
            ANY_V6,
            st.integers(0, 128),
        ),
        st.text("0123456789./", max_size=18),
    )
)
@example("192.0.2.0/24")
@example("192.0.2.1/24")  # host bits
@example("192.0.2.0/024")
@example("192.0.2.0/33")
@example("192.0.2.0/")
@example("192.0.2.0/24/24")
@example("192.0.0.0/2")  # up to 255.255.255.255
@example("2002::/15")
@example("0.0.0.0/0")
@example("::/0")
def test_the_fast_reading_of_networks_agrees_with_the_strict_one(text: str) -> None:
    usual = usual_range(text)
    if usual is not None:
        assert parse_range(text) == usual
        refuse_special(usual)


@pytest.mark.parametrize("text", ["192.0.2.0/24", "10.0.0.0/8", "2001:db8::/32", "192.0.2.1"])
def test_usual_networks_are_read_fast(text: str) -> None:
    assert usual_range(text) is not None


@pytest.mark.parametrize("text", ["192.0.2.1/24", "192.0.0.0/2", "0.0.0.0/0", "2002::/15"])
def test_networks_with_something_special_are_left_to_the_strict_reading(text: str) -> None:
    assert usual_range(text) is None
    with pytest.raises(Unreadable):
        refuse_special(parse_range(text) or (0, 0))


@given(ANY_V6)
@example(IPv6Address("::ffff:192.0.2.1"))
@example(IPv6Address("::ffff:0:192.0.2.1"))
@example(IPv6Address("::192.0.2.1"))
def test_ipv6_addresses_are_written_as_by_the_standard_library(address: IPv6Address) -> None:
    assert address_text(int(address)) == str(address)


USUAL = "1.0.0.0 223.255.255.255 2001:1:: 2001:ffff:: 2003:: 3fff:ffff:: fc00:: fdff::1"
SPECIAL = (
    "0.255.255.255 224.0.0.0 2001:0:ffff:: 2002:: 2002:ffff::1 4000:: fbff::1 fe00:: fe80::1 "
    "ff02::1 ::1 ::ffff:192.0.2.1 64:ff9b::1"
)
ODD = "192.0.2.01 192.0.2 2001:DB8::1 2001:db8:0::1"


@pytest.mark.parametrize("text", USUAL.split())
def test_usual_addresses_are_read_fast(text: str) -> None:
    assert usual_address(text) is not None


@pytest.mark.parametrize("text", f"{SPECIAL} {ODD}".split())
def test_special_and_oddly_written_addresses_are_left_to_the_strict_reading(text: str) -> None:
    assert usual_address(text) is None
