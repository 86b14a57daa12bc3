"""Health of the daemon: components with a status, the reason, and since when."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import attrs


class Status(StrEnum):
    OK = "ok"
    DEGRADED = "degraded"
    """Something is wrong, but work continues."""
    FAILED = "failed"
    """No work can be done; `/health` responds with 503."""


_ORDER: Final = tuple(Status)


@attrs.frozen(kw_only=True)
class Component:
    """One component; `since` is when it got its current status (epoch seconds)."""

    status: Status
    reason: str
    since: float


@attrs.frozen
class Observation:
    """The observed status of a component, with `since` if the component knows it.

    `changed_at` is the time of the latest event that may explain the status. It is more
    precise than the time of the check that first sees the new status.
    """

    status: Status
    reason: str
    since: float | None = None
    changed_at: float | None = attrs.field(default=None, kw_only=True)


@attrs.frozen(kw_only=True)
class Health:
    """A snapshot; its status is that of the worst component."""

    components: Mapping[str, Component]

    @property
    def status(self) -> Status:
        observed = [component.status for component in self.components.values()]
        return max(observed, key=_ORDER.index, default=Status.OK)


class HealthRecord:
    """Remembers when each component got its current status."""

    def __init__(self) -> None:
        self._components: dict[str, Component] = {}
        self._checked_at = -math.inf

    def update(self, observed: Mapping[str, Observation], now: float) -> Health:
        """Replaces all components and returns the new health."""
        self._components = {
            name: self._component(name, each, now) for name, each in observed.items()
        }
        self._checked_at = now
        return Health(components=dict(self._components))

    def _component(self, name: str, observed: Observation, now: float) -> Component:
        since = self._since(name, observed, now) if observed.since is None else observed.since
        return Component(status=observed.status, reason=observed.reason, since=since)

    def _since(self, name: str, observed: Observation, now: float) -> float:
        before = self._components.get(name)
        if observed.changed_at is not None and observed.changed_at > self._checked_at:
            return observed.changed_at
        return now if before is None or before.status is not observed.status else before.since
