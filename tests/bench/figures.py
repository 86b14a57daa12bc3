"""What a benchmark finds: figures with their place in a table, and the machine they hold for."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import attrs


@attrs.frozen(kw_only=True)
class Figure:
    """One cell: `what` was measured of `who`, `at` a size counted in `of`.

    `value` is in `unit`; `p50` and `p99` are latencies in milliseconds, where there are any.
    """

    what: str
    who: str
    unit: str
    value: float
    at: int | None = None
    of: str = ""
    p50: float | None = None
    p99: float | None = None


@attrs.frozen
class Rate:
    """Operations per second, and latencies in milliseconds."""

    per_second: float
    p50: float
    p99: float

    def figure(self, what: str, who: str, at: int, of: str = "callers") -> Figure:
        return Figure(
            what=what, who=who, unit="per second", value=self.per_second,
            at=at, of=of, p50=self.p50, p99=self.p99,
        )  # fmt: skip


def rate(latencies: list[float], seconds: float) -> Rate:
    """`latencies` in seconds, of operations that took `seconds` together."""
    p50, p99 = percentiles(latencies)
    return Rate(per_second=len(latencies) / seconds, p50=p50, p99=p99)


def percentiles(latencies: Sequence[float]) -> tuple[float, float]:
    """Median and 99th percentile of latencies in seconds, in milliseconds."""
    ordered = sorted(latencies)
    return 1000 * ordered[len(ordered) // 2], 1000 * ordered[len(ordered) * 99 // 100]


def latency(
    what: str, who: str, taken: Sequence[float], at: int | None = None, of: str = ""
) -> Figure:
    """A row of which the median is the value."""
    p50, p99 = percentiles(taken)
    return Figure(what=what, who=who, unit="ms", value=p50, at=at, of=of, p50=p50, p99=p99)


def medians(rounds: Iterable[Sequence[Figure]]) -> list[Figure]:
    """The same cells measured several times, each by its median."""
    return [
        attrs.evolve(
            cells[0],
            value=statistics.median(cell.value for cell in cells),
            p50=_median([cell.p50 for cell in cells]),
            p99=_median([cell.p99 for cell in cells]),
        )
        for cells in zip(*rounds, strict=True)
    ]


def _median(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def machine() -> dict[str, str]:
    """What the figures hold for."""
    return {
        "date": datetime.now(UTC).date().isoformat(),  # noqa: TID251 - when it was measured
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "load": f"{os.getloadavg()[0]:.1f}",
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
