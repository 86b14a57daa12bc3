"""The life of a scan: pending, running, pausing, stopping, history, capacity."""

from __future__ import annotations

import pytest

from support.sim import hand_driven


def test_a_scan_takes_its_time_and_ends() -> None:
    call, clock = hand_driven(scans_take=100.0)
    scan_id = call.create(targets="192.0.2.1,192.0.2.2")
    assert call.status(scan_id) == "empty"
    uuid = call.launch(scan_id)
    clock.pass_time(99.9)
    assert call.status(scan_id) == "running"
    clock.pass_time(0.2)
    details = call.get(f"/scans/{scan_id}")
    assert details["info"]["status"] == "completed"
    assert details["info"]["uuid"] == uuid
    assert details["info"]["scan_end"] - details["info"]["scan_start"] == 100


def test_hosts_appear_one_after_another_and_progress_never_falls_back() -> None:
    call, clock = hand_driven(scans_take=100.0)
    scan_id = call.create(targets="192.0.2.1-192.0.2.3,192.0.2.8,192.0.2.9,192.0.2.10")
    call.launch(scan_id)
    seen: list[tuple[int, int]] = []
    for _ in range(10):
        hosts = call.get(f"/scans/{scan_id}")["hosts"]
        seen.append((len(hosts), sum(host["scanprogresscurrent"] for host in hosts)))
        clock.pass_time(10.0)
    assert seen[0] == (0, 0)
    assert seen == sorted(seen)
    assert len({hosts for hosts, _ in seen}) > 2
    final = call.get(f"/scans/{scan_id}")["hosts"]
    assert {host["progress"] for host in final} == {"100-100/103620-103620"}


def test_findings_of_a_host_grow_with_its_progress() -> None:
    call, clock = hand_driven(scans_take=100.0)
    scan_id = call.create(targets="192.0.2.9")
    call.launch(scan_id)
    found = []
    for _ in range(3):
        clock.pass_time(20.0)
        (host,) = call.get(f"/scans/{scan_id}")["hosts"]
        found.append(host["severity"])
    assert 0 < found[0] < found[1] < found[2]


def test_a_pause_stops_the_work_and_keeps_what_was_done() -> None:
    call, clock = hand_driven(scans_take=100.0, transition_takes=2.0)
    scan_id = call.create()
    call.launch(scan_id)
    clock.pass_time(40.0)
    assert call("POST", f"/scans/{scan_id}/pause").content == b""
    assert call.status(scan_id) == "pausing"
    clock.pass_time(1000.0)
    assert call.status(scan_id) == "paused"
    assert call("POST", f"/scans/{scan_id}/resume").status == 200
    assert call.status(scan_id) == "resuming"
    clock.pass_time(61.0)
    assert call.status(scan_id) == "running"
    clock.pass_time(1.1)
    assert call.status(scan_id) == "completed"


def test_pausing_may_take_longer_than_the_rest() -> None:
    call, clock = hand_driven(scans_take=1000.0, pause_takes=120.0, transition_takes=1.0)
    scan_id = call.create()
    call.launch(scan_id)
    clock.pass_time(40.0)
    call("POST", f"/scans/{scan_id}/pause")
    clock.pass_time(119.0)
    assert call.status(scan_id) == "pausing"
    clock.pass_time(2.0)
    assert call.status(scan_id) == "paused"
    call("POST", f"/scans/{scan_id}/resume")
    clock.pass_time(1.5)
    assert call.status(scan_id) == "running"


def test_a_stopped_scan_is_canceled_with_what_it_found() -> None:
    call, clock = hand_driven(scans_take=100.0)
    scan_id = call.create(targets="192.0.2.1,192.0.2.2")
    call.launch(scan_id)
    clock.pass_time(60.0)
    call("POST", f"/scans/{scan_id}/stop")
    assert call.status(scan_id) == "stopping"
    clock.pass_time(1.0)
    details = call.get(f"/scans/{scan_id}")
    assert details["info"]["status"] == "canceled"
    assert 0 < sum(host["scanprogresscurrent"] for host in details["hosts"]) < 200


@pytest.mark.parametrize(
    ("action", "state"),
    [("pause", "empty"), ("resume", "running"), ("stop", "empty"), ("pause", "completed")],
)
def test_an_action_out_of_turn_is_a_conflict(action: str, state: str) -> None:
    call, clock = hand_driven(scans_take=10.0)
    scan_id = call.create()
    if state != "empty":
        call.launch(scan_id)
    if state == "completed":
        clock.pass_time(11.0)
    assert call("POST", f"/scans/{scan_id}/{action}").status == 409
    assert call.status(scan_id) == state


def test_kill_ends_a_scan_that_is_stopping() -> None:
    call, clock = hand_driven(transition_takes=1000.0)
    scan_id = call.create()
    call.launch(scan_id)
    call("POST", f"/scans/{scan_id}/stop")
    clock.pass_time(500.0)
    assert call.status(scan_id) == "stopping"
    assert call("POST", f"/scans/{scan_id}/kill").status == 200
    assert call.status(scan_id) == "canceled"


