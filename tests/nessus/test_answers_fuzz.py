"""Generated answers of a scanner: none raises anything but a `ScannerError`.

Some hundreds in every run; more, from other seeds, with

    FUZZED_ANSWERS=100000 pytest -s --timeout 0 tests/nessus/test_answers_fuzz.py
"""

from __future__ import annotations

import gc
import os
from collections import Counter
from pathlib import Path
from random import Random
from time import perf_counter

import pytest
from trio.testing import MockClock

from support.fuzzed_client import SITUATIONS, load_recorded, one_odd_answer
from support.scripted_nessus import find_recordings

COUNT = int(os.environ.get("FUZZED_ANSWERS", "600"))
FLAT = 16 * 2**20
"""Bytes by which the memory may grow after the first fifth."""


@pytest.mark.slow
async def test_no_answer_raises_anything_else(tmp_path: Path, autojump_clock: MockClock) -> None:
    recorded = load_recorded(find_recordings())
    ends: Counter[str] = Counter()
    names = list(SITUATIONS)
    settled, began = 0, perf_counter()
    for number in range(COUNT):
        name = names[number % len(names)]
        try:
            end = await one_odd_answer(SITUATIONS[name], Random(number), recorded, tmp_path)
        except BaseException as error:
            error.add_note(f"answer {number}, {name}")
            raise
        ends[end] += 1
        if number == COUNT // 5:
            gc.collect()
            settled = resident()
    gc.collect()
    grown = resident() - settled
    print(f"\n{COUNT} answers in {perf_counter() - began:.0f} s, {grown / 2**20:+.1f} MiB: {ends}")
    assert grown < FLAT
    assert ends["fine"] < COUNT
    assert len(ends) > 6


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
