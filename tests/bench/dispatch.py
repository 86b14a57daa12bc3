"""From a freed slot to the next launch, what keeps slots empty, and what watching costs."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from random import Random
from time import perf_counter, process_time

import attrs
import trio
import trio.testing

from nessus_sched.config.schema import PollingSettings, TargetSettings
from nessus_sched.core.scanner import ScanOrder
from nessus_sched.core.states import TaskState
from nessus_sched.mcp.client import Tools
from nessus_sched.sim.options import SimOptions
from nessus_sched.sim.serve import RunningSim
from nessus_sched.store.tasks.store import TaskStore
from support.crowd import processor_time, resident
from support.fake_scanner import FakeScan, FakeScanner
from support.processes import client, daemon, scanner_yaml, simulators, site
from support.world import EPOCH, config_of, scanner_settings, virtual_now, world
from tests.bench.figures import Figure, latency
from tests.bench.submissions import OURS

HOUR = 3600.0
LATENCY = 0.05
"""Seconds that a simulated scanner takes for an answer."""
DURATIONS = {120.0: 5, 600.0: 3, 2400.0: 1}
"""Median seconds of a scan, and how often there is one like it."""


async def freed_slot_to_launch(scans: int) -> list[float]:
    """Seconds from when the daemon noticed that a scan has ended until the request to launch
    the next one took effect on the scanner, over HTTPS between processes. A request to
    create the scan lies between."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        async with simulators(SimOptions(scans_take=0.3)) as (sim,):
            place = site(
                directory, [scanner_yaml("a", sim, 1)],
                polling={"fastest": "0.1s", "slowest": "0.1s"}, log={"level": "warning"},
            )  # fmt: skip
            async with daemon(place), client(place) as tools:
                for number in range(scans):
                    await tools.call("submit_scan", targets=[f"192.0.2.{number + 1}"])
                while sim.nessus.ledger.launches() < scans:  # noqa: ASYNC110 - it tells nobody
                    await trio.sleep(0.1)
            launched = [each.at for each in sim.nessus.ledger.events if each.what == "launch"]
        ended = await _noticed(directory / "state")
    return [start - end for end, start in zip(ended, launched[1:], strict=False)]


async def _noticed(state: Path) -> list[float]:
    """When the daemon saw each scan end, by its journal."""
    async with TaskStore.open(state, now=lambda: 0.0) as store:
        records = await store.journal(limit=100_000)
    return [r.entry.at for r in records if r.entry.after is TaskState.EXPORTING]


@attrs.frozen(kw_only=True)
class Game:
    """A fleet with more to do than it can, watched for `seconds` after half as long to get
    into its stride."""

    scanners: int
    slots: int
    seconds: float

    @property
    def slot_time(self) -> float:
        return self.scanners * self.slots * self.seconds

    @property
    def tasks(self) -> int:
        """As many as keep it busy."""
        mean = sum(m * n for m, n in DURATIONS.items()) / sum(DURATIONS.values())
        return 50 + int(1.4 * self.scanners * self.slots * (1.5 * self.seconds / mean + 1))


@attrs.frozen(kw_only=True)
class Shares:
    """Where the slot time went, as shares of all of it. `unnoticed` is lost until a poll saw
    a scan's end, `answers` while the scanner answered the requests to create and to launch
    the next one; what is left is ours."""

    busy: float
    unnoticed: float
    answers: float

    def percent(self) -> dict[str, float]:
        bound = 1 - self.unnoticed - self.answers
        shares = {
            "slot utilisation": self.busy,
            "the same of what polls and answers leave": self.busy / bound,
            "lost until a poll saw the end": self.unnoticed,
            "lost to the scanners' answers": self.answers,
            "lost to us": max(0.0, bound - self.busy),
        }
        return {what: 100 * share for what, share in shares.items()}


async def play(directory: Path, game: Game) -> list[Figure]:
    """The real scheduler and store in virtual time, on scanners without HTTP."""
    random = Random(1)

    def duration(_order: ScanOrder) -> float:
        (median,) = random.choices(list(DURATIONS), list(DURATIONS.values()))
        return median * random.lognormvariate(0, 0.4)

    fakes = {
        f"s{n}": FakeScanner(virtual_now(), duration=duration, latency=LATENCY)
        for n in range(game.scanners)
    }
    config = config_of(
        directory,
        *(scanner_settings(name, game.slots) for name in fakes),
        targets=TargetSettings(allow=("10.0.0.0/8",)),
        polling=PollingSettings(),  # that of stories is sparser
    )
    async with world(config, fakes) as w:
        begun = perf_counter()
        for number in range(game.tasks):
            await w.submit(f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}")
        submitting = (perf_counter() - begun) / game.tasks
        await trio.sleep(game.seconds / 2)
        begun, worked = trio.current_time() + EPOCH, process_time()
        await trio.sleep(game.seconds)
        worked = process_time() - worked
        assert w.store.counts()[TaskState.QUEUED], "it ran out of work"
        noticed = {
            record.entry.task_id: record.entry.at
            for record in await w.store.journal(limit=1_000_000)
            if record.entry.after is TaskState.EXPORTING
        }
    scans = [scan for fake in fakes.values() for scan in fake.scans.values()]
    launches = sum(begun <= (scan.started_at or 0) < begun + game.seconds for scan in scans)
    shares = _shares(scans, launches, noticed, game, begun)
    place = partial(Figure, who=OURS, at=game.scanners, of="scanners")
    return [
        *(place(what=what, unit="%", value=value) for what, value in shares.percent().items()),
        place(what="launches", unit="an hour", value=launches * HOUR / game.seconds),
        place(what="processor", unit="% of a core", value=100 * worked / game.seconds),
        place(what="a submission", unit="ms", value=1000 * submitting),
    ]