def test_beyond_max_scans_scans_wait_their_turn() -> None:
    call, clock = hand_driven(scans_take=10.0, max_scans=2)
    scans = [call.create(f"scan {number}") for number in range(5)]
    for scan_id in scans:
        call.launch(scan_id)
    states = [call.status(scan_id) for scan_id in scans]
    assert states == ["running", "running", "pending", "pending", "pending"]
    clock.pass_time(25.0)  # nobody looked: what happened meanwhile happened in time all the same
    states = [call.status(scan_id) for scan_id in scans]
    assert states == ["completed"] * 4 + ["running"]
    assert call.get(f"/scans/{scans[2]}")["info"]["scan_start"] == int(clock.now) - 15
    assert call.nessus.ledger.max_running == 2
    assert call.nessus.ledger.max_unfinished == 5


def test_beyond_max_scans_the_other_way_is_to_refuse() -> None:
    call, _ = hand_driven(max_scans=1, over_limit="refuse")
    call.launch(call.create("first"))
    second = call.create("second")
    assert call("POST", f"/scans/{second}/launch", {}).status == 500
    assert call.status(second) == "empty"


def test_a_paused_scan_keeps_its_place() -> None:
    call, clock = hand_driven(scans_take=10.0, max_scans=1)
    first, second = call.create("first"), call.create("second")
    call.launch(first)
    call.launch(second)
    call("POST", f"/scans/{first}/pause")
    clock.pass_time(100.0)
    assert [call.status(first), call.status(second)] == ["paused", "pending"]


def test_stopping_what_waits_takes_no_place() -> None:
    call, _ = hand_driven(max_scans=1)
    first, second = call.create("first"), call.create("second")
    call.launch(first)
    call.launch(second)
    assert call("POST", f"/scans/{second}/stop").status == 200
    assert [call.status(first), call.status(second)] == ["running", "canceled"]
    assert call.nessus.ledger.max_running == 1


def test_raising_max_scans_starts_what_waits() -> None:
    call, _ = hand_driven(max_scans=1)
    scans = [call.create(f"scan {number}") for number in range(3)]
    for scan_id in scans:
        call.launch(scan_id)
    change = {"action": "edit", "name": "global.max_scans", "value": "3"}
    body = {f"setting.0.{name}": value for name, value in change.items()}
    assert call("PUT", "/settings/advanced", body).status == 200
    assert {call.status(scan_id) for scan_id in scans} == {"running"}


def test_every_launch_is_a_run_of_its_own() -> None:
    call, clock = hand_driven(scans_take=10.0)
    scan_id = call.create()
    uuids = []
    for _ in range(3):
        uuids.append(call.launch(scan_id))
        clock.pass_time(20.0)
    history = call.get(f"/scans/{scan_id}")["history"]
    assert [run["uuid"] for run in history] == uuids[::-1]
    assert all(len(uuid) == 52 for uuid in uuids)
    oldest = history[-1]["history_id"]
    assert call.get(f"/scans/{scan_id}?history_id={oldest}")["info"]["uuid"] == uuids[0]
    assert call("DELETE", f"/scans/{scan_id}/history/{oldest}").status == 200
    assert call("GET", f"/scans/{scan_id}?history_id={oldest}").status == 404


@pytest.mark.parametrize("status", [500, 409])
def test_launching_a_running_scan_fails_and_starts_nothing(status: int) -> None:
    call, _ = hand_driven(launch_conflict_status=status)
    scan_id = call.create()
    call.launch(scan_id)
    assert call("POST", f"/scans/{scan_id}/launch", {}).status == status
    assert call.nessus.ledger.launches("scan") == 1


def test_an_active_scan_can_be_neither_deleted_nor_exported() -> None:
    call, clock = hand_driven(scans_take=10.0)
    scan_id = call.create()
    call.launch(scan_id)
    refused = call("DELETE", f"/scans/{scan_id}")
    assert (refused.status, refused.json) == (409, {"error": "Can not delete an active scan"})
    refused = call("POST", f"/scans/{scan_id}/export", {"format": "nessus"})
    assert (refused.status, refused.json) == (409, {"error": "Can not export running scans"})
    clock.pass_time(11.0)
    assert call("DELETE", f"/scans/{scan_id}").status == 200
    assert call("GET", f"/scans/{scan_id}").status == 404


def test_the_list_tells_what_changed_since() -> None:
    call, clock = hand_driven(scans_take=10.0)
    first, never_run = call.create("first"), call.create("never run")
    call.launch(first)
    clock.pass_time(60.0)
    listing = call.get("/scans")
    assert [row["status"] for row in listing["scans"]] == ["completed", "empty"]
    clock.pass_time(60.0)
    since = listing["timestamp"]
    assert call.get(f"/scans?last_modification_date={since}")["scans"] is None
    call.launch(never_run)
    changed = call.get(f"/scans?last_modification_date={since}")["scans"]
    assert [row["id"] for row in changed] == [never_run]


