"""Plans the scans that verify whether findings are gone, and says what came of each finding."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import attrs

from nessus_sched.core.states import SETTLED
from nessus_sched.core.task import (
    Priority,
    ScanKind,
    ScanRequest,
    Splitting,
    Task,
    ToVerify,
    Verify,
)
from nessus_sched.core.templates import ADVANCED
from nessus_sched.core.text import pluralize
from nessus_sched.results.absence import MEANINGS
from nessus_sched.results.ledger.questions import Entry
from nessus_sched.results.ledger.selection import Selected
from nessus_sched.results.portrange import readable

LOGIN_PORTS: Final[Mapping[str, tuple[int, ...]]] = {"SSH": (22,), "Windows": (139, 445)}
"""Ports that a login needs, by its type in Nessus."""
_LONGEST: Final = 1000
"""Characters of a port range as a setting."""
_OWN: Final = frozenset(
    {"portscan_range", "thorough_tests", "discovery_mode", "assessment_mode", "advanced_mode"}
)
"""Settings that are not taken over: they are derived from what the earlier scan covered, or the
template `advanced` does not have them."""


# -- planning


def plan(
    found: Iterable[Selected],
    bases: Mapping[str, ScanRequest],
    *,
    logins: Mapping[str, str],
    credentials: Sequence[str] = (),
) -> list[ScanRequest]:
    """One request for all findings that need the same login, settings and scanners. `bases` are
    the requests of the tasks that last saw them, by id; a task that is not there counts as one
    without credentials. `logins` are the types of the configured credentials, by name.
    `credentials` replace those of the earlier scans."""
    groups: dict[str, list[Selected]] = defaultdict(list)
    requests: dict[str, ScanRequest] = {}
    for each in found:
        request = _base(bases.get(each.entry.last_task_id), credentials)
        key = f"{sorted(attrs.asdict(request).items())} {each.series}"
        requests[key] = request
        groups[key].append(each)
    return [_request(requests[key], several, logins) for key, several in groups.items()]


def _base(earlier: ScanRequest | None, credentials: Sequence[str]) -> ScanRequest:
    """What a scan takes over from the one that saw the findings."""
    common: dict[str, Any] = {
        "kind": ScanKind.CUSTOM,
        "template": ADVANCED,
        "priority": Priority.HIGH,
        "targets": (),
    }
    if earlier is None:
        return ScanRequest(credentials=tuple(credentials), **common)
    settings = {name: text for name, text in earlier.settings.items() if name not in _OWN}
    return ScanRequest(
        exclude=earlier.exclude,
        scanner_instance=earlier.scanner_instance,
        pool=earlier.pool,
        credentials=tuple(credentials) or earlier.credentials,
        profile=earlier.profile,
        settings=settings,
        between=earlier.between,
        partial_ok=earlier.partial_ok,
        split=Splitting.AUTO,
        **common,
    )


def _request(
    base: ScanRequest, found: Sequence[Selected], logins: Mapping[str, str]
) -> ScanRequest:
    families: dict[str, set[int]] = defaultdict(set)
    for each in found:
        families[each.family or ""].add(each.entry.plugin_id)
    hosts = list(dict.fromkeys(each.entry.host for each in found))
    plugins = {family: tuple(sorted(ids)) for family, ids in sorted(families.items())}
    verify = Verify(
        plugins=plugins,
        findings=tuple(sorted((finding_of(each.entry) for each in found), key=_order)),
        series=found[0].series,
    )
    settings = dict(base.settings)
    types = [logins[each] for each in base.credentials if each in logins]
    ports = port_range(found, settings, types)
    if ports is not None:
        settings["portscan_range"] = ports
    if any(each.seen_on and each.seen_on.settings.get("thorough", 0) for each in found):
        settings["thorough_tests"] = "yes"
    ids = sorted(verify.plugin_ids)
    what = f"plugin {ids[0]}" if len(ids) == 1 else pluralize(len(ids), "plugin")
    where = hosts[0] if len(hosts) == 1 and len(hosts[0]) < 60 else pluralize(len(hosts), "host")
    return attrs.evolve(
        base,
        targets=tuple(hosts),
        name=f"verify {what} on {where}",
        settings=settings,
        verify=verify,
    )


def finding_of(entry: Entry) -> ToVerify:
    return ToVerify(
        host=entry.host, plugin_id=entry.plugin_id, port=entry.port, protocol=entry.protocol
    )


def _order(finding: ToVerify) -> tuple[str, int, int, str]:
    return finding.host, finding.plugin_id, finding.port, finding.protocol


def port_range(
    found: Sequence[Selected], settings: Mapping[str, str], logins: Collection[str]
) -> str | None:
    """The ports to scan: those of the findings and those that a login needs. If a finding may
    depend on any port (one of the host itself that took no login, or of UDP), it is the range of
    the earlier scans, if known; None leaves it to the profile."""
    if all(each.entry.protocol == "tcp" and (each.entry.port or each.took_login) for each in found):
        ports = {each.entry.port for each in found if each.entry.port}
        for login in logins:
            own = settings.get("ssh_port", "") if login == "SSH" else ""
            ports |= {int(own)} if own.isdecimal() else {*LOGIN_PORTS.get(login, ())}
        narrow = ",".join(map(str, sorted(ports)))
        if narrow and len(narrow) <= _LONGEST:
            return narrow
    earlier = {each.seen_on.ports if each.seen_on else None for each in found}
    (only,) = earlier if len(earlier) == 1 else (None,)
    return only if only and len(only) <= _LONGEST and readable(only) else None


# -- the answer


class Result(StrEnum):
    FIXED = "fixed"
    STILL_THERE = "still_there"
    NOT_VERIFIED = "not_verified"
    PENDING = "pending"


@attrs.frozen(kw_only=True)
class Verdict:
    """What became of a finding; `text` says it in words for a ticket, `at` is when (epoch
    seconds) and `task_id` the scan that decided it."""

    result: Result
    text: str
    at: float | None = None
    task_id: str | None = None


def verdict(
    entry: Entry | None, task: Task, *, entered: bool, when: Callable[[float], str | None]
) -> Verdict:
    """What the ledger's `entry` says after `task`, which was to verify it. `entered`: the ledger
    has all scans that have ended. `when` writes a time."""
    if task.state not in SETTLED:
        return Verdict(result=Result.PENDING, text=f"pending: the scan is {task.state}")
    if not entered:
        return Verdict(result=Result.PENDING, text="pending: the scan is not entered yet")
    if entry is None:
        return _doubt("the ledger no longer has the finding", "verify it again")
    life = entry.life
    if not life.open:
        return _gone(entry, task, when)
    if entry.last_task_id == task.task_id or life.last_seen > int(_began(task)):
        return Verdict(
            result=Result.STILL_THERE,
            text=f"still there: seen again at {when(life.last_seen)} (task {entry.last_task_id})",
            at=life.last_seen,
            task_id=entry.last_task_id,
        )
    if task.summary is None:
        problem = task.last_error.message if task.last_error else "no results"
        return _doubt(f"the scan is {task.state}: {problem}".rstrip("."), "verify it again", task)
    if life.reason is None:
        return _doubt("the scan did not report on it", "verify it again", task)
    return _doubt(*MEANINGS[life.reason], task)


def _gone(entry: Entry, task: Task, when: Callable[[float], str | None]) -> Verdict:
    """Of a finding that is fixed; it may have been before."""
    since, scan = entry.life.since, entry.last_task_id
    if scan != task.task_id and since <= int(_began(task)):
        return _doubt("this scan could not tell", f"fixed before, at {when(since)} ({scan})", task)
    text = f"fixed since {when(since)}: task {scan} would have shown it, and did not"
    return Verdict(result=Result.FIXED, text=text, at=since, task_id=scan)


def _began(task: Task) -> float:
    return task.created_at if task.launched_at is None else task.launched_at


def _doubt(why: str, remedy: str, task: Task | None = None) -> Verdict:
    known = "" if task is None else f" (task {task.task_id})"
    return Verdict(
        result=Result.NOT_VERIFIED,
        text=f"not verified: {why}{known}; {remedy}",
        task_id=None if task is None else task.task_id,
    )
