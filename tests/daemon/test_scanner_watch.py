"""Scanners that stay down are journaled, once, and so is their return."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from nessus_sched.core.masking import Masker
from nessus_sched.core.secret import Secret
from nessus_sched.daemon.scanner_watch import LASTING, ScannerWatch
from nessus_sched.scheduler.operator import ScannerSwitch
from support.fake_scanner import FakeScanner, unreachable
from support.world import World, one_scanner

DOWN, UP = "scanner_down", "scanner_up"


@asynccontextmanager
async def watched(directory: Path) -> AsyncIterator[tuple[World, FakeScanner]]:
    mask = Masker([Secret("connection")])
    async with one_scanner(directory) as (w, scanner), trio.open_nursery() as nursery:
        watch = ScannerWatch(
            store=w.store, scanners=w.queries.scanners, wall=w.context.wall, mask=mask
        )
        await w.operator.restore()
        nursery.start_soon(watch.run)
        yield w, scanner
        nursery.cancel_scope.cancel()


async def journaled(w: World) -> list[str]:
    rows = [row.entry for row in await w.store.journal() if row.entry.event in (DOWN, UP)]
    assert all(entry.detail == {"scanner_instance": "a"} for entry in rows)
    assert all(entry.cause == "no *** to the scanner" for entry in rows if entry.event == DOWN)
    return [entry.event for entry in rows]


@pytest.mark.slow
async def test_down_and_up_again(tmp_path: Path, autojump_clock: object) -> None:
    async with watched(tmp_path) as (w, scanner):
        await trio.sleep(LASTING * 2)
        assert await journaled(w) == []
        scanner.down = unreachable()
        await trio.sleep(LASTING * 10)
        assert await journaled(w) == [DOWN]
        scanner.down = None
        await trio.sleep(LASTING * 10)
        assert await journaled(w) == [DOWN, UP]


@pytest.mark.slow
async def test_a_restart_repeats_nothing(tmp_path: Path, autojump_clock: object) -> None:
    """And an operator's switches are not mistaken for it."""
    async with watched(tmp_path) as (w, scanner):
        scanner.down = unreachable()
        await trio.sleep(LASTING * 3)
    async with watched(tmp_path) as (w, scanner):
        scanner.down = unreachable()
        await trio.sleep(LASTING * 3)
        assert await journaled(w) == [DOWN]
        assert w.queries.statistics().scanners[0].enabled
        scanner.down = None
        await trio.sleep(LASTING * 10)
        assert await journaled(w) == [DOWN, UP]


@pytest.mark.slow
async def test_a_short_outage_is_not_reported(tmp_path: Path, autojump_clock: object) -> None:
    async with watched(tmp_path) as (w, scanner):
        for _ in range(5):
            scanner.down = unreachable()
            await trio.sleep(60)
            scanner.down = None
            await trio.sleep(LASTING * 3)
        assert await journaled(w) == []


async def test_a_disabled_scanner_is_not_down(tmp_path: Path, autojump_clock: object) -> None:
    async with watched(tmp_path) as (w, scanner):
        await w.operator.switch("a", ScannerSwitch.DISABLE, actor="cli:bob")
        scanner.down = unreachable()
        await trio.sleep(LASTING * 4)
        assert await journaled(w) == []
