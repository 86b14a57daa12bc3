"""A backup taken in the midst of work is whole, and a daemon goes on from it."""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random

import pytest
import trio

from nessus_sched.core.states import SETTLED, TaskState
from nessus_sched.sim.options import SimOptions
from nessus_sched.store.lock import prepare_directory
from nessus_sched.store.tasks.offline import read_offline
from nessus_sched.store.tasks.schema import FILE_NAME
from support.processes import Site, client, daemon, scanner_yaml, simulators, site
from support.submitters import Book, Submitter, resume_everything

BACKUPS = 3


async def backup(place: Site, file: Path) -> None:
    done = await trio.run_process(
        place.argv("backup", str(file)),
        env=place.environ,
        capture_stderr=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


async def backups_under_load(place: Site, book: Book) -> list[tuple[Path, set[str]]]:
    """Copies, each with the tasks that were acknowledged before it was begun."""
    made: list[tuple[Path, set[str]]] = []
    async with daemon(place), trio.open_nursery() as nursery:
        for name in "xy":
            nursery.start_soon(submit, place, name, book)
        while len(made) < BACKUPS:
            acknowledged = set(book.acknowledged.values())
            if len(acknowledged) < 3 * (len(made) + 1):
                await trio.sleep(0.05)
                continue
            file = place.directory / f"backup{len(made)}.db"
            await backup(place, file)
            made.append((file, acknowledged))
        book.closed = True
    return made


async def submit(place: Site, name: str, book: Book) -> None:
    async with client(place, "--no-start") as tools:
        submitter = Submitter(name=name, book=book, random=Random(name), launched=lambda: 1000)
        await submitter.run(tools)


@pytest.mark.slow
async def test_a_backup_under_load_is_whole_and_a_daemon_goes_on_from_it(tmp_path: Path) -> None:
    options = [SimOptions(seed=seed, scans_take=0.5, export_takes=0.05) for seed in (1, 2)]
    async with simulators(*options) as (a, b):
        place = site(
            tmp_path,
            [scanner_yaml("a", a), scanner_yaml("b", b)],
            scheduling={"backoff_base": "1s", "backoff_max": "1s"},
        )
        book = Book()
        made = await backups_under_load(place, book)
        assert not book.problems
        for file, acknowledged in made:
            check(file, acknowledged, set(book.acknowledged.values()))

        # Anew, in another place, from the last one; the scanners are the same.
        file, _ = made[-1]
        state = tmp_path / "restored"
        prepare_directory(state)
        shutil.copy(file, state / FILE_NAME)
        place.config["state_directory"] = str(state)
        place.write()
        async with daemon(place), client(place, "--no-start") as tools:
            with trio.fail_after(90):
                while live(state):
                    await resume_everything(tools)
                    await trio.sleep(0.2)
    with read_offline(state) as store:
        assert store.verify().ok
        assert store.counts()[TaskState.DEAD] == 0


def check(file: Path, before: set[str], ever: set[str]) -> None:
    """What was acknowledged when the copy was begun is in it, and nothing unheard of."""
    directory = file.with_suffix("")
    prepare_directory(directory)
    shutil.copy(file, directory / FILE_NAME)
    with read_offline(directory) as store:
        report = store.verify()
        assert report.ok, report.problems
        found = {task.task_id for task in store.list(limit=1000).tasks}
    assert before <= found <= ever


def live(directory: Path) -> int:
    with read_offline(directory) as store:
        return sum(count for state, count in store.counts().items() if state not in SETTLED)
