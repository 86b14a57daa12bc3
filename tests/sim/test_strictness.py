"""Where the simulator is as strict as a real scanner, and where as lenient; what evidence
leaves open, both ways."""

from __future__ import annotations

import gzip
import json
import xml.etree.ElementTree as ET
from typing import Any
from urllib.parse import urlencode

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from nessus_sched.sim import SimOptions
from nessus_sched.sim.assumptions import ASSUMPTIONS, parse
from nessus_sched.sim.certificate import make_certificate
from support.sim import BASIC, COMPLIANCE, DISCOVERY, Caller, hand_driven, serving

FORM = "application/x-www-form-urlencoded"
SSH = {"auth_method": "password", "username": "scan", "password": "right"}
SNMP = {"username": "scan", "auth_password": "right", "privacy_password": "right"}
ADVANCED = "ad629e16-03b6-8c1d-cef6-ef8c9dd3c658d24bd260ef5f9e66"


def assuming(**assume: bool) -> tuple[Caller, Any]:
    return hand_driven(assume=assume, scans_take=1.0)


def create(call: Caller, uuid: str = BASIC, *, body: Any = None, **settings: Any) -> Any:
    settings = {"name": "x", "text_targets": "192.0.2.1", **settings}
    return call("POST", "/scans", {"uuid": uuid, "settings": settings, **(body or {})})


def held(call: Caller, scan_id: int) -> set[str]:
    """The types of credentials that a scan has."""
    data = call.get(f"/editor/scan/{scan_id}")["credentials"]["data"]
    return {kind["name"] for each in data for kind in each["types"] if kind["instances"]}


def ran(call: Caller, clock: Any, scan_id: int) -> ET.Element:
    call.launch(scan_id)
    clock.pass_time(2.0)
    token = call("POST", f"/scans/{scan_id}/export", {"format": "nessus"}).json["token"]
    clock.pass_time(1.0)
    return ET.fromstring(call("GET", f"/tokens/{token}/download").content)  # noqa: S314 - ours


def test_assumptions_are_yes_or_no_and_known() -> None:
    assert parse(["always_gzip=yes", "keep_alive=no"]) == {"always_gzip": True, "keep_alive": False}
    for wrong in ("always_gzip", "always_gzip=maybe", "nonsense=yes", ""):
        with pytest.raises(ValueError, match=r"yes or no|unknown"):
            parse([wrong])
    with pytest.raises(ValueError, match="unknown: nonsense"):
        SimOptions(assume={"nonsense": True})
    assert all(each.meaning and each.evidence for each in ASSUMPTIONS.values())


@pytest.mark.parametrize("refused", [True, False])
@pytest.mark.parametrize(
    ("assumption", "setting", "value"),
    [
        ("unknown_settings_refused", "no_such_setting", "yes"),
        ("bad_values_refused", "report_paranoia", "Extreme"),
        ("bad_values_refused", "portscan_range", "some"),
        ("bad_values_refused", "syn_scanner", True),
        ("unknown_modes_refused", "discovery_mode", "Everything"),
    ],
)
def test_settings_that_make_no_sense(
    assumption: str, setting: str, value: Any, refused: bool
) -> None:
    call, _ = assuming(**{assumption: refused})
    reply = create(call, **{setting: value})
    if refused:
        assert (reply.status, reply.json) == (400, {"error": f"Invalid '{setting}' field"})
        assert call.get("/scans")["scans"] is None
    else:
        assert setting not in call.nessus.scans[reply.json["scan"]["id"]].settings


@pytest.mark.parametrize("value", [["yes"], {"yes": 1}])
def test_a_setting_is_no_list_or_object(value: Any) -> None:
    call, _ = assuming()
    assert create(call, safe_checks=value).status == 400


@pytest.mark.parametrize("refused", [True, False])
@pytest.mark.parametrize(
    ("uuid", "kind", "fits"),
    [
        (BASIC, "SSH", True),
        (BASIC, "SNMPv3", False),
        (ADVANCED, "SNMPv3", True),
        (DISCOVERY, "SSH", False),
    ],
)
def test_a_template_holds_only_its_types_of_credentials(
    uuid: str, kind: str, fits: bool, refused: bool
) -> None:
    call, _ = assuming(misplaced_credentials_refused=refused)
    fields = SNMP if kind == "SNMPv3" else SSH
    reply = create(call, uuid, body={"credentials": {"add": {"Host": {kind: [fields]}}}})
    if fits or not refused:
        assert held(call, reply.json["scan"]["id"]) == ({kind} if fits else set())
    else:
        assert (reply.status, reply.json) == (400, {"error": "Invalid 'credentials' field"})


