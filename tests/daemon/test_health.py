"""/health in every failure that a scanner or the disk can produce, and back again."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from nessus_sched.mcp.client import CallFailed
from nessus_sched.sim.faults import Fault, FaultKind
from nessus_sched.sim.options import SimOptions
from nessus_sched.sim.serve import RunningSim
from support.pages import Pages
from support.processes import Site, client, daemon, scanner_yaml, simulators, site

POLLING = {
    "fastest": "0.1s",
    "slowest": "0.2s",
    "probe": "0.1s",
    "probe_max": "0.2s",
    "info": "1s",
}

Trouble = Callable[[RunningSim], AbstractContextManager[None]]


def fault(**fields: Any) -> Trouble:
    @contextmanager
    def strike(sim: RunningSim) -> Iterator[None]:
        sim.nessus.faults.inject(Fault(times=None, **fields))
        yield
        sim.nessus.faults.clear()

    return strike


@contextmanager
def refusing(sim: RunningSim) -> Iterator[None]:
    sim.nessus.refuse(4.0)  # comes back by itself
    yield


@contextmanager
def loading(sim: RunningSim) -> Iterator[None]:
    sim.nessus.restart(down_seconds=0.0, loading_seconds=600.0)
    yield
    sim.nessus.restart(down_seconds=0.0, loading_seconds=0.0)


@contextmanager
def without_api(sim: RunningSim) -> Iterator[None]:
    """It answers well, and would refuse every scan."""
    before = sim.nessus.options
    sim.nessus.options = attrs.evolve(before, edition="professional")
    yield
    sim.nessus.options = before


TROUBLES: dict[str, tuple[Trouble, str]] = {
    "refuses connections": (refusing, "refused"),
    "does not answer": (fault(kind=FaultKind.HANG), "answer"),
    "breaks connections": (fault(kind=FaultKind.RESET_BEFORE), "connection"),
    "has other keys": (fault(kind=FaultKind.STATUS, status=401), "credentials"),
    "fails inside": (fault(kind=FaultKind.STATUS, status=500), "500"),
    "is too busy": (fault(kind=FaultKind.STATUS, status=429), "429"),
    "answers nonsense": (fault(kind=FaultKind.HTML), "web page"),
    "answers nothing": (fault(kind=FaultKind.EMPTY), "nothing"),
    "answers halves": (fault(kind=FaultKind.TRUNCATED, after_bytes=5), "reached"),
    "takes too long": (fault(kind=FaultKind.SLOW, seconds=3.0), "no answer within"),
    "breaks off its answers": (fault(kind=FaultKind.RESET_AFTER), "connection"),
    "forbids it": (fault(kind=FaultKind.STATUS, status=403, path="/scans"), "no right"),
    "has no license any more": (
        fault(kind=FaultKind.STATUS, status=403, message="license expired"),
        "license does not allow",
    ),
    "has the port of another server": (fault(kind=FaultKind.STATUS, status=404), "does not have"),
    "loads its plugins": (loading, "loading"),
}


def status(document: dict[str, Any], component: str) -> str:
    found: str = document["components"][component]["status"]
    return found


@pytest.mark.slow
async def test_each_trouble_of_a_scanner_is_told_and_its_end_too(tmp_path: Path) -> None:
    pages = Pages()
    async with simulators(SimOptions(seed=1), SimOptions(seed=2)) as (east, west):
        scanners = [
            scanner_yaml("east", east, timeout="1s"),
            scanner_yaml("west", west, timeout="1s"),
        ]
        place = site(tmp_path, scanners, http=pages.settings, polling=POLLING)
        async with daemon(place) as process:
            await pages.until(lambda now: now["status"] == "ok")
            for trouble, words in TROUBLES.values():
                since = datetime.now(UTC)  # noqa: TID251 - the daemon's clock is the real one
                with trouble(east):
                    ill = await pages.until(lambda now: status(now, "scanner:east") == "degraded")
                    assert (status(ill, "scanners"), ill["status"]) == ("degraded", "degraded")
                    for component in ("scanner:east", "scanners"):
                        assert words in ill["components"][component]["reason"].lower()
                        assert _since(ill, component) >= since.replace(microsecond=0)
                    assert status(ill, "scanner:west") == "ok"
                    assert (await pages.get("/ready")).status == 200
                await pages.until(lambda now: now["status"] == "ok")
            with without_api(east):
                ill = await pages.until(lambda now: status(now, "scanner:east") == "degraded")
                assert "API access" in ill["components"]["scanner:east"]["reason"]
            await pages.until(lambda now: now["status"] == "ok")
            await _certificate(place, process, pages, east)
            with loading(east), refusing(west):
                ill = await pages.until(lambda now: now["status"] == "failed")
                assert ill["components"]["scanners"]["reason"] == (
                    "no scanner is usable: 1 not ready yet, for example loading plugins, "
                    "1 unreachable"
                )
            await pages.until(lambda now: now["status"] == "ok")
            with refusing(east), refusing(west):
                ill = await pages.until(lambda now: now["status"] == "failed")
                assert (
                    ill["components"]["scanners"]["reason"] == "no scanner answers: 2 unreachable"
                )
                assert (await pages.get("/health")).status == 503
                assert (await pages.get("/ready")).status == 503
                assert (await pages.get("/live")).status == 200


async def _certificate(place: Site, process: trio.Process, pages: Pages, sim: RunningSim) -> None:
    """Another certificate is a trouble until the operator has approved of it."""
    before = sim.fingerprint
    sim.nessus.change_certificate()
    # A new key takes a moment to make, in which the scanner refuses connections.
    await pages.until(lambda now: "fingerprint" in now["components"]["scanner:east"]["reason"])
    assert sim.fingerprint != before
    place.config["scanners"][0]["tls"]["fingerprint"] = "not a fingerprint"
    place.write()
    process.send_signal(signal.SIGHUP)
    ill = await pages.until(lambda now: status(now, "config") == "degraded")
    assert "tls.fingerprint" in ill["components"]["config"]["reason"]
    place.config["scanners"][0]["tls"]["fingerprint"] = sim.fingerprint
    place.write()
    process.send_signal(signal.SIGHUP)
    await pages.until(lambda now: now["status"] == "ok")


@pytest.mark.slow
async def test_a_store_that_cannot_write_fails_health_and_comes_back(tmp_path: Path) -> None:
    pages = Pages()
    async with simulators(SimOptions(seed=1)) as (sim,):
        place = site(tmp_path, [scanner_yaml("east", sim)], http=pages.settings)
        async with daemon(place) as process, client(place) as tools:
            well = await pages.until(lambda now: now["status"] == "ok")
            _limit_files(process, 1)
            with pytest.raises(CallFailed, match="not accepted"):
                await tools.call("submit_scan", targets=["192.0.2.1"])
            ill = await pages.until(lambda now: status(now, "store") == "failed")
            assert ill["status"] == "failed"
            assert (await pages.get("/ready")).status == 503
            assert _since(ill, "store") >= _since(well, "store")
            assert (await tools.call("list_tasks"))["tasks"] == []
            _limit_files(process, resource.RLIM_INFINITY)
            await pages.until(lambda now: now["status"] == "ok")
            await tools.call("submit_scan", targets=["192.0.2.1"])


def _limit_files(process: trio.Process, size: int) -> None:
    """No file of the process may grow beyond `size`: a full disk, for it alone."""
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _since(document: dict[str, Any], component: str) -> datetime:
    at = datetime.fromisoformat(document["components"][component]["since"])
    assert at.tzinfo == UTC
    return at
