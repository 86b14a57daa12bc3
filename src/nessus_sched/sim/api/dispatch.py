"""Processes a request: faults, loading, login, license, then the handler."""

from __future__ import annotations

import attrs

from nessus_sched.sim.accounts import LOG_IN_FIRST, Login
from nessus_sched.sim.api.calls import Call
from nessus_sched.sim.api.routes import Access, Route, find_route
from nessus_sched.sim.faults import answer_instead, spoil
from nessus_sched.sim.messages import Answer, ApiError, Request, Response, refusal, without_body
from nessus_sched.sim.refusals import answer_to
from nessus_sched.sim.state import SimulatedNessus

UNKNOWN_ROUTE = "Unknown API endpoint"


def respond(nessus: SimulatedNessus, request: Request) -> Answer:
    """Serves one request, after applying the time that has passed since the last one."""
    now = nessus.advance()
    fault = nessus.faults.for_request(request.method, request.path)
    if fault is not None:
        nessus.ledger.record("fault", at=now)
        instead = answer_instead(fault)
        if instead is not None:
            return instead
    answer = _serve(nessus, request, now)
    if not nessus.options.assumes("keep_alive"):
        answer = attrs.evolve(answer, headers=(*answer.headers, ("connection", "close")))
    return answer if fault is None else spoil(fault, answer)


def _serve(nessus: SimulatedNessus, request: Request, now: float) -> Response:
    method = "GET" if request.method == "HEAD" else request.method
    found = find_route(method, request.path)
    if found is None:
        return refusal(404, UNKNOWN_ROUTE)
    route, params = found
    nessus.ledger.requests[route.label] += 1
    try:
        if nessus.loading_percent(now) is not None and not route.awake:
            raise ApiError(503, "Nessus is loading its plugins")
        login = _enter(nessus, route, request, now)
        call = Call(nessus=nessus, request=request, params=params, login=login, now=now)
        if route.access is Access.GATED and not _licensed(nessus, login):
            return _gate(nessus)
        if refused := answer_to(route.label, nessus.refuses):
            nessus.ledger.record("refused", at=now)
            return refusal(refused.status, refused.text)
        answer = route.handler(call)
        return without_body(answer) if request.method == "HEAD" else answer
    except ApiError as error:
        return refusal(error.status, error.message)


def _enter(nessus: SimulatedNessus, route: Route, request: Request, now: float) -> Login | None:
    """The login of a request. Open routes identify it if possible but ignore a stale one."""
    try:
        login = nessus.accounts.identify(request, now)
    except ApiError:
        if route.access is Access.OPEN:
            return None
        raise
    if login is None and route.access is not Access.OPEN:
        raise ApiError(401, LOG_IN_FIRST)
    return login


def _licensed(nessus: SimulatedNessus, login: Login | None) -> bool:
    return nessus.scan_api or (login is not None and login.from_ui)


def _gate(nessus: SimulatedNessus) -> Response:
    nessus.ledger.record("gate", at=nessus.now())
    if nessus.options.gate_cuts_body:
        closing = (("connection", "close"),)
        return refusal(412, "API is not available", headers=closing, cut_after=0)
    return refusal(412, "API is not available")