@pytest.mark.parametrize("refused", [True, False])
@pytest.mark.parametrize(("kind", "many"), [("SSH", True), ("SNMPv3", False)])
def test_a_scan_takes_several_credentials_of_a_type_unless_the_editor_says_one(
    kind: str, many: bool, refused: bool
) -> None:
    call, _ = assuming(surplus_credentials_refused=refused)
    fields = SNMP if kind == "SNMPv3" else SSH
    add = {"add": {"Host": {kind: [fields, fields]}}}
    reply = create(call, ADVANCED, body={"credentials": add})
    if refused and not many:
        assert (reply.status, reply.json) == (400, {"error": "Invalid 'credentials' field"})
    else:
        scan = call.nessus.scans[reply.json["scan"]["id"]]
        assert len(scan.credentials) == (2 if many else 1)


UNIX = {"feed": {"add": [{"id": "21157_CIS_Debian_Linux_11_v1.0.0_L1_Server.audit"}]}}


def test_the_audits_of_the_editor_have_ids_variables_and_required_credentials() -> None:
    call, _ = assuming()
    data = call.get(f"/editor/scan/templates/{COMPLIANCE}")["compliance"]["data"]
    kinds = {kind["name"]: kind for kind in data}
    assert kinds["Unix"]["required_creds"] == ["SSH"]
    assert kinds["Windows"]["required_creds"] == ["Windows"]
    own, *feed = kinds["Unix"]["audits"]
    assert "id" not in own
    assert [entry["id"] for entry in own["inputs"]] == ["file"]
    assert all(audit["id"].startswith("21157_") for audit in feed)
    variables = [entry for audit in feed for entry in audit["inputs"] or ()]
    assert variables
    assert all(entry["required"] and "default" in entry for entry in variables)
    assert call.get(f"/editor/scan/templates/{BASIC}")["compliance"]["data"] == []


@pytest.mark.parametrize("refused", [True, False])
def test_compliance_without_an_audit(refused: bool) -> None:
    call, clock = assuming(compliance_needs_audit=refused)
    reply = create(call, COMPLIANCE, body={"credentials": {"add": {"Host": {"SSH": [SSH]}}}})
    if refused:
        assert reply.status == 404
    else:
        assert list(ran(call, clock, reply.json["scan"]["id"]).iter("compliance")) == []


@pytest.mark.parametrize("refused", [True, False])
def test_an_audit_with_the_wrong_credential(refused: bool) -> None:
    call, clock = assuming(audit_needs_credential=refused)
    windows = {"credentials": {"add": {"Host": {"Windows": [SSH]}}}, "audits": UNIX}
    reply = create(call, COMPLIANCE, body=windows)
    if refused:
        assert reply.status == 400
    else:
        assert list(ran(call, clock, reply.json["scan"]["id"]).iter("compliance")) == []
    right = {"credentials": {"add": {"Host": {"SSH": [SSH]}}}, "audits": UNIX}
    assert create(call, COMPLIANCE, body=right).status == 200


def test_audits_that_are_not_there_are_not_found() -> None:
    call, _ = assuming()
    audits = {"feed": {"add": [{"id": "1"}]}}
    assert create(call, COMPLIANCE, body={"audits": audits}).status == 404


def test_an_own_audit_may_be_named_among_its_variables() -> None:
    call, _ = assuming()
    entry = {"category": "Unix", "variables": {"file": "ours.audit"}}
    login = {"add": {"Host": {"SSH": [SSH]}}}
    body = {"credentials": login, "audits": {"custom": {"add": [entry]}}}
    reply = create(call, COMPLIANCE, body=body)
    (audit,) = call.nessus.scans[reply.json["scan"]["id"]].audits
    assert (audit.file, audit.category) == ("ours.audit", "Unix")


def test_a_scan_of_a_policy_takes_nothing_of_its_own() -> None:
    call, _ = assuming(policy_scans_take_settings=False)
    policy = {"uuid": BASIC, "settings": {"name": "ours", "portscan_range": "80"}}
    policy_id = call("POST", "/policies", policy).json["policy_id"]
    login = {"credentials": {"add": {"Host": {"SSH": [SSH]}}}}
    reply = create(call, policy_id=policy_id, portscan_range="443", body=login)
    scan = call.nessus.scans[reply.json["scan"]["id"]]
    assert "portscan_range" not in scan.settings
    assert held(call, scan.id) == set()
    assert (scan.name, scan.targets) == ("x", ("192.0.2.1",))


