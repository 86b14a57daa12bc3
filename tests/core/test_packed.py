from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.core.targets.address import parse_range, refuse_special, usual_address
from nessus_sched.core.targets.packed import pack
from nessus_sched.core.targets.ranges import address_text
from nessus_sched.core.targets.targets import parse_targets

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


@given(st.one_of(st.ip_addresses(v=4).map(str), st.text("0123456789. -/", max_size=16)))
def test_the_fast_reading_of_addresses_agrees_with_the_strict_one(text: str) -> None:
    usual = usual_address(text)
    if usual is None:
        return
    assert parse_range(text) == (usual, usual)
    refuse_special((usual, usual))
    assert address_text(usual) == text
