"""How long a page of findings takes at 10^4, 10^5 and 10^6 findings; prints a table.

python tests/bench/bench_findings.py [10000 100000 1000000]
"""

from __future__ import annotations

import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import trio

from nessus_sched.results.model import Finding, HostEnd, HostReport, Plugin
from nessus_sched.results.parser import Event
from nessus_sched.results.query_input import read_query
from nessus_sched.store.findings import FindingsStore, open_findings

_PLUGINS = 4000
_PER_HOST = 200
_REPEATS = 5

_QUERIES: dict[str, dict[str, Any]] = {
    "default order": {},
    "minimal": {"profile": "minimal"},
    "severity>=high": {"filters": ["severity>=high"]},
    "severity=info": {"filters": ["severity=info"]},
    "one cve": {"filters": ["cve=CVE-2021-1234"]},
    "description~word": {"filters": ["description~word17 "]},
    "family and exploitable": {"filters": ["plugin_family=family 3", "exploit_available=true"]},
    "one host": {"filters": ["host=10.0.0.7"]},
    "one port": {"filters": ["port=443", "severity>=medium"]},
    "plugin_output~": {"filters": ["plugin_output~host 10.0.0.7 "]},
    "any of two parts": {"filters": ["host=10.0.0.7", "cve=CVE-2021-1234"], "match": "any"},
    "sort by score": {"sort": ["-cvss3_base_score", "host"]},
    "sort by host": {"sort": ["host", "port"]},
}


def plugins(chance: random.Random) -> list[Plugin]:
    words = [f"word{number} " for number in range(500)]
    made = []
    for number in range(_PLUGINS):
        severity = number % 5
        made.append(
            Plugin(
                plugin_id=10_000 + number,
                plugin_name=f"Check {number}",
                plugin_family=f"family {number % 40}",
                synopsis="".join(chance.choices(words, k=10)),
                description="".join(chance.choices(words, k=200)),
                solution="".join(chance.choices(words, k=30)),
                cvss3_base_score=None if severity == 0 else chance.randint(severity * 20, 99) / 10,
                exploit_available=number % 7 == 0,
                cve=(f"CVE-2021-{number}",) if severity else (),
            )
        )
    return made


def report(findings: int, chance: random.Random) -> Iterator[Event]:
    known = plugins(chance)
    for index in range(findings // _PER_HOST):
        name = f"10.{index >> 16}.{index >> 8 & 255}.{index & 255}"
        host = HostReport(index=index, name=name, ip=name)
        yield host
        for place in range(_PER_HOST):
            # Mostly information, as in real reports.
            number = chance.randrange(_PLUGINS)
            number -= number % 5 if chance.randrange(3) else 0
            port = chance.choice((0, 22, 80, 443, 445, 3389, 8080, 8443))
            yield Finding(
                index=index * _PER_HOST + place,
                host_index=index,
                host=name,
                port=port,
                protocol="tcp",
                svc_name="service",
                severity=number % 5,
                plugin=known[number],
                plugin_output=f"Seen on host {name} port {port} by check {number}.",
            )
        yield HostEnd(host=host, findings=_PER_HOST)


async def measure(store: FindingsStore, task_id: str) -> dict[str, str]:
    answers = {}
    for label, asked in _QUERIES.items():
        first, following, total = [], [], 0
        for _ in range(_REPEATS):
            begin = time.perf_counter()
            page = await store.page(task_id, read_query(asked), max_bytes=200_000)
            first.append(time.perf_counter() - begin)
            total = page.total
            if page.next_cursor:
                begin = time.perf_counter()
                query = read_query(asked | {"cursor": page.next_cursor})
                await store.page(task_id, query, max_bytes=200_000)
                following.append(time.perf_counter() - begin)
        later = f"{median(following) * 1000:8.1f}" if following else "       -"
        answers[label] = f"{median(first) * 1000:8.1f} {later}  ({total} match)"
    return answers


async def main(sizes: list[int]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        store = await open_findings(Path(directory) / "findings.db")
        for size in sizes:
            begin = time.perf_counter()
            await store.put(f"t{size}", report(size, random.Random(1)), at=float(size))
            took = time.perf_counter() - begin
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            held = (await store.statistics()).bytes / 1e6
            print(f"\n{size} findings: import {took:.1f} s, peak {memory} MiB, file {held:.0f} MB")
            print(f"  {'page of 50, in ms':26}    first following")
            for label, line in (await measure(store, f"t{size}")).items():
                print(f"  {label:26} {line}")
            begin = time.perf_counter()
            await store.tallies(f"t{size}")
            print(f"  {'tallies':26} {(time.perf_counter() - begin) * 1000:8.1f}")
        await compare_and_delete(store, f"t{sizes[-1]}", f"t{sizes[0]}")
        await store.aclose()


async def compare_and_delete(store: FindingsStore, last: str, first: str) -> None:
    begin = time.perf_counter()
    await store.compare(first, last)
    print(f"\ncompare {first} with {last}: {time.perf_counter() - begin:.2f} s")
    begin = time.perf_counter()
    await store.search(read_query({"filters": ["cve=CVE-2021-1234"]}))
    print(f"search a CVE in all: {(time.perf_counter() - begin) * 1000:.1f} ms")
    begin = time.perf_counter()
    await store.delete(last)
    await store.reap()
    held = (await store.statistics()).bytes / 1e6
    print(f"delete {last}: {time.perf_counter() - begin:.1f} s, file then {held:.0f} MB")


if __name__ == "__main__":
    trio.run(main, [int(size) for size in sys.argv[1:]] or [10_000, 100_000, 1_000_000])
