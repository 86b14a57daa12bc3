"""What a scan finds depends on what is sent: against a simulator that fills in nothing."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import httpx
import pytest
from trio.testing import MockClock

from nessus_sched.core.asked import Asked
from nessus_sched.core.credentials import Credential, CredentialKind
from nessus_sched.core.scanner import ScanOrder
from nessus_sched.core.secret import Secret
from nessus_sched.core.task import Discovery, ScanKind
from nessus_sched.results.plausibility import ScanFacts
from nessus_sched.results.summary import summarize
from nessus_sched.sim import asgi_app
from support.sent_before import body_before
from support.simulated_nessus import Lab, lab, scan_order

BASIC = "731a8e52-3ea6-a291-ec0a-d2ff0619c19d7bd788d6be818b65"
MANY = ("192.0.2.0/26",)
STRICT = {"fills_defaults": False, "mode_ids_work": False, "policy_scans_take_settings": False}
SSH = Credential(
    name="lab", kind=CredentialKind.SSH_PASSWORD, username="scan", password=Secret("right")
)
NO_PORT_SCANNER = "WARNING : No port scanner was enabled during the scan"


@attrs.frozen
class Report:
    hosts: int
    about: str
    ports: frozenset[int]
    preferences: Mapping[str, str]
    warnings: Sequence[Mapping[str, str]]

    @property
    def codes(self) -> list[str]:
        return [warning["code"] for warning in self.warnings]


async def report_of(
    one: Lab, scan_id: int, uuid: str, folder: Path, asked: Asked | None = None
) -> Report:
    ended = await one.ended(scan_id, uuid)
    path = folder / "report.nessus"
    await one.client.export(scan_id, ended.history_id, path)
    with path.open("rb") as stream:
        summary = summarize(stream, ScanFacts(asked=asked))
    root = ET.fromstring(path.read_text())  # noqa: S314 - the simulator wrote it
    items = list(root.iter("ReportItem"))
    about = [
        item.findtext("plugin_output", "") for item in items if item.get("pluginID") == "19506"
    ]
    return Report(
        hosts=len(list(root.iter("ReportHost"))),
        about="\n".join(about),
        ports=frozenset(int(item.get("port", "0")) for item in items),
        preferences={
            entry.findtext("name", ""): entry.findtext("value", "")
            for entry in root.iter("preference")
        },
        warnings=summary["warnings"],
    )


async def scanned(order: ScanOrder, folder: Path) -> Report:
    one = lab(assume=STRICT)
    created = await one.client.create_scan(order)
    assert created.asked is not None
    assert not created.asked.stand_in
    uuid = await one.client.launch(created.scan_id, (order.marker,))
    return await report_of(one, created.scan_id, uuid, folder, created.asked)


async def scanned_before(folder: Path, asked: Asked | None = None) -> Report:
    """With the request that had no settings, whatever was `asked`."""
    one = lab(assume=STRICT)
    accounts = one.nessus.accounts
    keys = f"accessKey={accounts.access_key}; secretKey={accounts.secret_key}"
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=asgi_app(one.nessus)),
        base_url="https://192.0.2.1:8834",
        headers={"X-ApiKeys": keys},
    ) as http:
        body = body_before(BASIC, text_targets=",".join(MANY))
        scan_id = (await http.post("/scans", json=body)).json()["scan"]["id"]
        uuid = (await http.post(f"/scans/{scan_id}/launch")).json()["scan_uuid"]
    return await report_of(one, scan_id, uuid, folder, asked)


@pytest.mark.slow
async def test_a_scan_pings_and_looks_for_open_ports(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    before = await scanned_before(tmp_path)
    assert NO_PORT_SCANNER in before.about
    now = await scanned(scan_order(targets=MANY), tmp_path)
    assert NO_PORT_SCANNER not in now.about
    assert now.hosts < before.hosts  # without ping, every address counts as a host
    assert max(now.ports) > max(before.ports)


@pytest.mark.slow
async def test_the_report_proves_what_ran(autojump_clock: MockClock, tmp_path: Path) -> None:
    """A scanner that drops the settings, a request that had none, and a scan as it should be."""
    one = lab(assume=STRICT)
    asked = (await one.client.create_scan(scan_order(targets=MANY))).asked
    dropped = await scanned_before(tmp_path, asked)
    assert {each["differs"] for each in dropped.warnings} == {"ping", "port_scanners", "ntlm",
                                                              "speed"}  # fmt: skip
    unsent = await scanned_before(tmp_path)
    assert unsent.codes == ["no_ping", "no_port_scanner"]
    assert not any("differs" in each for each in unsent.warnings)
    assert (await scanned(scan_order(targets=MANY), tmp_path)).codes == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"ping_the_remote_host": "no"},
        {"portscan_range": "1-100"},
        {"syn_scanner": "no", "ssh_netstat_scanner": "no", "wmi_netstat_scanner": "no",
         "snmp_scanner": "no"},
        {"discovery_mode": "Port scan (all ports)"},
        {"advanced_mode": "Scan low bandwidth links"},
        {"max_hosts_per_scan": "77"},
        {"safe_checks": "no", "dont_use_ntlmv1": "no"},
    ],
)  # fmt: skip
async def test_what_a_submitter_chose_is_no_difference(
    autojump_clock: MockClock, tmp_path: Path, settings: Mapping[str, str]
) -> None:
    order = attrs.evolve(scan_order(targets=("192.0.2.0/28",)), settings=settings)
    assert (await scanned(order, tmp_path)).warnings == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", [ScanKind.TRUSTED, ScanKind.PRIVILEGED])
async def test_scans_with_a_login_are_as_they_were_asked_for(
    autojump_clock: MockClock, tmp_path: Path, kind: ScanKind
) -> None:
    order = scan_order(kind=kind, credential=SSH, targets=("192.0.2.0/28",))
    assert (await scanned(order, tmp_path)).codes == []


@pytest.mark.slow
@pytest.mark.parametrize("depth", Discovery)
async def test_quick_scans_are_as_they_were_asked_for(
    autojump_clock: MockClock, tmp_path: Path, depth: Discovery
) -> None:
    order = scan_order(kind=ScanKind.QUICK, discovery=depth, targets=("192.0.2.0/28",))
    assert (await scanned(order, tmp_path)).codes == []


@pytest.mark.slow
async def test_a_login_brings_netstat(autojump_clock: MockClock, tmp_path: Path) -> None:
    plain = await scanned(scan_order(targets=MANY), tmp_path)
    order = scan_order(kind=ScanKind.TRUSTED, credential=SSH, targets=MANY)
    trusted = await scanned(order, tmp_path)
    assert "netstat" in trusted.about
    assert trusted.ports >= plain.ports


@pytest.mark.slow
async def test_a_port_range_is_kept_to(autojump_clock: MockClock, tmp_path: Path) -> None:
    order = attrs.evolve(scan_order(targets=MANY), settings={"portscan_range": "1-100"})
    found = await scanned(order, tmp_path)
    assert "Port range : 1-100" in found.about


@pytest.mark.slow
async def test_a_search_for_hosts_scans_no_ports(autojump_clock: MockClock, tmp_path: Path) -> None:
    order = scan_order(kind=ScanKind.QUICK, discovery=Discovery.HOSTS, targets=MANY)
    hosts = await scanned(order, tmp_path)
    order = scan_order(kind=ScanKind.QUICK, discovery=Discovery.PORTS, targets=MANY)
    ports = await scanned(order, tmp_path)
    assert hosts.ports == {0}
    assert len(ports.ports) > 1
    assert 0 < hosts.hosts < 62
