"""Says in words why a waiting task waits, or why a task could never run."""

from __future__ import annotations

import math

from nessus_sched.core.calendar.zones import local_text
from nessus_sched.core.pool.breaker import BreakerState
from nessus_sched.core.pool.entry import QueueEntry
from nessus_sched.core.pool.queues import Waiting
from nessus_sched.core.pool.routing import unclaimed
from nessus_sched.core.pool.scanners import PoolScanner
from nessus_sched.core.pool.state import PoolState
from nessus_sched.core.pool.wait_reasons import WaitCode, WaitReason
from nessus_sched.core.suspension import SuspensionStatistics
from nessus_sched.core.text import pluralize

NAMED = 3
"""How many scanners are named one by one."""


def refusal(state: PoolState, entry: QueueEntry) -> WaitReason | None:
    """Why `entry` could never run with the present registry; None when it could."""
    if entry.pinned is not None:
        scanner = state.scanners.get(entry.pinned)
        if scanner is None or scanner.removed:
            known = _some([each.scanner_id for each in state.scanners.values() if not each.removed])
            text = f"no scanner {entry.pinned}; known: {known}"
            return WaitReason(code=WaitCode.SCANNER_REMOVED, text=text)
        if entry.pinned in entry.refused_by:
            return WaitReason(code=WaitCode.REFUSED, text=f"scanner {entry.pinned} refuses it")
        if not scanner.spec.reaches(entry.targets):
            text = f"scanner {entry.pinned} does not reach all targets"
            return WaitReason(code=WaitCode.UNREACHABLE, text=text)
        return None if scanner.spec.licensed(entry) else _license([scanner])
    reach = state.reachability.reach(entry)
    # A disabled scanner may come back, but a task that others refused does not wait for it.
    if any(state.scanners[each].enabled or not entry.refused_by for each in reach):
        return None
    pools = state.reachability.pools()
    if entry.pool not in pools:
        text = f"pool {entry.pool} has no scanner; pools with scanners: {_some(sorted(pools))}"
        return WaitReason(code=WaitCode.NO_SCANNER, text=text)
    reaching = [
        scanner
        for scanner in state.scanners.values()
        if not scanner.removed
        and scanner.spec.pool == entry.pool
        and scanner.spec.reaches(entry.targets)
    ]
    if any(scanner.scanner_id in entry.refused_by for scanner in reaching):
        text = f"every scanner that it may run on refuses it: {_some(list(entry.refused_by))}"
        return WaitReason(code=WaitCode.REFUSED, text=text)
    if reaching:
        return _license(reaching)
    text = f"no single scanner of pool {entry.pool} reaches all targets"
    return WaitReason(code=WaitCode.UNREACHABLE, text=text)


def _license(scanners: list[PoolScanner]) -> WaitReason:
    best = max(scanners, key=lambda scanner: scanner.spec.licensed_hosts or 0)
    return WaitReason(
        code=WaitCode.LICENSE_LIMIT,
        text=f"too many hosts: the license of scanner {best.scanner_id} allows "
        f"{best.spec.licensed_hosts}, and would skip the others",
    )


def obstacle(scanner: PoolScanner, now: float) -> WaitReason | None:
    """Why a scanner may be given nothing at present, free slot or not."""
    name = f"scanner {scanner.scanner_id}"
    if scanner.removed:
        return WaitReason(code=WaitCode.SCANNER_REMOVED, text=f"{name} is not in the configuration")
    if not scanner.enabled:
        return WaitReason(code=WaitCode.SCANNER_DISABLED, text=f"{name} is disabled")
    if scanner.draining:
        return WaitReason(code=WaitCode.SCANNER_DRAINING, text=f"{name} is draining: no new scans")
    if not scanner.breaker.closed:
        return WaitReason(code=WaitCode.SCANNER_DOWN, text=f"{name} is down{_down(scanner, now)}")
    if scanner.closed:
        return WaitReason(code=WaitCode.WINDOW, text=f"{name}: {scanner.closed}")
    if (suspended := scanner.suspension.statistics()) is not None:
        text = f"{name} is suspended{_suspended(suspended, now)}"
        return WaitReason(code=WaitCode.SCANNER_SUSPENDED, text=text)
    return None


