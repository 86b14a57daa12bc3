"""No message makes work out of proportion to its size; for longer, see `support.message_fuzz`."""

from __future__ import annotations

import random

import pytest

from support.message_fuzz import FRAMES, fuzz, kinds

SIZE = 2**18
SAMPLE = 40
PER_BYTE = 50
"""Bytes of memory for each byte of a message."""


@pytest.mark.slow
async def test_work_and_memory_grow_no_faster_than_messages() -> None:
    costs, complaints = await fuzz(random.Random(1), SIZE, lambda count: count == SAMPLE)
    assert not complaints
    assert len(costs) == SAMPLE
    assert all(cost.memory < PER_BYTE * cost.size for cost in costs)


def test_every_argument_of_every_tool_is_fuzzed() -> None:
    names = [name for name, _make in kinds()]
    assert len(names) == len(set(names)) > 1000
    assert set(FRAMES) <= set(names)
    for _name, make in kinds():
        assert make(64)
