"""Sets of addresses as sorted ranges of integers: any size, never expanded.

IPv4 and IPv6 lie on one line of integers so that nothing here has to tell them apart.
IPv6 keeps its own values; IPv4 begins at `V4`, above all of IPv6 and with a gap, so that
no range and no rule ever reaches from one into the other.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from ipaddress import IPv6Address
from socket import AF_INET6, inet_ntop
from typing import Final

V4: Final = 1 << 129
_PLAIN_V6: Final = 1 << 96
"""From here on `inet_ntop` writes no IPv4 address into the IPv6 one, and agrees with Python's
`ipaddress`, which takes 15 times as long."""

Range = tuple[int, int]
"""First and last, both included."""
Ranges = tuple[Range, ...]
"""Sorted, disjoint, and never touching each other: `merged` makes it so."""


def merged(ranges: Iterable[Range]) -> Ranges:
    """The same integers as the fewest ranges."""
    result: list[Range] = []
    for first, last in sorted(ranges):
        if result and first <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(last, result[-1][1]))
        else:
            result.append((first, last))
    return tuple(result)


def count(ranges: Ranges) -> int:
    return sum(last - first + 1 for first, last in ranges)


def _touched(ranges: Ranges, wanted: Range) -> Iterator[Range]:
    """Those of `ranges` that share an integer with `wanted`, by binary search."""
    index = bisect_left(ranges, wanted[0], key=lambda item: item[1])
    while index < len(ranges) and ranges[index][0] <= wanted[1]:
        yield ranges[index]
        index += 1


def overlap(left: Ranges, right: Ranges) -> bool:
    """Whether they share an integer; costs the shorter one times log of the longer, or the
    sum of both where that is less."""
    few, many = sorted((left, right), key=len)
    if len(few) * len(many).bit_length() < len(many):
        return any(True for wanted in few for _ in _touched(many, wanted))
    at_few = at_many = 0
    while at_few < len(few) and at_many < len(many):
        if few[at_few][1] < many[at_many][0]:
            at_few += 1
        elif many[at_many][1] < few[at_few][0]:
            at_many += 1
        else:
            return True
    return False


def intersection(left: Ranges, right: Ranges) -> Ranges:
    few, many = sorted((left, right), key=len)
    return tuple(
        (max(wanted[0], found[0]), min(wanted[1], found[1]))
        for wanted in few
        for found in _touched(many, wanted)
    )


def difference(left: Ranges, right: Ranges) -> Ranges:
    """What of `left` is not in `right`."""
    result: list[Range] = []
    for first, last in left:
        for taken_first, taken_last in _touched(right, (first, last)):
            if first < taken_first:
                result.append((first, taken_first - 1))
            first = taken_last + 1
        if first <= last:
            result.append((first, last))
    return tuple(result)


def address_text(number: int) -> str:
    """The canonical text of one address."""
    if number < _PLAIN_V6:
        return str(IPv6Address(number))
    if number < V4:
        return inet_ntop(AF_INET6, number.to_bytes(16))
    return "{}.{}.{}.{}".format(*(number - V4).to_bytes(4))


def range_text(item: Range) -> str:
    """The shortest exact text: an address, a CIDR, or `first-last`."""
    first, last = item
    size = last - first + 1
    if size == 1:
        return address_text(first)
    if size & (size - 1) == 0 and first % size == 0:
        width = 32 if first >= V4 else 128
        return f"{address_text(first)}/{width - size.bit_length() + 1}"
    return f"{address_text(first)}-{address_text(last)}"
