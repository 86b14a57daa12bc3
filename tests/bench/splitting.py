"""A large network over several scanners: the time to the last result, beside the policies that
others use, and beside what no policy can beat."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Final

import attrs
import trio
import trio.testing

from nessus_sched.config.schema import SchedulingSettings, TargetSettings
from nessus_sched.core.scanner import ScanOrder
from nessus_sched.core.targets.ranges import Range, range_text
from nessus_sched.core.targets.targets import parse_targets
from nessus_sched.core.task import Splitting
from support.fake_scanner import FakeScanner
from support.world import World, config_of, scanner_settings, virtual_now, world
from tests.bench.figures import Figure

NETWORK: Final = "2001:db8::/115"
"""8,192 addresses."""
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
SEEDS: Final = 5


@attrs.frozen
class Network:
    """How long each address takes, in seconds: most blocks are empty or nearly so."""

    seconds: Sequence[float]
    first: int

    @classmethod
    def of(cls, seed: int) -> Network:
        random = Random(seed)
        ((first, last),) = parse_targets(NETWORK).ranges
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
        return cls(seconds, first)

    def work(self, ranges: Iterable[Range]) -> float:
        return sum(sum(self.seconds[a - self.first : b - self.first + 1]) for a, b in ranges)

    @property
    def bound(self) -> float:
        """Seconds below which no policy can come: all slots busy to the end, and one setup."""
        return SETUP + sum(self.seconds) / sum(SLOTS / speed for speed in SPEEDS.values())

    def pieces(self, size: int) -> list[str]:
        ((first, last),) = parse_targets(NETWORK).ranges
        return [range_text((at, min(last, at + size - 1))) for at in range(first, last + 1, size)]


async def _last_result(
    network: Network, requests: Sequence[str], split: Splitting, runs: int
) -> float:
    """Seconds from the submission of all requests to the end of the last, in the last run."""

    def scanner(speed: float) -> FakeScanner:
        def duration(order: ScanOrder) -> float:
            return SETUP + speed * network.work(parse_targets(order.targets).ranges)

        return FakeScanner(virtual_now(), duration=duration, latency=0.05)

    scanners: Mapping[str, FakeScanner] = {name: scanner(each) for name, each in SPEEDS.items()}
    with tempfile.TemporaryDirectory() as directory:
        config = config_of(
            Path(directory),
            *(scanner_settings(name, SLOTS) for name in SPEEDS),
            targets=TargetSettings(allow=(NETWORK,)),
            scheduling=SchedulingSettings(),
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
    slots = SLOTS * len(SPEEDS)
    found: dict[str, list[float]] = {}
    for seed in range(SEEDS):
        network = Network.of(seed)
        even = network.pieces(-(-len(network.seconds) // slots))
        for policy, took in {
            "one request, split, nothing known": _played(network, [NETWORK], Splitting.AUTO),
            "one request, split, after one run": _played(network, [NETWORK], Splitting.AUTO, 2),
            f"{slots} equal shares": _played(network, even, Splitting.NEVER),
            f"batches of {BATCH} addresses": _played(
                network, network.pieces(BATCH), Splitting.NEVER
            ),
        }.items():
            found.setdefault(policy, []).append(took / network.bound)
    return [
        Figure(
            what="time to the last result, over the least possible",
            who=policy,
            unit="times",
            value=sum(values) / len(values),
        )
        for policy, values in found.items()
    ]
