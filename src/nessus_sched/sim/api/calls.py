"""A request as passed to a handler."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import attrs

from nessus_sched.sim.accounts import Login
from nessus_sched.sim.fields import bad_field
from nessus_sched.sim.messages import ApiError, Request, Response, read_json
from nessus_sched.sim.state import SimulatedNessus


@attrs.define(kw_only=True, slots=False)
class Call:
    """`params` are the parts of the path by name; `login` is None if none is needed."""

    nessus: SimulatedNessus
    request: Request
    params: Mapping[str, str]
    login: Login | None
    now: float

    @cached_property
    def body(self) -> dict[str, Any]:
        return read_json(self.request)

    @property
    def id(self) -> int:
        return self.number("id")

    def number(self, name: str) -> int:
        """A numeric part of the path; the error text is Nessus's own."""
        value = self.params[name]
        if not (value.isascii() and value.isdecimal()):
            raise ApiError(400, f"Invalid '{name}' field: invalid type 'string', expecting 'int'")
        return int(value)

    def query_number(self, name: str) -> int | None:
        value = self.request.query.get(name)
        if value is None or value == "":
            return None
        if not (value.isascii() and value.isdecimal()):
            raise bad_field(name)
        return int(value)

    def record(self, what: str, scan: str = "") -> None:
        """Records an action in the ledger, after it took effect."""
        self.nessus.ledger.record(what, scan, at=self.now)


Handler = Callable[[Call], Response]
