"""Speed and peak memory of our parser, pyTenable's reader and a plain iterparse.

The reports come from the simulator. Every measurement is a process of its own, so that
its peak memory is its own too.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from xml.etree.ElementTree import iterparse

from tenable.reports.nessusv2 import NessusReportv2

from nessus_sched.results.model import Finding
from nessus_sched.results.parser.reader import Reader
from nessus_sched.results.summary import summarize
from nessus_sched.sim.findings.generate import GeneratedReport
from nessus_sched.sim.findings.machines import build_machine
from nessus_sched.sim.findings.report import HostProgress, ScanOrder, Span
from nessus_sched.sim.options import SimOptions
from tests.bench.figures import Figure

MB = 1_000_000
_MACHINES = 60


def write_report(path: Path, size: int) -> None:
    """A report of about `size` bytes: the simulator's machines over and over, each time
    with other addresses."""
    span = Span(1_700_000_000.0, 1_700_003_600.0)
    written = 0
    with path.open("wb") as stream:
        block = 0
        while written < size:
            targets = tuple(f"10.{block // 250}.{block % 250}.{n}" for n in range(1, _MACHINES))
            order = ScanOrder(scan_name="bench", template="basic", policy="Basic", targets=targets)
            machines = [build_machine(1, target) for target in targets]
            report = GeneratedReport(order, machines, SimOptions())
            document = b"".join(report.document([HostProgress(1.0, span)] * len(targets)))
            body = document[document.index(b"<ReportHost") : document.rindex(b"</Report>")]
            if block == 0:
                stream.write(document[: document.index(b"<ReportHost")])
            written += stream.write(body)
            block += 1
        stream.write(b"</Report></NessusClientData_v2>")


def ours(path: Path) -> int:
    with path.open("rb") as stream:
        return sum(isinstance(event, Finding) for event in Reader(stream))


def ours_with_summary(path: Path) -> int:
    with path.open("rb") as stream:
        return int(summarize(stream)["findings"])


def pytenable(path: Path) -> int:
    with path.open("rb") as stream:
        return sum(1 for _ in NessusReportv2(stream))


def plain_iterparse(path: Path) -> int:
    """What a careful hand-written loop does: the texts of a finding in a dict."""
    counts: Counter[str] = Counter()
    with path.open("rb") as stream:
        for _, found in iterparse(stream):  # noqa: S314 - our own file
            if found.tag == "ReportItem":
                row = dict(found.attrib) | {child.tag: child.text or "" for child in found}
                counts[row["severity"]] += 1
                found.clear()
            elif found.tag in ("ReportHost", "Policy"):
                found.clear()
    return counts.total()


READERS: dict[str, Callable[[Path], int]] = {
    "ours": ours,
    "ours, with summary": ours_with_summary,
    "pyTenable": pytenable,
    "plain iterparse": plain_iterparse,
}


SIZES = {
    10: list(READERS),
    100: list(READERS),
    1000: ["ours, with summary", "plain iterparse"],  # pyTenable would take minutes
}


def run_alone(reader: str, path: Path) -> None:
    """Prints findings, seconds and peak kilobytes; run in a process of its own."""
    begin = time.perf_counter()
    findings = READERS[reader](path)
    seconds = time.perf_counter() - begin
    print(findings, seconds, peak_memory())


def peak_memory() -> int:
    """Kilobytes, of this process alone: ru_maxrss would count what started it."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line)


def compare(path: Path, readers: Iterable[str], at: int) -> list[Figure]:
    found = []
    for reader in readers:
        command = [sys.executable, "-m", "tests.bench.parsing", reader, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        _, seconds, peak = done.stdout.split()
        place = partial(Figure, who=reader, at=at, of="MB")
        speed = path.stat().st_size / MB / float(seconds)
        found.append(place(what="reading a report", unit="MB/s", value=speed))
        found.append(place(what="most memory", unit="MB", value=int(peak) / 1000))
    return found


def measure() -> list[Figure]:
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for size, readers in SIZES.items():
            path = Path(folder) / f"{size}.nessus"
            write_report(path, size * MB)
            found += compare(path, readers, size)
            path.unlink()
    return found


if __name__ == "__main__":
    run_alone(sys.argv[1], Path(sys.argv[2]))
