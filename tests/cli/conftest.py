"""One daemon with two simulated scanners for all tests of commands: a start takes seconds. And what
a daemon leaves behind, for those that need none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.live_daemon import Live, live_daemon
from support.stopped import Stopped, stopped


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_daemon(tmp_path_factory.mktemp("live")) as running:
        yield running


@pytest.fixture(scope="session")
def left(tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    """The state directory of a stopped daemon; tests only read it."""
    return stopped(tmp_path_factory.mktemp("left"))
