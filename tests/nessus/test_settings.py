"""What is sent with a new scan: everything that the web interface would send.

A scan runs with the settings of its request alone. `support.required_settings` tells from a
recorded editor answer, by another way than the client's, what these must be.
"""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from nessus_sched.core.asked import asked_for
from nessus_sched.core.credentials import Credential, CredentialKind
from nessus_sched.core.scanner import (
    AuditFile,
    BadOrder,
    CreatedScan,
    NotReady,
    Refused,
    ScanOrder,
    Unreachable,
)
from nessus_sched.core.secret import Secret
from nessus_sched.core.task import Discovery, ScanKind, Verify
from nessus_sched.nessus import NessusScanner
from nessus_sched.nessus.editor import default_mode, read_template
from nessus_sched.nessus.template_cache import STAND_IN_TTL, TEMPLATE_TTL
from support.required_settings import required_settings
from support.scripted_nessus import (
    NOW,
    ScriptedNessus,
    created,
    editor_answer,
    order,
    recorded,
    scanner,
    settings,
)
from support.sent_before import body_before

NAMES = ("advanced", "basic", "compliance", "discovery", "malware", "patch_audit", "pci", "scap",
         "webapp")  # fmt: skip
"""Recorded from Tenable's cloud in 2021, as pyTenable's own tests keep them."""
OURS = {"name", "description", "text_targets", "folder_id", "launch", "enabled"}
SSH = Credential(
    name="lab", kind=CredentialKind.SSH_PASSWORD, username="scan", password=Secret("x")
)
WINDOWS = attrs.evolve(SSH, kind=CredentialKind.WINDOWS)
SNMP = Credential(name="net", kind=CredentialKind.SNMPV3, username="scan")
JUNOS = "62680_CIS_Juniper_OS_v2.0.0_L1.audit"

UI_BASIC = {
    "discovery_mode": "Port scan (common ports)", "assessment_mode": "default",
    "advanced_mode": "Default", "ping_the_remote_host": "yes", "arp_ping": "yes",
    "tcp_ping": "yes", "tcp_ping_dest_ports": "built-in", "icmp_ping": "yes",
    "icmp_ping_retries": "2", "icmp_unreach_means_host_down": "no", "udp_ping": "no",
    "fast_network_discovery": "no", "scan_network_printers": "no", "scan_netware_hosts": "no",
    "scan_ot_devices": "no", "portscan_range": "default", "unscanned_closed": "no",
    "ssh_netstat_scanner": "yes", "wmi_netstat_scanner": "yes", "snmp_scanner": "yes",
    "only_portscan_if_enum_failed": "yes", "verify_open_ports": "no", "syn_scanner": "yes",
    "syn_firewall_detection": "Automatic (normal)", "tcp_scanner": "no", "udp_scanner": "no",
    "safe_checks": "yes", "max_hosts_per_scan": "30", "max_checks_per_host": "5",
    "network_receive_timeout": "5", "stop_scan_on_disconnect": "no",
    "slice_network_addresses": "no", "provided_creds_only": "yes", "thorough_tests": "no",
    "report_paranoia": "Normal", "never_send_win_creds_in_the_clear": "yes",
    "dont_use_ntlmv1": "yes", "start_remote_registry": "no", "enable_admin_shares": "no",
    "ssh_port": "22", "ssh_client_banner": "OpenSSH_5.0", "attempt_least_privilege": "no",
}  # fmt: skip
"""Captured from the web interface of Nessus 10.8, and equal in the recorded template."""
UI_ONLY = {
    "test_local_nessus_host": "yes", "svc_detection_on_all_ports": "yes", "detect_ssl": "yes",
    "ssl_prob_ports": "All ports", "dtls_prob_ports": "None", "cert_expiry_warning_days": "60",
    "enumerate_all_ciphers": "yes", "check_crl": "no", "reduce_connections_on_congestion": "no",
    "auto_accept_disclaimer": "no", "report_verbosity": "Normal", "silent_dependencies": "yes",
    "report_superseded_patches": "yes", "allow_post_scan_editing": "yes", "log_live_hosts": "no",
    "display_unreachable_hosts": "no", "reverse_lookup": "no", "request_windows_domain_info": "no",
    "start_server_service": "no",
}  # fmt: skip


def answer(name: str) -> dict[str, Any]:
    found: dict[str, Any] = recorded(f"editor/tio_policy_template_{name}.json")
    return found


