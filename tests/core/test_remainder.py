"""What is left to scan after some hosts were finished."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.core.targets.ranges import V4, address_text, count, difference, merged
from nessus_sched.core.targets.remainder import remainder
from nessus_sched.core.targets.targets import TargetSet, parse_targets

BASE = V4 + (192 << 24) + (2 << 8)
NUMBERS = st.integers(BASE, BASE + 300)
RANGES = st.lists(st.tuples(NUMBERS, st.integers(0, 70)), max_size=5)
NAMES = st.sets(st.sampled_from(["a.example.com", "b.example.com", "c.example.com"]))


@given(RANGES, NAMES, st.sets(NUMBERS), NAMES)
def test_finished_and_remaining_are_the_targets(
    ranges: list[tuple[int, int]], names: set[str], done: set[int], named: set[str]
) -> None:
    asked = TargetSet(
        ranges=merged((first, first + more) for first, more in ranges), names=tuple(sorted(names))
    )
    if not asked.texts:
        return
    left = remainder(asked.texts, [*map(address_text, done), *named, "", "not a host"])
    found = parse_targets(left) if left else TargetSet()
    ours = merged((n, n) for n in done if any(f <= n <= last for f, last in asked.ranges))
    assert found.ranges == difference(asked.ranges, ours)
    assert count(found.ranges) + count(ours) == count(asked.ranges)
    assert set(found.names) == names - named
