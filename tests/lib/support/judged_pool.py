"""A pool and its judge, side by side: every operation is done to both and compared."""

from __future__ import annotations

from collections.abc import Mapping

from nessus_sched.core.pool.breaker import BreakerSettings
from nessus_sched.core.pool.entry import QueueEntry
from nessus_sched.core.pool.scanners import ScannerSpec
from nessus_sched.core.pool.state import PoolSettings
from support.pool_model import AGEING, FAIRNESS, Model, ModelScanner
from support.pools import WatchedPool


def settings_for(guard: bool, ageing: float = AGEING) -> PoolSettings:
    return PoolSettings(
        fairness_after=FAIRNESS,
        ageing_after=ageing,
        overlap_guard=guard,
        breaker=BreakerSettings(threshold=5, probe=30.0, probe_max=60.0),
    )


class JudgedPool:
    """Raises `AssertionError` as soon as pool and model disagree."""

    def __init__(self, specs: list[ScannerSpec], *, guard: bool) -> None:
        self.now = 0.0
        self.refiling = False
        """Some tasks may still be filed by the configuration before the last reload."""
        self.model = Model(guard=guard)
        self.pool = WatchedPool(specs, settings_for(guard))
        self.scanners = self.model.scanners
        self.scanners.update(
            {each.scanner_id: ModelScanner(each, enabled=each.enabled) for each in specs}
        )

    def place(self, new: QueueEntry) -> None:
        figures = {each.scanner_id: each for each in self.pool.statistics(self.now).scanners}
        claims = {each: figures[each].queue for each in self.scanners}
        ready = {each: queue.length - queue.parked for each, queue in claims.items()}
        ranking = {each: (figures[each].load, self.scanners[each].turn) for each in figures}
        preview = self.pool.preview(new, self.now)
        placement = self.pool.place(new, self.now)
        assert preview == placement
        self.model.waiting[new.task_id] = new
        self.model.check_placement(new, placement, ready, self.now)
        if new.pinned is None and placement.scanner_id is not None:
            for each, slots in ready.items():
                if self.model.may_run(new, each) and self.model.free(each, self.now) > slots:
                    assert ranking[placement.scanner_id] <= ranking[each], "not its turn"
        self.note_turns()

    def refile(self) -> None:
        """Continues the last reload."""
        self.refiling = self.pool.refile(self.now)
        self.settle()

    def finish_reload(self) -> None:
        while self.refiling:
            self.refile()

    def take(self, scanner_id: str) -> QueueEntry | None:
        taken = self.model.check_take(self.pool, scanner_id, self.now)
        self.note_turns()
        return taken

    def drive(self, scanner_id: str) -> list[QueueEntry]:
        """What a woken driver does."""
        self.finish_reload()
        self.pool.woken = [each for each in self.pool.woken if each != scanner_id]
        taken = []
        while scanner_id in self.scanners and (found := self.take(scanner_id)) is not None:
            taken.append(found)
        return taken

    def end(self, task_id: str, *, finished: bool = True) -> QueueEntry:
        self.pool.release(task_id, self.now, finished=finished)
        entry, _ = self.model.running.pop(task_id)
        self.settle()
        return entry

    def cancel(self, task_id: str) -> None:
        withdrawn = self.pool.withdraw(task_id, self.now)
        assert withdrawn == self.model.waiting.pop(task_id, None)
        if task_id in self.model.running:
            self.end(task_id, finished=False)
        self.settle()

    def adopt(self, scanner_id: str, found: QueueEntry) -> None:
        self.pool.adopt(scanner_id, found, self.now)
        self.model.running[found.task_id] = (found, scanner_id)

    def wait(self, seconds: float) -> None:
        """Time passes; drivers wake by their deadlines."""
        before, self.now = self.now, self.now + seconds
        for scanner_id in self.pool.scanners():
            deadline = self.pool.deadline(scanner_id, before)
            if deadline is not None and deadline <= self.now:
                self.pool.woken.append(scanner_id)

    def next_deadline(self) -> float | None:
        times = (self.pool.deadline(each, self.now) for each in self.pool.scanners())
        return min((time for time in times if time is not None), default=None)

    def enable(self, scanner_id: str, enabled: bool) -> None:
        self.scanners[scanner_id].enabled = enabled
        self.pool.set_enabled(scanner_id, enabled, self.now)
        self.settle()

    def drain(self, scanner_id: str, draining: bool) -> None:
        self.scanners[scanner_id].draining = draining
        self.pool.set_draining(scanner_id, draining, self.now)
        self.settle()

    def pause(self, paused: bool) -> None:
        self.model.paused = paused
        self.pool.set_paused(paused, self.now)

    def report(self, scanner_id: str, max_scans: int | None, foreign: int) -> None:
        self.scanners[scanner_id].max_scans = max_scans
        self.scanners[scanner_id].foreign = foreign
        self.pool.report(scanner_id, self.now, max_scans=max_scans, foreign=foreign)
        self.settle()

    def hold(self, scanner_id: str, seconds: float) -> None:
        self.scanners[scanner_id].held_until = self.now + seconds
        self.pool.hold(scanner_id, self.now + seconds, "full", self.now)
        self.settle()

    def fail(self, scanner_id: str, times: int = 1) -> None:
        scanner = self.scanners[scanner_id]
        scanner.failures += times
        scanner.down = scanner.down or scanner.failures >= 5
        for _ in range(times):
            self.pool.failed(scanner_id, self.now, "refused")
        self.settle()

    def answer(self, scanner_id: str) -> None:
        self.scanners[scanner_id].failures = 0
        self.scanners[scanner_id].down = False
        self.pool.succeeded(scanner_id, self.now)

    def probed(self, scanner_id: str, answered: bool) -> None:
        """The outcome of a probe that was begun."""
        if answered:
            self.answer(scanner_id)
        else:
            self.pool.failed(scanner_id, self.now, "still refused")

    def reload(
        self, wanted: Mapping[str, ScannerSpec], *, guard: bool, ageing: float = AGEING
    ) -> None:
        self.model.guard, self.model.ageing = guard, ageing
        self.pool.configure(wanted.values(), settings_for(guard, ageing), self.now)
        for name, new in wanted.items():
            known = self.scanners.setdefault(name, ModelScanner(new, removed=True))
            if known.removed or new.enabled != known.spec.enabled:
                known.enabled = new.enabled
            known.spec, known.removed = new, False
        for name in set(self.scanners) - set(wanted):
            self.scanners[name].removed = True
        self.refile()

    def settle(self) -> None:
        """A removed scanner is forgotten when nothing of it is left."""
        self.note_turns()
        for name in set(self.scanners) - set(self.pool.scanners()):
            assert self.scanners[name].removed, f"{name} is gone"
            assert not self.model.active(name)
            assert not any(each.pinned == name for each in self.model.waiting.values())
            del self.scanners[name]

    def note_turns(self) -> None:
        """Whenever a task for anybody comes into a scanner's queue, that was its turn."""
        for scanner_id in self.pool.turns():
            self.model.turns += 1
            if scanner_id in self.scanners:
                self.scanners[scanner_id].turn = self.model.turns

    def audit(self) -> None:
        """Whoever could take something has been woken."""
        self.finish_reload()
        for scanner_id in set(self.scanners) - set(self.pool.woken):
            assert self.take(scanner_id) is None, f"nobody woke {scanner_id}"

    def check(self) -> None:
        """Every task is in one place, and the figures say so."""
        model, pool = self.model, self.pool
        figures = pool.statistics(self.now)
        running = {task: each.scanner_id for each in figures.scanners for task in each.slots.active}
        assert running == {task: where for task, (_, where) in model.running.items()}
        assert figures.active == len(running)
        assert figures.queued == len(model.waiting)
        lengths = sum(each.queue.length for each in figures.scanners) + figures.overflow.length
        assert lengths == figures.queued
        for each in figures.scanners:
            assert each.slots.capacity == model.scanners[each.scanner_id].capacity
            assert each.free == model.free(each.scanner_id, self.now), each

    def check_waiting(self) -> None:
        """Every waiting task lies where it may, knows its place, and says why it waits."""
        for scanner_id in [] if self.refiling else self.pool.scanners():
            queue = self.model.queue(self.pool, scanner_id)
            positions = [self.pool.position(each.task_id) for each in queue]
            assert positions == [number + 1 for number in range(len(queue))]
        for task_id, waiting in self.model.waiting.items():
            reason = self.pool.wait_reason(task_id, self.now)
            assert reason.text
            assert reason.blocker != task_id
            where = self.pool.queue_of(task_id)
            if waiting.pinned is not None:
                assert where == waiting.pinned
            elif where is not None and not self.refiling:
                assert self.scanners[where].usable
                assert self.model.may_run(waiting, where)

    def finish(self, specs: list[ScannerSpec]) -> None:
        """All troubles end; then everything must run to its end, or something was lost."""
        self.wait(1e6)
        self.reload({each.scanner_id: each for each in specs}, guard=self.model.guard)
        for each in specs:
            self.enable(each.scanner_id, True)
            self.drain(each.scanner_id, False)
            self.answer(each.scanner_id)
            self.report(each.scanner_id, None, 0)
        self.pause(False)
        while self.model.waiting or self.model.running:
            before = len(self.model.waiting)
            for scanner_id in list(self.scanners):
                self.drive(scanner_id)
            assert self.model.running, f"{before} tasks wait and nothing moves any more"
            for task_id in list(self.model.running):
                self.end(task_id)
        self.check()
