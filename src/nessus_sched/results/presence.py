"""Finds targets that are absent from a report, and so not known to be clean."""

from __future__ import annotations

import ipaddress
import json
import math
import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final

from nessus_sched.core.targets.ranges import V4
from nessus_sched.core.targets.targets import TargetSet, includes
from nessus_sched.results.model import HostEnd, HostReport, host_key
from nessus_sched.results.parser.reader import Reader

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class ScannedHosts:
    """The names and addresses of a report's hosts."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._addresses: set[Address] = set()

    def add(self, host: HostReport) -> None:
        known = (host.name, host.ip, host.fqdn, host.rdns, host.hostname, host.netbios_name)
        for name in (*known, *_listed_names(host)):
            if name:
                self._names.add(host_key(name))
                if (address := _address(name)) is not None:
                    self._addresses.add(address)

    def has(self, target: str) -> bool:
        """Whether the report has a target, or at least one address of a network or range."""
        target = target.strip("'\"")
        named = _WITH_ADDRESS.fullmatch(target)
        if named is not None:
            return self.has(named["name"]) or self.has(named["address"])
        address = _address(target)
        if address is not None:
            return address in self._addresses
        bounds = _bounds(target)
        if bounds is None:
            return self._has_octets(target)
        first, last = bounds
        return any(
            first <= int(seen) <= last
            for seen in self._addresses
            if seen.version == _version(target)
        )

    def _has_octets(self, target: str) -> bool:
        """Like `has`, for `192.0.2-3.3-5` and names. A target of unknown form counts as
        reported, because nothing can be said about it."""
        octets = _octets(target)
        if octets is not None:
            seen = (each.packed for each in self._addresses if each.version == 4)
            return any(all(map(_between, packed, octets)) for packed in seen)
        return host_key(target) in self._names or _NAME.fullmatch(target) is None

    def absent(self, targets: Iterable[str]) -> list[str]:
        """The targets that the report does not have, in order, without duplicates."""
        return [target for target in dict.fromkeys(targets) if not self.has(target)]


def foreign_host(stream: BinaryIO, ours: TargetSet) -> str | None:
    """The first host of a report that is not among `ours` by its name or address; None if all
    are."""
    for event in Reader(stream):
        if isinstance(event, HostEnd):
            names = (event.host.key, event.host.ip)
            if not any(name and includes(ours, name) for name in names):
                return event.host.name
    return None


def finished_hosts(stream: BinaryIO) -> frozenset[str]:
    """The names and addresses of the hosts whose scan was finished; each address of a host may
    be that of a target."""
    found: set[str] = set()
    unfinished: set[str] = set()
    for event in Reader(stream):
        if isinstance(event, HostEnd):
            host = event.host
            ended = host.ended_at is not None or "HOST_END" in host.properties
            names = {host_key(name) for name in (host.name, host.ip, host.fqdn) if name}
            (found if ended and event.complete else unfinished).update(names)
    return frozenset(found - unfinished)


class TargetList:
    """The target list of a policy, separated by commas or line breaks."""

    def __init__(self, text: str | None) -> None:
        words = (text or "").replace(",", "\n").split()
        self._ranges = [
            (_version(word), *bounds) for word in words if (bounds := _bounds(word)) is not None
        ]
        self._single = {_address(word) or host_key(word) for word in words}

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """First and last address of networks, ranges and single addresses, as numbers of
        `core.targets.ranges`."""
        single = [
            (each.version, int(each), int(each))
            for each in self._single
            if not isinstance(each, str)
        ]
        return [
            (first + (V4 if version == 4 else 0), last + (V4 if version == 4 else 0))
            for version, first, last in (*self._ranges, *single)
        ]

    @property
    def names(self) -> list[str]:
        """Host names, as `host_key` has them."""
        return [each for each in self._single if isinstance(each, str)]

    def include(self, *names: str | None) -> bool:
        """Whether a host with these names and addresses is a target."""
        return any(self._includes(name) for name in names if name)

    def _includes(self, name: str) -> bool:
        address = _address(name)
        if (address or host_key(name)) in self._single:
            return True
        return address is not None and any(
            version == address.version and first <= int(address) <= last
            for version, first, last in self._ranges
        )


def within(name: str, several: str) -> bool:
    """Whether a host's name is an address within a network or range."""
    bounds, address = _bounds(several), _address(name)
    return (
        bounds is not None
        and address is not None
        and address.version == _version(several)
        and bounds[0] <= int(address) <= bounds[1]
    )


_COUNTABLE: Final = 2**32


def addresses_in(targets: Iterable[str]) -> int | None:
    """The number of addresses and names in these targets; overlaps count twice. None if there
    are none, or too many, as in an IPv6 network."""
    size = sum(map(_size, dict.fromkeys(targets)))
    return size if 0 < size <= _COUNTABLE else None


def _size(target: str) -> int:
    bounds = _bounds(target)
    if bounds is not None:
        return max(bounds[1] - bounds[0] + 1, 0)
    return math.prod(max(last - first + 1, 0) for first, last in _octets(target) or ())


def is_many(target: str) -> bool:
    """A network or a range, not a single address or name."""
    return _bounds(target) is not None


_WITH_ADDRESS: Final = re.compile(r"(?P<name>[^\[\]]+)\[(?P<address>[^\[\]]+)\]")
"""A name and the address to scan it at."""
_NAME: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_.])?|[a-z]+://\S+")
_OCTET: Final = re.compile(r"([0-9]{1,3})(?:-([0-9]{1,3}))?")


def _octets(target: str) -> list[tuple[int, int]] | None:
    """First and last value of each octet of `192.0.2-3.3-5`; None for anything else."""
    found = [_OCTET.fullmatch(part) for part in target.split(".")]
    if len(found) != 4:
        return None
    return [(int(f[1]), int(f[2] or f[1])) for f in found if f] if all(found) else None


def _between(number: int, bounds: tuple[int, int]) -> bool:
    return bounds[0] <= number <= bounds[1]


def _listed_names(host: HostReport) -> Iterator[str]:
    """The names in the tag `host-fqdns`, a JSON list of objects."""
    try:
        listed = json.loads(host.properties.get("host-fqdns", "[]"))
    except (ValueError, RecursionError):
        return
    for each in listed if isinstance(listed, list) else ():
        if isinstance(each, dict) and isinstance(each.get("FQDN"), str):
            yield each["FQDN"]


def _address(text: str) -> Address | None:
    """The address, without the interface of a link-local one."""
    try:
        return ipaddress.ip_address(text.strip().strip("[]").partition("%")[0])
    except ValueError:
        return None


def _version(target: str) -> int:
    return 6 if ":" in target else 4


def _bounds(target: str) -> tuple[int, int] | None:
    """First and last address of `a.b.c.d/n`, `a.b.c.d-e.f.g.h` or `a.b.c.d-h`."""
    try:
        if "/" in target:
            network = ipaddress.ip_network(target.strip(), strict=False)
            return int(network[0]), int(network[-1])
        first, dash, last = target.strip().partition("-")
        if not dash:
            return None
        if last.isdigit() and len(last) <= len("255"):
            last = first.rpartition(".")[0] + "." + last
        return int(ipaddress.ip_address(first)), int(ipaddress.ip_address(last))
    except ValueError:
        return None
