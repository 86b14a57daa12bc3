"""An open task store for the tests of this room."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nessus_sched.store.tasks.store import TaskStore
from support.stored import START


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[TaskStore]:
    async with TaskStore.open(tmp_path, now=lambda: START) as opened:
        yield opened
