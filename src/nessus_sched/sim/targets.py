"""Parses target lists like Nessus: addresses, networks, ranges and names."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from itertools import islice

import attrs

from nessus_sched.sim.messages import ApiError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MOST_ADDRESSES = 4096
"""Maximum number of addresses to simulate in a network or range."""

_NAME = re.compile(r"(?!-)[A-Za-z0-9_.-]{1,253}(?<!-)\Z")
_NAMED = re.compile(r"([^\[\]]+)\[([^\[\]]+)\]\Z")
_SHORT_RANGE = re.compile(r"(\d+\.\d+\.\d+)\.(\d+)-(\d+)\Z")


@attrs.frozen
class Target:
    """One entry of a target list. `first` and `last` are equal for a single address and
    None for a name."""

    text: str
    first: Address | None
    last: Address | None
    name: str = ""
    """The name before an address in brackets, under which reports show the host."""

    @property
    def single(self) -> bool:
        return self.first == self.last

    def members(self) -> Iterator[str]:
        """The addresses as text, or the name."""
        if self.first is None or self.last is None:
            yield self.text
            return
        start, end = int(self.first), int(self.last)
        numbers = range(start, end + 1)
        if end - start > 1 and "/" in self.text:
            numbers = range(start + 1, end)  # without network and broadcast address
        for number in islice(numbers, MOST_ADDRESSES):
            yield str(type(self.first)(number))


def split(text: str) -> list[str]:
    return [part for part in re.split(r"[\s,;]+", text) if part]


def parse(texts: Sequence[str]) -> list[Target]:
    """Raises `ApiError` 400 with Nessus's text for the first invalid entry."""
    return [_parse_one(text) for entry in texts for text in split(entry)]


def _parse_one(text: str) -> Target:
    try:
        return _parse_named(text) or _parse_address(text)
    except ValueError:
        looks_numeric = re.fullmatch(r"[\d./:-]+", text) is not None
        if looks_numeric or not _NAME.match(text):
            raise ApiError(400, f"{text}: Unrecognized target format") from None
        return Target(text, None, None)


def _parse_named(text: str) -> Target | None:
    """`name[address]` scans the address under that name without resolving it. Raises
    `ValueError` if the address is invalid."""
    found = _NAMED.match(text)
    if found is None or not _NAME.match(found[1]):
        return None
    address = ipaddress.ip_address(found[2])
    return Target(text, address, address, name=found[1])


def _parse_address(text: str) -> Target:
    if "/" in text:
        network = ipaddress.ip_network(text, strict=False)
        return Target(text, network.network_address, network.broadcast_address)
    if short := _SHORT_RANGE.match(text):
        text_range = (f"{short[1]}.{short[2]}", f"{short[1]}.{short[3]}")
    elif "-" in text:
        start, _, end = text.partition("-")
        text_range = (start, end)
    else:
        text_range = (text, text)
    first, last = map(ipaddress.ip_address, text_range)
    if first.version != last.version or int(first) > int(last):
        raise ValueError(text)
    return Target(text, first, last)
