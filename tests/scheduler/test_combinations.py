"""What does not go together is refused at the door, with the way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from nessus_sched.config.schema import AuditSettings
from nessus_sched.core.credentials import Credential, CredentialKind
from nessus_sched.core.profile import Accuracy, ScanProfile
from nessus_sched.core.secret import Secret
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import Discovery, ScanKind, ScanRequest
from nessus_sched.scheduler.errors import RequestError
from support.fake_scanner import FakeScanner
from support.world import config_of, scanner_settings, virtual_now, world

CREDENTIALS = (
    Credential(name="ssh", kind=CredentialKind.SSH_PASSWORD, username="u", password=Secret("p")),
    Credential(
        name="win",
        kind=CredentialKind.WINDOWS,
        username="u",
        password=Secret("p"),
        privileged=True,
    ),
    Credential(name="snmp", kind=CredentialKind.SNMPV3, username="u"),
    Credential(name="snmp2", kind=CredentialKind.SNMPV3, username="u"),
)
T = ScanKind.TRUSTED
AUDITS = (
    AuditSettings(name="unix", file=Path("/unix.audit")),
    AuditSettings(name="windows", file=Path("/windows.audit"), category="Windows"),
    AuditSettings(name="own", file=Path("/own.audit"), category="Something New"),
    AuditSettings(name="junos", builtin="62680_CIS_Juniper_OS_v2.0.0_L1.audit"),
)
PROFILES = (
    ScanProfile(
        name="gentle",
        default_for=(ScanKind.BASIC, ScanKind.CUSTOM),
        max_hosts=5,
        max_checks=2,
        network_timeout=10,
        slow_down=True,
        ports="1-1024, 8443",
        accuracy=Accuracy.FEWER_FALSE_ALARMS,
        settings={"udp_ping": "yes", "max_checks_per_host": "3"},
    ),
    ScanProfile(name="wide", ports="all", ping=False, fragile_hosts=True, web_tests=True),
)
EVERYTHING = {"credentials": CREDENTIALS, "audits": AUDITS, "scan_profiles": PROFILES}


def request(kind: ScanKind, **own: Any) -> ScanRequest:
    return ScanRequest(kind=kind, targets=("192.0.2.1",), **own)


def custom(template: str, credential: str) -> ScanRequest:
    return request(ScanKind.CUSTOM, template=template, credentials=(credential,))


REFUSED = [
    (custom("discovery", "ssh"), "credential_and_template"),
    (custom("webapp", "win"), "credential_and_template"),
    (custom("basic", "snmp"), "credential_and_template"),
    (request(ScanKind.QUICK, credentials=("ssh",)), "credential_and_template"),
    (request(ScanKind.COMPLIANCE, credentials=("snmp",), audit="own"), "credential_and_template"),
    (request(ScanKind.COMPLIANCE, credentials=("win",), audit="unix"), "credential_and_audit"),
    (request(ScanKind.COMPLIANCE, credentials=("ssh",), audit="windows"), "credential_and_audit"),
    (
        request(ScanKind.CUSTOM, policy="p", settings={"portscan_range": "1"}),
        "policy_and_settings",
    ),
    (request(ScanKind.CUSTOM, policy="p", profile="wide"), "policy_and_settings"),
    (request(ScanKind.CUSTOM, policy="p", credentials=("ssh",)), "policy_and_settings"),
    (request(T), "credential_needed"),
    (request(T, credentials=("ssh", "nonesuch")), "unknown_credential"),
    (request(T, credentials=("ssh", "win", "ssh")), "repeated_credential"),
    (request(T, credentials=("ssh",) * 11), "too_many_credentials"),
    (request(T, credentials=("snmp", "ssh", "snmp2")), "too_many_credentials"),
    (request(ScanKind.PRIVILEGED, credentials=("win", "ssh")), "credential_not_privileged"),
    (
        request(ScanKind.CUSTOM, template="malware", credentials=("ssh", "snmp")),
        "credential_and_template",
    ),
    (request(ScanKind.BASIC, profile="wied"), "unknown_profile"),
    (
        request(ScanKind.QUICK, discovery=Discovery.OS, settings={"tcp_ping_dest_ports": "22"}),
        "discovery_and_settings",
    ),
    (request(ScanKind.QUICK, discovery=Discovery.OS, profile="wide"), "discovery_and_settings"),
    (request(ScanKind.BASIC, settings={"safe_checks": "no"}), "settings_refused"),
    (request(ScanKind.TRUSTED, credentials=("ssh",), settings={"acls": "x"}), "settings_refused"),
]
FINE = [
    request(ScanKind.BASIC, settings={"portscan_range": "1-99"}),
    request(ScanKind.BASIC, profile="none"),
    request(ScanKind.TRUSTED, credentials=("snmp",)),
    request(ScanKind.TRUSTED, credentials=("win",), profile="wide"),
    request(T, credentials=("win", "ssh", "snmp")),
    request(ScanKind.COMPLIANCE, credentials=("win", "ssh"), audit="unix"),
    custom("advanced", "snmp"),
    custom("patch_audit", "snmp"),
    custom("something_new", "snmp"),
    request(ScanKind.CUSTOM, policy="p"),
    request(ScanKind.CUSTOM, policy="p", profile="none"),
    request(ScanKind.COMPLIANCE, credentials=("win",), audit="windows"),
    request(ScanKind.COMPLIANCE, credentials=("ssh",), audit="own"),
    request(ScanKind.COMPLIANCE, credentials=("ssh",), audit="junos"),
    request(ScanKind.QUICK, discovery=Discovery.OS),
    request(ScanKind.QUICK, discovery=Discovery.HOSTS, profile="wide"),
]


@pytest.mark.parametrize("dry_run", [True, False])
async def test_what_does_not_go_together_is_refused(
    dry_run: bool, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    config = config_of(tmp_path, scanner_settings("a"), **EVERYTHING)
    scanner = FakeScanner(virtual_now())
    async with world(config, {"a": scanner}) as w:
        for what, code in REFUSED:
            with pytest.raises(RequestError) as caught:
                await w.service.submit(what, actor="test", dry_run=dry_run)
            assert caught.value.code == code, str(caught.value)
            assert caught.value.hint
        assert not scanner.requests["create_scan"]


async def test_what_goes_together_is_taken(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    config = config_of(tmp_path, scanner_settings("a"), **EVERYTHING)
    async with world(config, {"a": FakeScanner(virtual_now())}) as w:
        for what in FINE:
            assert (await w.service.submit(what, actor="test", dry_run=True)).dry_run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        (
            None,
            {
                "max_hosts_per_scan": "5",
                "max_checks_per_host": "2",
                "network_receive_timeout": "10",
                "reduce_connections_on_congestion": "yes",
                "portscan_range": "1-1024,8443",
                "report_paranoia": "Avoid false alarms",
            },
        ),
        (
            "wide",
            {
                "portscan_range": "1-65535",
                "ping_the_remote_host": "no",
                "scan_network_printers": "yes",
                "scan_netware_hosts": "yes",
                "scan_webapps": "yes",
            },
        ),
        ("none", {}),
    ],
)
async def test_a_profile_goes_with_the_order(
    profile: str | None,
    expected: dict[str, str],
    tmp_path: Path,
    autojump_clock: trio.testing.MockClock,
) -> None:
    config = config_of(tmp_path, scanner_settings("a"), **EVERYTHING)
    scanner = FakeScanner(virtual_now())
    async with world(config, {"a": scanner}) as w:
        what = request(ScanKind.BASIC, profile=profile, settings={"syn_scanner": "no"})
        submission = await w.service.submit(what, actor="test")
        await w.settled(submission.view.task.task_id)
    [order] = scanner.orders.values()
    assert order.profile == expected
    raw = {"udp_ping": "yes", "max_checks_per_host": "3"} if profile is None else {}
    assert order.settings == {**raw, "syn_scanner": "no"}


async def test_a_profile_that_has_left_the_configuration_is_said(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    config = config_of(tmp_path, scanner_settings("a"), **EVERYTHING)
    async with world(config, {"a": FakeScanner(virtual_now())}) as w:
        w.context.pool.hold("a", w.context.now() + 60, "test", w.context.now())
        what = request(ScanKind.BASIC, profile="wide")
        submission = await w.service.submit(what, actor="test")
        w.context.config = attrs.evolve(config, scan_profiles=())
        task = await w.settled(submission.view.task.task_id)
    assert task.state is TaskState.DEAD
    assert task.last_error is not None
    assert task.last_error.kind == "unknown_profile"
