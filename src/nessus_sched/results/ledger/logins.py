"""How the logins with a credential went over time."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class LoginRun:
    """A scan with a credential, perhaps together with `others`. Of the `hosts` that answered,
    `full`, `partial` and `failed` are those where logins did so; on the rest none was tried or
    offered. `at` is epoch seconds."""

    task_id: str
    at: int
    hosts: int
    full: int
    partial: int
    failed: int
    others: tuple[str, ...]


@attrs.frozen(kw_only=True)
class ScanRun:
    """A scan as the ledger knows it: when its last host was scanned (epoch seconds), how many hosts
    it reported, and on how many of them logins with its `credentials` went how."""

    task_id: str
    at: int
    hosts: int
    credentials: tuple[str, ...]
    full: int
    partial: int
    failed: int
