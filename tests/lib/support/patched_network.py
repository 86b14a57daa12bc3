"""A network that was scanned six times in a hundred days, and what is true of it.

The truth is found by going through what each scan could see, and shares no code with the ledger.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from functools import partial
from random import Random
from typing import Any, Final

import attrs

from nessus_sched.core.states import TaskState
from nessus_sched.core.task import Task
from nessus_sched.results.coverage import ScanCoverage, scan_coverage
from nessus_sched.results.parser.reader import Reader
from nessus_sched.results.summary import summarize
from nessus_sched.store.findings.store import FindingsStore
from nessus_sched.store.tasks.store import TaskStore
from support.ledger_book import INFORMATION, LOGIN
from support.nessus_xml import document, element, host, item
from support.stored import a_request, a_task, submitted

DAY: Final = 86_400
NETWORK: Final = "192.0.2.0/28"
BEFORE: Final = (100, 60, 35, 12, 5, 1)
"""Days ago of the scans."""
LOGGED_OUT: Final = INFORMATION.replace("yes, as 'scan' via ssh", "no")


@attrs.frozen
class Check:
    plugin: int
    severity: int
    solution: str
    cve: str | None = None
    exploited: bool = False
    local: bool = False
    port: int = 443


CHECKS: Final = (
    Check(155999, 4, "Update Log4j.", cve="CVE-2021-44228", exploited=True),
    Check(156032, 4, "Update Log4j.", cve="CVE-2021-45046"),
    Check(20007, 3, "Turn off SSL 2 and 3.", cve="CVE-2014-3566"),
    Check(51192, 2, "Get a certificate that clients trust.", port=8443),
    Check(200001, 3, "Update OpenSSL.", cve="CVE-2026-1001", local=True, port=0),
    Check(200002, 4, "Update the kernel.", cve="CVE-2026-1002", local=True, exploited=True, port=0),
    Check(200003, 1, "Update bash.", local=True, port=0),
    Check(42873, 2, "Turn off weak ciphers."),
)
BY_PLUGIN: Final = {each.plugin: each for each in CHECKS}
Key = tuple[str, int]


@attrs.define
class Truth:
    """What is true of a finding. `doubt` is why the latest scan of its host does not say."""

    first: int
    last: int
    open: bool = True
    fixed_at: int | None = None
    back: int = 0
    back_at: int | None = None
    doubt: str | None = None
    doubted_at: int | None = None
    fixes: list[int] = attrs.field(factory=list)
    """Every time it was proved gone."""


@attrs.define
class Network:
    """`seen` has, for each scan, the plugins on each host that answered, and whether its login
    worked."""

    now: float
    times: list[int] = attrs.field(factory=list)
    seen: list[dict[str, tuple[frozenset[int], bool]]] = attrs.field(factory=list)
    truth: dict[Key, Truth] = attrs.field(factory=dict)

    @property
    def open(self) -> Mapping[Key, Truth]:
        return {key: each for key, each in self.truth.items() if each.open}

    def hosts(self) -> list[str]:
        return sorted({name for scan in self.seen for name in scan})

    def last(self, name: str, *, login: bool = False) -> int | None:
        """When a host last answered, or last with a login."""
        found = [
            at
            for at, scan in zip(self.times, self.seen, strict=True)
            if name in scan and (scan[name][1] or not login)
        ]
        return max(found, default=None)

    def days(self, at: float) -> float:
        return (self.now - at) / DAY


def living(now: float, seed: int = 7) -> Network:
    """Hosts are patched and get worse, go away, and lose their login."""
    random, network = Random(seed), Network(now)
    has = {f"192.0.2.{number}": set[int]() for number in range(1, 13)}
    never_logged_in = {"192.0.2.4", "192.0.2.9"}
    for number, days in enumerate(BEFORE):
        for plugins in has.values():
            for check in CHECKS:
                if check.plugin in plugins and random.random() < 0.25:
                    plugins.discard(check.plugin)
                elif check.plugin not in plugins and random.random() < 0.22:
                    plugins.add(check.plugin)
        scan = {}
        for name, plugins in has.items():
            gone = (name == "192.0.2.12" and number > 2) or random.random() < 0.12
            if gone:
                continue
            entered = name not in never_logged_in and random.random() < 0.8
            shown = {each for each in plugins if entered or not BY_PLUGIN[each].local}
            scan[name] = frozenset(shown), entered
        network.times.append(int(now - days * DAY))
        network.seen.append(scan)
        _look(network, number)
    return network


def _look(network: Network, number: int) -> None:
    """What one scan tells about everything."""
    at, scan = network.times[number], network.seen[number]
    for name, (shown, entered) in scan.items():
        for plugin in shown:
            known = network.truth.setdefault((name, plugin), Truth(first=at, last=at))
            if not known.open:
                known.back += 1
                known.back_at, known.open, known.fixed_at = at, True, None
            known.last, known.doubt, known.doubted_at = at, None, None
        for (other, plugin), known in network.truth.items():
            if other != name or plugin in shown or not known.open:
                continue
            if BY_PLUGIN[plugin].local and not entered:
                known.doubted_at = known.doubted_at or at
                known.doubt = "login_failed"
            else:
                known.open, known.fixed_at = False, at
                known.fixes.append(at)
                known.doubt = known.doubted_at = None
    for (name, _), known in network.truth.items():
        if name not in scan and known.open:
            known.doubted_at = known.doubted_at or at
            known.doubt = "host_down"


def truth_after(network: Network, number: int) -> dict[Key, Truth]:
    """What was true after that scan."""
    then = Network(network.now, network.times, network.seen)
    for each in range(number + 1):
        _look(then, each)
    return then.truth


def report(network: Network, number: int) -> bytes:
    at = network.times[number]
    plugins = ";".join(map(str, [*BY_PLUGIN, 10180, 19506, 104410, 110095, 141118]))
    policy = (
        "<Policy><Preferences><ServerPreferences><preference><name>TARGET</name>"
        f"<value>{NETWORK}</value></preference><preference><name>plugin_set</name><value>"
        f"{plugins}</value></preference></ServerPreferences></Preferences></Policy>"
    )
    hosts = [
        host(
            name,
            *map(_item, sorted(shown)),
            *([LOGIN, INFORMATION] if entered else [item(10180), item(104410), LOGGED_OUT]),
            tags={"HOST_END_TIMESTAMP": str(at), "host-ip": name},
        )
        for name, (shown, entered) in network.seen[number].items()
    ]
    return document(*hosts, policy=policy)


def _item(plugin: int) -> str:
    check = BY_PLUGIN[plugin]

    def children() -> Iterator[str]:
        yield element("solution", check.solution)
        yield element("plugin_type", "local" if check.local else "remote")
        if check.cve:
            yield element("cve", check.cve)
        if check.exploited:
            yield element("cisa-known-exploited", "2026/01/01")

    family = "Ubuntu Local Security Checks" if check.local else "Web Servers"
    given: dict[str, Any] = {"severity": check.severity, "port": check.port}
    return item(plugin, *children(), pluginFamily=family, **given)


def _coverage(reader: Reader) -> ScanCoverage:
    return scan_coverage(reader.report)


async def store(network: Network, tasks: TaskStore, findings: FindingsStore) -> list[Task]:
    """The scans as finished tasks with their findings."""
    found = []
    for number, at in enumerate(network.times):
        request = a_request(targets=(NETWORK,), credentials=("linux",), name=f"scan {number}")
        data = report(network, number)
        task = a_task(
            number + 1, request=request, state=TaskState.COMPLETED, created_at=float(at - 60),
            launched_at=float(at - 60), scanner_instance="east",
            summary=summarize(io.BytesIO(data)), entered={TaskState.COMPLETED: at + 60.0},
        )  # fmt: skip
        reader = Reader(io.BytesIO(data))
        coverage = partial(_coverage, reader)
        await findings.put(task.task_id, reader, at=at + 60.0, coverage=coverage)
        await tasks.submit(task, submitted(task))
        found.append(task)
    return found
