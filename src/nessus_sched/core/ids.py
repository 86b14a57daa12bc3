"""Ids of tasks, schedules, exceptions and traces."""

from __future__ import annotations

from random import Random
from typing import Final

_ALPHABET: Final = "23456789abcdefghjkmnpqrstvwxyz"
"""No vowels but a and e, no letters or digits that look alike: ids are read out and typed."""
_PAIRS: Final = [first + second for first in _ALPHABET for second in _ALPHABET]
_TIME_PAIRS: Final = 4
_RANDOM_PAIRS: Final = 3
_EPOCH: Final = 1_577_836_800
"""2020-01-01: the first six characters count seconds until 2043, and then start over."""


def new_task_id(random: Random, now: float) -> str:
    """Such as `t-5fk3m97k3m9pqr`: begins with the time (`now` in epoch seconds, to a
    900th), because ids in order cost the store's index a fraction of what random ones do;
    then 29 random bits."""
    ticks = max(0, int((now - _EPOCH) * len(_PAIRS)))
    number = random.randrange(len(_PAIRS) ** _RANDOM_PAIRS)
    return f"t-{_text(ticks, _TIME_PAIRS)}{_text(number, _RANDOM_PAIRS)}"


def part_id(task_id: str, number: int) -> str:
    """The id of a part of a split task, such as `t-5fk3m97k3m9pqr-12`."""
    return f"{task_id}-{number}"


def _text(number: int, pairs: int) -> str:
    text = ""
    for _ in range(pairs):
        number, pair = divmod(number, len(_PAIRS))
        text = _PAIRS[pair] + text
    return text


def new_schedule_id(random: Random, now: float) -> str:
    """Such as `s-5fk3m97k3m9pqr`, like that of a task."""
    return f"s{new_task_id(random, now)[1:]}"


def new_exception_id(random: Random, now: float) -> str:
    """Such as `x-5fk3m97k3m9pqr`, like that of a task."""
    return f"x{new_task_id(random, now)[1:]}"


def new_trace_id(random: Random) -> str:
    """32 hex digits, as in W3C trace context."""
    return f"{random.getrandbits(128):032x}"
