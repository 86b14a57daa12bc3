"""SQL functions in Python: case-insensitive text, and the order of hosts."""

from __future__ import annotations

import sqlite3
from functools import lru_cache
from ipaddress import ip_address

from nessus_sched.results.presence import within


def fold(text: str | None) -> str | None:
    """The case-folded text; SQLite's own `lower` handles only ASCII."""
    return None if text is None else text.casefold()


@lru_cache(maxsize=4096)
def host_order(host: str | None) -> str | None:
    """A sort key: addresses by number (IPv4 first), then names."""
    if host is None:
        return None
    try:
        address = ip_address(host)
    except ValueError:
        return "n" + host.casefold()
    return f"{address.version}{int(address):032x}"


@lru_cache(maxsize=4096)
def in_network(host: str | None, network: str) -> bool:
    """Whether a host is an address in a network or range."""
    return host is not None and within(host, network)


def register(connection: sqlite3.Connection) -> None:
    connection.create_function("fold", 1, fold, deterministic=True)
    connection.create_function("in_network", 2, in_network, deterministic=True)
    connection.create_function("host_order", 1, host_order, deterministic=True)
