"""Certifications in a running scheduler: their slot, their scans, and what is kept of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from nessus_sched.certify.certifier import Certifier
from nessus_sched.certify.examination import Outcome
from nessus_sched.certify.files import CertificationFiles
from nessus_sched.certify.scans import Scans, Subject
from nessus_sched.config.schema import TargetSettings
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import ScanKind, ScanRequest
from nessus_sched.scheduler.errors import NotPossible, RequestError, TargetsRefused
from nessus_sched.sim import SimOptions, SimulatedNessus
from nessus_sched.sim.recording import read_recording
from support.certification import TARGET, client_of
from support.scripted_nessus import inline
from support.simulated_nessus import Lab, lab
from support.world import World, config_of, scanner_settings, virtual_now, world

SCANS_TAKE = 30.0


@attrs.frozen
class Place:
    """A scheduler with one simulated scanner `a`."""

    world: World
    lab: Lab
    certifier: Certifier
    files: CertificationFiles

    async def certify(self, target: str = TARGET) -> Outcome:
        return await self.certifier.certify("a", target, actor="test")


@asynccontextmanager
async def place(
    directory: Path, one: Lab, *, limit: int = 1, allow: tuple[str, ...] = ("192.0.2.0/24",)
) -> AsyncIterator[Place]:
    keys = one.client._settings.auth
    settings = scanner_settings("a", limit)
    settings = attrs.evolve(settings, auth=keys)
    config = config_of(directory, settings, targets=TargetSettings(allow=allow))
    async with world(config, {"a": client_of(one, settings)}) as w, trio.open_nursery() as nursery:
        files = CertificationFiles(directory / "certifications")
        certifier = Certifier(w.context, files, partial(client_of, one), inline)
        await certifier.restore()
        nursery.start_soon(certifier.run)
        yield Place(w, one, certifier, files)
        nursery.cancel_scope.cancel()


def scanner(**options: Any) -> Lab:
    """A simulator whose clock is the scheduler's."""
    options = {"scans_take": SCANS_TAKE, **options}
    return lab(nessus=SimulatedNessus(SimOptions(**options), now=virtual_now()))


@pytest.mark.slow
async def test_it_is_kept_and_journaled(autojump_clock: MockClock, tmp_path: Path) -> None:
    one = scanner()
    async with place(tmp_path, one) as p:
        outcome = await p.certify()
        assert p.files.measured("a") == outcome.measured == p.world.context.measured["a"]
        assert p.files.under_way() == {}
        assert p.world.context.certifying == {}
        assert outcome.recording == str(p.files.recording("a"))
        read_recording(p.files.recording("a"), 0.0)
    async with place(tmp_path, one) as p:
        assert p.world.context.measured["a"] == outcome.measured


async def test_it_never_exceeds_the_limit(autojump_clock: MockClock, tmp_path: Path) -> None:
    one = scanner()
    async with place(tmp_path, one) as p:
        before = await p.world.running("192.0.2.1")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(p.certify)
            await trio.sleep(1)
            after = await p.world.submit("192.0.2.2")
        assert (await p.world.settled(before.task_id)).state is TaskState.COMPLETED
        assert (await p.world.settled(after.task_id)).state is TaskState.COMPLETED
        assert one.nessus.ledger.max_unfinished <= 1


@pytest.mark.slow
@pytest.mark.parametrize("max_scans", [0, 2])
async def test_tasks_use_the_other_slots(
    max_scans: int, autojump_clock: MockClock, tmp_path: Path
) -> None:
    """Also where the scanner has a limit of its own: its scans count once."""
    one = scanner(max_scans=max_scans)
    async with place(tmp_path, one, limit=2) as p:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(p.certify)
            await trio.sleep(5)
            task = await p.world.running("192.0.2.1")
            assert p.world.context.certifying
        await p.world.settled(task.task_id)
        assert one.nessus.ledger.max_unfinished == 2


