"""Keys, sessions, the license gate, loading and restarts."""

from __future__ import annotations

import re

import pytest

from support.sim import BASIC, Caller, HandClock, hand_driven

CREDENTIALS = {"username": "admin", "password": "nessus"}
NEW_SCAN = {"uuid": BASIC, "settings": {"name": "x", "text_targets": "192.0.2.1"}}


def log_in(call: Caller) -> Caller:
    token = Caller(call.nessus)("POST", "/session", CREDENTIALS).json["token"]
    return Caller(call.nessus, {"X-Cookie": f"token={token}"})


def test_without_a_login_nearly_nothing() -> None:
    call, _ = hand_driven()
    nobody = Caller(call.nessus)
    refused = nobody("GET", "/scans")
    assert refused.status == 401
    assert refused.json == {"error": "You need to log in to perform this request"}
    assert nobody("GET", "/server/status").status == 200
    told = nobody("GET", "/server/properties").json
    assert told["nessus_type"] == "Nessus Manager"
    assert "license" not in told


@pytest.mark.parametrize("keys", ["accessKey=x; secretKey=y", "accessKey=; secretKey=", "junk"])
def test_wrong_keys_are_refused(keys: str) -> None:
    call, _ = hand_driven()
    refused = Caller(call.nessus, {"X-APIKeys": keys})("GET", "/scans")
    assert (refused.status, refused.json) == (401, {"error": "Invalid Credentials"})


def test_new_keys_kill_the_old_pair() -> None:
    call, _ = hand_driven()
    call("PUT", "/session/keys")
    assert call("GET", "/scans").status == 401
    assert Caller.with_keys(call.nessus)("GET", "/scans").status == 200


def test_a_session_dies_of_idleness_and_not_of_age() -> None:
    call, clock = hand_driven(idle_timeout=100.0)
    session = log_in(call)
    for _ in range(5):
        clock.pass_time(99.0)
        assert session("GET", "/scans").status == 200
    clock.pass_time(101.0)
    refused = session("GET", "/scans")
    assert (refused.status, refused.json) == (401, {"error": "Invalid Credentials"})


def test_logging_out_ends_the_session() -> None:
    call, _ = hand_driven()
    session = log_in(call)
    assert session("DELETE", "/session").content == b""
    assert session("GET", "/session").status == 401


def test_a_stale_cookie_does_not_hinder_logging_in() -> None:
    call, _ = hand_driven()
    stale = Caller(call.nessus, {"X-Cookie": "token=0123456789abcdef"})
    assert stale("POST", "/session", CREDENTIALS).status == 200
    assert stale("GET", "/server/status").status == 200


def test_five_wrong_passwords_lock_the_account_but_not_the_keys() -> None:
    call, _ = hand_driven()
    wrong = {**CREDENTIALS, "password": "guess"}
    for _ in range(5):
        assert call("POST", "/session", wrong).status == 401
    refused = call("POST", "/session", CREDENTIALS)
    assert (refused.status, refused.json) == (401, {"error": "Invalid Credentials"})
    assert call("GET", "/scans").status == 200
    assert call.nessus.ledger.totals["bad_login"] == 6


def test_a_right_password_in_between_starts_the_count_again() -> None:
    call, _ = hand_driven()
    wrong = {**CREDENTIALS, "password": "guess"}
    for _ in range(3):
        for _ in range(4):
            call("POST", "/session", wrong)
        assert call("POST", "/session", CREDENTIALS).status == 200


def test_a_malformed_login_is_told_apart() -> None:
    call, _ = hand_driven()
    assert call("POST", "/session", {"username": "admin"}).status == 400


def test_changing_the_password() -> None:
    call, _ = hand_driven()
    body = {"password": "a longer one", "current_password": "nessus"}
    assert call("PUT", "/session/chpasswd", {**body, "current_password": "x"}).status == 401
    assert call("PUT", "/session/chpasswd", {**body, "password": "short"}).status == 400
    assert call("PUT", "/session/chpasswd", body).status == 200
    assert call("POST", "/session", CREDENTIALS).status == 401


@pytest.mark.parametrize("edition", ["professional", "essentials"])
def test_without_scan_api_keys_read_and_export_but_do_not_write(edition: str) -> None:
    call, clock = hand_driven(edition=edition, scans_take=1.0)
    ui = with_ui_token(log_in(call))
    scan_id = ui.create()
    assert call.get("/server/properties")["license"]["features"]["scan_api"] is False
    for method, path in [
        ("POST", "/scans"),
        ("PUT", f"/scans/{scan_id}"),
        ("DELETE", f"/scans/{scan_id}"),
        ("POST", f"/scans/{scan_id}/launch"),
        ("POST", f"/scans/{scan_id}/stop"),
        ("POST", f"/scans/{scan_id}/copy"),
    ]:
        refused = call(method, path, NEW_SCAN if path == "/scans" else {})
        assert refused.status == 412
        assert refused.content == b'{"error":"API is not available"}'
    assert call.status(scan_id) == "empty"
    ui.launch(scan_id)
    clock.pass_time(2.0)
    assert call("POST", f"/scans/{scan_id}/export", {"format": "nessus"}).status == 200


def with_ui_token(session: Caller) -> Caller:
    script = session("GET", "/nessus6.js").content.decode()
    found = re.search(r'getApiToken[^}]+return["\']([A-Fa-f0-9-]+)["\']', script)
    assert found is not None
    return Caller(session.nessus, {**session.headers, "X-API-Token": found[1]})


