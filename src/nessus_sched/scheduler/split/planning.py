"""Decides whether a request is split into parts, and how."""

from __future__ import annotations

from collections.abc import Iterable

from nessus_sched.core import parts
from nessus_sched.core.parts import PartSizes
from nessus_sched.core.pool.entry import QueueEntry
from nessus_sched.core.pool.wait_reasons import WaitCode
from nessus_sched.core.targets.targets import parse_targets
from nessus_sched.core.task import PartGroup, Split, Splitting, Task
from nessus_sched.core.text import pluralize
from nessus_sched.scheduler.admission.admit import Admitted
from nessus_sched.scheduler.context import Context
from nessus_sched.scheduler.errors import RequestError
from nessus_sched.scheduler.split.split_task import entry_of, next_cut
from nessus_sched.scheduler.views import PlannedGroup

NAMED = 5
"""Unreachable targets and scanners that a refusal names."""


def split_of(admitted: Admitted, entry: QueueEntry, context: Context) -> Split | None:
    """How the request is to be split; None for one scan. Raises `RequestError` for one that
    cannot be scanned as a whole or in parts."""
    request, sizes = admitted.request, part_sizes(context)
    total = entry.packed.address_count if not admitted.addresses else _size(request.targets)
    if request.split is Splitting.NEVER or request.scanner_instance is not None:
        _check_size(total, sizes)
        return None
    never = context.pool.refusal(entry)
    if never is None and not parts.worth_splitting(total, context.pool.pace(entry), sizes):
        return None
    if never is not None and never.code is not WaitCode.UNREACHABLE:
        return None
    if total > sizes.most * sizes.maximum:
        raise RequestError(
            f"{pluralize(total, 'target')} make more than {sizes.most} parts of {sizes.maximum}",
            hint="split the request; the operator can raise scheduling.max_parts and "
            "scheduling.part_max",
            code="too_many_parts",
        )
    networks = context.pool.networks(request.pool)
    targets = parse_targets(request.targets)
    split, scanners = parts.plan(targets, admitted.addresses, networks)
    if split.unreachable and (not request.partial_ok or not split.groups):
        raise _unreachable(split, scanners.values())
    return split


def check_groups(task: Task, context: Context) -> None:
    """Raises `RequestError` if a group of a split task can never be scanned."""
    for entry in _first_entries(task, context):
        reason = context.pool.refusal(entry)
        if reason is not None:
            raise RequestError(reason.text, code=reason.code)


def planned(task: Task, context: Context) -> list[PlannedGroup]:
    """What a split task comes to, by what is known now."""
    assert task.split is not None
    return [
        _planned(group, entry, context)
        for group, entry in zip(task.split.groups, _first_entries(task, context), strict=True)
    ]


def part_sizes(context: Context) -> PartSizes:
    settings = context.config.scheduling
    return PartSizes(
        duration=settings.part_duration,
        minimum=settings.part_min,
        maximum=settings.part_max,
        most=settings.max_parts,
    )


def _first_entries(task: Task, context: Context) -> list[QueueEntry]:
    assert task.split is not None
    sizes = part_sizes(context)
    return [
        entry_of(task, next_cut(task, 1, number, 0, context.pool, sizes), context.now())
        for number in range(len(task.split.groups))
    ]


def _planned(group: PartGroup, entry: QueueEntry, context: Context) -> PlannedGroup:
    size, pace = entry.packed.address_count, context.pool.pace(entry)
    return PlannedGroup(
        scanners=context.pool.reach(entry),
        size=group.size,
        parts=-(-group.size // size),
        seconds=None if pace is None else pace * size,
    )


def _size(texts: Iterable[str]) -> int:
    return parse_targets(texts).address_count


def _check_size(total: int, sizes: PartSizes) -> None:
    if total > sizes.maximum:
        raise RequestError(
            f"{pluralize(total, 'target')} are too many for one scan; "
            f"scheduling.part_max is {sizes.maximum}",
            hint="leave out scanner_instance and `split: never`, so that it can be split",
            code="too_many_targets",
        )


def _unreachable(split: Split, scanners: Iterable[frozenset[str]]) -> RequestError:
    lost = parse_targets(split.unreachable)
    named = ", ".join(lost.texts[:NAMED])
    more = len(lost.texts) - NAMED
    others = sorted({each for reach in scanners for each in reach})
    rest = f"; the rest is reached by {', '.join(others[:NAMED])}" if others else ""
    return RequestError(
        f"no scanner reaches {named}{f' and {more} more' if more > 0 else ''}{rest}",
        hint="see `networks` in list_scanners; with partial_ok the rest is scanned, and these are "
        "reported as not reached"
        if others
        else "see `networks` in list_scanners",
        code=WaitCode.UNREACHABLE,
    )