def explain(state: PoolState, waiting: Waiting, now: float) -> WaitReason:
    """Why it has not started yet: the first of all the reasons that hold."""
    if state.paused:
        return WaitReason(code=WaitCode.PAUSED_ALL, text="all scanning is paused by an operator")
    # Not `waiting.reach`, which may be that of an earlier configuration.
    scanners = state.scanners_of(state.reachability.reach(waiting.entry))
    usable = [scanner for scanner in scanners if scanner.usable]
    if not usable:
        return _none_usable(state, waiting, scanners, now)
    if waiting.entry.pinned and (never := refusal(state, waiting.entry)) is not None:
        return never
    if (closed := _no_time(state, waiting, usable, now)) is not None:
        return closed
    limit = state.network_limits.full(waiting.entry.packed)
    if limit is not None:
        text = f"{limit.name} already has its maximum of {pluralize(limit.most, 'scan')} at once"
        return WaitReason(code=WaitCode.NETWORK_LIMIT, text=text)
    if waiting.group is not None and waiting.group.deferred:
        return _deferred(state, waiting.group.blocker)
    blocker = waiting.parked_on or state.blocker(waiting)
    if blocker is not None and blocker in state.abandoned:
        return WaitReason(
            code=WaitCode.OVERLAP,
            text="an earlier scan of the same targets may still run on scanner "
            f"{state.abandoned[blocker]}, which was lost; this one waits for "
            "scheduling.quarantine at most",
            blocker=blocker.partition(".")[0],
        )
    if blocker is not None:
        verb = "is running" if blocker in state.active else "was accepted earlier"
        return WaitReason(
            code=WaitCode.OVERLAP,
            text=f"task {blocker} shares targets with it and {verb}; it must finish first",
            blocker=blocker,
        )
    return _in_turn(state, waiting, usable, now)


def _deferred(state: PoolState, key: str) -> WaitReason:
    """Why a task waits that was found to have no time or no room, and has now."""
    until = state.deferred.get(key)
    if until is None:
        text = "others that waited for room in the same network go first"
        return WaitReason(code=WaitCode.BEHIND, text=text)
    when = local_text(until, state.timetable.zone) if until < math.inf else "the next change"
    text = f"there seemed to be no time for it; this is checked again at {when}"
    return WaitReason(code=WaitCode.WINDOW, text=text)


def _no_time(
    state: PoolState, waiting: Waiting, usable: list[PoolScanner], now: float
) -> WaitReason | None:
    """Whether windows and blackouts keep it from starting on every scanner."""
    entry = waiting.entry
    if not state.timetable.rules and entry.between is None:
        return None
    verdicts = []
    for each in usable:
        found = state.may_scan(entry, each.scanner_id, now)
        if state.lasts(found, entry, each.scanner_id, now):
            return None
        verdicts.append(found)
    allowed = [verdict for verdict in verdicts if verdict.allowed]
    if not allowed:
        first = min(verdicts, key=lambda verdict: verdict.until or math.inf)
        return WaitReason(code=WaitCode.WINDOW, text=first.text)
    found = max(allowed, key=lambda verdict: verdict.until or 0)
    assert found.rule is not None
    zone = found.rule.period.zone
    return WaitReason(
        code=WaitCode.WINDOW,
        text=f"it would probably run past {local_text(found.until or 0, zone)}, when "
        f"{found.rule.text} no longer allows it; it waits for the next opening",
    )


