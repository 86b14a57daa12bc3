"""The whole scheduler in virtual time: real pool, real store (in-line), fake scanners."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, BinaryIO

import attrs
import trio

from nessus_sched.config.scanners import (
    ApiKeys,
    ScannerSettings,
)
from nessus_sched.config.schema import (
    Config,
    PollingSettings,
    SchedulingSettings,
    TargetSettings,
)
from nessus_sched.core.clock import Now
from nessus_sched.core.coverage import Unfinished
from nessus_sched.core.leading.lease import Lease
from nessus_sched.core.scanner import Scanner, ScannerInfo
from nessus_sched.core.seal import Seal
from nessus_sched.core.secret import Secret
from nessus_sched.core.states import SETTLED, TaskState
from nessus_sched.core.targets.targets import TargetSet, parse_targets, targets_from
from nessus_sched.core.task import ScanKind, ScanRequest, Task
from nessus_sched.results.merge import MergedReader
from nessus_sched.results.model import HostEnd
from nessus_sched.results.presence import finished_hosts, foreign_host
from nessus_sched.results.reached import ScannedHost, by_target, covered
from nessus_sched.scheduler.context import Context
from nessus_sched.scheduler.driver.driver import Driver
from nessus_sched.scheduler.driver.supervision import DriverFailed
from nessus_sched.scheduler.fleet import Fleet
from nessus_sched.scheduler.operator import OperatorControls
from nessus_sched.scheduler.pool_config import new_pool
from nessus_sched.scheduler.queries import TaskQueries
from nessus_sched.scheduler.service import Service
from nessus_sched.store.executor import Inline
from nessus_sched.store.sqlite import Connect, connect
from nessus_sched.store.tasks.store import TaskStore
from support.fake_scanner import FakeScanner
from support.scripted_nessus import inline
from support.seals import SEAL

EPOCH = 1_800_000_000.0
KEY = Secret("0" * 64)
SPARSE = PollingSettings(fastest=10.0, slowest=120.0)
"""Polls make up most of a long story in virtual time."""


def virtual_now() -> Now:
    return lambda: EPOCH + trio.current_time()


def scanner_settings(scanner_id: str, limit: int = 2, **changes: Any) -> ScannerSettings:
    return ScannerSettings(
        id=scanner_id,
        url="https://scanner.example.com:8834",
        auth=ApiKeys(access_key=KEY, secret_key=KEY),
        max_concurrent_scans=limit,
        **changes,
    )


def config_of(directory: Path, *scanners: ScannerSettings, **changes: Any) -> Config:
    settings: dict[str, Any] = {
        "targets": TargetSettings(allow=("192.0.2.0/24", "198.51.100.0/24", "*.example.com")),
        "scheduling": SchedulingSettings(backoff_base=10.0, backoff_max=120.0),
        "polling": SPARSE,
    }
    return Config(state_directory=directory, scanners=scanners, **{**settings, **changes})


def basic(*targets: str, **changes: Any) -> ScanRequest:
    return ScanRequest(kind=ScanKind.BASIC, targets=targets or ("192.0.2.1",), **changes)


def _opened(path: Path) -> BinaryIO:
    return path.open("rb")


def hosts_in(paths: Sequence[Path]) -> dict[str, bool]:
    """The hosts of these reports together, and whether they were finished."""
    ends = [
        event.host
        for event in MergedReader([partial(_opened, path) for path in paths])
        if isinstance(event, HostEnd)
    ]
    assert len({host.key for host in ends}) == len(ends)
    return {host.key: "HOST_END" in host.properties for host in ends}


class FakeExports:
    """Keeps reports in a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def scratch(self, task_id: str) -> Path:
        return self._directory / f"{task_id}.part"

    async def keep(self, task_id: str, path: Path, attempt: int = 0) -> str:
        name = f"{task_id}.{attempt}.nessus"
        path.replace(self.kept(name))
        return name

    def kept(self, file: str) -> Path:
        return self._directory / file

    async def finished_hosts(self, path: Path) -> Collection[str]:
        with path.open("rb") as stream:
            return finished_hosts(stream)

    async def foreign_host(self, path: Path, ours: TargetSet) -> str | None:
        with path.open("rb") as stream:
            return foreign_host(stream, ours)

    async def drop(self, task_id: str) -> None:
        pass


