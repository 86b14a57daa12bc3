"""One address, network, range or host name, read strictly.

Strictness is the point: forms that some resolver or scanner would take for an address
(octal, hexadecimal, one big number, IPv4 inside IPv6) and names that could be taken for
something else are refused with the reason.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from ipaddress import IPv6Address
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Final

from nessus_sched.core.targets.ranges import V4, Range, address_text, range_text


class Unreadable(ValueError):
    """Not a target; `str()` says why."""


_CHARACTERS: Final = re.compile(r"[A-Za-z0-9._:/-]*")
_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,2}")
_USUAL: Final = (
    *(0x20010001 << 96, 0x2002 << 112),  # global unicast after Teredo and before 6to4
    *(0x2003 << 112, 0x4000 << 112),  # and behind it
    *(0xFC00 << 112, 0xFE00 << 112),  # unique local addresses
    *(V4 + (1 << 24), V4 + (224 << 24)),  # 1.0.0.0 to 223.255.255.255
)
"""Where ranges begin and end, in turn, in which no address is special."""
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_DIGITS_AND_DOTS: Final = re.compile(r"[0-9.]+")


def parse_range(text: str) -> Range | None:
    """First and last address that `text` means, or None when it can only be a name.

    A network with host bits set (`192.0.2.5/24`) is refused: it may be meant as the host or
    as the whole network, and Nessus would scan the network. Raises `Unreadable`.
    """
    _refuse_characters(text)
    if "/" in text:
        return _parse_network(text)
    first, dash, last = text.partition("-")
    if ":" in text:
        if text.count(":") == 1:
            raise Unreadable(
                "has a port; give only the host, since a scan has its own list of ports"
            )
        return _ordered(_v6(first), _v6(last) if dash else _v6(first))
    if not _DIGITS_AND_DOTS.fullmatch(first) or (dash and not _DIGITS_AND_DOTS.fullmatch(last)):
        return None
    start = _v4(first)
    if not dash:
        return start, start
    if _DECIMAL.fullmatch(last) and int(last) <= 255:
        return _ordered(start, start - start % 256 + int(last))
    return _ordered(start, _v4(last))


def usual_address(text: str) -> int | None:
    """A single address in canonical form that is not special, read many times as fast as by
    `parse_range`; None for everything else, whatever it is.

    C libraries differ in what they read as an address, but what they write back is canonical."""
    family = AF_INET6 if ":" in text else AF_INET
    try:
        packed = inet_pton(family, text)
    except (OSError, ValueError):  # ValueError: a null character, or not UTF-8
        return None
    if inet_ntop(family, packed) != text:
        return None
    number = int.from_bytes(packed) + (V4 if family is AF_INET else 0)
    return number if bisect_right(_USUAL, number) % 2 else None


def usual_range(text: str) -> Range | None:
    """A single address or a network in canonical form with nothing special in it, read several
    times as fast as by `parse_range`; None for everything else, whatever it is."""
    address, slash, length = text.partition("/")
    first = usual_address(address)
    if first is None:
        return None
    if not slash:
        return first, first
    width = 32 if first >= V4 else 128
    if not _DECIMAL.fullmatch(length) or (bits := width - int(length)) < 0:
        return None
    host_bits = (1 << bits) - 1
    last = first | host_bits
    if first & host_bits or bisect_right(_USUAL, first) != bisect_right(_USUAL, last):
        return None
    return first, last


def parse_address(text: str) -> int:
    """One address of either family, as its number in `core.ranges`. Raises `Unreadable`."""
    _refuse_characters(text)
    return _v6(text) if ":" in text else _v4(text)


def parse_host_name(text: str) -> str:
    """`text` in lower case and without the final dot. Raises `Unreadable`."""
    _refuse_characters(text)
    name = text.lower().removesuffix(".")
    labels = name.split(".")
    if not all(map(_LABEL.fullmatch, labels)) or len(name) > 253:
        raise Unreadable("is neither an address, a network, a range nor a host name")
    if not labels[-1][0].isalpha():
        # Resolvers and scanners read such names as octal, hexadecimal or short addresses.
        raise Unreadable("ends in a number; write addresses as four decimal numbers")
    if labels[0].startswith("link6"):
        raise Unreadable("means every neighbor to Nessus (link6), not a host")
    return name


def _refuse_characters(text: str) -> None:
    """Says what is wrong with anything that has no business in a target."""
    if "://" in text:
        raise Unreadable("is a URL; give only the host")
    if "%" in text:
        raise Unreadable("has a zone or an escape; give the plain address")
    if "[" in text or "]" in text:
        raise Unreadable("has brackets; give only the name or the address")
    if not text.isascii():
        raise Unreadable("has characters that are not ASCII; write names as xn--…")
    if not _CHARACTERS.fullmatch(text):
        wrong = next(character for character in text if not _CHARACTERS.fullmatch(character))
        raise Unreadable(f"contains {wrong!a}, which is not allowed in a target")


def _parse_network(text: str) -> Range:
    address, _, length = text.partition("/")
    start = parse_address(address)
    width = 32 if start >= V4 else 128
    if not _DECIMAL.fullmatch(length) or int(length) > width:
        raise Unreadable(f"needs a prefix length from 0 to {width} after the slash")
    size = 1 << (width - int(length))
    first = start - start % size
    if first != start:
        network = range_text((first, first + size - 1))
        raise Unreadable(
            f"has host bits set: write {network} for the network, or {address} for the host"
        )
    return first, first + size - 1


def _ordered(first: int, last: int) -> Range:
    if (first >= V4) != (last >= V4) or last < first:
        raise Unreadable("ends before it begins")
    return first, last


def _v4(text: str) -> int:
    octets = text.split(".")
    if len(octets) != 4 or not all(octets):
        raise Unreadable("is not an address; write four decimal numbers such as 192.0.2.1")
    if not all(map(_DECIMAL.fullmatch, octets)):
        raise Unreadable("has leading zeros, or numbers that are not plain decimal")
    numbers = [*map(int, octets)]
    if max(numbers) > 255:
        raise Unreadable("has a number above 255")
    return V4 + int.from_bytes(numbers)


def _v6(text: str) -> int:
    try:
        return int(IPv6Address(text))
    except ValueError:
        raise Unreadable("is not an IPv6 address, and has a colon like one") from None


_SPECIAL: Final = tuple(
    ((parse_address(first), parse_address(last)), reason)
    for first, last, reason in (
        ("0.0.0.0", "0.255.255.255", "means no host in particular"),  # noqa: S104 - not bound
        ("224.0.0.0", "239.255.255.255", "is multicast"),
        ("255.255.255.255", "255.255.255.255", "is broadcast"),
        ("::", "::", "means no host in particular"),
        ("::2", "::ffff:ffff", "is IPv4 inside IPv6"),
        ("::ffff:0:0", "::ffff:ffff:ffff", "is IPv4 inside IPv6"),
        ("::ffff:0:0:0", "::ffff:0:ffff:ffff", "is IPv4 inside IPv6"),
        ("64:ff9b::", "64:ff9b::ffff:ffff", "is IPv4 inside IPv6 (NAT64)"),
        ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "is IPv4 inside IPv6 (NAT64)"),
        ("2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", "is IPv4 inside IPv6 (Teredo)"),
        ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "is IPv4 inside IPv6 (6to4)"),
        ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "is link-local"),
        ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "is multicast"),
    )
)
"""What is never a target, whatever the scope says: none of these is one host, and those
with an IPv4 address inside would get past a rule about that address."""


def refuse_special(wanted: Range) -> None:
    """Raises `Unreadable` when `wanted` touches addresses that are never targets."""
    for special, reason in _SPECIAL:
        if special[0] <= wanted[1] and wanted[0] <= special[1]:
            first = address_text(max(special[0], wanted[0]))
            raise Unreadable(f"{first} {reason}" if wanted[0] != wanted[1] else reason)


def refuse_embedded(wanted: Range) -> None:
    """Raises `Unreadable` when all of `wanted` is IPv4 in IPv6 form: a rule about that
    would look as if it covered the IPv4 addresses, and cover nothing."""
    for special, reason in _SPECIAL:
        if reason.startswith("is IPv4") and special[0] <= wanted[0] and wanted[1] <= special[1]:
            raise Unreadable(f"{reason}; write the rule for IPv4")
