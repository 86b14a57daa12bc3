"""Scans that pretend to be a task's own, made by submitters or by people at the scanner.

None is ever adopted, launched, stopped or deleted: on a simulated Nessus, through its API.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import trio
from trio.testing import MockClock

from nessus_sched.config.scanners import ApiKeys
from nessus_sched.config.schema import RetentionSettings
from nessus_sched.core.scanner import ScannerInfo
from nessus_sched.core.seal import Seal
from nessus_sched.core.secret import Secret
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import Task
from nessus_sched.nessus import NessusScanner
from nessus_sched.scheduler.driver.endings import was_edited
from nessus_sched.scheduler.driver.exporting import EDITED
from nessus_sched.scheduler.errors import RequestError
from nessus_sched.sim import SimOptions, SimulatedNessus, asgi_app
from nessus_sched.sim.scans import Scan
from nessus_sched.store.tasks.offline import read_offline
from support.meddling import sweep
from support.scripted_nessus import inline
from support.seals import SEAL, marker
from support.world import World, config_of, scanner_settings, virtual_now, world

VICTIM, FOREIGN = "192.0.2.2", "198.51.100.7"


def simulated() -> SimulatedNessus:
    return SimulatedNessus(SimOptions(scans_take=60.0), now=virtual_now())


@asynccontextmanager
async def beside(
    nessus: SimulatedNessus, directory: Path, seal: Seal = SEAL
) -> AsyncIterator[World]:
    """A daemon that runs one scan at a time there and keeps none of them for long."""
    keys = ApiKeys(
        access_key=Secret(nessus.accounts.access_key), secret_key=Secret(nessus.accounts.secret_key)
    )
    settings = attrs.evolve(scanner_settings("a", 1), auth=keys)
    transport = httpx.ASGITransport(app=asgi_app(nessus))
    client = NessusScanner(settings, now=virtual_now(), transport=transport, run_sync=inline)
    config = config_of(directory, settings, retention=RetentionSettings(remote_scans=0.0))
    async with world(config, {"a": client}, seal=seal) as w:
        yield w


def added(
    nessus: SimulatedNessus, original: Scan, name: str, *, folder: int = 0, targets: str = FOREIGN
) -> Scan:
    """A person makes a scan beside the original, and lets it run."""
    scan = attrs.evolve(
        original,
        id=next(nessus.ids),
        name=name,
        targets=(targets,),
        folder_id=folder or original.folder_id,
        created_at=nessus.now(),
        runs=[],
    )
    nessus.scans[scan.id] = scan
    nessus.launch(scan)
    return scan


def scan_of(nessus: SimulatedNessus, task: Task) -> Scan:
    assert task.nessus_scan_id is not None
    return nessus.scans[task.nessus_scan_id]


FORGED = {
    "without digest": "[ns:{id}.1]",
    "wrong digest": "weekly [ns:{id}.1.aaaaaaaaaaaaaaaa]",
    "empty digest": "weekly [ns:{id}.1.]",
    "large attempt": "weekly [ns:{id}.999999999.aaaaaaaaaaaaaaaa]",
    "large attempt without digest": "weekly [ns:{id}.999999999]",
    "digest of another attempt": "weekly [ns:{id}.1.{digest2}]",
    "digest of another task": "weekly [ns:{id}.1.{digest_of_other}]",
    "look-alikes": "weekly \uff3bns:{id}.1.{digest1}\uff3d",
    "upper case": "weekly [NS:{id}.1.{digest1}]",
    "in the middle": "{marker1} weekly",
    "cut": "weekly [ns:{id}.1.{digest1}",
    "shortened": "weekly [ns:{id}.1.{digest1_cut}]",
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("forged", FORGED)
async def test_a_forged_marker_is_not_believed(
    tmp_path: Path, autojump_clock: MockClock, forged: str
) -> None:
    nessus = simulated()
    async with beside(nessus, tmp_path) as w:
        other = await w.running("192.0.2.1")
        victim = await w.submit(VICTIM)
        name = FORGED[forged].format(
            id=victim.task_id,
            marker1=marker(victim.task_id, 1),
            digest1=digest(victim, 1),
            digest1_cut=digest(victim, 1)[:-1],
            digest2=digest(victim, 2),
            digest_of_other=digest(other, 1),
        )
        scan = added(nessus, scan_of(nessus, other), name)
        await checked(w, nessus, victim, scan)


def digest(task: Task, attempt: int) -> str:
    return marker(task.task_id, attempt).rpartition(".")[2].rstrip("]")


async def checked(w: World, nessus: SimulatedNessus, victim: Task, scan: Scan) -> None:
    """The victim has a scan of its own; the other one is as it was."""
    runs = len(scan.runs)
    done = await w.settled(victim.task_id)
    assert (done.state, done.attempt) == (TaskState.COMPLETED, 1)
    assert done.nessus_scan_id != scan.id
    if done.nessus_scan_id in nessus.scans:
        assert scan_of(nessus, done).targets == (VICTIM,)
    assert nessus.ledger.of("launch")[f"{victim.task_id} {marker(victim.task_id, 1)}"] == 1
    await trio.sleep(300)
    await sweep(w)
    assert nessus.scans[scan.id] is scan
    assert len(scan.runs) == runs
    assert scan.name not in nessus.ledger.of("stop")


async def test_a_valid_marker_does_not_bring_other_targets(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    nessus = simulated()
    async with beside(nessus, tmp_path) as w:
        other = await w.running("192.0.2.1")
        victim = await w.submit(VICTIM)
        name = f"x {marker(victim.task_id, 1)}"
        await checked(w, nessus, victim, added(nessus, scan_of(nessus, other), name))


async def test_a_valid_marker_in_another_folder_is_none(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    nessus = simulated()
    async with beside(nessus, tmp_path) as w:
        other = await w.running("192.0.2.1")
        victim = await w.submit(VICTIM)
        name, folder = f"x {marker(victim.task_id, 1)}", nessus.folders.get(3).id
        original = scan_of(nessus, other)
        scan = added(nessus, original, name, folder=folder, targets=VICTIM)
        await checked(w, nessus, victim, scan)


async def test_of_a_scan_and_its_copy_the_one_in_the_journal_counts(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    nessus = simulated()
    async with beside(nessus, tmp_path) as w:
        task = await w.running(VICTIM)
        original = scan_of(nessus, task)
        copy = added(nessus, original, original.name, targets=VICTIM)
        await w.service.cancel(task.task_id, actor="me")
        assert (await w.settled(task.task_id)).state is TaskState.CANCELED
        assert nessus.ledger.of("stop")[original.name] == 1
        assert original.latest is not None
        assert copy.latest is not None
        assert original.latest.status_text != "completed"
        await trio.sleep(300)
        assert copy.latest.status_text == "completed"
        await sweep(w)
        assert original.id not in nessus.scans
        assert nessus.scans[copy.id] is copy


async def test_a_scan_that_was_given_other_targets_is_not_reported(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    nessus = simulated()
    async with beside(nessus, tmp_path) as w:
        task = await w.running(VICTIM)
        run = scan_of(nessus, task).latest
        assert run is not None
        run.targets = (FOREIGN,)
        run.report = nessus._report(scan_of(nessus, task), run.targets)
        assert run.report.hosts
        done = await w.settled(task.task_id)
        assert (done.state, done.summary, done.export_file) == (TaskState.DEAD, None, None)
        assert done.last_error is not None
        assert done.last_error.kind == "not_ours"
        assert FOREIGN in done.last_error.message


async def test_what_a_scan_found_before_its_targets_were_edited_is_reported(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """The report tells that it ran with the targets that it was given."""
    nessus = simulated()
    async with beside(nessus, tmp_path) as w:
        digest, digested = w.context.digest, list[Task]()

        async def watched(
            task: Task, paths: Sequence[Path], info: ScannerInfo | None
        ) -> Mapping[str, Any]:
            digested.append(task)
            return await digest(task, paths, info)

        w.context.digest = watched
        task = await w.running(VICTIM)
        run = scan_of(nessus, task).latest
        assert run is not None
        run.targets = (FOREIGN,)
        done = await w.settled(task.task_id)
        assert [was_edited(each.ending) for each in digested] == [True]
        assert (done.state, done.partial, done.ending) == (TaskState.COMPLETED, None, None)
        assert done.summary is not None
        causes = [record.entry.cause for record in await w.queries.history(task.task_id)]
        assert any("other targets" in cause and FOREIGN in cause for cause in causes)
        assert EDITED in causes


@pytest.mark.parametrize("same_key", [True, False])
async def test_a_restored_backup_adopts_what_its_own_key_marked(
    tmp_path: Path, autojump_clock: MockClock, same_key: bool
) -> None:
    nessus = simulated()
    (tmp_path / "restored").mkdir()
    async with beside(nessus, tmp_path) as w:
        other = await w.running("192.0.2.1")
        victim = await w.submit(VICTIM)
        with read_offline(tmp_path) as offline:
            offline.backup(tmp_path / "restored" / "tasks.db")
        await w.until(victim.task_id, TaskState.RUNNING)
    forged = [
        added(nessus, scan_of(nessus, other), f"x [ns:{victim.task_id}.{attempt}]")
        for attempt in (2, 999)
    ]
    seal = SEAL if same_key else Seal(b"x" * 32)
    async with beside(nessus, tmp_path / "restored", seal) as w:
        done = await w.settled(victim.task_id)
        assert (done.state, done.attempt) == (TaskState.COMPLETED, 1)
        await sweep(w)
    launches = [name for name in nessus.ledger.of("launch") if victim.task_id in name]
    assert len(launches) == len(forged) + (1 if same_key else 2)
    assert all(scan.id in nessus.scans for scan in forged)


@pytest.mark.parametrize("field", ["name", "description"])
@pytest.mark.parametrize(
    "text", ["[ns:t-23456789abcdef.1]", "x\uff3bNS:y", "[n\u200bs:", "a [ns :"]
)
async def test_a_submitter_cannot_write_a_marker(
    tmp_path: Path, autojump_clock: MockClock, field: str, text: str
) -> None:
    async with beside(simulated(), tmp_path) as w:
        with pytest.raises(RequestError, match=f"the {field} contains") as caught:
            await w.submit(VICTIM, **{field: text})
        assert caught.value.code == "reserved_name"
        assert w.store.counts()[TaskState.QUEUED] == 0


@pytest.mark.parametrize("upgraded", [True, False])
async def test_scans_that_run_during_the_upgrade_are_adopted(
    tmp_path: Path, autojump_clock: MockClock, upgraded: bool
) -> None:
    """Their markers have no digest. That counts for attempts begun before it, and no other."""
    nessus = simulated()
    async with beside(nessus, tmp_path) as w:
        task = await w.running(VICTIM)
        head = (await w.store.verify()).head
    scan = scan_of(nessus, task)
    scan.name = f"{task.task_id} [ns:{task.task_id}.1]"
    async with beside(nessus, tmp_path, Seal(SEAL.key, head.seq if upgraded else 0)) as w:
        await trio.sleep(10)
        await w.service.cancel(task.task_id, actor="me")
        done = await w.settled(task.task_id)
        await sweep(w)
    assert done.state is TaskState.CANCELED
    assert (scan.id in nessus.scans) is not upgraded
    assert (scan.name in nessus.ledger.of("stop")) is upgraded
