"""Ids of tasks and traces."""

from __future__ import annotations

from random import Random
from typing import Final

_ALPHABET: Final = "23456789abcdefghjkmnpqrstvwxyz"
"""No vowels but a and e, no letters or digits that look alike: ids are read out and typed."""
_LENGTH: Final = 12


def new_task_id(random: Random) -> str:
    """Such as `t-7k3m9pqr2vxz`: about 58 random bits, easy to type."""
    return "t-" + "".join(random.choices(_ALPHABET, k=_LENGTH))


def new_trace_id(random: Random) -> str:
    """32 hex digits, as in W3C trace context."""
    return f"{random.getrandbits(128):032x}"
