"""What SQL cannot say: comparison of texts without case, and the order of hosts."""

from __future__ import annotations

import sqlite3
from functools import lru_cache
from ipaddress import ip_address


def fold(text: str | None) -> str | None:
    """The text without regard to case; SQLite's own `lower` knows ASCII only."""
    return None if text is None else text.casefold()


@lru_cache(maxsize=4096)
def host_order(host: str | None) -> str | None:
    """Sorts addresses by number (version 4 first) and then names."""
    if host is None:
        return None
    try:
        address = ip_address(host)
    except ValueError:
        return "n" + host.casefold()
    return f"{address.version}{int(address):032x}"


def register(connection: sqlite3.Connection) -> None:
    connection.create_function("fold", 1, fold, deterministic=True)
    connection.create_function("host_order", 1, host_order, deterministic=True)
