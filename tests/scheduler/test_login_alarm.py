"""A credential that worked before and fails on the first hosts of a running scan."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import MockClock

from nessus_sched.core.credentials import Credential, CredentialKind
from nessus_sched.core.secret import Secret
from nessus_sched.core.states import TaskState
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.core.task import ScanKind, ScanRequest, Task
from nessus_sched.scheduler.context import WorkedLogin
from support.fake_scanner import FakeScanner
from support.world import World, config_of, one_scanner, scanner_settings, virtual_now, world

LINUX = Credential(
    name="linux", kind=CredentialKind.SSH_PASSWORD, username="u", password=Secret("hush")
)


def logged_in(*credentials: str) -> ScanRequest:
    return ScanRequest(kind=ScanKind.TRUSTED, targets=("192.0.2.1",), credentials=credentials)


async def worked(_credentials: Sequence[str]) -> WorkedLogin | None:
    return WorkedLogin(credential="linux", at=1_800_000_000.0)


async def followed(w: World, scanner: FakeScanner, *, failed: int = 3, good: int = 0) -> Task:
    """A task whose scan has been looked at for a while, and has not ended."""
    scanner.failed_logins, scanner.worked_logins = failed, good
    submitted = (await w.service.submit(logged_in("linux"), actor="test")).view.task
    await trio.sleep(300)
    task = await w.task(submitted.task_id)
    assert task.state is TaskState.RUNNING
    return task


async def test_it_is_said_once_and_the_scan_goes_on(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path, credentials=(LINUX,)) as (w, scanner):
        w.context.last_worked = worked
        task = await followed(w, scanner)
        assert task.last_error is not None
        assert (task.last_error.kind, task.last_error.transient) == ("logins_fail", True)
        assert task.last_error.message == (
            "logins fail on the first hosts, although credential linux worked on "
            "Fri 2027-01-15 08:00 UTC"
        )
        done = await w.settled(task.task_id)
        assert (done.state, done.attempt) == (TaskState.COMPLETED, 1)
        assert (await w.events(task)).count("logins_fail") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("failed", "good", "before"), [(2, 0, True), (9, 1, True), (9, 0, False), (0, 0, True)]
)
async def test_no_alarm_where_nothing_has_changed(
    tmp_path: Path, autojump_clock: MockClock, failed: int, good: int, before: bool
) -> None:
    async with one_scanner(tmp_path, credentials=(LINUX,)) as (w, scanner):
        if before:
            w.context.last_worked = worked
        assert (await followed(w, scanner, failed=failed, good=good)).last_error is None


async def test_a_scan_without_credentials_raises_none(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        w.context.last_worked, scanner.failed_logins = worked, 9
        task = await w.running()
        await trio.sleep(300)
        assert (await w.task(task.task_id)).last_error is None


async def test_it_is_said_once_among_other_trouble(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path, credentials=(LINUX,)) as (w, scanner):
        w.context.last_worked = worked
        task = await followed(w, scanner)
        (scan,) = scanner.scans.values()
        scan.ours = False
        await trio.sleep(200)
        events = await w.events(task)
        assert (events.count("logins_fail"), events.count("scan_disowned")) == (1, 1)


async def test_with_several_credentials_it_is_not_known_which(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    other = attrs.evolve(LINUX, name="other")
    async with one_scanner(tmp_path, credentials=(LINUX, other)) as (w, scanner):
        w.context.last_worked, scanner.failed_logins = worked, 3
        submitted = await w.service.submit(logged_in("linux", "other"), actor="test")
        await trio.sleep(300)
        error = (await w.task(submitted.view.task.task_id)).last_error
        assert error is not None
        assert "it is not known which of its 2 credentials fails" in error.message


async def test_it_is_said_once_over_a_restart(tmp_path: Path, autojump_clock: MockClock) -> None:
    scanner = FakeScanner(virtual_now())
    config = config_of(tmp_path, scanner_settings("a", 1), credentials=(LINUX,))
    for life in range(2):
        async with world(config, {"a": scanner}) as w:
            w.context.last_worked = worked
            if life == 0:
                task = await followed(w, scanner)
            else:
                await w.settled(task.task_id)
                assert (await w.events(task)).count("logins_fail") == 1


async def test_it_waits_until_the_ledger_can_be_read(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async def unreadable(_credentials: Sequence[str]) -> WorkedLogin | None:
        raise StoreUnavailable("the disk is full")

    async with one_scanner(tmp_path, credentials=(LINUX,)) as (w, scanner):
        w.context.last_worked = unreadable
        task = await followed(w, scanner)
        assert task.last_error is None
        w.context.last_worked = worked
        await trio.sleep(120)
        assert (await w.events(task)).count("logins_fail") == 1
