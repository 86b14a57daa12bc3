"""What evidence about real scanners leaves open, the daemon must take either way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from trio.testing import MockClock

from nessus_sched.config.scanners import (
    ApiKeys,
    ScannerSettings,
    UiSession,
)
from nessus_sched.core.credentials import Credential, CredentialKind
from nessus_sched.core.secret import Secret
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import Discovery, ScanKind, ScanRequest
from nessus_sched.nessus import NessusScanner
from nessus_sched.scheduler.context import WorkedLogin
from nessus_sched.sim import SimOptions, SimulatedNessus
from nessus_sched.sim.assumptions import ASSUMPTIONS
from support.scripted_nessus import inline
from support.sim import SimTransport
from support.world import World, config_of, scanner_settings, virtual_now, world

ADDRESSES = {"db.example.com": ["192.0.2.7"], "v6.example.com": ["192.0.2.8"]}


def simulated(**options: Any) -> SimulatedNessus:
    return SimulatedNessus(SimOptions(scans_take=600.0, **options), now=virtual_now())


def settings_of(nessus: SimulatedNessus, *, session: bool) -> ScannerSettings:
    accounts = nessus.accounts
    keys = ApiKeys(access_key=Secret(accounts.access_key), secret_key=Secret(accounts.secret_key))
    user = UiSession(username=accounts.username, password=Secret(accounts.password))
    base = scanner_settings("a", 3)
    return ScannerSettings(
        id="a",
        url=base.url,
        auth=user if session else keys,
        max_concurrent_scans=base.max_concurrent_scans,
    )


async def everyday(w: World) -> list[TaskState]:
    """A name, discovery, and one that is paused and resumed."""
    named = await w.submit("db.example.com", "192.0.2.9")
    discovery = ScanRequest(
        kind=ScanKind.QUICK, targets=("192.0.2.64/28",), discovery=Discovery.PORTS
    )
    quick = (await w.service.submit(discovery, actor="test")).view.task
    paused = await w.running("192.0.2.2")
    await w.service.pause(paused.task_id, actor="me")
    await w.until(paused.task_id, TaskState.PAUSED)
    await w.service.resume(paused.task_id, actor="me")
    tasks = (named, quick, paused)
    return [(await w.settled(task.task_id, within=24 * 3600)).state for task in tasks]


@pytest.mark.sampled(7)
@pytest.mark.parametrize("name", ASSUMPTIONS)
async def test_the_daemon_works_the_other_way_too(
    tmp_path: Path, autojump_clock: MockClock, name: str
) -> None:
    """The default is what all other tests run with."""
    nessus = simulated(assume={name: not ASSUMPTIONS[name].default})
    settings = settings_of(nessus, session=name == "always_gzip")
    transport = SimTransport(nessus)
    client = NessusScanner(settings, now=virtual_now(), transport=transport, run_sync=inline)
    config = config_of(tmp_path, settings)
    async with world(config, {"a": client}, resolve=lambda each: ADDRESSES.get(each, [])) as w:
        assert await everyday(w) == [TaskState.COMPLETED] * 3
    assert set(nessus.ledger.of("launch").values()) == {1}


@pytest.mark.parametrize("listed", [True, False])
async def test_failing_logins_are_told_early_if_a_scanner_lists_them(
    tmp_path: Path, autojump_clock: MockClock, listed: bool
) -> None:
    async def worked(_credentials: Sequence[str]) -> WorkedLogin | None:
        return WorkedLogin(credential="linux", at=1_800_000_000.0)

    nessus = simulated(
        assume={"plugins_while_running": listed}, wrong_passwords=frozenset({"expired"})
    )
    settings = settings_of(nessus, session=False)
    linux = Credential(
        name="linux", kind=CredentialKind.SSH_PASSWORD, username="u", password=Secret("expired")
    )
    transport = SimTransport(nessus)
    client = NessusScanner(settings, now=virtual_now(), transport=transport, run_sync=inline)
    config = config_of(tmp_path, settings, credentials=(linux,))
    async with world(config, {"a": client}) as w:
        w.context.last_worked = worked
        request = ScanRequest(
            kind=ScanKind.TRUSTED, targets=("192.0.2.0/24",), credentials=("linux",)
        )
        task = (await w.service.submit(request, actor="test")).view.task
        await w.settled(task.task_id)
        assert ((await w.events(task)).count("logins_fail") == 1) is listed


@pytest.mark.slow
async def test_a_name_reaches_the_report_with_the_address_that_was_checked(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    nessus = simulated()
    settings = settings_of(nessus, session=False)
    transport = SimTransport(nessus)
    client = NessusScanner(settings, now=virtual_now(), transport=transport, run_sync=inline)
    config = config_of(tmp_path, settings)
    async with world(config, {"a": client}, resolve=lambda each: ADDRESSES.get(each, [])) as w:
        task = await w.submit("db.example.com")
        assert (await w.settled(task.task_id)).state is TaskState.COMPLETED
    (run,) = [scan.latest for scan in nessus.scans.values()]
    assert run is not None
    assert run.targets == ("db.example.com[192.0.2.7]",)
    assert [host.name for host in run.report.hosts] == ["db.example.com"]
    assert nessus.used_ips == {"192.0.2.7"}
