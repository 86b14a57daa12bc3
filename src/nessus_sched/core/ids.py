"""Ids of tasks and traces."""

from __future__ import annotations

from random import Random
from typing import Final

_ALPHABET: Final = "23456789abcdefghjkmnpqrstvwxyz"
"""No vowels but a and e, no letters or digits that look alike: ids are read out and typed."""
_TIME_CHARACTERS: Final = 6
_RANDOM_CHARACTERS: Final = 8
_EPOCH: Final = 1_577_836_800
"""2020-01-01: six characters count seconds until 2043, and then start over."""


def new_task_id(random: Random, now: float) -> str:
    """Such as `t-5fk3m97k3m9pqr`: begins with the time (`now` in epoch seconds), because ids
    in order cost the store's index a fraction of what random ones do; then 39 random bits."""
    base = len(_ALPHABET)
    left = max(0, int(now) - _EPOCH)
    text = ""
    for _ in range(_TIME_CHARACTERS):
        left, digit = divmod(left, base)
        text = _ALPHABET[digit] + text
    return "t-" + text + "".join(random.choices(_ALPHABET, k=_RANDOM_CHARACTERS))


def new_trace_id(random: Random) -> str:
    """32 hex digits, as in W3C trace context."""
    return f"{random.getrandbits(128):032x}"
