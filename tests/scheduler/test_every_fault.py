"""Every fault of the simulated Nessus at every kind of request, with the real client between.

A small world in virtual time: one scan that just runs, one that is paused and resumed, one
that is canceled. The fault strikes the first request of its kind, then it is over, and
everything must come to its end as if nothing had been.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from nessus_sched.config.scanners import (
    ApiKeys,
    ScannerSettings,
    UiSession,
)
from nessus_sched.config.schema import (
    PollingSettings,
    RetentionSettings,
)
from nessus_sched.core.scanner import ScannerError
from nessus_sched.core.secret import Secret
from nessus_sched.core.states import TaskState
from nessus_sched.nessus import NessusScanner
from nessus_sched.scheduler.driver.remote_cleanup import delete_unneeded_scans
from nessus_sched.sim import Fault, FaultKind, SimOptions, SimulatedNessus
from support import ambush
from support.scripted_nessus import inline
from support.sim import SimTransport
from support.world import World, config_of, scanner_settings, virtual_now, world

REQUESTS = (
    ("POST", "/session"),
    ("GET", "/nessus6.js"),
    ("GET", "/server/status"),
    ("GET", "/settings/advanced"),
    ("GET", "/folders"),
    ("POST", "/folders"),
    ("GET", "/editor/scan/templates"),
    *ambush.REQUESTS,
)
FAULTS: dict[str, dict[str, Any]] = {
    "hang": {"kind": FaultKind.HANG},
    "hang a while": {"kind": FaultKind.HANG, "seconds": 20.0},
    "reset before": {"kind": FaultKind.RESET_BEFORE},
    "reset after": {"kind": FaultKind.RESET_AFTER},
    "status 429": {"kind": FaultKind.STATUS, "status": 429, "retry_after": 7},
    "status 500": {"kind": FaultKind.STATUS, "status": 500},
    "status 503": {"kind": FaultKind.STATUS, "status": 503},
    "slow": {"kind": FaultKind.SLOW, "seconds": 20.0},
    "truncated": {"kind": FaultKind.TRUNCATED, "after_bytes": 10},
    "truncated neatly": {"kind": FaultKind.TRUNCATED, "after_bytes": 10, "clean": True},
    "empty": {"kind": FaultKind.EMPTY},
    "a web page": {"kind": FaultKind.HTML},
}
TIMES = 2


def connect(nessus: SimulatedNessus, settings: ScannerSettings) -> NessusScanner:
    transport = SimTransport(nessus)
    return NessusScanner(settings, now=virtual_now(), transport=transport, run_sync=inline)


def settings_for(nessus: SimulatedNessus, *, session: bool) -> ScannerSettings:
    accounts = nessus.accounts
    user = UiSession(username=accounts.username, password=Secret(accounts.password))
    keys = ApiKeys(access_key=Secret(accounts.access_key), secret_key=Secret(accounts.secret_key))
    return attrs.evolve(scanner_settings("a", 3), auth=user if session else keys)


@pytest.mark.sampled(19)
@pytest.mark.parametrize("request_", REQUESTS, ids=" ".join)
@pytest.mark.parametrize("fault", FAULTS)
async def test_it_passes_and_everything_ends_as_if_it_had_not_been(
    tmp_path: Path, autojump_clock: MockClock, fault: str, request_: tuple[str, str]
) -> None:
    method, path = request_
    nessus = SimulatedNessus(SimOptions(scans_take=600.0), now=virtual_now())
    struck = nessus.faults.inject(Fault(method=method, path=path, times=TIMES, **FAULTS[fault]))
    session = path in {"/session", "/nessus6.js"}
    assert await told(tmp_path, nessus, session=session) == [
        TaskState.COMPLETED,
        TaskState.COMPLETED,
        TaskState.CANCELED,
    ]
    assert struck.struck > 0


async def told(directory: Path, nessus: SimulatedNessus, *, session: bool = False) -> list[str]:
    """How the three tasks end; nothing of theirs may be left on the scanner."""
    settings = settings_for(nessus, session=session)
    config = config_of(
        directory,
        settings,
        retention=RetentionSettings(remote_scans=0.0),
        polling=PollingSettings(fastest=15.0, slowest=60.0),
    )
    async with world(config, {"a": connect(nessus, settings)}) as w:
        with trio.fail_after(2 * 3600):
            ends = await tell(w)
        for _ in range(TIMES + 1):
            await trio.sleep(120)
            with suppress(ScannerError):
                connection = w.fleet.drivers["a"].connection
                rows = await connection.scanner.list_scans()
                await delete_unneeded_scans(connection, rows)
        assert not w.queries.statistics().scanners[0].slots.active
    assert set(nessus.ledger.of("launch").values()) == {1}
    assert nessus.ledger.max_running <= 3
    assert not nessus.scans
    return ends


async def tell(w: World) -> list[str]:
    plain = await w.submit("192.0.2.1")
    paused = await w.running("192.0.2.2")
    await w.service.pause(paused.task_id, actor="me")
    await w.until(paused.task_id, TaskState.PAUSED)
    await w.service.resume(paused.task_id, actor="me")
    canceled = await w.running("192.0.2.3")
    await w.service.cancel(canceled.task_id, actor="me")
    return [(await w.settled(task.task_id)).state for task in (plain, paused, canceled)]


@pytest.mark.slow
async def test_faults_of_scans_end_with_the_time_that_a_scan_may_take(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Of a scan that never starts, breaks off, has a status nobody knows, or no export."""
    ends = {
        FaultKind.STAYS_PENDING: TaskState.TIMED_OUT,
        FaultKind.UNKNOWN_STATUS: TaskState.COMPLETED,
        FaultKind.SCAN_ABORTS: TaskState.COMPLETED,
        FaultKind.EXPORT_FAILS: TaskState.COMPLETED,
    }
    for kind, end in ends.items():
        nessus = SimulatedNessus(SimOptions(scans_take=600.0), now=virtual_now())
        struck = nessus.faults.inject(Fault(kind=kind, message="napping"))
        settings = settings_for(nessus, session=False)
        directory = tmp_path / kind
        directory.mkdir()
        async with world(config_of(directory, settings), {"a": connect(nessus, settings)}) as w:
            task = await w.submit("192.0.2.1", max_runtime=3600.0)
            assert (await w.settled(task.task_id, within=2 * 3600)).state is end, kind
        assert struck.struck == 1


@pytest.mark.slow
async def test_a_pause_waits_until_the_scan_has_resumed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """A scanner refuses to pause a scan that is resuming."""
    options = SimOptions(scans_take=3600.0, transition_takes=10.0)
    nessus = SimulatedNessus(options, now=virtual_now())
    settings = settings_for(nessus, session=False)
    config = config_of(tmp_path, settings, polling=PollingSettings(fastest=1.0, slowest=5.0))
    async with world(config, {"a": connect(nessus, settings)}) as w:
        task = await w.running("192.0.2.1")
        for _ in range(2):
            await w.service.pause(task.task_id, actor="me")
            await w.until(task.task_id, TaskState.PAUSED)
            await w.service.resume(task.task_id, actor="me")
            await w.until(task.task_id, TaskState.RUNNING)
        await w.service.pause(task.task_id, actor="me")
        with trio.fail_after(30):
            paused = await w.until(task.task_id, TaskState.PAUSED)
        assert paused.last_error is None
