"""For every test."""

from __future__ import annotations

import gc
import os
import sys
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

from support import postgres

# Whatever the environment says: to rewrite the assertions of all tests in each worker and in each
# run takes ten seconds, and each process that a test starts compiles the program again.
sys.dont_write_bytecode = False

# Collecting tests leaves hardly any garbage, and looking for it takes a fifth of the time.
gc.disable()

# How fast examples are made and run depends on what else the machine does.
settings.register_profile(
    "loaded",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    max_examples=int(os.environ.get("NESSUS_SCHED_EXAMPLES", "25")),
)
settings.load_profile("loaded")

# By default structlog draws tracebacks with all variables, which takes up to a second for each.
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.dev.set_exc_info,
        structlog.dev.ConsoleRenderer(
            colors=False, exception_formatter=structlog.dev.plain_traceback
        ),
    ]
)

_MEMORY = Path("/dev/shm")  # noqa: S108
_ROOM_BYTES = 2**30


def _holds_directories_of_tests(path: Path) -> bool:
    """Whether tests may write there, run scripts from there, and find enough space."""
    if not os.access(path, os.W_OK | os.X_OK):
        return False
    there = os.statvfs(path)
    return not there.f_flag & os.ST_NOEXEC and there.f_bavail * there.f_frsize >= _ROOM_BYTES


# A test with a store spends a fifth of its time waiting for the disk to sync.
if _holds_directories_of_tests(_MEMORY):
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pytest's own has the name of the test in it, and the path of a Unix socket no more than
    107 bytes."""
    return tmp_path_factory.mktemp("t")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Every other worker of pytest-xdist starts with the last file, so that each finds half of the
    modules already compiled by the others. `pytest_collection_modifyitems` restores the order."""
    report = yield
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    if isinstance(collector, pytest.Directory) and worker[-1] in "13579":
        report.result.reverse()
    return report


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Restores the order of files, and marks as slow all but each n-th case of a test that is
    marked `sampled(n)`."""
    items.sort(key=lambda item: item.path)
    cases: Counter[str] = Counter()
    for item in items:
        sampled = item.get_closest_marker("sampled")
        if sampled is not None:
            name = item.nodeid.partition("[")[0]
            if cases[name] % sampled.args[0]:
                item.add_marker("slow")
            cases[name] += 1


def pytest_collection_finish() -> None:
    """Modules and collected tests stay until the end: looking for garbage among them took a tenth
    of the time."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


@pytest.fixture(scope="session")
def cluster() -> Iterator[postgres.Cluster]:
    """A PostgreSQL server for tests that are worth one."""
    pytest.importorskip("psycopg", reason="needs the extra nessus-sched[postgres]")
    try:
        with postgres.running() as running:
            yield running
    except LookupError as error:
        pytest.skip(str(error))