def _none_usable(
    state: PoolState, waiting: Waiting, scanners: list[PoolScanner], now: float
) -> WaitReason:
    reasons = [reason for scanner in scanners if (reason := obstacle(scanner, now)) is not None]
    if len(reasons) == 1:
        return reasons[0]
    if not reasons:
        never = refusal(state, waiting.entry)
        assert never is not None, waiting
        return never
    texts = _some([reason.text for reason in reasons], "; ")
    return WaitReason(
        code=WaitCode.NO_SCANNER_USABLE,
        text=f"none of the {len(reasons)} scanners that could run it is usable: {texts}",
    )


def _in_turn(
    state: PoolState, waiting: Waiting, usable: list[PoolScanner], now: float
) -> WaitReason:
    before = state.queues.ready_before(waiting)
    where = "the overflow queue"
    if waiting.scanner_id is not None:
        where = f"the queue of {waiting.scanner_id}"
        usable = [state.scanners[waiting.scanner_id]]
        room = usable[0].free(now)
    else:
        room = sum(max(0, unclaimed(scanner, state.queues, now)) for scanner in usable)
    if before < room:
        return WaitReason(code=WaitCode.STARTING, text="a slot is free: about to start")
    fullness = _fullness(usable, now)
    ahead = state.queues.competing_before(waiting)
    others = state.queues.position(waiting) - 1 - ahead
    if ahead:
        rest = f" ({others} more for other scanners)" if others else ""
        text = f"behind {pluralize(ahead, 'other')} in {where}{rest}; {fullness}"
        return WaitReason(code=WaitCode.BEHIND, text=text)
    held = all(scanner.hold_until > now for scanner in usable)
    code = WaitCode.SCANNER_HELD if held else WaitCode.SCANNER_FULL
    rest = " (those before it are for other scanners)" if others else ""
    return WaitReason(code=code, text=f"next in {where}{rest}; {fullness}")


def _fullness(scanners: list[PoolScanner], now: float) -> str:
    active = sum(scanner.slots.active for scanner in scanners)
    capacity = sum(scanner.slots.capacity for scanner in scanners)
    name = f"scanner {scanners[0].scanner_id}"
    if len(scanners) > 1:
        name = f"its {len(scanners)} scanners"
    held = [scanner for scanner in scanners if scanner.hold_until > now]
    if len(held) == len(scanners):
        first = min(held, key=lambda scanner: scanner.hold_until)
        start = "start" if len(scanners) > 1 else "starts"
        again = f"retrying within {first.hold_until - now:.0f} s"
        if first.hold_at_latest:
            again = "retrying until that is over"
        return f"{name} {start} no scans for now ({first.hold_reason}); {again}"
    runs = "run" if len(scanners) > 1 else "runs"
    text = f"{name} {runs} {active} of {pluralize(capacity, 'scan')}"
    if active > capacity:
        text = f"{name} {runs} {pluralize(active, 'scan')}, more than the {capacity} allowed now"
    foreign = sum(scanner.slots.foreign for scanner in scanners)
    if foreign:
        verb = "runs" if foreign == 1 else "run"
        text += f" ({pluralize(foreign, 'scan')} of others {verb} there)"
    abandoned = sum(scanner.slots.abandoned for scanner in scanners)
    if abandoned:
        text += f" ({pluralize(abandoned, 'scan')} of ended tasks may still run there)"
    return text


def _down(scanner: PoolScanner, now: float) -> str:
    figures = scanner.breaker.statistics()
    why = f" ({figures.reason})" if figures.reason else ""
    if figures.state is BreakerState.HALF_OPEN or figures.probe_at is None:
        return f"{why}; retrying now"
    return f"{why}; next try in {max(0.0, figures.probe_at - now):.0f} s"


def _suspended(figures: SuspensionStatistics, now: float) -> str:
    again = "a task is trying it now"
    if figures.probe_at is not None:
        left = figures.probe_at - now
        again = f"a task tries it again in {left:.0f} s" if left > 0 else "the next task tries it"
    return f" ({figures.reason}); {again}"


def _some(texts: list[str], separator: str = ", ") -> str:
    shown = separator.join(texts[:NAMED])
    more = len(texts) - NAMED
    return f"{shown} and {more} more" if more > 0 else shown or "none"
