"""The end of a split task: what its parts found, as one result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import attrs

from nessus_sched.core.coverage import unfinished
from nessus_sched.core.parts import final_state, uncut
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import Task, TaskError
from nessus_sched.core.text import pluralize
from nessus_sched.scheduler.context import Context


async def merged_results(context: Context, task: Task) -> dict[str, Any]:
    """The changes with which a split task settles once no part is live. Raises `StoreError` or
    OSError; then try again."""
    assert task.split is not None
    parts = await context.store.parts_of(task.task_id)
    states = Counter(part.state for part in parts)
    left = uncut(task.split)
    whole = not left and not task.split.unreachable and set(states) <= {TaskState.COMPLETED}
    with_results = [part for part in parts if part.summary is not None]
    summary, missing = None, _missing(task, parts, left)
    if with_results and not task.discard:
        reports = tuple(each for part in with_results for each in part.kept_reports)
        missed = unfinished(attrs.evolve(task, summary={}), parts)
        read_as = attrs.evolve(
            task,
            partial=None if whole else missing,
            remaining=tuple(text for each in missed for text in each.targets.texts),
            reports=reports,
            asked=with_results[0].asked,
        )
        paths = [context.exports.kept(each.file) for each in reports]
        summary = await context.digest(read_as, paths, None)
    return {
        "state": final_state(states, task.desired, whole=whole),
        "split": attrs.evolve(task.split, states=dict(states)),
        "summary": summary,
        "partial": missing if summary is not None and not whole else None,
        "last_error": _error(parts),
    }


def _missing(task: Task, parts: Sequence[Task], left: int) -> str:
    """What is missing of the results, in words."""
    assert task.split is not None
    without = [part for part in parts if part.state is not TaskState.COMPLETED]
    reasons = Counter(str(part.state) for part in without)
    said = [
        f"{pluralize(count, 'part')} of {len(parts)} ended {state}"
        for state, count in reasons.items()
    ]
    if left:
        said.append(f"{pluralize(left, 'target')} were left unscanned")
    if task.split.unreachable:
        said.append("some targets are reached by no scanner")
    return "; ".join(said)


def _error(parts: Sequence[Task]) -> TaskError | None:
    """The last error of a part that did not complete."""
    failed = [
        part
        for part in parts
        if part.state is not TaskState.COMPLETED and part.last_error is not None
    ]
    if not failed:
        return None
    latest = max(failed, key=lambda part: part.last_error.at if part.last_error else 0.0)
    error = latest.last_error
    assert error is not None
    return attrs.evolve(error, message=f"part {latest.task_id}: {error.message}", transient=False)
