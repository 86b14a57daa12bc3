"""Which hosts get a second try: those that were absent now, and that some scan has seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import attrs
import pytest

from nessus_sched.core.states import TaskState
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.core.task import ScanKind, ScanRequest, Task
from nessus_sched.daemon.absent_hosts import AbsentHosts
from nessus_sched.results.ledger.questions import Shown
from support.ledger_book import DAY, T0, Book, machine, open_book
from support.nessus_xml import host
from support.stored import a_task

SEEN = ("192.0.2.1", "192.0.2.2", "192.0.2.3", "web.example.com", "192.0.2.200")


def task(**changes: Any) -> Task:
    request = ScanRequest(
        kind=ScanKind.BASIC, targets=("192.0.2.0/28", "web.example.com", "never.example.com")
    )
    usual: dict[str, Any] = {
        "state": TaskState.COMPLETED, "request": request, "attempt": 1,
        "summary": {"hosts": 1}, "scanner_instance": "east",
    }  # fmt: skip
    return attrs.evolve(a_task(1), **{**usual, **changes})


async def absent(book: Book, of: Task) -> list[str] | None:
    found = await AbsentHosts(
        queries=cast(Any, None), findings=book.findings, ledger=cast(Any, book.ledger)
    )(of)
    return None if found is None else list(found)


async def test_only_hosts_that_were_ever_seen(tmp_path: Path) -> None:
    async with open_book(tmp_path) as book:
        for number, name in enumerate(SEEN):
            await book.scan(machine(name, at=T0), task_id=f"t-{number}", at=T0, targets=name)
        silent = host("192.0.2.4", tags={"HOST_END_TIMESTAMP": str(T0)})
        await book.scan(silent, task_id="t-silent", at=T0, targets="192.0.2.4")
        now = task()
        await book.scan(machine("192.0.2.2", at=T0 + DAY), task_id=now.task_id, at=T0 + DAY)
        assert await absent(book, now) == ["192.0.2.1", "192.0.2.3", "web.example.com"]
        assert (await book.host("192.0.2.4", Shown.ALL)).host.first_seen is None
        # Not reached is absent, too, and without results everything is.
        nothing = task(state=TaskState.PARTIAL, summary=None)
        assert await absent(book, nothing) == [
            "192.0.2.1", "192.0.2.2", "192.0.2.3", "web.example.com",
        ]  # fmt: skip


async def test_unknown_coverage_is_not_taken_for_absence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_book(tmp_path) as book:
        assert await absent(book, task()) is None  # its findings were deleted

        async def broken(*_args: Any) -> None:
            raise StoreUnavailable("the disk is gone")

        monkeypatch.setattr(book.findings, "coverage_as", broken)
        with pytest.raises(StoreUnavailable, match="disk"):
            await absent(book, task())
