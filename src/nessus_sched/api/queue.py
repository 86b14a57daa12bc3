"""What runs, what waits, and why."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import attrs

from nessus_sched.api.answers import wait_answer
from nessus_sched.api.app import App, ReadApp
from nessus_sched.api.errors import as_tool_errors
from nessus_sched.api.operations import Call, ToolDef, tool
from nessus_sched.api.paging import MAX_ROWS, USUAL_ROWS, take_within, token_budget
from nessus_sched.api.untrusted import NAMES
from nessus_sched.core.fields import field
from nessus_sched.core.pool.queues import OVERFLOW
from nessus_sched.core.pool.statistics import ScannerStatistics, slots_counted
from nessus_sched.core.states import TaskState
from nessus_sched.results.untrusted import clean_line
from nessus_sched.scheduler.views import TaskView


@attrs.frozen(kw_only=True)
class QueueArgs:
    limit: int = field(
        "Waiting tasks to list; as many running ones.",
        default=USUAL_ROWS,
        minimum=1,
        maximum=MAX_ROWS,
    )


@attrs.frozen(kw_only=True)
class QueueRow:
    queue: str = field("`overflow`, or a scanner.")
    length: int = field("Tasks in it.")
    blocked: int = field("Of these, waiting for a scan of the same targets to end.")


@attrs.frozen(kw_only=True)
class WaitingRow:
    task_id: str = field("The task.")
    name: str = field("As submitted.")
    queue: str | None = field("`overflow`, or a scanner.")
    queue_position: int | None = field("1 is next.")
    estimated_wait_seconds: float | None = field("Median; null when nothing is known.")
    wait_code: str | None = field("Stable machine code.")
    wait_reason: str | None = field("Why it waits.")


@attrs.frozen(kw_only=True)
class RunningRow:
    task_id: str = field("The task.")
    name: str = field("As submitted.")
    status: str = field("State.")
    scanner_instance: str | None = field("Scanner; null for a task whose parts run.")
    progress_percent: int | None = field("Null when not known.")
    part_of: str | None = field("The task, in a row before, whose part it is.")


@attrs.frozen(kw_only=True)
class PoolRow:
    pool: str = field("The pool.")
    active: int = field("Slots in use.")
    capacity: int = field("Slots in use or usable.")
    free_slots: int = field("Scans that can start at once.")


@attrs.frozen(kw_only=True)
class QueueAnswer:
    paused: bool = field("The operator has paused everything: nothing starts.")
    queued: int = field("Waiting tasks in all queues.")
    active: int = field("Tasks that hold a slot.")
    capacity: int = field("Slots in use, and those of usable scanners.")
    free_slots: int = field("Scans that can start at once, in all pools.")
    pools: list[PoolRow] = field("The same by pool: a task runs in its own only.")
    queues: list[QueueRow] = field("Overflow, and every scanner's queue that is not empty.")
    running: list[RunningRow] = field(
        "Tasks on a scanner, in the order of acceptance; the running parts of a task follow it."
    )
    waiting: list[WaitingRow] = field("The first waiting tasks, in the order of acceptance.")
    retry_wait: int = field("Tasks that wait for their next attempt.")
    notes: list[str] = field("What was left out, and how to get it.")
    untrusted: str = field("How to treat the texts.")


@tool(writes=False)
async def get_queue_status(app: App, call: Call, args: QueueArgs) -> QueueAnswer:
    """How long the queue is: what runs, what waits, in which queue and place, and why. Answers "why
    is my scan not starting"."""
    statistics = app.queries.statistics()
    with as_tool_errors():
        page = await app.queries.waiting(limit=args.limit)
    active = [view for view in app.queries.active() if app.sees(call.peer, view.task)]
    page = [view for view in page if app.sees(call.peer, view.task)]
    most = token_budget(args.limit) // 2
    shown = {view.task.task_id for view in active[: args.limit]}
    running = take_within([_running(view, shown) for view in active[: args.limit]], most)
    waiting = take_within([_waiting(app, view) for view in page], most)
    return QueueAnswer(
        paused=statistics.paused,
        queued=statistics.queued,
        active=statistics.active,
        capacity=statistics.capacity,
        free_slots=statistics.free,
        pools=_pools(statistics.scanners),
        queues=[
            QueueRow(
                queue=OVERFLOW,
                length=statistics.overflow.length,
                blocked=statistics.overflow.parked,
            ),
            *(
                QueueRow(queue=each.scanner_id, length=each.queue.length, blocked=each.queue.parked)
                for each in statistics.scanners
                if each.queue.length
            ),
        ],
        running=running,
        waiting=waiting,
        retry_wait=app.queries.counts()[TaskState.RETRY_WAIT],
        notes=[
            *_left_out("running", "running", len(active) - len(running)),
            *(
                _left_out("waiting", "queued", statistics.queued - len(waiting))
                if len(waiting) < len(page) or len(page) == args.limit
                else ()  # else several parts of one task wait
            ),
        ],
        untrusted=NAMES,
    )


def _pools(scanners: Sequence[ScannerStatistics]) -> list[PoolRow]:
    by_pool: dict[str, list[ScannerStatistics]] = {}
    for each in scanners:
        by_pool.setdefault(each.pool, []).append(each)
    return [
        PoolRow(
            pool=pool,
            active=sum(len(each.slots.active) for each in members),
            capacity=sum(map(slots_counted, members)),
            free_slots=sum(each.free for each in members),
        )
        for pool, members in sorted(by_pool.items())
    ]


def _left_out(word: str, state: str, count: int) -> list[str]:
    if count <= 0:
        return []
    return [f"{count} more {word}; list_tasks with states [{state!r}] pages through all."]


def _running(view: TaskView, shown: Collection[str]) -> RunningRow:
    part = view.task.part
    return RunningRow(
        task_id=view.task.task_id,
        name=clean_line(view.task.request.name),
        status=view.task.state,
        scanner_instance=view.task.scanner_instance,
        progress_percent=view.progress,
        part_of=part.task_id if part is not None and part.task_id in shown else None,
    )


def _waiting(app: ReadApp, view: TaskView) -> WaitingRow:
    wait = wait_answer(app, view)
    return WaitingRow(
        task_id=view.task.task_id,
        name=clean_line(view.task.request.name),
        queue=wait.queue if wait else None,
        queue_position=wait.queue_position if wait else None,
        estimated_wait_seconds=wait.estimated_wait_seconds if wait else None,
        wait_code=wait.wait_code if wait else None,
        wait_reason=wait.wait_reason if wait else None,
    )


QUEUE_TOOLS: tuple[ToolDef, ...] = (get_queue_status,)
