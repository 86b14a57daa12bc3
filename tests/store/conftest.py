"""Open task stores for the tests of this room.

What a test says of `store` or `stores` is said of every engine.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nessus_sched.store.tasks.store import TaskStore
from support import postgres
from support.engines import ENGINES, Stores


@pytest.fixture(params=ENGINES)
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Stores:
    return _stores(request, tmp_path)


@pytest.fixture(scope="module", params=ENGINES)
def shared_stores(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Stores:
    """For a store that the tests of a module only read."""
    return _stores(request, tmp_path_factory.mktemp("shared"))


def _stores(request: pytest.FixtureRequest, directory: Path) -> Stores:
    if request.param == "sqlite":
        return Stores(None, directory)
    cluster: postgres.Cluster = request.getfixturevalue("cluster")
    return Stores(cluster.database(), directory, cluster)


@pytest.fixture
async def store(stores: Stores) -> AsyncIterator[TaskStore]:
    async with stores.open() as opened:
        yield opened
