"""A network as an office has it, scanned once a week, in a state directory: for reports to be
looked at, printed and counted."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

import attrs

from nessus_sched.config.ledger import HostIdentity
from nessus_sched.core.states import TaskState
from nessus_sched.results.coverage import ScanCoverage, scan_coverage
from nessus_sched.results.ledger.hosts import ScanOrigin
from nessus_sched.results.parser.reader import Reader
from nessus_sched.results.summary import summarize
from nessus_sched.store.findings.store import FindingsStore, open_findings
from nessus_sched.store.ledger.store import LedgerStore, open_ledger
from nessus_sched.store.tasks.store import TaskStore
from support.ledger_book import INFORMATION, LOGIN
from support.nessus_xml import document, element, host, item, output
from support.stored import a_request, a_task, submitted

DAY: Final = 86_400
WEEK: Final = 7 * DAY
_PRODUCTS: Final = (
    ("OpenSSL", "Upgrade OpenSSL to version {v} or later."),
    ("Apache 2.4.x", "Upgrade to Apache version {v} or later."),
    ("nginx", "Upgrade to nginx {v} or later."),
    ("Ubuntu 22.04 LTS : Linux kernel", "Update the affected kernel packages, then reboot."),
    ("Ubuntu 22.04 LTS : sudo", "Update the affected sudo package."),
    ("Google Chrome", "Upgrade to Google Chrome version {v} or later."),
    ("Mozilla Firefox", "Upgrade to Mozilla Firefox version {v} or later."),
    ("Oracle Java SE", "Apply the October 2026 Oracle Critical Patch Update."),
    ("KB50{n}: Windows Server 2019 Security Update", "Apply Security Update 50{n}."),
    ("PHP", "Upgrade to PHP version {v} or later."),
    ("Jenkins LTS", "Upgrade Jenkins LTS to {v} or later. See the vendor's advisory for plugins."),
    ("VMware ESXi", "Apply the appropriate patch as referenced in the vendor advisory."),
    ("Cisco IOS XE", "Upgrade to the relevant fixed version referenced in Cisco bug ID CSC{n}."),
    ("PostgreSQL", "Upgrade to PostgreSQL {v} or later."),
    ("Apache Tomcat", "Upgrade to Apache Tomcat version {v} or later."),
)  # fmt: skip
_PROBLEMS: Final = ("Multiple Vulnerabilities", "Remote Code Execution", "Denial of Service",
                    "Privilege Escalation", "Information Disclosure")  # fmt: skip
_CONFIGURED: Final = (
    (51192, 2, "SSL Certificate Cannot Be Trusted",
     "Purchase or generate a proper SSL certificate for this service."),
    (57582, 2, "SSL Self-Signed Certificate",
     "Purchase or generate a proper SSL certificate for this service."),
    (42873, 3, "SSL Medium Strength Cipher Suites Supported (SWEET32)",
     "Reconfigure the affected application if possible to avoid use of medium strength ciphers."),
    (57608, 2, "SMB Signing not required", "Enforce message signing in the host's configuration."),
    (41028, 3, "SNMP Agent Default Community Name (public)",
     "Disable the SNMP service if you do not use it, or change the default community string."),
    (70658, 1, "SSH Server CBC Mode Ciphers Enabled",
     "Contact the vendor or consult product documentation to disable CBC mode cipher encryption."),
    (153953, 1, "SSH Weak Key Exchange Algorithms Enabled",
     "Contact the vendor or consult product documentation to disable the weak algorithms."),
)  # fmt: skip


@attrs.frozen
class Known:
    plugin: int
    severity: int
    name: str
    solution: str
    port: int
    cves: tuple[str, ...] = ()
    exploited: bool = False


def plugins(count: int, random: Random) -> list[Known]:
    """Findings from low up, as scanners have them."""
    found = [Known(*each, 443) for each in _CONFIGURED]
    for number in range(count - len(found)):
        product, solution = _PRODUCTS[number % len(_PRODUCTS)]
        version = f"{random.randint(1, 24)}.{random.randint(0, 9)}.{random.randint(0, 60)}"
        severity = random.choices((1, 2, 3, 4), (1, 4, 5, 2))[0]
        shown = product.format(n=number + 10_000)
        if "KB" not in shown:
            shown = f"{shown} < {version}"
        found.append(
            Known(
                200_000 + number, severity, f"{shown} {random.choice(_PROBLEMS)}",
                solution.format(v=version, n=number + 10_000), random.choice((0, 0, 80, 443, 8443)),
                tuple(f"CVE-2026-{random.randrange(1000, 9999)}" for _ in range(number % 6 + 1)),
                severity > 2 and random.random() < 0.12,
            )
        )  # fmt: skip
    return found


def _item(known: Known, name: str) -> str:
    children = [
        element("synopsis", "The remote host is affected by one or more vulnerabilities."),
        element("description", "According to its banner, the version is old. " * 8),
        element("solution", known.solution),
        element("plugin_type", "remote"),
        *(element("cve", cve) for cve in known.cves),
        *([element("cisa-known-exploited", "2026/05/01")] if known.exploited else []),
        output(
            f"\n  Path              : /opt/app/{known.plugin}\n"
            f"  Installed version : {known.plugin % 9}.{len(name) % 4}\n"
            "  Fixed version     : see the solution\n"
        ),
    ]
    given: dict[str, Any] = {
        "severity": known.severity, "port": known.port, "pluginName": known.name,
    }  # fmt: skip
    return item(known.plugin, *children, pluginFamily="General", **given)


def _information(count: int) -> Iterator[str]:
    for number in range(count):
        yield item(
            300_000 + number, element("synopsis", "The service could be identified."),
            output(f"Service {number} is running on this port.\n" * 5),
            pluginName=f"Service Detection ({number})", port=1000 + number,
        )  # fmt: skip


@attrs.frozen
class Books:
    """The stores in a state directory."""

    tasks: TaskStore
    findings: FindingsStore
    ledger: LedgerStore

    async def enter(self, number: int, data: bytes, *, at: int, targets: str) -> str:
        """A finished scan with its report."""
        begun = float(at - 60)
        request = a_request(targets=(targets,), credentials=("linux",), name="weekly office")
        task = a_task(
            number + 1, request=request, state=TaskState.COMPLETED, created_at=begun,
            launched_at=begun, scanner_instance="east", summary=summarize(io.BytesIO(data)),
            entered={TaskState.COMPLETED: at + 60.0},
        )  # fmt: skip
        reader = Reader(io.BytesIO(data))
        await self.findings.put(
            task.task_id, reader, at=at + 60.0, coverage=partial(_coverage, reader)
        )
        await self.tasks.submit(task, submitted(task))
        origin = ScanOrigin(
            task_id=task.task_id, series="weekly", began=begun, targets=(targets,),
            credentials=("linux",),
        )  # fmt: skip
        await self.ledger.apply(origin, identity=HostIdentity.ADDRESS, now=at + 60.0)
        return task.task_id


@asynccontextmanager
async def books(directory: Path, now: float) -> AsyncIterator[Books]:
    directory.mkdir(parents=True, exist_ok=True)
    findings = await open_findings(directory / "findings.db")
    ledger = await open_ledger(directory / "ledger.db", directory / "findings.db")
    async with TaskStore.open(directory, now=lambda: now) as tasks:
        yield Books(tasks, findings, ledger)
    await ledger.aclose()
    await findings.aclose()


async def build(
    directory: Path,
    *,
    now: float,
    hosts: int = 40,
    known: int = 90,
    weeks: int = 14,
    information: int = 12,
    network: str = "192.0.2.0/24",
    first: str = "192.0.2.",
    seed: int = 5,
) -> None:
    """Hosts get new findings and are patched, and some do not answer or let nobody in."""
    random = Random(seed)
    catalog = plugins(known, random)
    names = [_name(first, number) for number in range(hosts)]
    has = {name: set(random.sample(range(known), max(known // 5, 1))) for name in names}
    policy = _policy(network, catalog, information)
    async with books(directory, now) as opened:
        for number in range(weeks):
            at = int(now - (weeks - number) * WEEK + 3 * DAY)
            shown = []
            for name, mine in has.items():
                mine -= {each for each in mine if random.random() < 0.13}
                mine |= {random.randrange(known) for _ in range(random.randrange(3))}
                if random.random() >= 0.05:
                    logged_in = random.random() < 0.85
                    found = [_item(catalog[each], name) for each in sorted(mine)]
                    shown.append(_host(name, found, information, at, logged_in=logged_in))
            await opened.enter(number, document(*shown, policy=policy), at=at, targets=network)


def _host(name: str, found: list[str], information: int, at: int, *, logged_in: bool) -> str:
    login = [LOGIN, INFORMATION] if logged_in else [item(10180), item(104410)]
    return host(
        name, *found, *_information(information), *login,
        tags={"HOST_END_TIMESTAMP": str(at), "host-ip": name},
    )  # fmt: skip


def _coverage(reader: Reader) -> ScanCoverage:
    return scan_coverage(reader.report)


def _name(first: str, number: int) -> str:
    if first.count(".") == 3:
        return f"{first}{number + 1}"
    return f"{first}{number // 250}.{number % 250 + 1}"


def _policy(network: str, catalog: list[Known], information: int) -> str:
    ids = [*(each.plugin for each in catalog), *(300_000 + n for n in range(information)),
           10180, 19506, 104410, 110095, 141118]  # fmt: skip
    plugin_set = ";".join(map(str, ids))
    return (
        "<Policy><Preferences><ServerPreferences><preference><name>TARGET</name>"
        f"<value>{network}</value></preference><preference><name>plugin_set</name><value>"
        f"{plugin_set}</value></preference></ServerPreferences></Preferences></Policy>"
    )