@attrs.define(kw_only=True)
class World:
    """One life of the daemon's heart: from start to a kill or a stop."""

    queries: TaskQueries
    service: Service
    fleet: Fleet
    context: Context
    store: TaskStore
    operator: OperatorControls

    async def submit(self, *targets: str, **changes: Any) -> Task:
        submission = await self.service.submit(basic(*targets, **changes), actor="test")
        return submission.view.task

    async def running(self, *targets: str, **changes: Any) -> Task:
        """A new task, as soon as its scan runs."""
        task = await self.submit(*targets, **changes)
        return await self.until(task.task_id, TaskState.RUNNING)

    async def events(self, task: Task) -> list[str]:
        """What happened to it, by the journal."""
        records = await self.queries.history(task.task_id)
        return [record.entry.event for record in records]

    async def task(self, task_id: str) -> Task:
        return (await self.queries.task(task_id)).task

    async def settled(self, task_id: str, within: float = 1e6) -> Task:
        """The task once it has settled; fails when that takes more than `within` seconds."""
        with trio.fail_after(within):
            while (task := await self.task(task_id)).state not in SETTLED:
                await self.service.wait(task_id, within=within)
        return task

    async def until(self, task_id: str, state: TaskState, within: float = 1e6) -> Task:
        with trio.fail_after(within):
            while (task := await self.task(task_id)).state is not state:
                assert task.state not in SETTLED, f"it will never be {state}: {task}"
                await self.service.wait(task_id, within=within)
        return task


class UnforgivingFleet(Fleet):
    """Ends with a driver that has failed, which would be started again."""

    async def _replace(self, failed: Driver, error: DriverFailed) -> Driver:
        raise AssertionError(f"the driver of {failed.connection.id} has failed: see the log")


@asynccontextmanager
async def world(
    config: Config,
    scanners: Mapping[str, Scanner],
    *,
    seed: int = 0,
    seal: Seal = SEAL,
    wall: Now | None = None,
    clock_checks: float = 300.0,
    connect: Connect = connect,
    resolve: Callable[[str], Sequence[str]] | None = None,
    crashes: bool = False,
    lease: Lease | None = None,
) -> AsyncIterator[World]:
    """Runs until the block ends, then stops as at a kill: nothing is cleaned up. Unless the test
    is about `crashes`, it fails if a driver was restarted after a bug. If it sets the wall clock,
    it chooses the seconds between `clock_checks`."""
    now = virtual_now()

    async def look_up(name: str) -> Sequence[str]:
        if resolve is None:
            raise OSError("no such name")
        return resolve(name)

    async def digest(
        task: Task, paths: Sequence[Path], _info: ScannerInfo | None
    ) -> Mapping[str, Any]:
        hosts = hosts_in(paths)
        left = Unfinished(targets_from(task.remaining or ()), "")
        scanned = [ScannedHost(name=name, ended=ended) for name, ended in hosts.items()]
        return {
            "coverage": covered(
                parse_targets(task.request.targets), [left], by_target(scanned)
            ).document(),
            "findings": len(paths),
            "hosts": len(hosts),
            "hosts_finished": sum(hosts.values()),
            "finished": sorted(name for name, ended in hosts.items() if ended),
            "report": paths[-1].read_text(),
        }

    async with TaskStore.open(
        config.state_directory, now=now, executor=Inline(), connect=connect
    ) as store:
        pool = new_pool(config, now(), on_wake=lambda scanner_id: fleet.ring(scanner_id))
        context = Context(
            config=config,
            pool=pool,
            store=store,
            exports=FakeExports(config.state_directory),
            digest=digest,
            resolve=look_up,
            now=now,
            wall=wall or now,
            clock_checks=clock_checks,
            run_sync=inline,
            seal=seal,
            lease=lease or store.lease,
            random=Random(f"{seed} {await store.last_order()}"),  # new ids in every life
            last_order=await store.last_order(),
        )
        kind = Fleet if crashes else UnforgivingFleet
        fleet = kind(context, lambda settings: scanners[settings.id])
        queries = TaskQueries(context, fleet)
        service = Service(context, fleet, queries)
        async with trio.open_nursery() as nursery:
            await nursery.start(fleet.run)
            nursery.start_soon(service.repeat_commands)
            nursery.start_soon(service.deadlines.run)
            yield World(
                queries=queries,
                service=service,
                fleet=fleet,
                context=context,
                store=store,
                operator=OperatorControls(context, fleet),
            )
            nursery.cancel_scope.cancel(reason="the test ends this life")


@asynccontextmanager
async def one_scanner(
    directory: Path, limit: int = 1, **changes: Any
) -> AsyncIterator[tuple[World, FakeScanner]]:
    """A world with the scanner `a` alone; `changes` are those of `config_of`."""
    scanner = FakeScanner(virtual_now())
    config = config_of(directory, scanner_settings("a", limit), **changes)
    async with world(config, {"a": scanner}) as w:
        yield w, scanner


async def seen(what: Callable[[], bool]) -> None:
    """Returns when it is so, or later by a hundredth of the time that it took."""
    began = trio.current_time()
    while not what():  # noqa: ASYNC110 - a fake has no events
        await trio.sleep(max(0.01, (trio.current_time() - began) / 100))


def error_kind(task: Task) -> str:
    """Of its latest error, which it must have."""
    assert task.last_error is not None
    return task.last_error.kind
