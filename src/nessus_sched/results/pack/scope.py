"""What a pack is about: everything, or some hosts or a schedule."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import attrs

from nessus_sched.core.targets.labels import Labelled, Labels
from nessus_sched.core.targets.ranges import merged, overlap
from nessus_sched.core.targets.scope import Rules
from nessus_sched.core.targets.targets import BadTargets, TargetSet, parse_targets, targets_from
from nessus_sched.results.pack.scans import targets_of

_UNKNOWN: Final = (
    "The targets of some scans of the schedule are not known in full: findings on the others are "
    "left out."
)


@attrs.frozen(kw_only=True)
class PackScope:
    """At most one of these limits a pack: `targets` (texts), a `schedule` by name, or `labels`."""

    targets: tuple[str, ...] = ()
    schedule: str | None = None
    labels: Mapping[str, str] = attrs.field(factory=dict)


class BadScope(ValueError):
    """A scope that cannot be read or means nothing."""


class ScopeReader:
    """Decides what belongs into a pack. Raises `BadScope`."""

    def __init__(self, scope: PackScope, labels: Labels) -> None:
        if sum(map(bool, (scope.targets, scope.schedule, scope.labels))) > 1:
            raise BadScope("give one of networks, a schedule and labels")
        self._scope = scope
        self.region: Rules | None = None
        self.labelled: Labelled | None = None
        self.notes: list[str] = []
        self._scheduled = False
        if scope.targets:
            try:
                self._take(parse_targets(scope.targets))
            except BadTargets as error:
                raise BadScope(str(error)) from error
        if scope.schedule is not None:
            self.region = Rules()
        if scope.labels:
            self.labelled = Labelled(labels, scope.labels)
            self._labelled_regions = _regions(labels, scope.labels)

    @property
    def document(self) -> dict[str, Any]:
        """In JSON; empty for everything."""
        document: dict[str, Any] = dict(self._scope.labels)
        if self._scope.targets:
            document["networks"] = list(self._scope.targets)
        if self._scope.schedule is not None:
            document["schedule"] = self._scope.schedule
        return document

    def learn(self, outcome: Mapping[str, Any] | None) -> None:
        """The hosts of a schedule are the targets of its scans."""
        if self._scope.schedule is None or not self._is_scheduled(outcome):
            return
        self._scheduled = True
        targets = targets_of(outcome)
        if targets is None:
            self.notes = [_UNKNOWN]
        else:
            self._take(targets_from(targets))

    def check_schedule(self, known: Collection[object]) -> None:
        """Raises `BadScope` if neither a schedule (`known` are those that belong into the pack) nor
        a scan has the name. Call this when it has learned of all scans."""
        if self._scope.schedule is not None and not known and not self._scheduled:
            raise BadScope(
                f"the journal up to the end of the period has no schedule {self._scope.schedule!r}"
            )

    def has_schedule(self, name: str) -> bool:
        wanted = self._scope.schedule
        return wanted is None or wanted.casefold() == name.casefold()

    def has_scan(self, outcome: Mapping[str, Any] | None) -> bool:
        """Also for a scan whose targets are not known."""
        if self._scope.schedule is not None:
            return self._is_scheduled(outcome)
        targets = targets_of(outcome)
        if targets is None:
            return True
        found = targets_from(targets)
        if self.labelled is not None:
            return all(_meets(each, found) for each in self._labelled_regions)
        return self.region is None or _meets(self.region, found)

    def _is_scheduled(self, outcome: Mapping[str, Any] | None) -> bool:
        schedule = (outcome or {}).get("schedule")
        return schedule is not None and self.has_schedule(schedule["name"])

    def _take(self, targets: TargetSet) -> None:
        before = self.region or Rules()
        self.region = Rules(
            networks=merged((*before.networks, *targets.ranges)),
            names=before.names | frozenset(targets.names),
        )


def _regions(labels: Labels, wanted: Mapping[str, str]) -> list[Rules]:
    """Where each of the labels is given, for scans; findings are looked at host by host."""
    found = []
    for name, value in wanted.items():
        rules = [
            rule.hosts
            for rule in labels.rules
            if rule.labels.get(name, "").casefold() == value.casefold()
        ]
        if not rules:
            raise BadScope(f"no label in the configuration has the {name} {value!r}")
        found.append(
            Rules(
                networks=merged(each for rule in rules for each in rule.networks),
                names=frozenset().union(*(rule.names for rule in rules)),
                patterns=tuple(each for rule in rules for each in rule.patterns),
            )
        )
    return found


def _meets(region: Rules, targets: TargetSet) -> bool:
    return overlap(region.networks, targets.ranges) or any(
        region.match_name(name) for name in targets.names
    )
