"""A judge of target texts that shares no code with the program.

It reads liberally: whatever some C library, browser or scanner is known to make of a
text. A text may pass the program only if every one of these readings is in scope.
"""

from __future__ import annotations

import re
import socket
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import suppress
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
    summarize_address_range,
)
from urllib.parse import unquote

Network = IPv4Network | IPv6Network

SENT_NAME = re.compile(r"([a-z0-9_.-]+)\[([0-9a-f.:]+)\]")
_PIECES = re.compile(r"[\s,;|&'\"()<>@\[\]]+|://|\\")


class Judge:
    """Knows what is allowed and denied, as networks."""

    def __init__(self, allow: Iterable[str], deny: Iterable[str]) -> None:
        self.allow = [ip_network(text) for text in allow]
        self.deny = [ip_network(text) for text in deny]

    def in_scope(self, network: Network) -> bool:
        """Whole networks, by the standard library alone. Sound because the allowed
        networks of the tests do not touch each other."""
        embedded = [IPv4Network(address) for address in _embedded(network)]
        return all(
            any(_within(one, rule) for rule in self.allow)
            and not any(_meet(one, rule) for rule in self.deny)
            for one in (network, *embedded)
        )


def _within(inner: Network, outer: Network) -> bool:
    if isinstance(inner, IPv4Network) and isinstance(outer, IPv4Network):
        return inner.subnet_of(outer)
    if isinstance(inner, IPv6Network) and isinstance(outer, IPv6Network):
        return inner.subnet_of(outer)
    return False


def _meet(left: Network, right: Network) -> bool:
    return left.version == right.version and left.overlaps(right)


def _embedded(network: Network) -> Iterator[IPv4Address]:
    """Other addresses that a network of one address may lead to."""
    address = network.network_address
    if network.num_addresses > 1:
        return
    if int(address) == 0:
        yield IPv4Address("127.0.0.1")
    if isinstance(address, IPv4Address):
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if 1 < int(address) < 2**32 or address in IPv6Network("64:ff9b::/96"):
        yield IPv4Address(int(address) & 0xFFFFFFFF)


def sent_networks(text: str) -> Iterator[Network]:
    """What a text that was approved means to the scanner; it must be in the exact form
    that we promise to send."""
    named = SENT_NAME.fullmatch(text)
    if named:
        yield ip_network(str(ip_address(named[2])))
    elif re.fullmatch(r"[0-9.]+-[0-9.]+", text):
        first, last = (IPv4Address(part) for part in text.split("-"))
        yield from summarize_address_range(first, last)
    elif "/" in text:
        yield IPv4Network(text)
    else:
        yield ip_network(str(ip_address(text)))


def readings(text: str) -> Iterator[Network]:
    """Every network that someone might read in `text`."""
    for form in {text, unicodedata.normalize("NFKC", text), unquote(text), _dotted(text)}:
        for piece in _PIECES.split(form):
            for part in {piece, piece.strip("."), piece.split("%")[0], piece.split("#")[0]}:
                yield from _one(part)
                yield from _one(re.sub(r":[0-9]*$", "", part) if part.count(":") == 1 else part)


def _dotted(text: str) -> str:
    return re.sub("[\u3002\uff0e\uff61]", ".", text)


def _one(text: str) -> Iterator[Network]:
    address, _, rest = text.partition("/")
    for number in _numbers(address):
        yield ip_network(str(number))
        if rest:
            with suppress(ValueError):
                yield ip_network(f"{number}/{rest}", strict=False)
    first, dash, last = text.partition("-")
    if dash:
        yield from _range(first, last)


def _range(first: str, last: str) -> Iterator[Network]:
    for low in _numbers(first):
        short = [str(low).rpartition(".")[0] + "." + last] if last.isascii() else []
        for high in (number for text in (last, *short) for number in _numbers(text)):
            if type(low) is type(high) and int(low) <= int(high):
                yield from summarize_address_range(low, high)


def _numbers(text: str) -> Iterator[IPv4Address | IPv6Address]:
    with suppress(ValueError):
        yield IPv6Address(text)
    if re.match(r"[0-9+]", text):
        with suppress(OSError, ValueError):
            yield IPv4Address(socket.inet_aton(text.lstrip("+")))