@pytest.mark.parametrize(("refused", "status"), [(True, 400), (False, 200)])
def test_long_folder_names(refused: bool, status: int) -> None:
    call, _ = assuming(long_folder_names_refused=refused)
    assert call("POST", "/folders", {"name": "n" * 20}).status == 200
    assert call("POST", "/folders", {"name": "n" * 21}).status == status


@pytest.mark.parametrize("renamed", [True, False])
def test_uploads_of_the_same_name(renamed: bool) -> None:
    call, _ = assuming(uploads_renamed=renamed)
    names = []
    for content in ("one", "two"):
        form = (
            '--b\r\nContent-Disposition: form-data; name="Filedata"; filename="key"\r\n\r\n'
            f"{content}\r\n--b--\r\n"
        )
        kind = "multipart/form-data; boundary=b"
        reply = call("POST", "/file/upload", form.encode(), content_type=kind)
        names.append(reply.json["fileuploaded"])
    assert (names[0] != names[1]) == renamed
    assert call.nessus.uploads[names[1]].strip() == b"two"


@pytest.mark.parametrize("refused", [True, False])
def test_a_trial_exports_nothing(refused: bool) -> None:
    assume = {"trial_refuses_export": refused}
    call, clock = hand_driven(assume=assume, trial=True, scans_take=1.0)
    assert call.get("/server/properties")["license"]["evaluation"] is True
    scan_id = call.create()
    call.launch(scan_id)
    clock.pass_time(2.0)
    reply = call("POST", f"/scans/{scan_id}/export", {"format": "nessus"})
    if refused:
        assert reply.status == 403
        return
    clock.pass_time(1.0)
    download = call("GET", f"/tokens/{reply.json['token']}/download")
    assert (download.status, download.headers["content-type"]) == (200, "application/json")
    assert "trial" in download.json["error"]


def test_expert_has_no_api() -> None:
    call, _ = hand_driven(edition="expert")
    assert call.get("/server/properties")["nessus_type"] == "Nessus Expert"
    assert create(call).status == 412


@pytest.mark.parametrize("unfinished", [True, False])
def test_exports_of_a_stopped_scan(unfinished: bool) -> None:
    assume = {"partial_exports_have_unfinished_hosts": unfinished}
    call, clock = hand_driven(assume=assume, scans_take=100.0)
    scan_id = call.create(targets="192.0.2.0/26")
    call.launch(scan_id)
    clock.pass_time(60.0)
    call("POST", f"/scans/{scan_id}/stop")
    clock.pass_time(1.0)
    token = call("POST", f"/scans/{scan_id}/export", {"format": "nessus"}).json["token"]
    clock.pass_time(1.0)
    report = ET.fromstring(call("GET", f"/tokens/{token}/download").content)  # noqa: S314 - ours
    ends = [host.find("*/tag[@name='HOST_END']") for host in report.iter("ReportHost")]
    assert any(end is not None for end in ends)
    assert any(end is None for end in ends) == unfinished


@pytest.mark.parametrize(("cancels", "status"), [(True, "canceled"), (False, "aborted")])
def test_a_restart_ends_what_runs(cancels: bool, status: str) -> None:
    call, _ = assuming(restart_cancels=cancels)
    scan_id = call.create()
    call.launch(scan_id)
    call.nessus.restart()
    assert call.status(scan_id) == status


@pytest.mark.parametrize("dated", [True, False])
def test_rows_of_scans_that_never_ran(dated: bool) -> None:
    call, clock = assuming(empty_rows_dated=dated)
    call.create()
    (row,) = call.get("/scans")["scans"]
    assert row["status"] == "empty"
    when = int(clock.now) if dated else 0
    assert (row["creation_date"], row["last_modification_date"]) == (when, when)
    assert (row["uuid"] is not None) == dated


@pytest.mark.parametrize(
    ("asked", "always", "packed"),
    [("gzip, br", False, True), ("identity", False, False), ("identity", True, True)],
)
def test_the_script_of_the_ui_may_be_gzipped(asked: str, always: bool, packed: bool) -> None:
    call, _ = assuming(always_gzip=always)
    reply = call("GET", "/nessus6.js", accept_encoding=asked)
    assert (reply.headers.get("content-encoding") == "gzip") == packed
    script = gzip.decompress(reply.content) if packed else reply.content
    assert call.nessus.accounts.ui_token.encode() in script