def real(*names: str) -> ScriptedNessus:
    """A scanner whose editor answers as recorded."""
    nessus = ScriptedNessus()
    rows = [{"name": n, "title": n, "uuid": answer(n)["uuid"]} for n in names]
    nessus.on("GET /editor/scan/templates", {"templates": rows})
    for name, row in zip(names, rows, strict=True):
        nessus.on(f"GET /editor/scan/templates/{row['uuid']}", answer(name))
    nessus.on("POST /scans", created())
    return nessus


async def made(nessus: ScriptedNessus, what: ScanOrder) -> tuple[dict[str, Any], CreatedScan]:
    found = await scanner(nessus).create_scan(what)
    return nessus.sent("POST /scans"), found


KINDS = [
    ("basic", order(ScanKind.BASIC)),
    ("basic", order(ScanKind.TRUSTED, credential=SSH)),
    ("basic", order(ScanKind.TRUSTED, credential=WINDOWS)),
    ("advanced", order(ScanKind.TRUSTED, credential=SNMP)),
    ("advanced", order(ScanKind.PRIVILEGED, credential=SSH)),
    *(("discovery", order(ScanKind.QUICK, discovery=depth)) for depth in Discovery),
    ("compliance", order(ScanKind.COMPLIANCE, credential=SSH, audit=JUNOS)),
    *((name, order(ScanKind.CUSTOM, template=name)) for name in NAMES),
]


@pytest.mark.parametrize(
    ("name", "what"), KINDS, ids=lambda each: getattr(each, "request", each) and str(each)[:60]
)
async def test_each_kind_sends_what_the_template_asks(name: str, what: ScanOrder) -> None:
    template = answer(name)
    body, found = await made(real(name), what)
    needed = required_settings(template)
    if what.request.kind is ScanKind.QUICK:
        needed |= {"log_live_hosts": "yes", "discovery_mode": body["settings"]["discovery_mode"]}
    if name == "malware":
        needed["discovery_mode"] = "Host enumeration"  # its default is an id; names are sent
    assert {key: body["settings"].get(key) for key in needed} == needed
    assert set(body["settings"]) == OURS | set(needed)
    assert body["uuid"] == template["uuid"]
    assert found.asked is not None
    assert found.asked.template == name
    assert not found.asked.stand_in
    assert not found.asked.notes


@pytest.mark.parametrize("name", NAMES)
def test_modes_are_spelled_as_the_template_offers_them(name: str) -> None:
    template = read_template(answer(name), answer(name)["uuid"])
    modes = [tab.mode for tab in template.tabs if tab.mode is not None]
    assert bool(modes) is (name != "advanced")
    for mode in modes:
        assert default_mode(mode).lower() in [option.lower() for option in mode.options]


async def test_a_basic_scan_is_what_the_web_interface_sends() -> None:
    body, found = await made(real("basic"), order())
    assert {key: body["settings"].get(key) for key in UI_BASIC} == UI_BASIC
    assert found.asked == attrs.evolve(
        asked_for(body["settings"], template="basic", template_uuid=body["uuid"]),
        settings=len(body["settings"]) - len(OURS),
    )
    assert found.asked is not None
    assert found.asked.port_scanners == ("syn", "ssh_netstat", "wmi_netstat", "snmp")
    assert (found.asked.ping, found.asked.ntlmv1_off) == (True, True)
    assert (found.asked.port_range, found.asked.max_hosts) == ("default", 30)


async def test_the_request_of_before_lacks_all_of_it() -> None:
    before = body_before(answer("basic")["uuid"])
    assert not required_settings(answer("basic")).keys() & before["settings"].keys()
    asked = asked_for(before["settings"])
    assert (asked.ping, asked.port_scanners, asked.discovery_mode) == (None, None, None)


async def test_the_plugin_families_are_those_of_the_template() -> None:
    body, found = await made(real("advanced"), order(ScanKind.PRIVILEGED, credential=SSH))
    families = answer("advanced")["plugins"]["families"]
    assert body["plugins"] == {n: {"status": f["status"]} for n, f in families.items()}
    assert found.asked is not None
    off = [name for name, family in families.items() if family["status"] == "disabled"]
    assert found.asked.families_off == tuple(sorted(off))
    assert "plugins" not in (await made(real("basic"), order()))[0]