@pytest.mark.parametrize("killed_after", [2, 20, 45, 70])
async def test_what_a_crash_left_is_removed_before_its_slot_is_given_away(
    killed_after: float, autojump_clock: MockClock, tmp_path: Path
) -> None:
    one = scanner()
    async with place(tmp_path, one) as p:
        with trio.move_on_after(killed_after):
            p.files.begin("a", "t-left")
            # The same scans, with nothing that would clean up.
            await leave_scans(p, killed_after)
    async with place(tmp_path, one) as p:
        task = await p.world.submit("192.0.2.1")
        assert (await p.world.settled(task.task_id)).state is TaskState.COMPLETED
        assert one.nessus.ledger.max_unfinished <= 1
        assert len(one.nessus.scans) == 1  # the task's own
        assert p.files.under_way() == {}


async def leave_scans(p: Place, seconds: float) -> None:
    """A scan of the certification `t-left` that runs, and one that was never launched."""
    subject = Subject(
        scanner=p.lab.client,
        target=TARGET,
        marker=lambda number: p.world.context.seal.mark("t-left", number),
        folder=p.files.directory,
        wall=p.world.context.wall,
        keys=True,
        run_sync=inline,
    )
    scans = Scans(subject)
    request = ScanRequest(kind=ScanKind.BASIC, targets=(TARGET,))
    await scans.launch(await scans.create(request))
    await scans.create(request)
    await trio.sleep(seconds)


async def test_a_canceled_one_gives_its_slot_back(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    one = scanner()
    async with place(tmp_path, one) as p:
        with trio.move_on_after(20):
            await p.certify()
        task = await p.world.submit("192.0.2.1")
        await p.world.settled(task.task_id)
        assert len(one.nessus.scans) == 1
        assert p.files.under_way() == {}


@pytest.mark.parametrize(
    "target", ["203.0.113.7", "127.0.0.1", "192.0.2.0/30", "192.0.2.1,192.0.2.2", "no good", ""]
)
async def test_targets_are_checked_first(
    target: str, autojump_clock: MockClock, tmp_path: Path
) -> None:
    one = scanner()
    async with place(tmp_path, one) as p:
        with pytest.raises(TargetsRefused):
            await p.certify(target)
        assert p.files.under_way() == {}
    assert not one.nessus.ledger.requests["POST /scans"]


@pytest.mark.slow
async def test_one_at_a_time(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with place(tmp_path, scanner()) as p, trio.open_nursery() as nursery:
        nursery.start_soon(p.certify)
        await trio.sleep(1)
        with pytest.raises(NotPossible):
            await p.certify()


async def test_an_unknown_scanner(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with place(tmp_path, scanner()) as p:
        with pytest.raises(RequestError):
            await p.certifier.certify("b", TARGET, actor="test")


def test_a_damaged_file_counts_as_none(tmp_path: Path) -> None:
    files = CertificationFiles(tmp_path)
    for content in ("", "[]", "{}", '{"identity": {}, "at": 1}', "\0"):
        (tmp_path / "a.json").write_text(content)
        assert files.measured("a") is None


@pytest.mark.slow
async def test_a_trial_is_given_no_task_after_its_certification(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    one = scanner(trial=True)
    async with place(tmp_path, one) as p:
        await p.certify()
        created = one.nessus.ledger.totals["create"]
        task = await p.world.submit("192.0.2.1")
        dead = await p.world.settled(task.task_id)
        assert dead.state is TaskState.DEAD
        assert dead.last_error is not None
        assert dead.last_error.kind == "export_not_allowed"
        assert one.nessus.ledger.totals["create"] == created


@pytest.mark.slow
async def test_another_version_is_given_tasks_again(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    one = scanner(trial=True)
    async with place(tmp_path, one) as p:
        outcome = await p.certify()
        assert outcome.measured is not None
        identity = attrs.evolve(outcome.measured.identity, version="1.0")
        p.world.context.measured["a"] = attrs.evolve(outcome.measured, identity=identity)
        await p.world.running("192.0.2.1")
