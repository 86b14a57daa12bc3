"""Addresses as the ledger stores them."""

from __future__ import annotations

from nessus_sched.core.targets.ranges import Ranges
from nessus_sched.store.findings.sql import Clause, join


def address_key(number: int) -> bytes:
    """A number of `core.targets.ranges` as bytes in the same order."""
    return number.to_bytes(17)


def within(column: str, ranges: Ranges) -> str:
    """SQL for addresses in these ranges. It has no parameters, which SQLite limits in number."""
    if not ranges:
        return f"{column} < X''"  # never; a constant would keep SQLite from an index
    clauses = [
        f"{column} BETWEEN X'{address_key(first).hex()}' AND X'{address_key(last).hex()}'"
        for first, last in ranges
    ]
    return join("OR", [Clause(each) for each in clauses]).sql