@pytest.mark.parametrize("kept", [True, False])
def test_connections_are_kept_or_closed(kept: bool) -> None:
    call, _ = assuming(keep_alive=kept)
    for path in ("/server/status", "/scans", "/nowhere"):
        assert (call("GET", path).headers.get("connection") == "close") == (not kept)


@pytest.mark.slow
def test_the_certificate_of_a_fresh_nessus() -> None:
    made = make_certificate("127.0.0.1", seed=1, names=False)
    again = make_certificate("127.0.0.1", seed=1, names=False)
    other = make_certificate("127.0.0.1", seed=2, names=False)
    assert made.fingerprint == again.fingerprint != other.fingerprint
    (certificate,) = x509.load_pem_x509_certificates(made.chain)
    assert "CN=Nessus Certification Authority" in certificate.issuer.rfc4514_string()
    assert certificate.issuer != certificate.subject
    assert list(certificate.extensions) == []
    key = certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 2048


async def test_it_is_served() -> None:
    options = SimOptions(assume={"certificate_has_names": False})
    async with serving(options) as sim:
        names_none = make_certificate("127.0.0.1", seed=1, names=False)
        assert sim.fingerprint == names_none.fingerprint


def test_forms_are_understood() -> None:
    """As clients send them that leave the encoding to their HTTP library."""
    call, clock = assuming()
    nobody = Caller(call.nessus)
    login = urlencode({"username": "admin", "password": "nessus"}).encode()
    token = nobody("POST", "/session", login, content_type=FORM).json["token"]
    user = Caller(call.nessus, {"X-Cookie": f"token={token}", "Content-Type": FORM})
    scan_id = call.create()
    assert user("POST", f"/scans/{scan_id}/launch", b"").status == 200
    clock.pass_time(2.0)
    wanted = urlencode({"format": "nessus"}).encode()
    assert user("POST", f"/scans/{scan_id}/export", wanted).status == 200
    folder = urlencode({"name": "by form"}).encode()
    folder_id = user("POST", "/folders", folder).json["id"]
    moved = urlencode({"folder_id": folder_id}).encode()
    assert user("PUT", f"/scans/{scan_id}/folder", moved).status == 200
    assert [row["id"] for row in call.get(f"/scans?folder_id={folder_id}")["scans"]] == [scan_id]


def test_a_body_without_the_right_content_type_is_read_all_the_same() -> None:
    call, _ = assuming()
    body = json.dumps({"name": "plain"}).encode()
    assert call("POST", "/folders", body, content_type="text/plain").status == 200


def test_the_content_type_is_plain_json() -> None:
    call, _ = assuming()
    assert call("GET", "/scans").headers["content-type"] == "application/json"


def test_a_null_folder_is_none() -> None:
    call, _ = assuming()
    scan_id = call.create()
    reply = call("POST", f"/scans/{scan_id}/copy", {"name": "copy", "folder_id": None})
    assert (reply.status, reply.json["folder_id"]) == (200, 3)


def test_head_and_the_front_page() -> None:
    call, _ = assuming()
    nobody = Caller(call.nessus)
    page = nobody("GET", "/")
    assert (page.status, page.headers["content-type"]) == (200, "text/html")
    head = call("HEAD", "/scans")
    assert (head.status, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(call("GET", "/scans").content))
    assert nobody("HEAD", "/scans").status == 401


def test_what_the_ui_shows_besides_scans() -> None:
    call, _ = assuming()
    (family, *_) = call.get("/plugins/families")["families"]
    plugins = call.get(f"/plugins/families/{family['id']}")["plugins"]
    assert len(plugins) == family["count"]
    plugin = call.get(f"/plugins/plugin/{plugins[0]['id']}")
    assert plugin["family_name"] == family["name"]
    assert {"attribute_name", "attribute_value"} == set(plugin["attributes"][0])
    assert call("GET", "/plugins/plugin/1").status == 404
    (user,) = call.get("/users")["users"]
    assert call.get(f"/users/{user['id']}") == user
    assert call.get("/permissions/scanner/1")["acls"]
    assert call.get("/agents")["agents"] == []


def test_many_are_deleted_at_once() -> None:
    call, _ = assuming()
    ids = [call.create(f"scan {number}") for number in range(3)]
    assert call("DELETE", "/scans", {"ids": [*ids, 999]}).json == {"deleted": ids}
