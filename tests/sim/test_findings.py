"""What generated scans find: the same for the same seed, credible, and true to the logins."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.sim import BASIC, COMPLIANCE, DISCOVERY, USUAL, Caller, hand_driven

MANY = "192.0.2.0/24"


def scanned(call: Caller, clock: Any, **scan: Any) -> tuple[dict[str, Any], ET.Element]:
    """Details and parsed export of a finished scan."""
    usual = {} if scan.get("uuid") == DISCOVERY else USUAL
    scan_id = call.create(**{**usual, **scan})
    call.launch(scan_id)
    clock.pass_time(call.nessus.scans_take + 1)
    return call.get(f"/scans/{scan_id}"), parsed(export(call, clock, scan_id))


def parsed(document: bytes) -> ET.Element:
    return ET.fromstring(document)  # noqa: S314 - we wrote it ourselves


def export(call: Caller, clock: Any, scan_id: int) -> bytes:
    token = call("POST", f"/scans/{scan_id}/export", {"format": "nessus"}).json["token"]
    clock.pass_time(1.0)
    return call("GET", f"/tokens/{token}/download").content


def plugins(host: ET.Element) -> set[int]:
    return {int(item.get("pluginID", "0")) for item in host.iter("ReportItem")}


def tags(host: ET.Element) -> dict[str, str]:
    return {tag.get("name", ""): tag.text or "" for tag in host.iter("tag")}


def scan_information(host: ET.Element) -> str:
    (item,) = (item for item in host.iter("ReportItem") if item.get("pluginID") == "19506")
    return item.findtext("plugin_output", "")


@pytest.mark.slow
def test_the_same_seed_finds_the_same() -> None:
    documents = []
    for _ in range(2):
        call, clock = hand_driven(seed=7)
        scan_id = call.create(targets=MANY)
        call.launch(scan_id)
        clock.pass_time(11.0)
        documents.append(export(call, clock, scan_id))
    assert documents[0] == documents[1]


@pytest.mark.slow
def test_another_seed_finds_something_else() -> None:
    found = []
    for seed in (1, 2):
        call, clock = hand_driven(seed=seed)
        details, _ = scanned(call, clock, targets=MANY)
        found.append({host["hostname"]: host["severity"] for host in details["hosts"]})
    assert found[0] != found[1]


def test_a_host_is_the_same_in_every_scan() -> None:
    call, clock = hand_driven()
    alone, _ = scanned(call, clock, targets="192.0.2.9")
    among, _ = scanned(call, clock, targets="192.0.2.1,192.0.2.9")
    pick = [host for host in among["hosts"] if host["hostname"] == "192.0.2.9"]
    assert pick[0]["severitycount"] == alone["hosts"][0]["severitycount"]


@pytest.mark.slow
def test_a_network_has_a_credible_mix() -> None:
    call, clock = hand_driven()
    details, report = scanned(call, clock, targets=MANY)
    hosts = details["hosts"]
    assert 60 < len(hosts) < 150
    counts = {level: sum(host[level] for host in hosts) for level in ("critical", "high", "info")}
    assert 0 < counts["critical"] < counts["info"] / 10
    assert counts["high"] > 0
    elements = Counter(child.tag for item in report.iter("ReportItem") for child in item)
    for name in ("cve", "cvss3_base_score", "vpr_score", "epss_score", "exploit_available"):
        assert elements[name] > 10, name
    assert any("CISA-KNOWN-EXPLOITED" in (xref.text or "") for xref in report.iter("xref"))


@pytest.mark.slow
def test_details_and_export_agree() -> None:
    call, clock = hand_driven()
    details, report = scanned(call, clock, targets=MANY)
    exported = {
        host.get("name"): Counter(item.get("severity") for item in host.iter("ReportItem"))
        for host in report.iter("ReportHost")
    }
    levels = ("info", "low", "medium", "high", "critical")
    assert exported == {
        host["hostname"]: Counter(
            {str(number): host[level] for number, level in enumerate(levels) if host[level]}
        )
        for host in details["hosts"]
    }
    total = sum(row["count"] for row in details["vulnerabilities"])
    assert total == sum(host["severity"] for host in details["hosts"])


@pytest.mark.slow
def test_the_export_of_a_stopped_scan_agrees_too() -> None:
    call, clock = hand_driven(scans_take=100.0)
    scan_id = call.create(targets=MANY)
    call.launch(scan_id)
    clock.pass_time(60.0)
    call("POST", f"/scans/{scan_id}/stop")
    clock.pass_time(1.0)
    details = call.get(f"/scans/{scan_id}")
    report = parsed(export(call, clock, scan_id))
    counts = {h.get("name"): len(list(h.iter("ReportItem"))) for h in report.iter("ReportHost")}
    assert counts == {host["hostname"]: host["severity"] for host in details["hosts"]}
    done = {host["hostname"] for host in details["hosts"] if host["scanprogresscurrent"] == 100}
    assert 0 < len(done) < len(details["hosts"])


@pytest.mark.slow
@pytest.mark.parametrize("ends", ["stopped", "restarted"])
def test_hosts_that_were_not_finished_have_no_end(ends: str) -> None:
    call, clock = hand_driven(scans_take=100.0)
    scan_id = call.create(targets=MANY)
    call.launch(scan_id)
    clock.pass_time(60.0)
    if ends == "stopped":
        call("POST", f"/scans/{scan_id}/stop")
    else:
        call.nessus.restart()
    clock.pass_time(1.0)
    shown = {
        host["hostname"]: host["scanprogresscurrent"] == 100
        for host in call.get(f"/scans/{scan_id}")["hosts"]
    }
    assert set(shown.values()) == {True, False}
    for host in parsed(export(call, clock, scan_id)).iter("ReportHost"):
        finished = shown[host.get("name", "")]
        for tag in ("HOST_END", "HOST_END_TIMESTAMP", "Credentialed_Scan"):
            assert (tag in tags(host)) == finished
        assert (19506 in plugins(host)) == finished
        assert "HOST_START_TIMESTAMP" in tags(host)


@pytest.mark.slow
def test_each_host_has_times_of_its_own() -> None:
    call, clock = hand_driven(scans_take=100.0)
    _, report = scanned(call, clock, targets=MANY)
    times = [
        (int(tags(host)["HOST_START_TIMESTAMP"]), int(tags(host)["HOST_END_TIMESTAMP"]))
        for host in report.iter("ReportHost")
    ]
    assert times == sorted(times)
    assert len({start for start, _ in times}) > 10
    assert all(49 <= end - start <= 51 for start, end in times)


@pytest.mark.slow
def test_every_host_tells_about_the_scan() -> None:
    call, clock = hand_driven()
    _, report = scanned(call, clock, targets=MANY)
    for host in report.iter("ReportHost"):
        text = scan_information(host)
        assert "Credentialed checks : no" in text
        assert "Scan duration : 5 sec" in text  # of this host, not of the whole scan
        assert tags(host)["Credentialed_Scan"] == "false"
        assert int(tags(host)["HOST_END_TIMESTAMP"]) > int(tags(host)["HOST_START_TIMESTAMP"])


def with_login(username: str = "scan", password: str = "right", **more: str) -> dict[str, Any]:
    ssh = {"auth_method": "password", "username": username, "password": password, **more}
    windows = {"auth_method": "Password", "username": username, "password": password}
    return {"credentials": {"add": {"Host": {"SSH": [ssh], "Windows": [windows]}}}}


def hosts_of(kind: str, report: ET.Element) -> list[ET.Element]:
    return [host for host in report.iter("ReportHost") if tags(host)["os"] == kind]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["linux", "windows"])
def test_a_login_that_works(kind: str) -> None:
    call, clock = hand_driven()
    _, report = scanned(call, clock, targets=MANY, body=with_login())
    _, without = scanned(call, clock, targets=MANY)
    host, bare = hosts_of(kind, report)[0], hosts_of(kind, without)[0]
    assert {141118, 117887, 110095} <= plugins(host)
    assert not {104410, 21745, 110385, 110723} & plugins(host)
    assert re.search("Credentialed checks : yes, as 'scan' via (ssh|smb)", scan_information(host))
    assert tags(host)["Credentialed_Scan"] == "true"
    assert {110723, 117886} <= plugins(bare)
    assert len(plugins(host)) > len(plugins(bare))


@pytest.mark.slow
def test_a_login_that_fails() -> None:
    call, clock = hand_driven()
    _, report = scanned(call, clock, targets=MANY, body=with_login(password="wrong"))
    host = hosts_of("linux", report)[0]
    assert {104410, 21745} <= plugins(host)
    assert not {141118, 117887} & plugins(host)
    assert "Credentialed checks : no" in scan_information(host)


@pytest.mark.slow
def test_the_first_credential_that_works_counts() -> None:
    call, clock = hand_driven()
    body = with_login()
    body["credentials"]["add"]["Host"]["SSH"].insert(0, {"username": "a", "password": "wrong"})
    _, report = scanned(call, clock, targets=MANY, body=body)
    assert "as 'scan' via ssh" in scan_information(hosts_of("linux", report)[0])


SUDO = {"elevate_privileges_with": "sudo", "escalation_password": "right"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("user", "more", "fires", "silent"),
    [
        ("limited", {}, {141118, 110385, 102094}, {110095}),
        ("limited", SUDO, {141118, 110095, 102095}, {110385, 102094}),
        ("scan", {**SUDO, "escalation_password": "wrong"}, {110385, 102094}, {110095, 102095}),
        ("flaky", {}, {141118, 117885}, {110095}),
    ],
)
def test_privileges(user: str, more: dict[str, str], fires: set[int], silent: set[int]) -> None:
    call, clock = hand_driven()
    _, report = scanned(call, clock, targets=MANY, body=with_login(user, **more))
    host = hosts_of("linux", report)[0]
    assert fires <= plugins(host)
    assert not silent & plugins(host)
    assert "Credentialed checks : yes" in scan_information(host)  # it knows no "partly"


@pytest.mark.slow
def test_a_windows_login_without_privileges() -> None:
    call, clock = hand_driven()
    _, report = scanned(call, clock, targets=MANY, body=with_login("guest"))
    assert {141118, 110385, 24786} <= plugins(hosts_of("windows", report)[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "finds"),
    [
        ("Host enumeration", {10180, 19506}),
        ("OS Identification", {10180, 19506, 11936, 54615, 45590}),
        ("Port scan (common ports)", {10180, 19506, 11219, 14274}),
    ],
)
def test_host_discovery_discovers_and_no_more(mode: str, finds: set[int]) -> None:
    call, clock = hand_driven()
    settings = {"uuid": DISCOVERY, "discovery_mode": mode}
    _, report = scanned(call, clock, targets=MANY, **settings)
    assert {plugin for host in report.iter("ReportHost") for plugin in plugins(host)} == finds


CM = "{http://www.nessus.org/cm}"


def compliance(call: Caller, clock: Any, login: dict[str, Any]) -> Any:
    audits = {"custom": {"add": [{"file": "site.audit", "category": "Unix", "variables": {}}]}}
    body = {**login, "audits": audits}
    return scanned(call, clock, targets=MANY, uuid=COMPLIANCE, body=body)


@pytest.mark.slow
def test_compliance_results_need_a_login_and_are_counted_apart() -> None:
    call, clock = hand_driven()
    details, report = compliance(call, clock, with_login())
    items = [item for item in report.iter("ReportItem") if item.find("compliance") is not None]
    results = Counter(item.findtext(f"{CM}compliance-result") for item in items)
    assert {"PASSED", "FAILED", "WARNING"} <= set(results)
    assert {item.findtext(f"{CM}compliance-audit-file") for item in items} == {"site.audit"}
    assert sum(row["count"] for row in details["compliance"]) == len(items)
    ids = {row["plugin_id"] for row in details["vulnerabilities"]}
    assert not ids & {21156, 21157}
    details, report = compliance(call, clock, with_login(password="wrong"))
    assert details["compliance"] == []
    assert list(report.iter("compliance")) == []


@pytest.mark.slow
def test_with_few_privileges_some_checks_end_in_errors() -> None:
    call, clock = hand_driven()
    _, report = compliance(call, clock, with_login("limited"))
    assert "ERROR" in {result.text for result in report.iter(f"{CM}compliance-result")}


def test_dead_targets_do_not_answer() -> None:
    call, clock = hand_driven(dead_targets=("203.0.113.0/24", "gone.example.com"))
    targets = "203.0.113.5,gone.example.com"
    details, report = scanned(call, clock, targets=targets)
    assert details["info"]["status"] == "completed"
    assert (details["hosts"], details["vulnerabilities"]) == ([], None)
    assert list(report.iter("ReportHost")) == []


def test_names_and_ipv6_are_targets() -> None:
    call, clock = hand_driven()
    _, report = scanned(call, clock, targets="www.example.com 2001:db8::7")
    names = [host.get("name") for host in report.iter("ReportHost")]
    assert names == ["www.example.com", "2001:db8::7"]


def test_a_name_with_an_address_is_scanned_there_and_reported_under_the_name() -> None:
    call, clock = hand_driven(dead_targets=("gone.example.com", "203.0.113.9"))
    targets = "db.example.com[192.0.2.7],v6.example.com[2001:db8::7]"
    dead = "gone.example.com[192.0.2.8],at.example.com[203.0.113.9]"
    details, report = scanned(call, clock, targets=f"{targets},{dead}")
    assert details["info"]["targets"].split(",")[0] == "db.example.com[192.0.2.7]"
    shown = {h.get("name"): tags(h)["host-ip"] for h in report.iter("ReportHost")}
    assert shown == {"db.example.com": "192.0.2.7", "v6.example.com": "2001:db8::7"}
    alone, _ = scanned(call, clock, targets="192.0.2.7")
    assert alone["hosts"][0]["severitycount"] == details["hosts"][0]["severitycount"]


@pytest.mark.parametrize(
    "target", ["name[]", "[192.0.2.1]", "a[b]", "a[192.0.2.1", "a[192.0.2.0/24]"]
)
def test_brackets_hold_one_address(target: str) -> None:
    call, _ = hand_driven()
    body = {"uuid": BASIC, "settings": {"name": "x", "text_targets": target}}
    assert call("POST", "/scans", body).status == 400


def test_a_target_file_counts() -> None:
    call, clock = hand_driven()
    form = (
        b'--b\r\nContent-Disposition: form-data; name="no_enc"\r\n\r\n0\r\n'
        b'--b\r\nContent-Disposition: form-data; name="Filedata"; filename="hosts.txt"\r\n\r\n'
        b"192.0.2.3\n192.0.2.4\r\n--b--\r\n"
    )
    kind = "multipart/form-data; boundary=b"
    names = [call("POST", "/file/upload", form, content_type=kind).json["fileuploaded"]]
    names.append(call("POST", "/file/upload", form, content_type=kind).json["fileuploaded"])
    assert names[0] == "hosts.txt"
    assert re.fullmatch(r"hosts-\w+\.txt", names[1])  # a name that is taken is changed
    details, _ = scanned(call, clock, targets="", file_targets=names[1])
    assert [host["hostname"] for host in details["hosts"]] == ["192.0.2.3", "192.0.2.4"]


def test_host_details_and_plugin_output_tell_the_same() -> None:
    call, clock = hand_driven()
    details, _ = scanned(call, clock, targets="192.0.2.9")
    scan_id, host_id = details["info"]["object_id"], details["hosts"][0]["host_id"]
    host = call.get(f"/scans/{scan_id}/hosts/{host_id}")
    assert host["info"]["host-ip"] == "192.0.2.9"
    assert sum(row["count"] for row in host["vulnerabilities"]) == details["hosts"][0]["severity"]
    for row in host["vulnerabilities"]:
        path = f"/scans/{scan_id}/hosts/{host_id}/plugins/{row['plugin_id']}"
        output = call.get(path)
        ports = sum(len(entry["ports"]) for entry in output["outputs"])
        assert ports == row["count"]
        assert output["info"]["plugindescription"]["pluginname"] == row["plugin_name"]
    assert call("GET", f"/scans/{scan_id}/hosts/{host_id}/plugins/1").status == 404
    assert call("GET", f"/scans/{scan_id}/hosts/99").status == 404


@pytest.mark.slow
def test_a_policy_gives_its_credentials_to_the_scan() -> None:
    call, clock = hand_driven()
    policy = {"uuid": BASIC, "settings": {"name": "with login", **USUAL}, **with_login()}
    policy_id = call("POST", "/policies", policy).json["policy_id"]
    details, report = scanned(call, clock, targets=MANY, policy_id=policy_id)
    assert details["info"]["policy"] == "with login"
    assert 141118 in plugins(hosts_of("linux", report)[0])


def test_editing_and_deleting_credentials() -> None:
    call, clock = hand_driven()
    scan_id = call.create(targets="192.0.2.9", body=with_login())

    def shown() -> list[Any]:
        data = call.get(f"/editor/scan/{scan_id}")["credentials"]["data"]
        kinds = [kind for category in data for kind in category["types"]]
        return [instance for kind in kinds for instance in kind["instances"]]

    ssh, windows = shown()
    secrets = [field["default"] for field in ssh["inputs"] if field["id"] == "password"]
    assert secrets == ["********"]
    change = {"edit": {ssh["id"]: {"password": "wrong"}}, "delete": [windows["id"]]}
    call("PUT", f"/scans/{scan_id}", {"settings": {}, "credentials": change})
    assert [instance["id"] for instance in shown()] == [ssh["id"]]
    call.launch(scan_id)
    clock.pass_time(11.0)
    assert b'pluginID="104410"' in export(call, clock, scan_id)


@pytest.mark.slow
@given(st.text(min_size=1, max_size=30))
def test_any_scan_name_makes_a_well_formed_document(name: str) -> None:
    call, clock = hand_driven()
    _, report = scanned(call, clock, name=name, targets="192.0.2.1")
    assert len(list(report.iter("ReportHost"))) == 1
