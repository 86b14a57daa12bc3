"""Which hosts a report is about: of a task, a schedule, networks, labels, or all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import attrs

from nessus_sched.api.access import seen, visible
from nessus_sched.api.app import ReadApp
from nessus_sched.api.errors import as_tool_errors
from nessus_sched.api.operations import Call, ToolError
from nessus_sched.api.outcomes.ledger import target_of_name
from nessus_sched.config.labels import labels_of
from nessus_sched.core.targets.labels import Labelled, Labels
from nessus_sched.core.targets.ranges import Ranges, difference, intersection, merged
from nessus_sched.core.targets.scope import Rules, Scope
from nessus_sched.core.targets.targets import BadTargets, TargetSet, parse_targets
from nessus_sched.core.task import Task
from nessus_sched.core.task_store import TaskFilter
from nessus_sched.core.text import pluralize
from nessus_sched.results.query.model import Condition, Op
from nessus_sched.results.untrusted import clean_line

_TEXT: Final = 120
_NAMED: Final = 3
_LABELS: Final = 20


@attrs.frozen(kw_only=True)
class Asked:
    """What a report is to be about, as arguments; what is empty does not limit."""

    task_id: str | None = None
    schedule: str | None = None
    targets: Sequence[str] = ()
    owner: str | None = None
    site: str | None = None
    criticality: str | None = None
    before_task_id: str | None = None
    """Of a comparison: the earlier task, if it is of two."""

    @property
    def labels(self) -> dict[str, str]:
        named = {"owner": self.owner, "site": self.site, "criticality": self.criticality}
        return {name: value for name, value in named.items() if value}


@attrs.frozen(kw_only=True)
class ReportScope:
    """The hosts: `text` names them, `conditions` and `labelled` select their findings in the
    ledger. `targets` are those that should be scanned, and `region` the same as rules; None for
    all. `task` is the only one that is asked for."""

    text: str
    conditions: tuple[Condition, ...] = ()
    region: Rules | None = None
    labelled: Labelled | None = None
    targets: TargetSet | None = None
    task: Task | None = None

    @property
    def all_hosts(self) -> bool:
        return self.region is None and self.labelled is None

    @property
    def all_allowed(self) -> bool:
        """Whether it is all that may be scanned, perhaps in the limits of a role."""
        return not self.conditions and self.labelled is None


async def scope_of(app: ReadApp, call: Call, asked: Asked) -> ReportScope:
    """Raises `ToolError` for what does not exist, contradicts itself or is not permitted."""
    if sum(map(bool, (asked.task_id, asked.schedule, asked.targets))) > 1:
        raise ToolError("bad_arguments", "give one of task, schedule and targets")
    found = await _hosts(app, call, asked)
    if not asked.labels:
        return found
    labels = labels_of(app.config.labels)
    for name, value in asked.labels.items():
        known = labels.values(name)
        if value.casefold() not in map(str.casefold, known):
            listed = f"; there are {', '.join(known[:_LABELS])}" if known else ""
            raise ToolError(
                "bad_arguments",
                f"{name}: no host has {clean_line(value, 60)!r}{listed}",
                "`labels` in the configuration defines them.",
            )
    targets = found.targets
    named = ", ".join(f"{name} {clean_line(value, 60)}" for name, value in asked.labels.items())
    return attrs.evolve(
        found,
        text=named if found.all_hosts else f"{found.text}, {named}",
        labelled=Labelled(labels, asked.labels),
        targets=None if targets is None else labels_cover(labels, asked.labels, targets),
    )


async def _hosts(app: ReadApp, call: Call, asked: Asked) -> ReportScope:
    """Without labels."""
    limits = app.scopes_of(call.peer)
    if asked.task_id is not None:
        task = (await seen(app, call, asked.task_id)).task
        return _of_task(f"task {_named(task)}", task, limits, only=True)
    if asked.schedule is not None:
        task = await _latest(app, call, asked.schedule)
        return _of_task(f"schedule {clean_line(asked.schedule, _TEXT)}", task, limits)
    if asked.targets:
        try:
            targets = parse_targets(asked.targets)
        except BadTargets as error:
            raise ToolError("bad_arguments", f"targets: {error}") from error
        if not all(limit.covers(targets) for limit in limits):
            raise ToolError("not_permitted", "Some of these are outside your role's targets.")
        return _of_targets(_listed(asked.targets), targets, limits)
    text = "all hosts" if not limits else "all hosts of your role"
    allowed = TargetSet(ranges=_within(app.config.targets.scope, limits))
    return ReportScope(text=text, region=_limited(None, limits), targets=allowed)


def labels_cover(labels: Labels, wanted: Mapping[str, str], targets: TargetSet) -> TargetSet:
    """The part of these targets that has all the labels that are wanted."""
    ranges = targets.ranges
    for name, value in wanted.items():
        covered: Ranges = ()
        for rule in labels.rules:
            if name in rule.labels:
                covered = difference(covered, rule.hosts.networks)
                if rule.labels[name].casefold() == value.casefold():
                    covered = merged((*covered, *rule.hosts.networks))
        ranges = tuple(intersection(ranges, covered))
    labelled = Labelled(labels, wanted)
    return TargetSet(
        ranges=ranges, names=tuple(each for each in targets.names if labelled.has(None, (each,)))
    )


def _of_task(text: str, task: Task, limits: Sequence[Scope], *, only: bool = False) -> ReportScope:
    try:
        targets = parse_targets(task.request.targets) if task.request.targets else TargetSet()
    except BadTargets as error:
        raise ToolError("no_results", f"The targets of {text} cannot be read: {error}") from error
    found = _of_targets(text, targets, limits)
    return attrs.evolve(found, task=task) if only else found


def _of_targets(text: str, targets: TargetSet, limits: Sequence[Scope]) -> ReportScope:
    hosts = Condition(field="host", op=Op.IN, value=targets.texts)
    region = _limited(Rules(networks=targets.ranges, names=frozenset(targets.names)), limits)
    assert region is not None
    allowed = TargetSet(ranges=region.networks, names=tuple(sorted(region.names)))
    return ReportScope(text=text, conditions=(hosts,), region=region, targets=allowed)


async def _latest(app: ReadApp, call: Call, schedule: str) -> Task:
    """The latest task of a schedule, but for second tries, which are about a few hosts."""
    sees, name = visible(app, call), schedule.casefold()
    wanted = TaskFilter(
        shown=lambda task: (
            task.schedule is not None
            and not task.schedule.is_second_try
            and task.schedule.name.casefold() == name
            and sees(task)
        )
    )
    with as_tool_errors():
        page = await app.queries.tasks(wanted, limit=1)
    if not page.tasks:
        raise ToolError(
            "no_results", f"No task of a schedule {clean_line(schedule, 60)!r} is stored."
        )
    return page.tasks[0]


def _named(task: Task) -> str:
    name = clean_line(task.request.name, _TEXT)
    return f"{name} ({task.task_id})" if name else task.task_id


def _listed(texts: Sequence[str]) -> str:
    shown = ", ".join(clean_line(each, 60) for each in texts[:_NAMED])
    more = len(texts) - _NAMED
    return f"{shown} and {pluralize(more, 'more target')}" if more > 0 else shown


# -- limits of roles


def _within(whole: Scope, limits: Sequence[Scope]) -> Ranges:
    """The addresses that may be scanned and that the caller may see."""
    found: Ranges = difference(whole.allow.networks, whole.deny.networks)
    for limit in limits:
        found = tuple(intersection(found, _allowed(limit)))
    return found


def _allowed(limit: Scope) -> Ranges:
    return difference(limit.allow.networks, limit.deny.networks)


def _limited(region: Rules | None, limits: Sequence[Scope]) -> Rules | None:
    """The part of a region that a caller with these limits may see; never more."""
    for limit in limits:
        if region is None:
            pure = not (limit.deny.names or limit.deny.patterns)
            region = Rules(
                networks=_allowed(limit),
                names=frozenset(filter(_sees_name(limit), limit.allow.names)),
                patterns=limit.allow.patterns if pure else (),
            )
        else:
            region = Rules(
                networks=tuple(intersection(region.networks, _allowed(limit))),
                names=frozenset(filter(_sees_name(limit), region.names)),
            )
    return region


def _sees_name(limit: Scope) -> Callable[[str], bool]:
    return lambda name: limit.covers(target_of_name(name))
