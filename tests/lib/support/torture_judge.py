"""What must be true after a round of torture, by the scanners' own ledgers and the store."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from nessus_sched.core.states import SETTLED, TaskState
from nessus_sched.core.task import Task
from nessus_sched.core.task_store import TaskFilter
from nessus_sched.sim.runs import Run, RunStatus
from nessus_sched.sim.serve import RunningSim
from nessus_sched.store.tasks.offline import OfflineStore, read_offline
from support.submitters import Book

MARKER = re.compile(r"\[ns:(?P<task>[^\].]+)\.(?P<attempt>\d+)\.\w+\]$")


def judge(
    directory: Path, scanners: Mapping[str, tuple[RunningSim, int]], book: Book
) -> tuple[list[str], Counter[str]]:
    """The promises that were broken, and how the tasks ended. `directory` is the state
    directory; `scanners` are simulators with their limits, by id."""
    with read_offline(directory) as store:
        tasks = {task.task_id: task for task in all_tasks(store)}
        report = store.verify()
    problems = [*book.problems, *(f"journal: {each}" for each in report.problems)]
    problems += _lost(tasks, book)
    for task in tasks.values():
        problems += _ended_badly(task, scanners, book)
        problems += _lost_results(task, scanners)
    for name, (sim, limit) in scanners.items():
        problems += (f"{name}: {each}" for each in _misused(sim, limit, tasks))
    problems += left_empty(scanners)
    return problems, Counter(f"{task.state}" for task in tasks.values())


def all_tasks(store: OfflineStore) -> Iterator[Task]:
    cursor = None
    while True:
        page = store.list(TaskFilter(), limit=1000, cursor=cursor)
        yield from page.tasks
        cursor = page.cursor
        if cursor is None:
            return


def _lost(tasks: Mapping[str, Task], book: Book) -> Iterator[str]:
    """In the end every submission was acknowledged, so both sides must have the same."""
    for key, task_id in book.acknowledged.items():
        if task_id not in tasks:
            yield f"{key} was acknowledged as {task_id} and is lost"
        elif tasks[task_id].idempotency_key != key:
            yield f"{key} got {task_id}, which is of {tasks[task_id].idempotency_key}"
    for task_id in tasks.keys() - set(book.acknowledged.values()):
        yield f"{task_id} is of {tasks[task_id].idempotency_key}, which has another task"


def _ended_badly(
    task: Task, scanners: Mapping[str, tuple[RunningSim, int]], book: Book
) -> Iterator[str]:
    if task.state is TaskState.CANCELED and task.task_id not in book.cancel_asked | book.stopped:
        yield f"{task.task_id} is canceled, and nobody asked for it: {task.last_error}"
    elif task.state is TaskState.PARTIAL and task.task_id in book.stopped:
        pass
    elif task.state in SETTLED - {TaskState.CANCELED, TaskState.COMPLETED}:
        yield f"{task.task_id} is {task.state}: {task.last_error}"
    elif task.state not in SETTLED:
        yield f"{task.task_id} is still {task.state}: {task.last_error}"
    if task.state is TaskState.COMPLETED:
        assert task.scanner_instance is not None
        assert task.nessus_scan_id is not None
        sim, _ = scanners[task.scanner_instance]
        scan = sim.nessus.scans.get(task.nessus_scan_id)
        marked = f"[ns:{task.task_id}.{task.attempt}."
        if scan is None or marked not in scan.name or scan.latest is None:
            yield f"{task.task_id} completed with a scan that is not its own"
        elif scan.latest.uuid != task.scan_uuid or (
            scan.latest.status is not RunStatus.COMPLETED and task.remaining != ()
        ):
            yield f"{task.task_id} completed, and its scan is {scan.latest.status}"


def _lost_results(task: Task, scanners: Mapping[str, tuple[RunningSim, int]]) -> Iterator[str]:
    """Whatever way its scans ended, the results that are kept have as many finished hosts as
    the best of them."""
    if task.owed:
        yield f"{task.task_id} still owes a clean-up: {task.owed}"
    best = max(
        (
            _finished(scan.latest)
            for sim, _ in scanners.values()
            for scan in sim.nessus.scans.values()
            if scan.latest is not None and scan.latest.ended and task_of(scan.name) == task.task_id
        ),
        default=0,
    )
    has = 0 if task.summary is None else task.summary["hosts_finished"]
    if has < best:
        yield f"{task.task_id} ({task.state}) has {has} finished hosts of {best}: {task.last_error}"
    whole = task.state is TaskState.COMPLETED or task.remaining == ()
    if task.summary is not None and (task.partial is None) is not whole:
        yield f"{task.task_id} is {task.state}, and its results say {task.partial}"


def _finished(run: Run) -> int:
    assert run.ended_at is not None
    return sum(host.span.finished for host in run.hosts(run.ended_at))


def left_empty(scanners: Mapping[str, tuple[RunningSim, int]]) -> list[str]:
    """Scans that were created and never launched: in the end no task has a use for them."""
    return [
        f"{name}: {scan.name} was left {scan.status_text}"
        for name, (sim, _) in scanners.items()
        for scan in sim.nessus.scans.values()
        if scan.latest is None
    ]


def task_of(name: str) -> str | None:
    found = MARKER.search(name)
    return found["task"] if found else None


def _marker(name: str) -> str:
    found = MARKER.search(name)
    return found[0] if found else name


def _misused(sim: RunningSim, limit: int, tasks: Mapping[str, Task]) -> Iterator[str]:
    """Launched or there twice, left behind, or too many at once."""
    ledger = sim.nessus.ledger
    if ledger.max_running > limit:
        yield f"{ledger.max_running} scans ran at once, its limit is {limit}"
    launched: Counter[str] = Counter()
    for name, count in ledger.of("launch").items():
        launched[_marker(name)] += count
    yield from (f"launched {n} times: {name}" for name, n in launched.items() if n > 1)
    # One that was withdrawn may have been made anew, but never are there two.
    there = Counter(_marker(scan.name) for scan in sim.nessus.scans.values())
    yield from (f"there {n} times: {name}" for name, n in there.items() if n > 1)
    for scan in sim.nessus.scans.values():
        found = MARKER.search(scan.name)
        if found is None or found["task"] not in tasks:
            yield f"{scan.name} is of no task"
        elif scan.busy:
            task = tasks[found["task"]]
            yield f"{scan.name} was left {scan.status_text}; its task is {task.state}"
