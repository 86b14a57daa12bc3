"""What the journal keeps about the end of a task, to prove it when the task itself is gone."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import attrs
import pytest
from trio.testing import MockClock

from nessus_sched.core.masking import Masker
from nessus_sched.core.outcome import MOST_TEXT, OUTCOME, outcome_of, request_document
from nessus_sched.core.secret import MASK, Secret
from nessus_sched.core.states import LIVE, TaskState
from nessus_sched.core.task import Part, Task
from support.stored import a_request, a_task
from support.world import World, one_scanner


async def _outcomes(w: World, task: Task) -> dict[str, dict[str, object]]:
    """By the event that has one."""
    records = await w.queries.history(task.task_id)
    return {
        each.entry.event: each.entry.detail[OUTCOME]
        for each in records
        if OUTCOME in each.entry.detail
    }


async def test_the_end_of_a_task_is_in_the_journal(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, _):
        task = await w.settled((await w.submit("192.0.2.1", name="Weekly DMZ")).task_id)
        outcomes = await _outcomes(w, task)
    assert list(outcomes) == ["completed"]
    outcome = outcomes["completed"]
    assert outcome["request"] == request_document(task.request)
    assert outcome["scanners"] == ["a"]
    assert outcome["attempts"] == 1
    assert outcome["results"]["coverage"] == task.summary["coverage"]  # type: ignore[index]
    json.dumps(outcome, allow_nan=False)


async def test_a_task_that_never_ran_has_no_results(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, _):
        await w.running("192.0.2.9")
        task = await w.submit("192.0.2.1")
        await w.service.cancel(task.task_id, actor="test")
        outcomes = await _outcomes(w, task)
    assert [each["results"] for each in outcomes.values()] == [None]


async def test_secrets_are_masked(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with one_scanner(tmp_path) as (w, _):
        w.context.mask.know([Secret("correct horse")])
        task = await w.settled((await w.submit("192.0.2.1", name="correct horse")).task_id)
        outcome = (await _outcomes(w, task))["completed"]
    assert outcome["request"]["name"] == MASK  # type: ignore[index]
    assert not Masker([Secret("correct horse")]).finds(json.dumps(outcome))


@pytest.mark.parametrize("state", sorted(LIVE))
def test_live_tasks_have_none(state: TaskState) -> None:
    assert outcome_of(a_task(state=state)) is None


def test_parts_have_none() -> None:
    part = Part(task_id="t00000001", number=1, group=0, start=0, size=1, hosts=1)
    task = a_task(state=TaskState.COMPLETED)
    assert outcome_of(task) is not None
    assert outcome_of(attrs.evolve(task, part=part)) is None


def test_the_reason_why_targets_were_not_reached() -> None:
    counts = {"requested": 2, "answered": 1, "silent": 0, "not_reached": 1}
    listed = {"not_reached_targets": ["192.0.2.2"], "not_reached_left_out": 0}
    task = a_task(
        state=TaskState.PARTIAL, partial="it was stopped", summary={"coverage": counts | listed}
    )
    outcome = outcome_of(task)
    assert outcome is not None
    assert outcome["results"]["coverage"]["why"] == "the scan ended early: it was stopped"


def test_very_many_targets_are_bounded() -> None:
    targets = tuple(f"192.0.2.{number % 256}" for number in range(5000))
    found = request_document(a_request(targets=targets))["targets"]
    assert found["count"] == 5000
    assert found["sha256"] == hashlib.sha256("\n".join(targets).encode()).hexdigest()
    assert list(targets[: len(found["first"])]) == found["first"]
    kept = "\n".join(found["first"])
    assert MOST_TEXT - 20 < len(kept) < MOST_TEXT
    few = targets[: len(found["first"])]
    assert request_document(a_request(targets=few))["targets"] == list(few)
