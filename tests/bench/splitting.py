"""A large network over several scanners: the time to the last result, beside the policies that
others use, and beside what no policy can beat."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import heappop, heappush
from pathlib import Path
from random import Random
from typing import Final

import attrs
import trio
import trio.testing

from nessus_sched.config.schema import PollingSettings, SchedulingSettings, TargetSettings
from nessus_sched.core.scanner import ScanOrder, ScanStatus
from nessus_sched.core.targets.ranges import Range, address_text, range_text
from nessus_sched.core.targets.targets import parse_targets
from nessus_sched.core.task import Splitting
from support.fake_scanner import FakeScan, FakeScanner
from support.world import World, config_of, scanner_settings, virtual_now, world
from tests.bench.figures import Figure

NETWORKS: Final = {"2001:db8::/115": 4, "2001:db8::/112": 1}
"""8,192 and 65,536 addresses, and how many different networks of that size are scanned."""
BLOCK: Final = 256
"""Addresses that are alike: as in a network of that size."""
SPEEDS: Final = {"a": 1.0, "b": 1.0, "c": 1.5, "d": 3.0}
"""How many times as long as on the fastest a scan takes on each scanner."""
SLOTS: Final = 2
SETUP: Final = 60.0
"""Seconds of every scan."""
SILENT: Final = 0.1
"""Seconds for an address that does not answer."""
TOGETHER: Final = 30
"""Hosts that a scanner scans at once."""
BATCH: Final = 120


@attrs.frozen
class Network:
    """How long each address takes, in seconds: most blocks are empty or nearly so."""

    text: str
    seconds: Sequence[float]
    first: int

    @classmethod
    def of(cls, text: str, seed: int) -> Network:
        random = Random(seed)
        ((first, last),) = parse_targets(text).ranges
        seconds: list[float] = []
        while len(seconds) < last - first + 1:
            alive = random.choice([0.0, 0.0, 0.05, 0.3, 0.8])
            pace = random.lognormvariate(math.log(240), 0.5)
            seconds += [
                random.lognormvariate(math.log(pace), 0.4) / TOGETHER
                if random.random() < alive
                else SILENT
                for _ in range(BLOCK)
            ]
        return cls(text, seconds, first)

    def work(self, ranges: Iterable[Range]) -> float:
        return sum(sum(self.seconds[a - self.first : b - self.first + 1]) for a, b in ranges)

    def ends(self, ranges: Iterable[Range]) -> Iterator[tuple[int, float]]:
        """When each address is done, in seconds of the fastest scanner after the setup: the next
        one begins whenever one of those that are scanned together has ended."""
        busy = [0.0] * TOGETHER
        for first, last in ranges:
            for number in range(first, last + 1):
                end = heappop(busy) + TOGETHER * self.seconds[number - self.first]
                heappush(busy, end)
                yield number, end

    def silent(self, number: int) -> bool:
        return self.seconds[number - self.first] == SILENT

    @property
    def bound(self) -> float:
        """Seconds below which no policy can come: all slots busy to the end, and one setup."""
        return SETUP + sum(self.seconds) / sum(SLOTS / speed for speed in SPEEDS.values())

    def longest(self, speed: float) -> float:
        """Seconds of the longest host alone, on a scanner of that speed."""
        return SETUP + speed * TOGETHER * max(self.seconds)

    def pieces(self, size: int) -> list[str]:
        ((first, last),) = parse_targets(self.text).ranges
        return [range_text((at, min(last, at + size - 1))) for at in range(first, last + 1, size)]


class BenchScanner(FakeScanner):
    """A scanner that takes `speed` times as long for a network as the fastest. When it is stopped,
    the hosts that it was scanning are lost, and it tells nothing of silent addresses."""

    def __init__(self, network: Network, speed: float) -> None:
        super().__init__(virtual_now(), duration=self._takes, latency=0.05)
        self.network, self.speed = network, speed
        self.finished, self.progress = self._hosts_done, self._share_done
        self._ends: dict[str, Sequence[tuple[int, float]]] = {}

    def _takes(self, order: ScanOrder) -> float:
        return SETUP + self.speed * self.network.work(parse_targets(order.targets).ranges)

    def _numbers_done(self, scan: FakeScan) -> list[int]:
        assert scan.order is not None
        if scan.name not in self._ends:
            found = self.network.ends(parse_targets(scan.order.targets).ranges)
            self._ends[scan.name] = list(found)
        so_far = (scan.duration - scan.left - SETUP) / self.speed
        completed = scan.status is ScanStatus.COMPLETED
        return [number for number, end in self._ends[scan.name] if completed or end <= so_far]

    def _share_done(self, scan: FakeScan) -> float:
        return len(self._numbers_done(scan)) / len(self._ends[scan.name])

    def _hosts_done(self, scan: FakeScan) -> Sequence[str]:
        silent = self.network.silent
        return [address_text(n) for n in self._numbers_done(scan) if not silent(n)]


async def _last_result(
    network: Network, requests: Sequence[str], split: Splitting, runs: int
) -> float:
    """Seconds from the submission of all requests to the end of the last, in the last run."""

    scanners: Mapping[str, FakeScanner] = {
        name: BenchScanner(network, speed) for name, speed in SPEEDS.items()
    }
    with tempfile.TemporaryDirectory() as directory:
        config = config_of(
            Path(directory),
            *(scanner_settings(name, SLOTS) for name in SPEEDS),
            targets=TargetSettings(allow=(network.text,)),
            scheduling=SchedulingSettings(part_max=65_536),  # for the equal shares
            polling=PollingSettings(),
        )
        async with world(config, scanners) as w:
            for _ in range(runs):
                took = await _run(w, requests, split)
    return took


async def _run(w: World, requests: Sequence[str], split: Splitting) -> float:
    begun = trio.current_time()
    tasks = [await w.submit(each, split=split) for each in requests]
    for task in tasks:
        await w.settled(task.task_id)
    return trio.current_time() - begun


def _played(network: Network, requests: Sequence[str], split: Splitting, runs: int = 1) -> float:
    clock = trio.testing.MockClock(autojump_threshold=0)
    return trio.run(_last_result, network, requests, split, runs, clock=clock)


def measure() -> list[Figure]:
    """Each policy on the same networks; the figure is the mean over these."""
    return [figure for text, seeds in NETWORKS.items() for figure in _measured(text, seeds)]


def _measured(text: str, seeds: int) -> Iterable[Figure]:
    slots = SLOTS * len(SPEEDS)
    found: dict[str, list[float]] = {}
    for seed in range(seeds):
        network = Network.of(text, seed)
        even = network.pieces(-(-len(network.seconds) // slots))
        batches = network.pieces(BATCH)
        for policy, took in {
            "one request, split, nothing known": _played(network, [text], Splitting.AUTO),
            "one request, split, after one run": _played(network, [text], Splitting.AUTO, 2),
            f"{slots} equal shares": _played(network, even, Splitting.NEVER),
            f"batches of {BATCH} addresses": _played(network, batches, Splitting.NEVER),
        }.items():
            found.setdefault(policy, []).append(took / network.bound)
        for which, speed in (("fastest", min(SPEEDS.values())), ("slowest", max(SPEEDS.values()))):
            alone = found.setdefault(f"the longest host alone, on the {which} scanner", [])
            alone.append(network.longest(speed) / network.bound)
    for policy, values in found.items():
        yield Figure(
            what="time to the last result, over the least possible",
            who=policy,
            unit="times",
            of="addresses",
            at=len(network.seconds),
            value=sum(values) / len(values),
        )