VERIFY = Verify(plugins={"General": (12053, 10114), "Settings": (12634,)}, findings=(), series="")


WANTED = order(ScanKind.CUSTOM, template="advanced", verify=VERIFY)
FAMILIES = {"families": [{"id": 7, "name": "General", "count": 3}, {"id": None, "name": "?"}]}
GENERAL = {"id": 7, "name": "General", "plugins": [{"id": 10114}, {"id": 11936}, {"id": "x"}]}


async def test_a_scan_to_verify_runs_its_plugins_and_what_proves_that_they_ran() -> None:
    nessus = real("advanced")
    nessus.on("GET /plugins/families", FAMILIES)
    nessus.on("GET /plugins/families/7", GENERAL)
    body, found = await made(nessus, WANTED)
    plugins = body["plugins"]
    assert plugins.keys() == answer("advanced")["plugins"]["families"].keys()
    assert plugins.pop("General") == {
        "status": "mixed",
        "individual": {"10114": "enabled", "11936": "disabled", "12053": "enabled"},
    }
    assert plugins.pop("Settings") == {"status": "enabled"}
    assert {each["status"] for each in plugins.values()} == {"disabled"}
    assert found.asked is not None
    assert found.asked.families_part == ("General",)
    assert set(found.asked.families_off or ()) == plugins.keys()
    assert not found.asked.notes


@pytest.mark.parametrize(
    ("path", "reply"),
    [
        ("GET /plugins/families", (404, {})),
        ("GET /plugins/families", (403, {})),
        ("GET /plugins/families", {"families": None}),
        ("GET /plugins/families", {"families": ["General", {"id": "x", "name": "General"}]}),
        ("GET /plugins/families/7", {"plugins": {"10114": 1}}),
        ("GET /plugins/families/7", (404, {})),
        ("GET /plugins/families/7", {"plugins": []}),
    ],
)
async def test_plugins_that_may_run_as_well_are_noted(path: str, reply: Any) -> None:
    nessus = real("advanced")
    nessus.on("GET /plugins/families", FAMILIES)
    nessus.on("GET /plugins/families/7", GENERAL)
    nessus.on(path, reply)
    body, found = await made(nessus, WANTED)
    individual = body["plugins"]["General"]["individual"]
    assert individual == {"10114": "enabled", "12053": "enabled"}
    assert found.asked is not None
    assert "others of it may have run" in found.asked.notes[0]


async def test_single_plugins_that_cannot_be_selected_are_not_scanned_with_more() -> None:
    document = answer("advanced")
    odd: list[tuple[dict[str, Any], str]]
    odd = [({}, "cannot be selected"), ({"Settings": {}}, "no plugin family")]
    for families, said in odd:
        nessus = real("advanced")
        path = f"GET /editor/scan/templates/{document['uuid']}"
        nessus.on(path, {**document, "plugins": {"families": families}})
        with pytest.raises(BadOrder, match=said):
            await made(nessus, WANTED)


@pytest.mark.parametrize("reply", [(404, {}), (403, {}), (500, {}), (200, "<html>"), {}])
async def test_an_editor_that_cannot_be_read_gives_the_defaults_of_the_web_interface(
    reply: Any,
) -> None:
    nessus = ScriptedNessus()
    nessus.on("GET /editor/scan/templates/uuid-basic", reply)
    nessus.on("POST /scans", created())
    body, found = await made(nessus, order())
    needed = {**UI_BASIC, **UI_ONLY}
    assert {key: body["settings"].get(key) for key in needed} == needed
    assert found.asked is not None
    assert found.asked.stand_in
    [note] = found.asked.notes
    assert "'basic'" in note


async def test_a_stand_in_for_discovery_looks_for_hosts_only() -> None:
    nessus = ScriptedNessus()
    nessus.on("GET /editor/scan/templates/uuid-discovery", (403, {}))
    nessus.on("POST /scans", created())
    body, found = await made(nessus, order(ScanKind.QUICK, discovery=Discovery.HOSTS))
    assert body["settings"]["discovery_mode"] == "Host enumeration"
    assert body["settings"]["log_live_hosts"] == "yes"
    assert "safe_checks" not in body["settings"]
    assert found.asked is not None
    assert (found.asked.ping, found.asked.port_scanners) == (True, ())


