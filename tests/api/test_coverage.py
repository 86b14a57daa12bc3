"""Pages of what became of the targets of a task."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import attrs
import pytest
from trio.testing import MockClock

from nessus_sched.api import validation
from nessus_sched.api.app import App
from nessus_sched.api.operations import Call, ToolError
from nessus_sched.api.outcomes.coverage import CoverageAnswer, coverage_as, get_coverage
from nessus_sched.api.outcomes.rescan import rescan
from nessus_sched.config.schema import SchedulingSettings, TargetSettings
from nessus_sched.core.coverage import Coverage, Unfinished
from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.states import TaskState
from nessus_sched.core.store_errors import NoFindings
from nessus_sched.core.targets.targets import parse_targets
from nessus_sched.core.task import Task
from nessus_sched.ipc.peer import Peer
from nessus_sched.results.reached import ScannedHost, by_target, covered
from support.apps import app_of
from support.fake_scanner import FakeScanner
from support.world import World, config_of, scanner_settings, virtual_now, world

NETWORKS = ("192.0.2.0/24", "198.51.100.0/24")
T = TypeVar("T")


@attrs.define
class Findings:
    """The hosts of every report; None: results are gone."""

    hosts: list[ScannedHost] | None = attrs.field(factory=list)

    async def coverage_as(
        self,
        task_id: str,
        targets: Iterable[str],
        left: Callable[[], Iterable[Unfinished]],
        view: Callable[[Coverage, Mapping[int | str, ScannedHost]], T],
    ) -> T:
        if self.hosts is None:
            raise NoFindings(task_id)
        hosts = by_target(self.hosts)
        return view(covered(parse_targets(tuple(targets)), left(), hosts), hosts)


@asynccontextmanager
async def two_scanners(
    directory: Path, allow: tuple[str, ...] = (*NETWORKS, "*.example.com")
) -> AsyncIterator[tuple[World, App, Findings]]:
    """`a` reaches the first network, `b` both."""
    scanners = {name: FakeScanner(virtual_now()) for name in "ab"}
    config = config_of(
        directory,
        scanner_settings("a", networks=NETWORKS[:1]),
        scanner_settings("b", networks=NETWORKS),
        targets=TargetSettings(allow=allow),
        scheduling=SchedulingSettings(part_min=16),
    )
    async with world(config, scanners, resolve=lambda _name: ["192.0.2.77"]) as w:
        findings = Findings()
        yield w, attrs.evolve(app_of(w), findings=cast(Any, findings)), findings


async def ask(app: App, task: Task | str, **arguments: Any) -> CoverageAnswer:
    task_id = task if isinstance(task, str) else task.task_id
    given: Any = validation.parse(get_coverage.arguments, {"task_id": task_id, **arguments})
    answer: CoverageAnswer = await get_coverage.fn(app, Call(peer=Peer(connection="x")), given)
    return answer


async def refusal(app: App, task: Task | str, **arguments: Any) -> ToolError:
    with pytest.raises(ToolError) as caught:
        await ask(app, task, **arguments)
    return caught.value


def seen(*numbers: int, network: str = "192.0.2", **changes: Any) -> list[ScannedHost]:
    return [ScannedHost(name=f"{network}.{number}", **changes) for number in numbers]


@pytest.mark.slow
async def test_every_page_continues_the_one_before(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with two_scanners(tmp_path) as (w, app, findings):
        task = await w.settled((await w.submit(*NETWORKS)).task_id)
        assert task.split is not None
        findings.hosts = [
            *seen(*range(3, 200, 7), scanner_instance="a", login="full", logins=("l (SSH as u)",)),
            *seen(*range(9), network="198.51.100", ended_at="2026-01-31T08:00:00"),
            *seen(2, network="203.0.113"),
        ]
        for limit in (1, 7, 500):
            rows, cursor, pages = [], None, 0
            while True:
                page = await ask(app, task, limit=limit, **({"cursor": cursor} if cursor else {}))
                assert len(page.rows) <= limit
                rows += page.rows
                cursor, pages = page.next_cursor, pages + 1
                if cursor is None:
                    break
            listed = parse_targets([row.targets for row in rows])
            assert listed == parse_targets(NETWORKS)
            assert sum(row.count for row in rows) == 512  # none of them twice
            counts = Counter[str]()
            for row in rows:
                counts[row.status] += row.count
            assert counts == {"answered": 29 + 9, "silent": 512 - 38}
            assert page.counts == {"requested": 512, "not_reached": 0, **counts}
            assert pages == max(1, -(-len(rows) // limit))
        first = next(row for row in rows if row.targets == "192.0.2.3")
        assert (first.scanner_instance, first.login, first.logins) == (
            "a", "full", ["l (SSH as u)"],
        )  # fmt: skip
        last = next(row for row in rows if row.targets == "198.51.100.8")
        assert (last.ended, last.login, last.why) == ("2026-01-31T08:00:00", None, None)


async def test_only_one_status_and_its_cursor(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with two_scanners(tmp_path) as (w, app, findings):
        task = await w.settled((await w.submit("192.0.2.0/29", "www.example.com")).task_id)
        findings.hosts = seen(2, 5)
        found = await ask(app, task, status=["silent"], limit=2)
        assert [row.targets for row in found.rows] == ["192.0.2.0/31", "192.0.2.3-192.0.2.4"]
        assert found.next_cursor == "192.0.2.4"
        found = await ask(app, task, status=["silent"], limit=2, cursor="192.0.2.4")
        assert [row.targets for row in found.rows] == ["192.0.2.6/31", "www.example.com"]
        assert found.next_cursor is None
        assert not (await ask(app, task, status=["not_reached"])).rows
        assert not (await ask(app, task, cursor="www.example.com")).rows
        for wrong in ("x y", "192.0.2.0/24", "..", "5"):
            assert (await refusal(app, task, cursor=wrong)).code == "bad_arguments"


@pytest.mark.slow
async def test_a_long_page_is_cut_where_the_next_one_begins(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with two_scanners(tmp_path) as (w, app, findings):
        task = await w.settled((await w.submit(NETWORKS[0])).task_id)
        findings.hosts = seen(*range(256), logins=("x" * 100,) * 9)
        page = await ask(app, task)
        assert 0 < len(page.rows) < 50
        assert page.next_cursor == page.rows[-1].targets
        after = await ask(app, task, cursor=page.next_cursor)
        assert after.rows[0].targets == f"192.0.2.{len(page.rows)}"


async def test_what_was_not_reached_says_why_and_is_what_a_rescan_takes(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with two_scanners(tmp_path) as (w, app, _):
        submission = await w.submit(*NETWORKS, "www.example.com", partial_ok=True)
        await w.service.cancel(submission.task_id, actor="me")
        task = await w.settled(submission.task_id)
        assert (task.state, task.summary) == (TaskState.CANCELED, None)
        found = await ask(app, task)
        assert {row.why for row in found.rows} == {"canceled before it was scanned"}
        assert found.counts["not_reached"] == found.counts["requested"] == 513
        given = {"task_id": task.task_id, "hosts": "not_reached", "dry_run": True}
        arguments: Any = validation.parse(rescan.arguments, given)
        answer = await rescan.fn(app, Call(peer=Peer(connection="x")), arguments)
        assert answer.target_count == 513


@pytest.mark.slow
async def test_what_no_scanner_reaches_is_listed(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with two_scanners(tmp_path, allow=(*NETWORKS, "203.0.113.0/24")) as (w, app, findings):
        submission = await w.submit(*NETWORKS, "203.0.113.0/30", partial_ok=True)
        task = await w.settled(submission.task_id)
        findings.hosts = [*seen(1), *seen(2, ended=False), *seen(3, answered=False)]
        found = await ask(app, task, status=["not_reached"])
        assert [(row.targets, row.why) for row in found.rows] == [
            ("192.0.2.2", "it answered, but its scan did not end"),
            ("203.0.113.0/30", "no scanner reaches it"),
        ]
        assert found.counts["answered"] == 1
        assert "have no results: some targets are reached by no scanner" in found.notes[0]
        missed = await coverage_as(app, task, lambda coverage, _: coverage.missed.texts)
        assert missed == ("192.0.2.2", "203.0.113.0/30")


async def test_what_has_no_coverage_is_refused(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with two_scanners(tmp_path) as (w, app, findings):
        task = await w.submit(*NETWORKS)
        error = await refusal(app, task)
        assert error.code == "no_results"
        assert "known once it has settled" in error.message
        task = await w.settled(task.task_id)
        error = await refusal(app, f"{task.task_id}-1")
        assert (error.code, task.task_id in error.hint) == ("part_of_a_task", True)
        findings.hosts = None
        assert (await refusal(app, task)).code == "no_results"
        assert (await refusal(app, "t-nosuchtask")).code == "unknown_task"
        await w.store.submit(
            attrs.evolve(
                task, task_id="t-imported", split=None, order=10**6, attempt=0, idempotency_key=None
            ),
            JournalEntry(
                at=0.0, event="imported", actor="me", task_id="t-imported", after=task.state
            ),
        )
        assert (await refusal(app, "t-imported")).code == "no_coverage"
