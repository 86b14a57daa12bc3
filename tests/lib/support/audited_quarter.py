"""The state directory of a quarter in which a network was scanned four times: with all that the
journal has of a scan, a schedule, and exceptions. Scans before and after the quarter, too."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs

from nessus_sched.config.ledger import HostIdentity
from nessus_sched.core.coverage import cover
from nessus_sched.core.exceptions.exception import ExceptionStatus, FindingException
from nessus_sched.core.exceptions.rule import ExceptionKind, Rule
from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.outcome import OUTCOME, outcome_of
from nessus_sched.core.states import TaskState
from nessus_sched.core.targets.targets import TargetSet, parse_targets
from nessus_sched.core.task import ScheduledFor, Task
from nessus_sched.daemon.ledger_keeper import origin_of
from nessus_sched.results.coverage import scan_coverage
from nessus_sched.results.parser.reader import Reader
from nessus_sched.results.summary import summarize
from nessus_sched.store.executor import Inline
from nessus_sched.store.findings.store import FindingsStore, open_findings
from nessus_sched.store.ledger.store import LedgerStore, open_ledger
from nessus_sched.store.tasks.store import TaskStore
from support import patched_network
from support.patched_network import DAY, NETWORK, Network, living, truth_after
from support.stored import a_request, a_task, moved, submitted

SINCE: Final = 1_751_328_000
"""2025-07-01T00:00:00Z; the quarter ends before `UNTIL`."""
UNTIL: Final = 1_759_276_800
NOW: Final = float(UNTIL + 7 * DAY)
"""Scans are 100, 60, 35, 12, 5 and 1 days before."""
INSIDE: Final = range(1, 4)
"""The first scan is one day before the quarter, and two are after it."""
SCHEDULE: Final = ScheduledFor(schedule_id="s-quarterly", name="office", nominal=0.0)
ACCEPTED: Final = FindingException(
    exception_id="x-accepted",
    rule=Rule(kind=ExceptionKind.ACCEPTED, plugins=(51192,), hosts=(NETWORK,)),
    reason="internal CA, =replaced in Q4", owner="web-team", actor="uid:1000",
    proposed_at=float(SINCE + 5 * DAY), expires=float(UNTIL + 90 * DAY),
)  # fmt: skip
SHORT: Final = FindingException(
    exception_id="x-short",
    rule=Rule(kind=ExceptionKind.SEVERITY, cves=("CVE-2021-44228",), hosts=("192.0.2.1",),
              severity=2),
    reason="behind a proxy", owner="web-team", actor="uid:1000",
    proposed_at=float(SINCE + 6 * DAY), expires=float(SINCE + 36 * DAY),
)  # fmt: skip

WAITING: Final = attrs.evolve(
    ACCEPTED, exception_id="x-waiting", reason="to be decided", proposed_at=float(UNTIL - DAY),
    rule=attrs.evolve(ACCEPTED.rule, plugins=(42873,)),
)  # fmt: skip
"""Proposed before the end of the quarter, and approved after it."""


@attrs.frozen
class Desk:
    """The open stores of the state directory."""

    tasks: TaskStore
    findings: FindingsStore
    ledger: LedgerStore
    network: Network
    outcomes: bool = True
    """Whether entries have what releases from this one on write."""

    async def scan(self, number: int, **changes: Any) -> Task:
        """A scan with its whole life in the journal."""
        return await self.end(number, await self.begin(number, **changes))

    async def begin(self, number: int, *, at: float | None = None, **changes: Any) -> Task:
        """Until it runs, which begins at `at`."""
        at = self.network.times[number] - 60.0 if at is None else at
        task = a_task(
            number + 1, actor="uid:1000", created_at=at - 60,
            schedule=attrs.evolve(SCHEDULE, nominal=at - 60) if number % 2 else None,
            request=a_request(targets=(NETWORK,), credentials=("linux",), name=f"scan {number}"),
            entered={TaskState.QUEUED: at - 60},
        )  # fmt: skip
        task = attrs.evolve(task, **changes)
        await self.tasks.submit(task, submitted(task))
        task = await self.move(task, TaskState.LAUNCHING, at - 30, event="taken",
                               attempt=1, scanner_instance="east",
                               detail={"scanner_instance": "east", "attempt": 1})  # fmt: skip
        return await self.move(task, TaskState.RUNNING, at, launched_at=at)

    async def end(self, number: int, task: Task, *, enter: bool = True) -> Task:
        """From there on; without `enter`, the ledger does not get it."""
        at = self.network.times[number]
        report = patched_network.report(self.network, number)
        task = await self.move(task, TaskState.EXPORTING, at + 30.0)
        reader = Reader(io.BytesIO(report))
        await self.findings.put(
            task.task_id, reader, at=at + 60.0,
            coverage=partial(lambda reader: scan_coverage(reader.report), reader),
        )  # fmt: skip
        summary = {**summarize(io.BytesIO(report)), "coverage": self._coverage(number)}
        task = await self.move(task, TaskState.COMPLETED, at + 60.0, summary=summary)
        if enter:
            await self.ledger.apply(origin_of(task), identity=HostIdentity.ADDRESS, now=at + 120.0)
        return task

    async def move(
        self,
        task: Task,
        after: TaskState,
        at: float,
        event: str | None = None,
        detail: dict[str, Any] | None = None,
        **changes: Any,
    ) -> Task:
        task, entry = moved(task, after, at=at, **changes)
        outcome = outcome_of(task) if self.outcomes else None
        detail = {**(detail or {}), **({OUTCOME: outcome} if outcome else {})}
        await self.tasks.record(
            task, attrs.evolve(entry, event=event or entry.event, detail=detail)
        )
        return task

    def _coverage(self, number: int) -> dict[str, Any]:
        names = list(self.network.seen[number])
        return cover(parse_targets([NETWORK]), [], parse_targets(names), TargetSet()).document()

    async def note(self, at: float, event: str, **detail: Any) -> None:
        await self.tasks.note(JournalEntry(at=at, event=event, detail=detail))

    async def decide(
        self, exception: FindingException, change: str, at: float, actor: str, **changes: Any
    ) -> FindingException:
        """Stores a change of an exception with the entry that the scheduler writes."""
        rule = exception.rule
        after = attrs.evolve(exception, **changes)
        entry = JournalEntry(
            at=at, event=f"exception_{change}", actor=actor,
            cause=exception.reason if change == "proposed" else "",
            detail={
                "exception_id": exception.exception_id, "kind": rule.kind,
                "plugins": list(rule.plugins), "cves": list(rule.cves), "hosts": list(rule.hosts),
                "port": rule.port_text, "severity": rule.severity, "reason": after.reason,
                "owner": after.owner, "expires": after.expires,
            },
        )  # fmt: skip
        await self.tasks.save_exception(after, entry)
        return after

    async def propose(self, exception: FindingException) -> FindingException:
        return await self.decide(exception, "proposed", exception.proposed_at, exception.actor)

    async def approve(self, exception: FindingException, *, at: float) -> FindingException:
        return await self.decide(
            exception, "approved", at, "uid:2000", status=ExceptionStatus.APPROVED,
            approved_at=at, decided_at=at, decided_by="uid:2000",
        )  # fmt: skip


@asynccontextmanager
async def desk(directory: Path) -> AsyncIterator[Desk]:
    """Opens the stores, as a daemon does."""
    directory.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        findings = await open_findings(directory / "findings.db", Inline())
        stack.push_async_callback(findings.aclose)
        ledger = await open_ledger(directory / "ledger.db", directory / "findings.db", Inline())
        stack.push_async_callback(ledger.aclose)
        tasks = await stack.enter_async_context(
            TaskStore.open(directory, now=lambda: NOW, executor=Inline())
        )
        yield Desk(tasks, findings, ledger, living(NOW))


async def until_the_end(directory: Path) -> None:
    """All that happened before the end of the quarter."""
    async with desk(directory) as here:
        await here.scan(0)
        await here.note(SINCE + 1.0, "schedule_created", schedule="office",
                        schedule_id="s-quarterly", when="0 2 * * mon (UTC)",
                        request={"targets": [NETWORK]})  # fmt: skip
        accepted, short = [
            await here.approve(await here.propose(each), at=each.proposed_at + 3600)
            for each in (ACCEPTED, SHORT)
        ]
        assert accepted.in_force(UNTIL)
        for number in INSIDE:
            at = here.network.times[number]
            if short.status is ExceptionStatus.APPROVED and at > short.expires:
                short = await here.decide(short, "expired", short.expires + 1, "system",
                                          status=ExceptionStatus.EXPIRED,
                                          ended_at=short.expires + 1)  # fmt: skip
            await here.note(at - 120.0, "schedule_fired", schedule="office",
                            schedule_id="s-quarterly", nominal=at - 120.0,
                            task_id=f"t{number + 1:08d}")  # fmt: skip
            await here.scan(number)
        await here.propose(WAITING)
        await here.tasks.note(
            JournalEntry(
                at=UNTIL - 100.0, event="schedule_skipped", cause="its scan before had not ended",
                detail={"schedule": "office", "schedule_id": "s-quarterly",
                        "nominal": UNTIL - 200.0, "task_id": None},
            )
        )  # fmt: skip


async def afterwards(directory: Path, numbers: Sequence[int] = (4, 5)) -> None:
    """What happened later: other scans, and changes of what is in the pack."""
    async with desk(directory) as here:
        for number in numbers:
            await here.scan(number)
        stored = {each.exception_id: each for each in await here.tasks.exceptions()}
        await here.decide(stored["x-accepted"], "revoked", UNTIL + 9.0 * DAY, "uid:2000",
                          status=ExceptionStatus.REVOKED, ended_at=UNTIL + 9.0 * DAY)  # fmt: skip
        waiting = await here.approve(stored["x-waiting"], at=UNTIL + 1.0)
        await here.decide(waiting, "extended", UNTIL + 8.0 * DAY, "uid:3000",
                          reason="other", owner="other", expires=UNTIL + 400.0 * DAY,
                          decided_by="uid:3000", decided_at=UNTIL + 8.0 * DAY)  # fmt: skip
        await here.note(UNTIL + 9.0 * DAY, "schedule_removed", schedule="office",
                        schedule_id="s-quarterly", when="0 3 * * mon (UTC)")  # fmt: skip


def truth() -> tuple[Network, dict[Any, Any]]:
    """The network, and what is true at the end of the quarter."""
    network = living(NOW)
    return network, truth_after(network, INSIDE[-1])