def _shares(
    scans: Iterable[FakeScan],
    launches: int,
    noticed: Mapping[str | None, float],
    game: Game,
    begun: float,
) -> Shares:
    until = begun + game.seconds
    busy = unnoticed = 0.0
    for scan in scans:
        if scan.started_at is None:
            continue
        ended = scan.started_at + scan.duration
        task_id = scan.name.rpartition("[ns:")[2].partition(".")[0]
        busy += _overlap(scan.started_at, ended, begun, until)
        unnoticed += _overlap(ended, noticed.get(task_id, until), begun, until)
    return Shares(
        busy=busy / game.slot_time,
        unnoticed=unnoticed / game.slot_time,
        # A launch takes effect halfway through its round trip.
        answers=launches * 1.5 * LATENCY / game.slot_time,
    )


def _overlap(start: float, end: float, begun: float, until: float) -> float:
    return max(0.0, min(end, until) - max(start, begun))


def utilisation(game: Game) -> list[Figure]:
    with tempfile.TemporaryDirectory() as name:
        clock = trio.testing.MockClock(autojump_threshold=0)
        return trio.run(play, Path(name), game, clock=clock)


async def watching(scanners: int, scans: int, seconds: float) -> list[Figure]:
    """A daemon on that many scanners over HTTPS, each running that many long scans."""
    with tempfile.TemporaryDirectory() as name:
        async with simulators(*[SimOptions(scans_take=6 * HOUR)] * scanners) as sims:
            place = site(
                Path(name),
                [scanner_yaml(f"s{n}", sim, scans) for n, sim in enumerate(sims)],
                targets={"allow": ["10.0.0.0/8"]}, polling={}, log={"level": "warning"},
            )  # fmt: skip
            async with daemon(place) as process, client(place) as tools:
                await _fill(tools, scanners * scans)
                while sum(sim.nessus.ledger.running for sim in sims) < scanners * scans:  # noqa: ASYNC110
                    await trio.sleep(0.5)
                await trio.sleep(5)
                asked, worked, begun = _requests(sims), processor_time(process.pid), perf_counter()
                await trio.sleep(seconds)
                taken = perf_counter() - begun
                worked = processor_time(process.pid) - worked
                asked = _requests(sims) - asked
                memory = resident(process.pid, "VmRSS")
    place_of = partial(Figure, who=OURS, at=scanners, of=f"scanners with {scans} running scans")
    return [
        place_of(what="processor", unit="% of a core", value=100 * worked / taken),
        place_of(what="requests to scanners", unit="per second", value=asked.total() / taken),
        place_of(what="processor per request", unit="ms", value=1000 * worked / asked.total()),
        place_of(what="memory", unit="MiB", value=memory),
    ]


async def _fill(tools: Tools, tasks: int) -> None:
    limiter = trio.CapacityLimiter(16)

    async def submit(number: int) -> None:
        async with limiter:
            await tools.call("submit_scan", targets=[f"10.0.{number >> 8}.{number & 255}"])

    async with trio.open_nursery() as nursery:
        for number in range(tasks):
            nursery.start_soon(submit, number)


def _requests(sims: Iterable[RunningSim]) -> Counter[str]:
    total: Counter[str] = Counter()
    for sim in sims:
        total += sim.nessus.ledger.requests
    return total


def measure() -> list[Figure]:
    gaps = trio.run(freed_slot_to_launch, 60)
    return [
        latency("noticed end to next launch", OURS, gaps, 1, "scanners"),
        *utilisation(Game(scanners=20, slots=4, seconds=HOUR)),
        *trio.run(watching, 100, 10, 60.0),
    ]


def measure_scale() -> list[Figure]:
    """How the scheduler itself grows."""
    games = [Game(scanners=n, slots=1, seconds=HOUR / 6) for n in (10, 100, 1000)]
    return [figure for game in games for figure in utilisation(game)]