async def test_a_scanner_that_does_not_answer_is_tried_again_before_a_stand_in() -> None:
    nessus = ScriptedNessus()
    nessus.on("POST /scans", created())
    nessus.on("GET /editor/scan/templates/uuid-basic", (503, {}))
    client = scanner(nessus)
    with pytest.raises(NotReady):
        await client.create_scan(order())
    nessus.on("GET /editor/scan/templates/uuid-basic", TimeoutError())
    with pytest.raises(Unreachable):
        await client.create_scan(order())
    assert (await client.create_scan(order())).asked.stand_in  # type: ignore[union-attr]


async def test_the_editor_is_asked_once_until_the_plugins_change() -> None:
    now, nessus = NOW, ScriptedNessus()
    nessus.on("POST /scans", created())
    client = NessusScanner(settings(), now=lambda: now, transport=nessus)
    route = "GET /editor/scan/templates/uuid-basic"

    async def asked() -> int:
        await client.create_scan(order())
        return len(nessus.asked(route))

    assert [await asked() for _ in range(5)] == [1] * 5
    requests = len(nessus.requests)
    await client.create_scan(order())
    names = [request.url.path for request in nessus.requests[requests:]]
    assert names == ["/folders", "/scans"]
    nessus.on("GET /server/properties", {"plugin_set": "202611270000"})
    await client.info()
    assert await asked() == 2
    now += TEMPLATE_TTL - 1
    assert await asked() == 2
    now += 2
    assert await asked() == 3
    now += TEMPLATE_TTL + 1
    nessus.on(route, (500, {}))
    assert await asked() == 4
    now += STAND_IN_TTL - 1
    assert await asked() == 4
    now += 2
    assert await asked() == 5
    assert nessus.asked(route)[0].headers["X-API-Version"] == "2"


async def test_choosing_a_detail_makes_the_tab_custom() -> None:
    """A preset decides all inputs of its tab, whatever is sent with it."""
    what = attrs.evolve(order(), settings={"portscan_range": "1-1024"})
    body, found = await made(real("basic"), what)
    sent = body["settings"]
    assert (sent["discovery_mode"], sent["portscan_range"]) == ("Custom", "1-1024")
    assert (sent["assessment_mode"], sent["advanced_mode"]) == ("default", "Default")
    assert found.asked is not None
    assert found.asked.port_range == "1-1024"


async def test_a_chosen_option_brings_its_own_inputs() -> None:
    what = attrs.evolve(order(), profile={"scan_webapps": "yes"})
    body, _ = await made(real("basic"), what)
    needed = required_settings(answer("basic"), {"scan_webapps": "yes"})
    assert "webcrawler_max_pages" in needed
    needed["assessment_mode"] = "Custom"
    assert {key: body["settings"].get(key) for key in needed} == needed
    off = attrs.evolve(order(), settings={"ping_the_remote_host": "no"})
    body, found = await made(real("basic"), off)
    assert "tcp_ping" not in body["settings"]
    assert found.asked is not None
    assert found.asked.ping is False


@pytest.mark.parametrize("mode", ["Port scan (all ports)", "port scan (all ports)", "portscan_all"])
async def test_a_mode_may_be_named_loosely_and_is_sent_by_name(mode: str) -> None:
    what = attrs.evolve(order(), settings={"discovery_mode": mode})
    body, found = await made(real("basic"), what)
    assert body["settings"]["discovery_mode"] == "Port scan (all ports)"
    assert found.asked is not None
    assert found.asked.port_range == "1-65535"


async def test_a_mode_that_the_template_lacks_is_refused() -> None:
    nessus = real("basic")
    what = attrs.evolve(order(), settings={"discovery_mode": "Host enumeration"})
    with pytest.raises(Refused, match=r"it has: 'Port scan \(common ports\)'"):
        await made(nessus, what)
    assert not nessus.asked("POST /scans")


async def test_a_profile_leaves_out_what_the_template_lacks_and_says_so() -> None:
    profile = {"scan_webapps": "yes", "syn_scanner": "no", "tcp_scanner": "yes"}
    what = attrs.evolve(order(ScanKind.QUICK, discovery=Discovery.PORTS), profile=profile)
    body, found = await made(real("discovery"), what)
    sent = body["settings"]
    assert "scan_webapps" not in sent
    assert (sent["discovery_mode"], sent["syn_scanner"], sent["tcp_scanner"]) == (
        "Custom", "no", "yes",
    )  # fmt: skip
    assert found.asked is not None
    assert found.asked.port_scanners == ("tcp",)
    assert "scan_webapps" in found.asked.notes[0]


