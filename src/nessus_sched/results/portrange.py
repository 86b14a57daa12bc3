"""Port ranges in the scanner's syntax: `default`, `all`, `1-1024,8834`, `T:1-99,U:53`."""

from __future__ import annotations

import re
from functools import lru_cache
from operator import itemgetter
from typing import Final, TypeAlias

_Ports: TypeAlias = tuple[bool | None, int, int]
"""True for UDP, False for TCP, None for both; first and last port, 0 and 0 for `default`."""

_PART: Final = re.compile(r"(?:([TU]):)?(?:([0-9]{1,5})(?:-([0-9]{1,5}))?|(default|all))", re.I)
_CERTAIN: Final = frozenset(
    {
        21, 22, 23, 25, 53, 80, 110, 111, 119, 135, 139, 143, 389, 443, 445, 465, 512, 513, 514,
        515, 587, 636, 873, 993, 995, 1433, 1521, 1723, 2049, 3306, 3389, 5060, 5432, 5900, 6000,
        8000, 8080, 8443,
    }
)  # fmt: skip
"""`default` means the roughly 4,790 ports of the scanner's services file, which is not public.
These well-known services are certainly in it; others are unknown."""


def in_range(text: str, port: int, *, udp: bool = False) -> bool:
    """Whether a range certainly includes the port; False if it cannot be parsed."""
    return any(
        first <= port <= last if first else port in _CERTAIN
        for for_udp, first, last in _parts(text)
        if for_udp in (None, udp)
    )


def covers(wide: str, narrow: str) -> bool | None:
    """Whether `wide` certainly has every port of `narrow`; None if one cannot be parsed."""
    if not (readable(wide) and readable(narrow)):
        return None
    return all(_within(part, _parts(wide)) for part in _parts(narrow))


def tcp_ports(text: str) -> int | None:
    """The number of TCP ports in a range; None if it has `default` or cannot be parsed."""
    parts = [part for part in _parts(text) if part[0] is not True]
    if not readable(text) or not all(first for _, first, _ in parts):
        return None
    seen, count = 0, 0
    for _, first, last in sorted(parts, key=itemgetter(1)):
        count += max(last - max(first - 1, seen), 0)
        seen = max(seen, last)
    return count


def readable(text: str) -> bool:
    words = text.replace(" ", "").split(",")
    return all(map(_PART.fullmatch, words))


def _within(part: _Ports, parts: tuple[_Ports, ...]) -> bool:
    """Whether all ports of `part` are in `parts`; `default` is in `default` and in `all`."""
    protocol, first, last = part
    if protocol is None:
        return all(_within((each, first, last), parts) for each in (False, True))
    offered = sorted((a, b) for udp, a, b in parts if udp in (None, protocol))
    if not first:
        first, last = (0, 0) if (0, 0) in offered else (1, 65535)
    for start, end in offered:
        if start <= first <= end:
            first = end + 1
    return first > last


@lru_cache(maxsize=256)
def _parts(text: str) -> tuple[_Ports, ...]:
    """The parts of a range as in `_Ports`. A letter also applies to the parts after it."""
    parts = []
    for_udp: bool | None = None
    for word in text.replace(" ", "").split(","):
        found = _PART.fullmatch(word)
        if found is None:
            continue
        letter, first, last, name = found.groups()
        if letter:
            for_udp = letter.upper() == "U"
        if name is None:
            parts.append((for_udp, max(int(first), 1), int(last or first)))
        elif name.lower() == "all":
            parts.append((for_udp, 1, 65535))
        else:
            parts.append((for_udp, 0, 0))
    return tuple(parts)
