"""How the daemon is: components with a status, a reason and since when."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import attrs


class Status(StrEnum):
    OK = "ok"
    DEGRADED = "degraded"
    """Something is wrong, and the work goes on."""
    FAILED = "failed"
    """The work cannot go on: answered with 503."""


_ORDER: Final = tuple(Status)


@attrs.frozen(kw_only=True)
class Component:
    """A part of the whole; `since` is when its status became what it is (epoch seconds)."""

    status: Status
    reason: str
    since: float


@attrs.frozen
class Found:
    """What a look at a component found; `since` where it knows that itself.

    `turned` is when it last took a turn that may be why its status is what it is: closer to
    the truth than the time of the look that finds the status changed.
    """

    status: Status
    reason: str
    since: float | None = None
    turned: float | None = attrs.field(default=None, kw_only=True)


@attrs.frozen(kw_only=True)
class Health:
    """A snapshot; as bad as its worst component."""

    components: Mapping[str, Component]

    @property
    def status(self) -> Status:
        found = [component.status for component in self.components.values()]
        return max(found, key=_ORDER.index, default=Status.OK)


class HealthRecord:
    """Remembers since when each component has had its status."""

    def __init__(self) -> None:
        self._components: dict[str, Component] = {}
        self._looked_at = -math.inf

    def update(self, found: Mapping[str, Found], now: float) -> Health:
        """The health with these components and no others."""
        self._components = {name: self._component(name, each, now) for name, each in found.items()}
        self._looked_at = now
        return Health(components=dict(self._components))

    def _component(self, name: str, found: Found, now: float) -> Component:
        since = self._since(name, found, now) if found.since is None else found.since
        return Component(status=found.status, reason=found.reason, since=since)

    def _since(self, name: str, found: Found, now: float) -> float:
        before = self._components.get(name)
        if found.turned is not None and found.turned > self._looked_at:
            return found.turned
        return now if before is None or before.status is not found.status else before.since
