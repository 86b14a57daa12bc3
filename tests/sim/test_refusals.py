"""Scanners that refuse work as a whole: which requests, how, and that it can be lifted."""

from __future__ import annotations

import pytest

from nessus_sched.sim import Refusal
from support.sim import BASIC, Caller, hand_driven

NEW_SCAN = {"uuid": BASIC, "settings": {"name": "x", "text_targets": "192.0.2.1"}}

CREATE_REFUSED = {
    Refusal.LICENSE_EXPIRED: 403,
    Refusal.NO_RIGHTS: 403,
    Refusal.NO_API: 412,
    Refusal.NO_PLUGINS: 500,
    Refusal.NO_TEMPLATES: 400,
    Refusal.SCAN_LIMIT: 403,
    Refusal.DISK_FULL: 500,
}
LAUNCH_REFUSED = {
    Refusal.LICENSE_EXPIRED: 403,
    Refusal.NO_RIGHTS: 403,
    Refusal.NO_API: 412,
    Refusal.NO_PLUGINS: 500,
    Refusal.HOST_LIMIT: 403,
    Refusal.LAUNCH_REFUSED: 403,
    Refusal.DISK_FULL: 500,
}


def statuses(call: Caller, scan_id: int) -> tuple[int, int]:
    """Of creating a scan, and of launching one that is there."""
    created = call("POST", "/scans", NEW_SCAN).status
    launched = call("POST", f"/scans/{scan_id}/launch", {}).status
    return created, launched


@pytest.mark.parametrize("refusal", Refusal)
def test_work_is_refused_until_it_is_lifted_and_reading_goes_on(refusal: Refusal) -> None:
    call, clock = hand_driven(scans_take=1.0)
    scan_id = call.create()
    call.nessus.refuses = {refusal}
    before = call.nessus.ledger.launches()
    expected = CREATE_REFUSED.get(refusal, 200), LAUNCH_REFUSED.get(refusal, 200)
    assert statuses(call, scan_id) == expected
    assert call.nessus.ledger.launches() - before == (expected[1] == 200)
    assert call("GET", "/scans").status == 200
    assert call("GET", f"/scans/{scan_id}").status == 200
    assert call("GET", "/server/status").status == 200
    clock.pass_time(2.0)
    call.nessus.refuses = set()
    assert statuses(call, scan_id) == (200, 200)


@pytest.mark.parametrize("refusal", Refusal)
def test_it_can_refuse_from_the_start(refusal: Refusal) -> None:
    call, _ = hand_driven(refuses=frozenset({refusal}))
    assert call("POST", "/scans", NEW_SCAN).status == CREATE_REFUSED.get(refusal, 200)


def test_the_properties_tell_why() -> None:
    call, clock = hand_driven()
    healthy = call.get("/server/properties")
    assert healthy["expiration"] > clock.now
    call.nessus.refuses = {Refusal.LICENSE_EXPIRED, Refusal.NO_PLUGINS, Refusal.NO_API}
    told = call.get("/server/properties")
    assert told["license"]["expiration_date"] == told["expiration"] < clock.now
    assert told["expiration_time"] == 0
    assert (told["plugin_set"], told["loaded_plugin_set"]) == (None, None)
    assert told["license"]["features"]["scan_api"] is False


def test_a_full_license_shows_in_its_numbers() -> None:
    call, _ = hand_driven(edition="essentials", refuses=frozenset({Refusal.HOST_LIMIT}))
    told = call.get("/server/properties")
    assert told["used_ip_count"] == told["license"]["ips"] == 16


def test_a_reader_shows_the_permissions_of_one() -> None:
    call, _ = hand_driven(refuses=frozenset({Refusal.NO_RIGHTS}))
    assert call.get("/session")["permissions"] == 16


def test_the_ui_token_passes_a_missing_api_and_nothing_else() -> None:
    call, _ = hand_driven(refuses=frozenset({Refusal.NO_API}))
    login = {"username": "admin", "password": "nessus"}
    token = call("POST", "/session", login).json["token"]
    ui = {"X-Cookie": f"token={token}", "X-API-Token": call.nessus.accounts.ui_token}
    assert Caller(call.nessus, ui)("POST", "/scans", NEW_SCAN).status == 200
    call.nessus.refuses = {Refusal.LICENSE_EXPIRED}
    assert Caller(call.nessus, ui)("POST", "/scans", NEW_SCAN).status == 403


def test_without_templates_the_editor_is_empty() -> None:
    call, _ = hand_driven(refuses=frozenset({Refusal.NO_TEMPLATES}))
    assert call.get("/editor/scan/templates") == {"templates": None}
    assert call("GET", f"/editor/scan/templates/{BASIC}").status == 404
