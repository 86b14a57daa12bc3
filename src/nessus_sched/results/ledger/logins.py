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