async def test_the_submitter_overrides_the_profile() -> None:
    what = attrs.evolve(
        order(), profile={"max_hosts_per_scan": "5"}, settings={"max_hosts_per_scan": "7"}
    )
    body, found = await made(real("basic"), what)
    assert body["settings"]["max_hosts_per_scan"] == "7"
    assert body["settings"]["advanced_mode"] == "Custom"
    assert found.asked is not None
    assert found.asked.max_hosts == 7


async def test_details_of_a_search_for_hosts_still_scan_no_ports() -> None:
    what = attrs.evolve(
        order(ScanKind.QUICK, discovery=Discovery.HOSTS), settings={"tcp_ping_dest_ports": "22"}
    )
    body, found = await made(real("discovery"), what)
    sent = body["settings"]
    assert (sent["discovery_mode"], sent["tcp_ping_dest_ports"]) == ("Custom", "22")
    assert {sent[name] for name in ("syn_scanner", "tcp_scanner", "udp_scanner")} == {"no"}
    assert found.asked is not None
    assert found.asked.port_scanners == ()


@pytest.mark.parametrize(
    ("name", "credential"),
    [("discovery", SSH), ("webapp", SSH), ("basic", SNMP), ("compliance", SNMP)],
)
async def test_a_credential_that_the_template_does_not_take_is_refused(
    name: str, credential: Credential
) -> None:
    nessus = real(name)
    with pytest.raises(Refused, match="accepts no"):
        await made(nessus, order(ScanKind.CUSTOM, template=name, credential=credential))
    assert not nessus.asked("POST /scans")


async def test_a_scan_by_policy_sends_no_settings_of_its_own() -> None:
    nessus = ScriptedNessus()
    nessus.on("GET /policies", {"policies": [{"id": 4, "name": "ours", "template_uuid": "t-4"}]})
    nessus.on("POST /scans", created())
    body, found = await made(nessus, order(ScanKind.CUSTOM, policy="ours"))
    assert set(body["settings"]) == OURS | {"policy_id"}
    assert found.asked is not None
    assert (found.asked.policy, found.asked.settings) == ("ours", 0)
    for change in ({"settings": {"portscan_range": "1"}}, {"credentials": (SSH,)}):
        with pytest.raises(Refused, match="brings its own"):
            await made(nessus, attrs.evolve(order(ScanKind.CUSTOM, policy="ours"), **change))


async def test_an_audit_of_the_scanner_has_all_its_variables() -> None:
    what = order(
        ScanKind.COMPLIANCE,
        credential=SSH,
        audit="junos",
        audit_file=AuditFile(name=JUNOS, variables={"UNTRUSTED_INTERFACE_IPV4": "ge-0/0/9"}),
    )
    body, _ = await made(real("compliance"), what)
    [entry] = body["audits"]["feed"]["add"]
    [known] = [
        audit
        for group in answer("compliance")["compliance"]["data"]
        for audit in group["audits"]
        if audit.get("id") == JUNOS
    ]
    wanted = {each["id"]: each["default"] for each in known["inputs"]}
    assert entry == {
        "id": JUNOS,
        "variables": {**wanted, "UNTRUSTED_INTERFACE_IPV4": "ge-0/0/9"},
    }
    with pytest.raises(Refused, match="needs a login of type SSH, not Windows"):
        await made(real("compliance"), attrs.evolve(what, credentials=(WINDOWS,)))
    body, _ = await made(real("compliance"), attrs.evolve(what, credentials=(WINDOWS, SSH)))
    assert body["credentials"]["add"]["Host"].keys() == {"SSH", "Windows"}


async def test_a_variable_without_a_value_is_asked_for() -> None:
    variable = {"id": "HOST", "type": "entry", "default": "", "required": 1}
    audit = {"id": "x.audit", "name": "X", "inputs": [variable]}
    data = [{"name": "Unix", "required_creds": ["SSH"], "audits": [{"name": "own"}, audit]}]
    nessus = ScriptedNessus()
    nessus.on(
        "GET /editor/scan/templates/uuid-compliance",
        editor_answer("compliance", compliance={"data": data}),
    )
    with pytest.raises(Refused, match="HOST"):
        await made(nessus, order(ScanKind.COMPLIANCE, credential=SSH, audit="x.audit"))


