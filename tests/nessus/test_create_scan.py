"""What is sent to create each kind of scan, and what is never sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.core.asked import SentLogin
from nessus_sched.core.credentials import Credential, CredentialKind, Escalation, EscalationMethod
from nessus_sched.core.profile import RESERVED
from nessus_sched.core.scanner import (
    AuditFile,
    BadOrder,
    NoTemplates,
    NotFound,
    OutcomeUnknown,
    ScannerError,
    ScanOrder,
    TransientError,
)
from nessus_sched.core.secret import Secret
from nessus_sched.core.task import Discovery, ScanKind, ScanRequest
from nessus_sched.nessus import NessusScanner
from nessus_sched.nessus.scan_body import ScanBase, check, same_targets, scan_body
from support.scripted_nessus import (
    CANARIES,
    FOLDERS,
    MARKER,
    NOW,
    ScriptedNessus,
    created,
    editor_answer,
    no_secrets,
    order,
    scanner,
    settings,
    templates,
)

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\ncanary-key-line\n-----END OPENSSH PRIVATE KEY-----"
AUDITS = {
    "compliance": {
        "data": [
            {"name": "Unix", "audits": [{"id": 11, "name": "CIS Debian 12 L1"}]},
            {"name": "Windows", "audits": None},
        ]
    }
}


def login(kind: CredentialKind = CredentialKind.SSH_PASSWORD, **changes: Any) -> Credential:
    plain: dict[str, Any] = {
        "name": "lab",
        "kind": kind,
        "username": "scan",
        "password": Secret(CANARIES[2]),
    }
    return Credential(**{**plain, **changes})


@pytest.fixture
def nessus() -> ScriptedNessus:
    script = ScriptedNessus()
    script.on("POST /scans", created())
    script.on("POST /file/upload", {"fileuploaded": "renamed-1"})
    script.on("GET /editor/scan/templates/uuid-compliance", editor_answer("compliance", **AUDITS))
    script.on("GET /policies", {"policies": [{"id": 4, "name": "ours", "template_uuid": "t-4"}]})
    return script


async def sent(nessus: ScriptedNessus, what: ScanOrder) -> Any:
    await scanner(nessus).create_scan(what)
    return nessus.sent("POST /scans")


async def refusal(nessus: ScriptedNessus, what: ScanOrder) -> ScannerError:
    with pytest.raises(ScannerError) as caught:
        await scanner(nessus).create_scan(what)
    no_secrets(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("kind", "template"),
    [
        (ScanKind.BASIC, "basic"),
        (ScanKind.TRUSTED, "basic"),
        (ScanKind.PRIVILEGED, "advanced"),
        (ScanKind.QUICK, "discovery"),
    ],
)
async def test_each_kind_has_its_template(
    nessus: ScriptedNessus, kind: ScanKind, template: str
) -> None:
    credential = None if kind is ScanKind.QUICK else login()
    body = await sent(nessus, order(kind, credential=credential))
    assert body["uuid"] == f"uuid-{template}"


@pytest.mark.parametrize(
    ("discovery", "mode"),
    [
        (Discovery.HOSTS, "Host enumeration"),
        (Discovery.OS, "OS Identification"),
        (Discovery.PORTS, "Port scan (common ports)"),
        (None, "Port scan (common ports)"),
    ],
)
async def test_a_quick_scan_looks_as_far_as_asked(
    nessus: ScriptedNessus, discovery: Discovery | None, mode: str
) -> None:
    body = await sent(nessus, order(ScanKind.QUICK, discovery=discovery))
    assert body["settings"]["discovery_mode"] == mode


async def test_a_custom_scan_by_template(nessus: ScriptedNessus) -> None:
    chosen = {"portscan_range": "1-99"}
    what = attrs.evolve(order(ScanKind.CUSTOM, template="custom"), settings=chosen)
    body = await sent(nessus, what)
    assert body["uuid"] == "uuid-custom"
    assert body["settings"]["portscan_range"] == "1-99"
    assert "policy_id" not in body["settings"]


async def test_a_custom_scan_by_policy(nessus: ScriptedNessus) -> None:
    body = await sent(nessus, order(ScanKind.CUSTOM, policy="ours"))
    assert body["uuid"] == "t-4"
    assert body["settings"]["policy_id"] == 4


async def test_unknown_names_are_told_with_what_was_perhaps_meant(nessus: ScriptedNessus) -> None:
    error = await refusal(nessus, order(ScanKind.CUSTOM, template="advancd"))
    assert type(error) is NotFound
    assert "Did you mean 'advanced'?" in str(error)
    assert type(await refusal(nessus, order(ScanKind.CUSTOM, policy="theirs"))) is NotFound
    nessus.on("GET /policies", {"policies": None})
    assert type(await refusal(nessus, order(ScanKind.CUSTOM, policy="ours"))) is NotFound
    what = order(ScanKind.COMPLIANCE, audit="CIS Debian 11 L1", credential=login())
    assert "CIS Debian 12" in str(await refusal(nessus, what))
    assert not nessus.asked("POST /scans")


async def test_a_template_beyond_the_license(nessus: ScriptedNessus) -> None:
    locked = {**templates()[0], "license_fulfilled": 0}
    nessus.on("GET /editor/scan/templates", {"templates": [locked]})
    assert type(await refusal(nessus, order())) is NoTemplates
    found = await scanner(nessus).templates()
    assert [(template.name, template.usable) for template in found] == [("basic", False)]


async def test_templates_are_read_again_after_an_hour(nessus: ScriptedNessus) -> None:
    now = NOW
    client = NessusScanner(settings(), now=lambda: now, transport=nessus)
    for _ in range(3):
        assert len(await client.templates()) == 5
    assert len(nessus.requests) == 1
    now += 3601
    await client.templates()
    assert len(nessus.requests) == 2


async def test_an_ssh_password(nessus: ScriptedNessus) -> None:
    body = await sent(nessus, order(ScanKind.TRUSTED, credential=login()))
    assert body["credentials"] == {
        "add": {
            "Host": {
                "SSH": [
                    {
                        "auth_method": "password",
                        "username": "scan",
                        "password": CANARIES[2],
                        "custom_password_prompt": "",
                        "elevate_privileges_with": "Nothing",
                        "target_priority_list": "",
                    }
                ]
            }
        }
    }


async def test_an_ssh_key_is_uploaded_first(nessus: ScriptedNessus) -> None:
    key = login(CredentialKind.SSH_KEY, private_key=Secret(KEY), passphrase=Secret("canary-phrase"))
    body = await sent(nessus, order(ScanKind.TRUSTED, credential=key))
    [entry] = body["credentials"]["add"]["Host"]["SSH"]
    assert entry["auth_method"] == "public key"
    assert entry["private_key"] == "renamed-1"
    assert entry["private_key_passphrase"] == "canary-phrase"
    upload = nessus.asked("POST /file/upload")[0].content
    assert upload.index(b'name="no_enc"\r\n\r\n0\r\n') < upload.index(b'name="Filedata"')
    assert KEY.encode() in upload
    assert "canary-key-line" not in str(body)


async def test_windows(nessus: ScriptedNessus) -> None:
    windows = login(CredentialKind.WINDOWS, domain="LAB")
    body = await sent(nessus, order(ScanKind.PRIVILEGED, credential=windows))
    assert body["credentials"]["add"]["Host"]["Windows"] == [
        {"auth_method": "Password", "username": "scan", "password": CANARIES[2], "domain": "LAB"}
    ]


@pytest.mark.parametrize(
    ("auth", "privacy", "level"),
    [
        ("canary-auth", "canary-priv", "Authentication and privacy"),
        ("canary-auth", None, "Authentication without privacy"),
        (None, None, "No authentication and no privacy"),
    ],
)
async def test_snmpv3(
    nessus: ScriptedNessus, auth: str | None, privacy: str | None, level: str
) -> None:
    snmp = login(
        CredentialKind.SNMPV3,
        auth_password=Secret(auth) if auth else None,
        privacy_password=Secret(privacy) if privacy else None,
    )
    body = await sent(nessus, order(ScanKind.TRUSTED, credential=snmp))
    [entry] = body["credentials"]["add"]["Host"]["SNMPv3"]
    assert entry["security_level"] == level
    assert entry["port"] == "161"
    assert entry.get("auth_password") == auth
    assert entry.get("privacy_password") == privacy


async def test_several_logins_keep_their_order_and_their_own_keys(nessus: ScriptedNessus) -> None:
    first = login(CredentialKind.SSH_KEY, name="one", username="a", private_key=Secret(KEY))
    second = login(CredentialKind.SSH_KEY, name="two", username="b", private_key=Secret(KEY))
    third = login(name="three", username="c")
    windows = login(CredentialKind.WINDOWS, name="four", username="d")
    many = (first, windows, third, second)
    client = scanner(nessus)
    created = await client.create_scan(order(ScanKind.TRUSTED, credential=many))
    hosts = nessus.sent("POST /scans")["credentials"]["add"]["Host"]
    assert [each["username"] for each in hosts["SSH"]] == ["a", "c", "b"]
    assert [each["username"] for each in hosts["Windows"]] == ["d"]
    assert len(nessus.asked("POST /file/upload")) == 2
    assert created.asked is not None
    assert created.asked.logins == (
        SentLogin(name="one", type="SSH", username="a"),
        SentLogin(name="four", type="Windows", username="d"),
        SentLogin(name="three", type="SSH", username="c"),
        SentLogin(name="two", type="SSH", username="b"),
    )


async def test_no_secret_of_any_login_is_in_an_error(nessus: ScriptedNessus) -> None:
    one = login(name="one", password=Secret("first-secret"))
    two = login(CredentialKind.WINDOWS, name="two", password=Secret("second-secret"))
    echo = {"error": "bad: first-secret and second-secret"}
    nessus.on("POST /scans", (400, echo))
    error = await refusal(nessus, order(ScanKind.TRUSTED, credential=(one, two)))
    assert "bad:" in str(error)
    assert "-secret" not in str(error)


async def test_no_more_logins_of_a_type_than_the_editor_allows(nessus: ScriptedNessus) -> None:
    for most, count, refused in ((-1, 9, False), (2, 2, False), (2, 3, True), (None, 9, False)):
        types: list[dict[str, Any]] = [{"name": "SSH", "max": most, "inputs": [], "settings": None}]
        data = {"credentials": {"data": [{"name": "Host", "types": types}]}}
        nessus.on("GET /editor/scan/templates/uuid-basic", {**editor_answer("basic"), **data})
        many = tuple(login(name=f"n{each}") for each in range(count))
        what = order(ScanKind.TRUSTED, credential=many)
        if refused:
            error = await refusal(nessus, what)
            assert type(error) is BadOrder
            assert "at most 2 SSH credentials" in str(error)
        else:
            body = await sent(nessus, what)
            assert len(body["credentials"]["add"]["Host"]["SSH"]) == count


M = EscalationMethod
ESCALATIONS: list[tuple[EscalationMethod, dict[str, str]]] = [
    (M.SUDO, {"escalation_account": "root", "escalation_password": "canary-root"}),
    (M.SU, {"escalation_account": "root", "escalation_password": "canary-root"}),
    (
        M.SU_SUDO,
        {
            "su_user": "admin",
            "escalation_account": "root",
            "escalation_password": "canary-root",
        },
    ),
    (M.PBRUN, {"escalation_password": "canary-root"}),
    (M.DZDO, {"escalation_account": "root", "escalation_password": "canary-root"}),
    (M.K5LOGIN, {"escalation_account": "root"}),
    (M.ENABLE, {"escalation_password": "canary-root"}),
    (M.EXPERT, {"escalation_password": "canary-root"}),
]
WORDS = {M.K5LOGIN: ".k5login", M.ENABLE: "Cisco 'enable'", M.EXPERT: "Checkpoint Gaia 'expert'"}


@pytest.mark.parametrize(("method", "fields"), ESCALATIONS, ids=str)
async def test_escalation(
    nessus: ScriptedNessus, method: EscalationMethod, fields: dict[str, str]
) -> None:
    escalation = Escalation(method=method, password=Secret("canary-root"), su_user="admin")
    credential = login(escalation=escalation)
    body = await sent(nessus, order(ScanKind.PRIVILEGED, credential=credential))
    [entry] = body["credentials"]["add"]["Host"]["SSH"]
    assert entry["elevate_privileges_with"] == WORDS.get(method, str(method))
    found = {key: entry[key] for key in entry if key.startswith(("escalation", "su_"))}
    assert found == fields
    trusted = await sent(nessus, order(ScanKind.TRUSTED, credential=credential))
    [entry] = trusted["credentials"]["add"]["Host"]["SSH"]
    assert entry["elevate_privileges_with"] == "Nothing"
    assert "canary-root" not in str(trusted)


def test_every_escalation_is_tested() -> None:
    assert {method for method, _ in ESCALATIONS} == set(EscalationMethod)


async def test_an_uploaded_audit(nessus: ScriptedNessus, tmp_path: Path) -> None:
    path = tmp_path / "debian.audit"
    path.write_bytes(b"<check_type: Unix>")
    audit_file = AuditFile(file=path, category="Unix")
    what = order(ScanKind.COMPLIANCE, audit="debian", audit_file=audit_file, credential=login())
    body = await sent(nessus, what)
    assert body["audits"] == {"custom": {"add": [{"file": "renamed-1", "category": "Unix"}]}}
    assert b"<check_type: Unix>" in nessus.asked("POST /file/upload")[0].content
    path.unlink()
    assert "cannot be read" in str(await refusal(nessus, what))


@pytest.mark.parametrize("name", ["CIS Debian 12 L1", "11"])
async def test_an_audit_that_the_scanner_has(nessus: ScriptedNessus, name: str) -> None:
    body = await sent(nessus, order(ScanKind.COMPLIANCE, audit=name, credential=login()))
    assert body["audits"] == {"feed": {"add": [{"id": "11", "variables": {}}]}}


@pytest.mark.parametrize(
    "what",
    [
        order(ScanKind.TRUSTED),
        order(ScanKind.PRIVILEGED),
        order(ScanKind.COMPLIANCE, audit="any"),
        order(ScanKind.COMPLIANCE, credential=login()),
        order(ScanKind.CUSTOM),
        order(targets=()),
        order(ScanKind.TRUSTED, credential=login(password=None)),
        order(ScanKind.TRUSTED, credential=login(CredentialKind.WINDOWS, password=None)),
        order(ScanKind.TRUSTED, credential=login(CredentialKind.SSH_KEY)),
        order(ScanKind.PRIVILEGED, credential=login(escalation=Escalation(method=M.SU_SUDO))),
        *(
            order(ScanKind.CUSTOM, template="basic", settings={key: "x"})
            for key in sorted(RESERVED)
        ),
    ],
    ids=lambda what: f"{what.request.kind} {dict(what.request.settings)}",
)
async def test_orders_that_are_refused_before_anything_is_created(
    nessus: ScriptedNessus, what: ScanOrder
) -> None:
    assert type(await refusal(nessus, what)) is BadOrder
    assert not nessus.asked("POST /scans")


def test_a_name_without_its_marker_is_refused() -> None:
    request = ScanRequest(kind=ScanKind.BASIC, targets=("192.0.2.1",))
    with pytest.raises(BadOrder, match="marker"):
        check(ScanOrder(name="x", marker=MARKER, targets=("192.0.2.1",), request=request))


async def test_a_scanner_that_repeats_secrets_in_its_refusal(nessus: ScriptedNessus) -> None:
    secrets = [CANARIES[2], "canary-root", "canary-key-line"]
    credential = login(
        CredentialKind.SSH_KEY,
        private_key=Secret(KEY),
        escalation=Escalation(method=M.SUDO, password=Secret("canary-root")),
    )
    nessus.on("POST /scans", (400, {"error": f"bad: {' '.join(secrets)}"}))
    error = await refusal(nessus, order(ScanKind.PRIVILEGED, credential=credential))
    assert not any(secret in str(error) for secret in secrets)
    nessus.on("POST /file/upload", (400, {"error": "canary-key-line"}))
    error = await refusal(nessus, order(ScanKind.PRIVILEGED, credential=credential))
    assert "canary-key-line" not in str(error)


async def test_an_upload_without_a_name_is_not_used(nessus: ScriptedNessus) -> None:
    nessus.on("POST /file/upload", {})
    key = login(CredentialKind.SSH_KEY, private_key=Secret(KEY))
    what = order(ScanKind.TRUSTED, credential=key)
    assert type(await refusal(nessus, what)) is TransientError
    assert not nessus.asked("POST /scans")


async def test_targets_that_were_ignored_are_set_by_an_edit(nessus: ScriptedNessus) -> None:
    nessus.on("POST /scans", created(targets=None))
    nessus.on("PUT /scans/7", {"id": 7, "custom_targets": "192.0.2.16/28, 192.0.2.7"})
    assert (await scanner(nessus).create_scan(order())).scan_id == 7
    assert nessus.sent("PUT /scans/7")["settings"]["text_targets"] == "192.0.2.7,192.0.2.16/28"


async def test_a_scanner_that_never_tells_targets_is_believed(nessus: ScriptedNessus) -> None:
    nessus.on("POST /scans", created(targets=None))
    nessus.on("PUT /scans/7", {"scan": {"id": 7}})
    assert (await scanner(nessus).create_scan(order())).scan_id == 7


async def test_a_scan_of_other_targets_is_removed(nessus: ScriptedNessus) -> None:
    nessus.on("POST /scans", created(targets="198.51.100.0/24"))
    nessus.on("PUT /scans/7", {"id": 7, "custom_targets": "198.51.100.0/24"})
    nessus.on("DELETE /scans/7", (200, ""))
    assert "different targets" in str(await refusal(nessus, order()))
    assert nessus.asked("DELETE /scans/7")


async def test_targets_that_cannot_be_confirmed_leave_it_unknown(nessus: ScriptedNessus) -> None:
    nessus.on("POST /scans", created(targets=""))
    nessus.on("PUT /scans/7", (500, ""))
    assert type(await refusal(nessus, order())) is OutcomeUnknown


async def test_a_created_scan_without_an_id_is_unknown(nessus: ScriptedNessus) -> None:
    nessus.on("POST /scans", {"scan": None})
    assert type(await refusal(nessus, order())) is OutcomeUnknown


async def test_other_folders_of_the_same_name_do_not_confuse(nessus: ScriptedNessus) -> None:
    trash = {"id": 1, "name": "ours", "type": "trash"}
    nessus.on("GET /folders", {"folders": [trash, *FOLDERS]})
    body = await sent(nessus, order())
    assert body["settings"]["folder_id"] == 3


@given(
    st.dictionaries(st.sampled_from(["portscan_range", "safe_checks"]), st.text(max_size=9)),
    st.lists(st.sampled_from(["192.0.2.1", "2001:db8::1", "example.com"]), min_size=1),
)
def test_whatever_the_settings_the_targets_are_the_orders(
    chosen: dict[str, str], targets: list[str]
) -> None:
    what = order(ScanKind.CUSTOM, template="basic", targets=tuple(targets))
    check(what)
    body = scan_body(what, ScanBase(template_uuid="u"), chosen, folder_id=3)
    assert same_targets(targets, body["settings"]["text_targets"])
    assert body["settings"]["launch"] == "ON_DEMAND"
    assert all(body["settings"][key] == value for key, value in chosen.items())
