"""Ids of tasks and traces."""

from __future__ import annotations

import re
from random import Random

from nessus_sched.core.ids import new_task_id, new_trace_id

NOW = 1_800_000_000.0


def test_ids_of_tasks_sort_by_time_within_a_second() -> None:
    random = Random(1)
    ids = [new_task_id(random, NOW + n / 500) for n in range(1000)]
    assert len(set(ids)) == 1000
    assert ids == sorted(ids)
    assert all(re.fullmatch(r"t-[2-9a-hj-km-np-z]{14}", each) for each in ids)


def test_ids_of_one_moment_differ() -> None:
    random = Random(1)
    ids = {new_task_id(random, NOW) for _ in range(1000)}
    assert len(ids) == 1000
    assert {each[:10] for each in ids} == {new_task_id(random, NOW)[:10]}


def test_ids_follow_from_the_randomness_they_are_given() -> None:
    assert new_task_id(Random(7), NOW) == new_task_id(Random(7), NOW)
    assert new_trace_id(Random(7)) == new_trace_id(Random(7))
    assert re.fullmatch("[0-9a-f]{32}", new_trace_id(Random(7)))