def test_a_scan_that_never_ran_shows_no_run() -> None:
    call, _ = hand_driven()
    scan_id = call.create()
    (row,) = call.get("/scans")["scans"]
    assert (row["type"], row["uuid"], row["creation_date"]) == (None, None, 0)
    details = call.get(f"/scans/{scan_id}")
    assert (details["history"], details["info"]["uuid"]) == (None, None)


def test_what_is_created_wrongly_is_refused_and_nothing_is_created() -> None:
    call, _ = hand_driven()
    uuid = call.get("/editor/scan/templates")["templates"][0]["uuid"]
    bad_target = {"name": "x", "text_targets": "127.0.0.256"}
    refused = call("POST", "/scans", {"uuid": uuid, "settings": bad_target})
    assert refused.json == {"error": "127.0.0.256: Unrecognized target format"}
    refused = call("POST", "/scans", {"uuid": uuid, "settings": {"text_targets": "192.0.2.1"}})
    assert (refused.status, refused.json) == (400, {"error": "Invalid 'name' field"})
    unknown_folder = {"name": "x", "text_targets": "192.0.2.1", "folder_id": 999}
    assert call("POST", "/scans", {"uuid": uuid, "settings": unknown_folder}).status == 404
    assert call("POST", "/scans", {"uuid": "nonsense", "settings": {"name": "x"}}).status == 400
    assert call("POST", "/scans", b"{not json").status == 400
    assert call.get("/scans")["scans"] is None


def test_a_word_where_a_number_belongs() -> None:
    call, _ = hand_driven()
    refused = call("GET", "/scans/abc")
    text = "Invalid 'id' field: invalid type 'string', expecting 'int'"
    assert (refused.status, refused.json) == (400, {"error": text})


def test_configure_copy_move_and_mark() -> None:
    call, clock = hand_driven(scans_take=5.0)
    folder_id = call("POST", "/folders", {"name": "ours"}).json["id"]
    scan_id = call.create("old name")
    body = {"settings": {"name": "new name", "text_targets": "192.0.2.7", "folder_id": folder_id}}
    answer = call("PUT", f"/scans/{scan_id}", body).json
    assert (answer["name"], answer["custom_targets"]) == ("new name", "192.0.2.7")
    assert [row["id"] for row in call.get(f"/scans?folder_id={folder_id}")["scans"]] == [scan_id]
    copy = call("POST", f"/scans/{scan_id}/copy", {"name": "copy"}).json
    assert (copy["status"], copy["folder_id"]) == ("empty", folder_id)
    assert call("PUT", f"/scans/{scan_id}/folder", {"folder_id": 2}).status == 200
    call.launch(scan_id)
    assert call("PUT", f"/scans/{scan_id}", body).status == 409
    clock.pass_time(6.0)
    (row,) = call.get("/scans?folder_id=2")["scans"]
    assert row["read"] is False
    call("PUT", f"/scans/{scan_id}/status?read=true")
    (row,) = call.get("/scans?folder_id=2")["scans"]
    assert row["read"] is True


def test_alternative_targets_are_scanned_instead() -> None:
    call, clock = hand_driven(scans_take=5.0)
    scan_id = call.create(targets="192.0.2.1")
    call("POST", f"/scans/{scan_id}/launch", {"alt_targets": ["192.0.2.9"]})
    clock.pass_time(6.0)
    details = call.get(f"/scans/{scan_id}")
    assert [host["hostname"] for host in details["hosts"]] == ["192.0.2.9"]
    assert details["info"]["alt_targets_used"] is True


def test_the_scanner_lists_and_controls_what_runs() -> None:
    call, clock = hand_driven()
    assert call.get("/scanners/1/scans")["scans"] is None
    scan_id = call.create()
    uuid = call.launch(scan_id)
    (running,) = call.get("/scanners/1/scans")["scans"]
    assert running["scan_id"] == scan_id
    call("POST", f"/scanners/1/scans/{uuid}/control", {"action": "stop"})
    clock.pass_time(1.0)
    assert call.status(scan_id) == "canceled"
    assert call("GET", "/scanners/2").status == 404


def test_the_ledger_counts_what_took_effect() -> None:
    call, clock = hand_driven(scans_take=5.0)
    scan_id = call.create("mine")
    for _ in range(2):
        call.launch(scan_id)
        clock.pass_time(6.0)
    call("DELETE", f"/scans/{scan_id}")
    call("DELETE", f"/scans/{scan_id}")
    ledger = call.nessus.ledger
    assert (ledger.launches("mine"), ledger.launches("other"), ledger.launches()) == (2, 0, 2)
    assert (ledger.of("create"), ledger.of("delete")) == ({"mine": 1}, {"mine": 1})
    assert ledger.requests["DELETE /scans/{id}"] == 2
    assert [event.what for event in ledger.events] == ["create", "launch", "launch", "delete"]