async def test_settings_of_the_chosen_credential_type_are_sent() -> None:
    rows = [
        {
            "name": "SSH",
            "settings": [
                {"type": "entry", "id": "ssh_port", "default": "22"},
                {"type": "file", "id": "ssh_known_hosts", "default": "hosts"},
            ],
        },
        {
            "name": "Windows",
            "settings": {"inputs": [{"type": "checkbox", "id": "ntlm", "default": "yes"}]},
        },
    ]
    nessus = ScriptedNessus()
    host = {"data": [{"name": "Host", "types": rows}]}
    nessus.on("GET /editor/scan/templates/uuid-basic", editor_answer("basic", credentials=host))
    nessus.on("POST /scans", created())
    body, _ = await made(nessus, order(ScanKind.TRUSTED, credential=SSH))
    assert body["settings"]["ssh_port"] == "22"
    assert not {"ssh_known_hosts", "ntlm"} & body["settings"].keys()
    body, _ = await made(nessus, order(ScanKind.TRUSTED, credential=WINDOWS))
    assert body["settings"]["ntlm"] == "yes"


async def test_on_a_manager_the_scan_runs_on_the_manager_itself() -> None:
    nessus = ScriptedNessus()
    rows = [{"id": 5, "type": "remote"}, {"id": 1, "type": "local"}]
    nessus.on("GET /scanners", {"scanners": rows})
    nessus.on("POST /scans", created())
    client = scanner(nessus)
    await client.info()
    for _ in range(2):
        await client.create_scan(order())
        assert nessus.sent("POST /scans")["settings"]["scanner_id"] == 1
    assert len(nessus.asked("GET /scanners")) == 1
    nessus.on("GET /server/properties", {"nessus_type": "Nessus Professional"})
    await client.info()
    await client.create_scan(order())
    assert "scanner_id" not in nessus.sent("POST /scans")["settings"]


async def test_algorithms_of_snmpv3_are_spelled_as_the_scanner_does() -> None:
    full = attrs.evolve(
        SNMP,
        auth_password=Secret("a"),
        privacy_password=Secret("p"),
        auth_algorithm="sha-1",
        privacy_algorithm="AES",
    )
    body, _ = await made(real("advanced"), order(ScanKind.TRUSTED, credential=full))
    [entry] = body["credentials"]["add"]["Host"]["SNMPv3"]
    assert (entry["auth_algorithm"], entry["privacy_algorithm"]) == ("SHA1", "AES")
    newer = attrs.evolve(full, auth_algorithm="SHA-512")
    with pytest.raises(Refused, match="it has: SHA1, MD5"):
        await made(real("advanced"), order(ScanKind.TRUSTED, credential=newer))


async def test_no_two_uploads_have_the_same_name() -> None:
    nessus = ScriptedNessus()
    nessus.on("POST /scans", created())
    nessus.on("POST /file/upload", {"fileuploaded": "kept"})
    key = attrs.evolve(SSH, kind=CredentialKind.SSH_KEY, private_key=Secret("PEM"))
    client = scanner(nessus)
    for _ in range(2):
        await client.create_scan(order(ScanKind.TRUSTED, credential=key))
    first, second = (
        next(part for part in request.content.split(b"\r\n") if b"filename=" in part)
        for request in nessus.asked("POST /file/upload")
    )
    assert first.endswith(b'ssh_key"')
    assert first != second


def test_a_hostile_editor_is_bounded() -> None:
    deep: dict[str, Any] = {"id": "x", "type": "ui_group", "default": "yes"}
    for _ in range(200):
        deep = {"id": "x", "type": "ui_group", "inputs": [deep]}
    wide = [{"id": f"i{n}", "type": "entry", "default": "v"} for n in range(20_000)]
    long = {"id": "long", "type": "entry", "default": "v" * 100_000}
    odd = [None, 7, "text", {"id": 7, "type": 7}, {"id": "list", "type": "x", "default": ["v"]}]
    parts = {"a": {"inputs": [deep]}, "b": {"inputs": wide}, "c": {"inputs": [long, *odd]}}
    template = read_template({"settings": {**parts, "d": 7, "e": {"modes": {"id": "m"}}}}, "u")
    assert len(template.names) < 6000
    assert template.logins == {}
