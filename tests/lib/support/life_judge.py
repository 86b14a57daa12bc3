"""What must be true of a story of many lives, checked against the scanners' own ledgers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import trio

from nessus_sched.core.command import PAST_DEADLINE as MISSED
from nessus_sched.core.coverage import cover, unfinished
from nessus_sched.core.error_kinds import Response
from nessus_sched.core.faults import FAULTS, kind_of
from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.parts import DEEPEST, HOPELESS, stopped_for_idle_slots, targets_between
from nessus_sched.core.scanner import ScanStatus
from nessus_sched.core.states import HOLDS_SLOT, SETTLED, TaskState
from nessus_sched.core.targets.targets import TargetSet, parse_targets, targets_from
from nessus_sched.core.task import PartGroup, RequestedState, Task
from nessus_sched.scheduler.errors import RequestError
from support.fake_scanner import FakeScan, FakeScanner, finished, hosts_in, hosts_of
from support.remembering import remembered
from support.seals import marker, task_of
from support.trouble import CHANGES
from support.world import EPOCH

if TYPE_CHECKING:
    from support.life_story import Story
    from support.world import World


BY_PEOPLE = {"scan_vanished", "vanished_at_launch", "not_ours"}
"""What a task dies of only when someone has laid hands on its scan."""
HELD_UP = 1800.0
"""Seconds after which what should end has ended although its scanner was lost."""
HOUR = 3600.0
JUST_CLOSED = 20.0
"""Seconds after the begin of a blackout within which a launch may have been on its way."""
QUARANTINED = 300.0 + 3600.0 - 60.0
"""Seconds after which the targets of a scan on a lost scanner may be scanned again."""
UNSEEN = 200.0
"""Seconds by which the length of a pause may be underestimated: two polls and some slowness."""
REFUSALS = {"store_unavailable", "no_scanner", "unknown_scanner", "unknown_pool"}
"""What a submitter may be told while the disk fails or a scanner is taken out."""


def whole(task_id: str) -> str:
    """The task, for one of its parts."""
    return "-".join(task_id.split("-")[:2])


class Judge:
    """Watches every launch as it happens, and looks at everything in the end."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.acknowledged: dict[str, str] = {}
        """Task ids by idempotency key."""
        self.cancel_asked: set[str] = set()
        self.limits = {each.id: each.max_concurrent_scans for each in story.config.scanners}
        """The highest that ever held: what runs when a limit is lowered may finish."""
        self.paused: dict[str, float] = {}
        """When the pause of each task or part that was not resumed since was acknowledged."""
        self.resumed: dict[str, float] = {}
        """When a part was resumed by itself; its task may be paused, and its other parts."""
        self.discarded: set[str] = set()
        self.broken: list[str] = []
        """What was found wrong in the midst of the story."""
        self.closed: set[str] = set()
        """Tasks that were stopped by a blackout."""
        self.divided: set[str] = set()
        """Parts that were stopped for idle slots."""
        self.happened: Counter[str] = Counter()
        self.launches: list[tuple[float, Sequence[str]]] = []
        """When scans began to run, and of what."""
        self.ordered: dict[str, tuple[float, Sequence[str]]] = {}
        """When each scan was created, by its name, and its hosts."""
        self.head = ""
        """The end of the journal, whose hash stands for all that was ever written."""

    @remembered
    def observe(self, task: Task, entry: JournalEntry) -> None:
        """Every change of a task."""
        if entry.cause == MISSED:
            self.cancel_asked.add(task.task_id)
            self.happened["missed its deadline"] += 1
            assert task.deadline is not None, task
            assert task.deadline <= self.story.now(), task
        if entry.event == "stopped_by_calendar":
            self.closed.add(task.task_id)
        if entry.event == "straggler_stopped":
            assert task.part is not None
            assert task.part.depth < DEEPEST, task
            assert task.attempt == 1, task
            assert task.desired is RequestedState.RUN, task
            assert task.state is TaskState.RUNNING, task
            self.divided.add(task.task_id)

    def accepted(self, key: str, task: Task) -> None:
        assert self.acknowledged.setdefault(key, task.task_id) == task.task_id

    def refused(self, error: RequestError) -> None:
        assert error.code in REFUSALS, error.code

    @remembered
    def launched(self, scan: FakeScan) -> None:
        """The moment a scan begins to run."""
        scanner_id, scanner = self._scanner_of(scan)
        running = [each for each in scanner.active() if each.ours]
        assert len(running) <= self.limits[scanner_id], f"{len(running)} scans on {scanner_id}"
        assert scan.runs == 1, f"{scan.name} was launched {scan.runs} times"
        assert scan.order is not None
        everywhere = sum(s.launches[scan.name] for s in self.story.scanners.values())
        assert everywhere == 1, f"{scan.name} was launched {everywhere} times"
        self.launches.append((trio.current_time(), scan.order.targets))
        self.ordered[scan.name] = (EPOCH + scan.created_at, hosts_of(scan.order))
        self._check_not_paused(scan)
        self._check_open(scan, scanner_id)
        if self.story.config.scheduling.overlap_guard:
            self._check_overlap(scan)

    @remembered
    def stopped(self, scan: FakeScan) -> None:
        """A scan is told to stop: someone asked for it, or it has run as long as it may, or
        its task has ended without its scanner."""
        task_id, scanner = task_of(scan), self._scanner_of(scan)[1]
        if self._asked_to_cancel(task_id):
            self.happened["stopped for a cancel"] += 1
            return
        if task_id in self.divided:
            self.happened["stopped for idle slots"] += 1
            return
        if task_id in self.closed:
            self.happened["stopped by a blackout"] += 1
            return
        if scanner.silent_since is not None or self.story.hazards.reloads:
            self.happened["stopped after its task had ended"] += 1
            return
        assert scan.order is not None
        limit = scan.order.request.max_runtime or self.story.config.scheduling.max_runtime
        ran = scan.duration - scan.left
        if scan.pauses and (self.story.hazards.outages or self.story.hazards.lives > 1):
            return  # how long it was paused is known no better than to the next answer
        least = limit - 1.0 - scan.pauses * UNSEEN
        assert ran >= least, f"{scan.name} was stopped after {ran} of {limit} s"
        self.happened["stopped for its runtime"] += 1

    def _asked_to_cancel(self, task_id: str) -> bool:
        asked = {whole(each) for each in self.cancel_asked if task_id == whole(task_id)}
        return task_id in asked or not self.cancel_asked.isdisjoint({task_id, whole(task_id)})

    def _check_not_paused(self, scan: FakeScan) -> None:
        task_id = task_of(scan)
        own, of_whole = self.paused.get(task_id), self.paused.get(whole(task_id))
        if of_whole is not None and self.resumed.get(task_id, -1.0) > of_whole:
            of_whole = None
        for since in (own, of_whole):
            on_its_way = since is not None and scan.launch_sent_at <= since
            assert since is None or on_its_way, f"{scan.name} was launched and is paused"

    def resumes(self, task_id: str) -> None:
        """Somebody resumes a task, with its parts, or a part."""
        for paused in [each for each in self.paused if task_id in (each, whole(each))]:
            del self.paused[paused]
        self.resumed[task_id] = trio.current_time()

    def _check_open(self, scan: FakeScan, scanner_id: str) -> None:
        """It may begin where and when it does. A clock that is set is seen after a while."""
        if self.story.hazards.clock:
            return
        assert scan.order is not None
        for each in self.story.closures:
            if each.concerns(scanner_id, scan.order.targets):
                inside = each.begin + JUST_CLOSED < scan.launch_sent_at < each.end
                assert not inside, f"{scan.name} was launched in {each}"

    def changes(self) -> Counter[str]:
        """How many requests that change something the scanners have seen."""
        found: Counter[str] = Counter()
        for scanner in self.story.scanners.values():
            found.update({name: scanner.requests[name] for name in CHANGES})
        return found

    async def the_end(self, w: World) -> None:
        assert not self.broken, self.broken[0]
        report = await w.store.verify()
        assert report.ok, report.problems
        self.head = str(report.head)
        for key, request in self.story.requests.items():
            if key not in self.acknowledged:
                continue
            task = await w.store.get(self.acknowledged[key])
            assert task is not None, f"{key} was acknowledged and is lost"
            assert parse_targets(task.request.targets) == parse_targets(request.targets)
            await self._check_task(w, task)
        for scanner in self.story.scanners.values():
            assert not scanner.touched_foreign
            left = [each.name for each in scanner.active() if each.ours]
            assert not left, f"still running, and no task knows: {left}"
            empty = [
                each.name
                for each in scanner.scans.values()
                if each.ours and each.status is ScanStatus.EMPTY
            ]
            assert not empty, f"left behind: {empty}"
        for lane in w.queries.statistics().scanners:
            assert not lane.slots.active, f"{lane.scanner_id} still has {lane.slots.active}"
        assert not any(driver.runs or driver.starting for driver in w.fleet.drivers.values())

    def nothing_is_left(self) -> None:
        """After housekeeping, no scan of ours lies about on a scanner."""
        for scanner in self.story.scanners.values():
            left = [scan.name for scan in scanner.scans.values() if scan.ours]
            assert not left, f"left behind: {left}"

    async def _check_task(self, w: World, task: Task) -> None:
        assert task.state in SETTLED, task
        journal = await w.store.journal_of(task.task_id)
        events = [record.entry.event for record in journal]
        self.happened.update(events)
        self.happened[f"end:{task.state}"] += 1
        if task.state is TaskState.DEAD and task.last_error is not None:
            self.happened[f"dead:{task.last_error.kind}"] += 1
            assert self.story.hazards.people or task.last_error.kind not in BY_PEOPLE, task
            response = FAULTS[kind_of(task.last_error.kind)].response
            assert response is not Response.SUSPEND, task
        if task.state is TaskState.CANCELED and not self.story.hazards.people:
            assert self._asked_to_cancel(task.task_id), f"nobody canceled {task.task_id}"
        if task.split is not None:
            await self._check_split(w, task)
            return
        if task.state is TaskState.COMPLETED:
            self._check_completed(task)
        self._check_found(task, events)
        for attempt in range(1, task.attempt + 1):
            name = marker(task.task_id, attempt)
            for scanner in self.story.scanners.values():
                assert sum(n for each, n in scanner.launches.items() if name in each) <= 1

    async def _check_split(self, w: World, task: Task) -> None:
        """Its parts are what was requested, as far as they were cut, and it is what they are."""
        parts = await w.store.parts_of(task.task_id)
        for part in parts:
            await self._check_task(w, part)
        assert task.split is not None
        states = Counter(part.state for part in parts)
        assert task.split.states == states or not parts
        found = Counter(
            number
            for part in parts
            for first, last in parse_targets(part.request.targets).ranges
            for number in range(first, last + 1)
        )
        ((first, last),) = parse_targets(task.request.targets).ranges
        cut = sum(group.cut for group in task.split.groups if group.rest_of is None)
        returned = [each for group in task.split.groups for each in self._uncut_rest(group)]
        assert set(found.values()) <= {1}, "an address is in two parts"
        assert len(returned) == len(set(returned)), "an address is left twice"
        assert found.keys().isdisjoint(returned), "what a part has is left"
        assert {*found, *returned} == set(range(first, first + cut))
        finished = cut == last - first + 1 and not returned
        if task.state is TaskState.COMPLETED:
            assert finished
            assert set(states) == {TaskState.COMPLETED}
        elif task.state is not TaskState.CANCELED:
            assert set(states) - {TaskState.COMPLETED}, f"{task.state} without a reason"
            assert finished or states[TaskState.DEAD] >= HOPELESS
        self._check_covered(task, parts)
        self.happened["split"] += 1
        self.happened["parts"] += len(parts)

    def _uncut_rest(self, group: PartGroup) -> Iterator[int]:
        """The addresses that a part had left and that are in no other part."""
        if group.rest_of is not None:
            targets, _ = targets_between(group, group.cut, group.size - group.cut)
            for first, last in targets.ranges:
                yield from range(first, last + 1)

    def _check_found(self, task: Task, events: list[str]) -> None:
        """What is kept has every host that was finished by a scan that is still on a scanner, or
        was removed from it by us."""
        if not self.discarded.isdisjoint({task.task_id, whole(task.task_id)}):
            return
        fetched = "could not be fetched" not in (task.last_error.message if task.last_error else "")
        if not fetched or "partial_results_lost" in events:
            assert self.story.hazards.trouble, f"nothing failed, and results are lost: {task}"
            self.happened["results lost for good"] += 1
            return
        found = {
            host for name, hosts in self._found() if f":{task.task_id}." in name for host in hosts
        }
        has = set() if task.summary is None else set(task.summary["finished"])
        assert has >= found, f"{task.task_id} has {has} and found {found}"
        self._check_not_scanned_again(task)
        self._check_covered(task)
        complete = task.state is TaskState.COMPLETED
        if task.summary is not None:
            divided = stopped_for_idle_slots(task)
            assert complete <= (task.partial is None or divided), task
            self.happened["partial results"] += task.partial is not None

    def _check_covered(self, task: Task, parts: Sequence[Task] = ()) -> None:
        """Every target has one status, and is listed with it. No host is silent in a story."""
        found = (task.summary or {}).get("finished", ())
        listed = cover(
            parse_targets(task.request.targets),
            unfinished(task, parts),
            targets_from(found),
            TargetSet(),
        )
        if task.summary is None:
            assert listed.missed == listed.asked, task
            return
        assert listed.document() == task.summary["coverage"], task
        covered, finished = task.summary["coverage"], task.summary["finished"]
        asked = parse_targets(task.request.targets).address_count
        assert covered["requested"] == asked == covered["answered"] + covered["not_reached"], task
        assert covered["answered"] == len(finished), task
        self.happened["not reached"] += covered["not_reached"]

    def _check_not_scanned_again(self, task: Task) -> None:
        """What the kept report of one scan has finished is not scanned by a later one."""
        if self.story.hazards.clock:
            return
        for name, hosts in self._found():
            for report in task.reports:
                if marker(task.task_id, report.attempt) not in name:
                    continue
                later = [
                    other
                    for other, (at, _) in self.ordered.items()
                    if f":{task.task_id}." in other and at > report.at
                ]
                for other in later:
                    again = set(hosts).intersection(self.ordered[other][1])
                    assert not again, f"{other} scanned {again} again"
                    self.happened["rolled"] += 1

    def _found(self) -> Iterator[tuple[str, Sequence[str]]]:
        for scanner in self.story.scanners.values():
            yield from scanner.found.items()
            for scan in scanner.scans.values():
                if scan.ours:
                    yield scan.name, finished(scan)

    def check_held_up(self, w: World, task_id: str) -> None:
        """Called in peace: no task that should end is held up by a scanner that was lost."""
        run = w.fleet.active_task(task_id)
        if run is None or run.task.state not in HOLDS_SLOT:
            return
        driver = w.fleet.drivers[run.task.scanner_instance or ""]
        if driver.connection.silent_for < HELD_UP or w.context.now() - run.entered_at < HELD_UP:
            return
        assert not run.canceling, f"canceled and held up: {run.task}"
        if run.task.state is TaskState.RUNNING and run.launched_at is not None:
            limit = run.task.request.max_runtime or self.story.config.scheduling.max_runtime
            ran = w.context.now() - run.launched_at - run.task.paused_for
            assert ran < limit + HELD_UP, f"over its runtime and held up: {run.task}"
        assert (
            run.task.state is not TaskState.LAUNCHING or driver.connection.silent_for < 2 * HOUR
        ), run.task

    def _check_completed(self, task: Task) -> None:
        assert task.scanner_instance is not None
        if task.nessus_scan_id is None:
            assert task.remaining == ()
            return
        scan = self.story.scanners[task.scanner_instance].scans.get(task.nessus_scan_id)
        if scan is not None:
            assert scan.order is not None
            done = {*hosts_of(scan.order)} - {*hosts_in(task.remaining or ())}
            whole = {*finished(scan)} == done
            assert whole or scan.status is ScanStatus.COMPLETED, f"{task.task_id} did not complete"
            assert scan.uuid == task.scan_uuid

    def _check_overlap(self, scan: FakeScan) -> None:
        assert scan.order is not None
        targets = parse_targets(text.partition("[")[0] for text in scan.order.targets)
        for scanner in self.story.scanners.values():
            for other in scanner.active():
                if other is scan or not other.ours or other.order is None:
                    continue
                if self._may_be_overlapped(scanner):
                    self.happened["overlapped a lost scan"] += 1
                    continue
                theirs = parse_targets(text.partition("[")[0] for text in other.order.targets)
                assert not targets.overlaps(theirs), f"{scan.name} overlaps {other.name}"

    def _may_be_overlapped(self, scanner: FakeScanner) -> bool:
        """It has been silent for so long that nobody waits for its scans any more."""
        since = scanner.silent_since
        return since is not None and trio.current_time() - since >= QUARANTINED

    def _scanner_of(self, scan: FakeScan) -> tuple[str, FakeScanner]:
        return next(
            (scanner_id, scanner)
            for scanner_id, scanner in self.story.scanners.items()
            if scanner.scans.get(scan.scan_id) is scan
        )
