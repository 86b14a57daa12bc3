"""Policies: named sets of settings and credentials for scans."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import attrs

from nessus_sched.sim.findings.logins import SentCredential
from nessus_sched.sim.findings.plugins import load_data
from nessus_sched.sim.messages import NotFound
from nessus_sched.sim.templates import Template


@cache
def default_settings() -> dict[str, str]:
    """The flat settings of a new policy, as recorded from a Nessus 8."""
    return {str(name): str(value) for name, value in load_data("policy_settings.json").items()}


@attrs.define(kw_only=True)
class Policy:
    id: int
    name: str
    template: Template
    created_at: float
    modified_at: float
    settings: dict[str, Any] = attrs.field(factory=dict)
    plugins: dict[str, Any] = attrs.field(factory=dict)
    credentials: list[SentCredential] = attrs.field(factory=list)


@attrs.define
class Policies:
    """Policies by id. `ids` yields new ids, shared with scans and folders."""

    ids: Iterator[int]
    by_id: dict[int, Policy] = attrs.field(factory=dict)

    def get(self, policy_id: int) -> Policy:
        try:
            return self.by_id[policy_id]
        except KeyError:
            raise NotFound(f"Unknown policy ID: {policy_id}.") from None

    def add(self, name: str, template: Template, settings: dict[str, Any], now: float) -> Policy:
        policy = Policy(
            id=next(self.ids),
            name=name,
            template=template,
            created_at=now,
            modified_at=now,
            settings=settings,
        )
        self.by_id[policy.id] = policy
        return policy

    def delete(self, policy_id: int) -> None:
        del self.by_id[self.get(policy_id).id]
