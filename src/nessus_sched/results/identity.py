"""Matches the hosts of two reports that are the same machine, whatever names were scanned."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterable

import attrs

from nessus_sched.results.model import host_key


@attrs.frozen(kw_only=True)
class HostNames:
    """A host's names; `key` is the one that was scanned (`model.host_key`)."""

    key: str
    ip: str | None = None
    fqdn: str | None = None
    netbios: str | None = None
    macs: tuple[str, ...] = ()


@attrs.frozen
class Match:
    """The host at `index` of the other report. `changed`: it took the place of this host but
    is evidently another machine."""

    index: int
    changed: bool


class HostIndex:
    """The hosts of a report, indexed to match those of another."""

    def __init__(self, hosts: Iterable[HostNames]) -> None:
        self._hosts = list(hosts)
        self._by_name: dict[str, list[int]] = defaultdict(list)
        for index, host in enumerate(self._hosts):
            for name in {host.key, *_names(host)}:
                self._by_name[name].append(index)

    def find(self, host: HostNames) -> list[Match]:
        candidates = {
            index for name in {host.key, *_names(host)} for index in self._by_name.get(name, ())
        }
        return [
            Match(index, differ(host, self._hosts[index]))
            for index in sorted(candidates)
            if _same(host, self._hosts[index])
        ]


def _names(host: HostNames) -> set[str]:
    return {plain_name(name) for name in (host.ip, host.fqdn) if name}


def plain_name(name: str) -> str:
    """An address in its usual form, or a name as `host_key` has it."""
    try:
        return str(ipaddress.ip_address(name.strip().strip("[]")))
    except ValueError:
        return host_key(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip().strip("[]"))
    except ValueError:
        return False
    return True


def _same(one: HostNames, other: HostNames) -> bool:
    """Compares by the scanned name, otherwise by address, unless both were scanned by
    different names: two sites on one server are two hosts."""
    if one.key == other.key:
        return True
    addresses = [plain_name(host.ip or host.key) for host in (one, other)]
    if addresses[0] != addresses[1]:
        return False
    if _is_address(one.key) or _is_address(other.key):
        return True
    return one.fqdn is not None and other.fqdn is not None and _names(one) == _names(other)


def differ(one: HostNames, other: HostNames) -> bool:
    """Whether two hosts that were scanned as one are evidently two machines."""
    macs = [{mac.lower() for mac in host.macs} for host in (one, other)]
    if macs[0] and macs[1]:
        return not macs[0] & macs[1]
    return _unlike(one.netbios, other.netbios) or (
        _is_address(one.key) and _unlike(one.fqdn, other.fqdn)
    )


def _unlike(one: str | None, other: str | None) -> bool:
    return bool(one and other) and host_key(one or "") != host_key(other or "")
