"""One daemon with two simulated scanners for all tests of commands: a start takes seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.live_daemon import Live, live_daemon


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_daemon(tmp_path_factory.mktemp("live")) as running:
        yield running
