"""SQL for the hosts of a region."""

from __future__ import annotations

import sqlite3
from typing import Final

from nessus_sched.core.targets.labels import Labelled, Labels
from nessus_sched.core.targets.ranges import overlap
from nessus_sched.core.targets.scope import Rules

_IN_REGION: Final = "in_region(m.address, m.name, m.fqdn)"


def in_region(
    connection: sqlite3.Connection, region: Rules | None, labelled: Labelled | None
) -> str:
    """SQL for the hosts of a region that have the labels, on a row `m` of the machines; valid on
    this connection until the next call. Names are those that hosts were scanned by; for labels,
    also the DNS names that they gave."""
    if region is None and labelled is None:
        return "1"

    def test(address: bytes | None, name: str, fqdn: str | None) -> bool:
        number = None if address is None else int.from_bytes(address)
        if region is not None and not _matches(region, number, name):
            return False
        return labelled is None or labelled.has(number, (name, fqdn))

    connection.create_function("in_region", 3, test, deterministic=True)
    return _IN_REGION


def machines_of(
    connection: sqlite3.Connection, region: Rules | None, labelled: Labelled | None
) -> str:
    """SQL for entries or visits of these hosts, by their column `machine`."""
    clause = in_region(connection, region, labelled)
    if clause == "1":
        return "1"
    return f"machine IN (SELECT m.machine FROM machines m WHERE {clause})"


def label_sql(label: str) -> str:
    """SQL for a label, on a row `m` of the machines; needs `register_labels`."""
    return f"label_of('{label}', m.address, m.name, m.fqdn)"


def register_labels(connection: sqlite3.Connection, labels: Labels) -> None:
    def label_of(label: str, address: bytes | None, name: str, fqdn: str | None) -> str | None:
        number = None if address is None else int.from_bytes(address)
        return labels.of(number, (name, fqdn)).get(label)

    connection.create_function("label_of", 4, label_of, deterministic=True)


def _matches(region: Rules, address: int | None, name: str) -> bool:
    if address is not None and overlap(region.networks, ((address, address),)):
        return True
    return region.match_name(name)
