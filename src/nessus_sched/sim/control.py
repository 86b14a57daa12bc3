"""The control interface, with which tests and operators control a simulator over HTTP."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from nessus_sched.sim.faults import Fault, FaultKind
from nessus_sched.sim.fields import list_field
from nessus_sched.sim.messages import ApiError, Request, Response, read_json, refusal, reply
from nessus_sched.sim.refusals import Refusal
from nessus_sched.sim.state import SimulatedNessus

PREFIX = "/_sim/"


def control(nessus: SimulatedNessus, request: Request) -> Response:
    """Serves one control request.

    `GET ledger`, `GET faults`, `POST faults` (the fields of `Fault`), `DELETE faults[/ID]`,
    `GET refusals`, `POST refusals` (`names`: all refusals from now on),
    `POST restart|refuse|certificate|reinstall-ui|expire-sessions|options`.
    """
    nessus.advance()
    try:
        _check_allowed(nessus, request)
        word, _, rest = request.path.removeprefix(PREFIX).partition("/")
        action = _ACTIONS.get(f"{request.method} {word}")
        if action is None:
            raise ApiError(404, f"there are: {', '.join(sorted(_ACTIONS))}")
        return reply(action(nessus, rest, read_json(request)))
    except ApiError as error:
        return refusal(error.status, error.message)


def _check_allowed(nessus: SimulatedNessus, request: Request) -> None:
    token = nessus.options.control_token
    if token is None:
        if not _is_loopback(request.client):
            raise ApiError(403, "the control interface answers loopback addresses only")
        return
    given = request.headers.get("authorization", "")
    if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
        raise ApiError(401, "a bearer token is needed")


def _is_loopback(client: str) -> bool:
    try:
        return ipaddress.ip_address(client).is_loopback
    except ValueError:
        return False


def _ledger(nessus: SimulatedNessus, _rest: str, _body: Mapping[str, Any]) -> Any:
    return nessus.ledger.as_json()


def _list_faults(nessus: SimulatedNessus, _rest: str, _body: Mapping[str, Any]) -> Any:
    return {"faults": [attrs.asdict(fault) for fault in nessus.faults.active]}


def _inject(nessus: SimulatedNessus, _rest: str, body: Mapping[str, Any]) -> Any:
    known = {field.name for field in attrs.fields(Fault) if field.init}
    unknown = sorted(set(body) - known)
    if unknown:
        raise ApiError(400, f"unknown: {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    try:
        fault = Fault(**body)
    except (TypeError, ValueError):
        kinds = ", ".join(FaultKind)
        raise ApiError(400, f"a fault needs a kind: {kinds}") from None
    return attrs.asdict(nessus.faults.inject(fault))


def _clear_faults(nessus: SimulatedNessus, rest: str, _body: Mapping[str, Any]) -> Any:
    if rest and not rest.isdecimal():
        raise ApiError(400, "a fault's id is a number")
    nessus.faults.clear(int(rest) if rest else None)
    return {}


def _list_refusals(nessus: SimulatedNessus, _rest: str, _body: Mapping[str, Any]) -> Any:
    return {"names": sorted(nessus.refuses)}


def _set_refusals(nessus: SimulatedNessus, rest: str, body: Mapping[str, Any]) -> Any:
    try:
        nessus.refuses = {Refusal(name) for name in list_field(body, "names")}
    except ValueError:
        raise ApiError(400, f"names are of: {', '.join(Refusal)}") from None
    return _list_refusals(nessus, rest, body)


def _restart(nessus: SimulatedNessus, _rest: str, body: Mapping[str, Any]) -> Any:
    loading = body.get("loading_seconds")
    nessus.restart(
        down_seconds=_seconds(body, "down_seconds", 0.0),
        loading_seconds=None if loading is None else _seconds(body, "loading_seconds", 0.0),
    )
    return {}


def _refuse(nessus: SimulatedNessus, _rest: str, body: Mapping[str, Any]) -> Any:
    nessus.refuse(_seconds(body, "seconds", 1.0))
    return {}


def _certificate(nessus: SimulatedNessus, _rest: str, _body: Mapping[str, Any]) -> Any:
    nessus.change_certificate()
    return {}


def _reinstall_ui(nessus: SimulatedNessus, _rest: str, _body: Mapping[str, Any]) -> Any:
    nessus.reinstall_ui()
    return {}


def _expire_sessions(nessus: SimulatedNessus, _rest: str, _body: Mapping[str, Any]) -> Any:
    nessus.accounts.forget_sessions()
    return {}


def _options(nessus: SimulatedNessus, _rest: str, body: Mapping[str, Any]) -> Any:
    """Changes options at run time."""
    if "scans_take" in body:
        nessus.scans_take = _seconds(body, "scans_take", 0.0)
    if "pause_takes" in body:
        nessus.pause_takes = _seconds(body, "pause_takes", 0.0)
    if "max_scans" in body:
        nessus.preferences.values["global.max_scans"] = str(int(_seconds(body, "max_scans", 0)))
    return {"scans_take": nessus.scans_take, "max_scans": nessus.preferences.max_scans()}


def _seconds(body: Mapping[str, Any], name: str, default: float) -> float:
    value = body.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ApiError(400, f"{name} must be a number that is not negative")
    return float(value)


_ACTIONS: Mapping[str, Callable[[SimulatedNessus, str, Mapping[str, Any]], Any]] = {
    "GET ledger": _ledger,
    "GET faults": _list_faults,
    "POST faults": _inject,
    "DELETE faults": _clear_faults,
    "GET refusals": _list_refusals,
    "POST refusals": _set_refusals,
    "POST restart": _restart,
    "POST refuse": _refuse,
    "POST certificate": _certificate,
    "POST reinstall-ui": _reinstall_ui,
    "POST expire-sessions": _expire_sessions,
    "POST options": _options,
}
