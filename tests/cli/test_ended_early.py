"""Searching and comparing results say where a scan ended early."""

from __future__ import annotations

import io
from contextlib import aclosing
from pathlib import Path

import pytest
import trio

from nessus_sched.core.states import TaskState
from nessus_sched.results.parser.reader import Reader
from nessus_sched.results.summary import summarize
from nessus_sched.store.findings.store import open_findings
from nessus_sched.store.tasks.store import TaskStore
from support.command import typed
from support.nessus_xml import document, host, item
from support.stored import START, a_task, submitted

REPORT = document(host("192.0.2.1", item(7, severity=4)), host("192.0.2.2", item(8, severity=3)))
EARLY = "ended early: it was canceled"


async def stored(directory: Path) -> None:
    """Two scans, of which the second ended early."""
    async with (
        TaskStore.open(directory, now=lambda: START + 100) as tasks,
        aclosing(await open_findings(directory / "findings.db")) as findings,
    ):
        for order, state, partial in (
            (1, TaskState.COMPLETED, None),
            (2, TaskState.CANCELED, "it was canceled"),
        ):
            summary = summarize(io.BytesIO(REPORT))
            task = a_task(order, state=state, summary=summary, partial=partial)
            await tasks.submit(task, submitted(task))
            await findings.put(task.task_id, Reader(io.BytesIO(REPORT)), at=START + order)


@pytest.fixture
def config(tmp_path: Path) -> str:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    trio.run(stored, state)
    file = tmp_path / "c.yaml"
    file.write_text(f"state_directory: {state}\nscanners: []\n")
    return str(file)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "warned"),
    [
        (("search",), True),
        (("search", "--history"), True),
        (("compare", "t00000001", "t00000002"), True),
        (("compare", "t00000001", "t00000001"), False),
    ],
)
def test_it_is_said(config: str, words: tuple[str, ...], warned: bool) -> None:
    said = typed("results", *words, "--config", config)
    assert said.code == 0, said.err
    assert (EARLY in " ".join((said.out + said.err).split())) == warned
