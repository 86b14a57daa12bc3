"""The control interface: who may use it, and that it does what Python can do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nessus_sched.sim import SimOptions, SimulatedNessus
from nessus_sched.sim.control import control
from nessus_sched.sim.messages import Request, Response
from support.sim import EPOCH, Caller, hand_driven


def ask(
    nessus: SimulatedNessus,
    method: str,
    path: str,
    body: Any = None,
    *,
    client: str = "127.0.0.1",
    token: str | None = None,
) -> tuple[int, Any]:
    headers = [] if token is None else [("Authorization", f"Bearer {token}")]
    content = b"" if body is None else json.dumps(body).encode()
    request = Request.build(method, f"/_sim/{path}", headers=headers, body=content, client=client)
    answer = control(nessus, request)
    assert isinstance(answer.body, bytes)
    return answer.status, json.loads(answer.body)


def sim(**options: Any) -> tuple[SimulatedNessus, Caller]:
    call, _ = hand_driven(control=True, **options)
    return call.nessus, call


def test_faults_come_and_go() -> None:
    nessus, call = sim()
    status, fault = ask(nessus, "POST", "faults", {"kind": "status", "status": 500, "times": None})
    assert (status, fault["id"]) == (200, 1)
    assert call("GET", "/scans").status == 500
    _, listed = ask(nessus, "GET", "faults")
    assert [(row["kind"], row["struck"]) for row in listed["faults"]] == [("status", 1)]
    assert ask(nessus, "DELETE", "faults/1")[0] == 200
    assert call("GET", "/scans").status == 200


@pytest.mark.parametrize(
    "body", [{}, {"kind": "mischief"}, {"kind": "status", "stauts": 500}, {"kind": ["status"]}]
)
def test_a_wrong_fault_is_refused_with_the_right_ones(body: dict[str, Any]) -> None:
    nessus, _ = sim()
    status, told = ask(nessus, "POST", "faults", body)
    assert status == 400
    assert "status" in told["error"]
    assert nessus.faults.active == []


def test_the_ledger_over_the_wire() -> None:
    nessus, call = sim()
    call.launch(call.create("mine"))
    _, told = ask(nessus, "GET", "ledger")
    assert told["by_scan"]["launch"] == {"mine": 1}
    assert told["max_running"] == 1


def test_restart_refuse_certificate_and_the_rest() -> None:
    nessus, call = sim()
    changes: list[str] = []
    nessus.on_change = lambda: changes.append("changed")
    token = call("POST", "/session", {"username": "admin", "password": "nessus"}).json["token"]
    ui_token = nessus.accounts.ui_token
    assert ask(nessus, "POST", "expire-sessions")[0] == 200
    assert Caller(nessus, {"X-Cookie": f"token={token}"})("GET", "/scans").status == 401
    assert ask(nessus, "POST", "reinstall-ui")[0] == 200
    assert nessus.accounts.ui_token != ui_token
    assert ask(nessus, "POST", "certificate")[0] == 200
    assert nessus.certificate_generation == 1
    assert ask(nessus, "POST", "refuse", {"seconds": 3})[0] == 200
    assert nessus.refusing_until == EPOCH + 3
    assert ask(nessus, "POST", "restart", {"loading_seconds": 9})[0] == 200
    assert call("GET", "/server/status").status == 503
    assert len(changes) == 3


def test_speed_and_capacity_can_be_changed() -> None:
    nessus, _ = sim()
    told = ask(nessus, "POST", "options", {"scans_take": 2.5, "max_scans": 3})
    assert told == (200, {"scans_take": 2.5, "max_scans": 3})
    assert ask(nessus, "POST", "options", {"scans_take": -1})[0] == 400
    assert nessus.scans_take == 2.5


def test_what_it_refuses_can_be_changed() -> None:
    nessus, _ = sim()
    told = ask(nessus, "POST", "refusals", {"names": ["no_rights", "disk_full"]})
    assert told == (200, {"names": ["disk_full", "no_rights"]})
    assert nessus.permissions == 16
    status, told = ask(nessus, "POST", "refusals", {"names": ["everything"]})
    assert status == 400
    assert "license_expired" in told["error"]
    assert ask(nessus, "GET", "refusals") == (200, {"names": ["disk_full", "no_rights"]})
    assert ask(nessus, "POST", "refusals", {}) == (200, {"names": []})


def test_only_loopback_or_the_bearer_of_the_token() -> None:
    nessus, _ = sim()
    assert ask(nessus, "GET", "ledger", client="::1")[0] == 200
    assert ask(nessus, "GET", "ledger", client="192.0.2.7")[0] == 403
    guarded, _ = sim(control_token="open sesame")
    assert ask(guarded, "GET", "ledger")[0] == 401
    assert ask(guarded, "GET", "ledger", token="guess")[0] == 401
    assert ask(guarded, "GET", "ledger", client="192.0.2.7", token="open sesame")[0] == 200


def test_an_unknown_word_names_the_known_ones() -> None:
    nessus, _ = sim()
    status, told = ask(nessus, "GET", "nonsense")
    assert status == 404
    assert "GET ledger" in told["error"]


def test_options_hide_their_secrets() -> None:
    options = SimOptions(password="hunter22", access_key="k1" * 32, control_token="sesame")
    shown = repr(options) + repr(SimulatedNessus(options, now=lambda: EPOCH).accounts)
    for secret in ("hunter22", "k1k1", "sesame"):
        assert secret not in shown


def test_an_answer_is_a_response() -> None:
    nessus, _ = sim()
    assert isinstance(control(nessus, Request.build("GET", "/_sim/ledger")), Response)