def test_a_session_writes_only_with_the_token_of_the_ui() -> None:
    call, _ = hand_driven(edition="professional")
    session = log_in(call)
    assert session("POST", "/scans", NEW_SCAN).status == 412
    keys = {"X-API-Token": call.nessus.accounts.ui_token, **call.headers}
    assert Caller(call.nessus, keys)("POST", "/scans", NEW_SCAN).status == 412
    assert with_ui_token(session)("POST", "/scans", NEW_SCAN).status == 200


def test_a_reinstalled_ui_has_another_token() -> None:
    call, _ = hand_driven(edition="professional")
    ui = with_ui_token(log_in(call))
    call.nessus.reinstall_ui()
    assert ui("POST", "/scans", NEW_SCAN).status == 412
    assert with_ui_token(ui)("POST", "/scans", NEW_SCAN).status == 200


@pytest.mark.parametrize("upper", [True, False])
def test_the_script_has_decoys_and_the_token_in_either_case(upper: bool) -> None:
    call, _ = hand_driven(ui_token_upper_case=upper)
    reply = Caller(call.nessus)("GET", "/nessus6.js")
    hits = re.findall(r'value:function\(\)\{return"([^"]+)"\}', reply.content.decode())
    token = call.nessus.accounts.ui_token
    assert hits == ["top", "nessuscli", token, "winter"]
    assert token == (token.upper() if upper else token.lower())
    assert reply.headers["content-type"] == "application/javascript"
    assert len(reply.content) > 100_000


def test_while_plugins_load_only_the_status_answers() -> None:
    call, clock = hand_driven(loading_seconds=100.0)
    clock.pass_time(25.0)
    status = call("GET", "/server/status")
    told = {"code": 503, "progress": 25, "status": "loading"}
    assert (status.status, status.json) == (503, told)
    assert call("GET", "/scans").status == 503
    assert call("POST", "/session", CREDENTIALS).status == 503
    clock.pass_time(76.0)
    assert call.get("/server/status") == {"code": 200, "progress": None, "status": "ready"}
    assert call("GET", "/scans").status == 200


def restarted() -> tuple[Caller, HandClock, int, int]:
    call, clock = hand_driven(scans_take=10.0, loading_seconds=0.0)
    done, running = call.create("done"), call.create("running")
    call.launch(done)
    clock.pass_time(20.0)
    call.launch(running)
    clock.pass_time(5.0)
    call.nessus.restart(loading_seconds=30.0)
    return call, clock, done, running


def test_a_restart_aborts_what_runs_and_keeps_the_rest() -> None:
    call, clock, done, running = restarted()
    assert call("GET", "/scans").status == 503
    clock.pass_time(15.0)
    assert call("GET", "/server/status").json["progress"] == 50
    clock.pass_time(16.0)
    assert (call.status(done), call.status(running)) == ("completed", "aborted")
    assert call.nessus.ledger.running == 0


def test_a_restart_forgets_sessions_and_exports_and_keeps_keys_and_token() -> None:
    call, clock = hand_driven(scans_take=1.0)
    session = log_in(call)
    token = call.nessus.accounts.ui_token
    scan_id = call.create()
    call.launch(scan_id)
    clock.pass_time(2.0)
    export = call("POST", f"/scans/{scan_id}/export", {"format": "nessus"}).json["token"]
    before = call.get("/server/properties")["scanner_boottime"]
    clock.pass_time(50.0)
    assert call("GET", "/server/restart").status == 200
    assert session("GET", "/scans").status == 401
    assert call("GET", f"/tokens/{export}/status").status == 404
    assert call.get("/server/properties")["scanner_boottime"] == before + 52
    assert call.nessus.accounts.ui_token == token


def test_essentials_scans_sixteen_addresses_and_skips_the_rest() -> None:
    call, clock = hand_driven(edition="essentials", scans_take=1.0)
    ui = with_ui_token(log_in(call))
    names = ",".join(f"192.0.2.{number}" for number in range(1, 13))
    first = ui.create("first", names)
    more = ui.create("more", "192.0.2.1,198.51.100.1-198.51.100.3,198.51.100.5,198.51.100.6")
    listed = ui.create("listed", ",".join(f"203.0.113.{number}" for number in range(1, 9)))
    for scan_id in (first, more, listed):
        ui.launch(scan_id)
        clock.pass_time(2.0)
    properties = call.get("/server/properties")
    assert (properties["license"]["ips"], properties["used_ip_count"]) == (16, 16)
    assert call.get(f"/scans/{first}")["info"]["hostcount"] == 12
    found = {host["hostname"] for host in call.get(f"/scans/{more}")["hosts"]}
    assert "192.0.2.1" in found  # known already, costs nothing
    assert call.get(f"/scans/{listed}")["info"]["hostcount"] < 4


def test_templates_that_the_license_lacks_are_marked_and_refused() -> None:
    call, _ = hand_driven(edition="essentials")
    ui = with_ui_token(log_in(call))
    templates = {row["name"]: row for row in call.get("/editor/scan/templates")["templates"]}
    assert templates["basic"]["license_fulfilled"] == 1
    assert templates["compliance"]["license_fulfilled"] == 0
    body = {**NEW_SCAN, "uuid": templates["compliance"]["uuid"]}
    assert ui("POST", "/scans", body).status == 403


def test_every_answer_has_the_headers_of_a_nessus() -> None:
    call, _ = hand_driven()
    headers = call("GET", "/scans").headers
    assert headers["server"] == "NessusWWW"
    assert headers["x-frame-options"] == "DENY"
    assert headers["strict-transport-security"] == "max-age=31536000"
