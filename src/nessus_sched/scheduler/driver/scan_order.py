"""What to create on a scanner for one attempt: checked again, with the credentials looked up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import attrs

from nessus_sched.config.schema import AuditSettings, Config
from nessus_sched.core.error_kinds import ErrorKind
from nessus_sched.core.profile import ScanProfile
from nessus_sched.core.scanner import AuditFile, ScanOrder
from nessus_sched.core.seal import without_markers
from nessus_sched.core.targets.ranges import overlap, range_text
from nessus_sched.core.targets.scope import excluding, parse_rules
from nessus_sched.core.targets.targets import BadTargets, TargetSet, targets_from, without_networks
from nessus_sched.core.task import ScanRequest, Task
from nessus_sched.scheduler.admission.combinations import check_combination, profile_of
from nessus_sched.scheduler.admission.custom_settings import check_settings
from nessus_sched.scheduler.admission.scope_check import NoAnswer, Unresolved, approve_targets
from nessus_sched.scheduler.context import Context, RightsUnknown
from nessus_sched.scheduler.errors import RequestError

MAX_HOSTS: Final = "max_hosts_per_scan"
"""The setting of Nessus for hosts scanned at once."""


class PlanError(Exception):
    """The task may not, or can no longer, be run as it was asked for."""

    def __init__(self, kind: ErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


async def build_scan_order(task: Task, context: Context) -> ScanOrder:
    """The order for the task's present attempt. Raises `PlanError` when, since it was accepted,
    its targets have left the scope or the role of its submitter, the role has lost such scans,
    or the configuration one of its credentials, its audit or settings, or when a name does not
    resolve or the user database does not answer."""
    config, request = context.config, task.request
    try:
        rights = await context.rights_to(task)
    except RightsUnknown as error:
        raise PlanError(ErrorKind.USERS_UNAVAILABLE, str(error)) from error
    if rights.refusal is not None:
        raise PlanError(ErrorKind.NOT_PERMITTED, rights.refusal)
    try:
        targets = targets_from(task.to_scan)
        scopes = [config.targets.scope, excluding(request.exclude), *rights.scopes]
        found = await approve_targets(targets, scopes, context.resolve)
    except NoAnswer as error:
        raise PlanError(ErrorKind.NAME_SERVERS_SILENT, str(error)) from error
    except Unresolved as error:
        raise PlanError(ErrorKind.NAME_NOT_RESOLVED, str(error)) from error
    except BadTargets as error:
        raise PlanError(ErrorKind.TARGETS_REFUSED, f"no longer in scope: {error}") from error
    known = {each.name: each for each in config.credentials}
    gone = [name for name in request.credentials if name not in known]
    if gone:
        raise PlanError(
            ErrorKind.UNKNOWN_CREDENTIAL, f"credential {gone[0]!r} is no longer configured"
        )
    audit = next((a for a in config.audits if a.name == request.audit), None)
    if request.audit is not None and audit is None:
        raise PlanError(ErrorKind.UNKNOWN_AUDIT, f"audit {request.audit!r} is no longer configured")
    with _as_plan_error(ErrorKind.SETTINGS_REFUSED):
        check_settings(request, config)
    with _as_plan_error(ErrorKind.UNKNOWN_PROFILE):
        profile = profile_of(request, config)
    with _as_plan_error(ErrorKind.NOT_TOGETHER):
        check_combination(request, config)
    marker = context.seal.mark(task.task_id, task.attempt)
    # Older releases accepted any name.
    title, description = without_markers(request.name), without_markers(request.description)
    targets_sent = found.texts
    if task.part is not None:
        title = f"{title} ({task.part.number})" if title else ""
    if task.part is not None or task.remaining is not None:
        targets_sent = without_networks(found.texts)
    most = _hosts_at_once(found.known, config)
    words, settings = _settings(request, profile, most)
    return ScanOrder(
        name=f"{title or task.task_id} {marker}",
        marker=marker,
        targets=targets_sent,
        left_out=tuple(map(range_text, found.left_out)),
        request=attrs.evolve(request, name=title, description=description),
        credentials=tuple(known[name] for name in request.credentials),
        profile=words,
        settings=settings,
        audit=_audit(audit) if audit else None,
    )


def _hosts_at_once(targets: TargetSet, config: Config) -> int | None:
    """How many hosts the scan may scan at once, because of limits for networks: an equal share of
    what all scans may that can run there at once."""
    return min(
        (
            limit.max_concurrent_hosts // limit.max_concurrent_scans
            for limit in config.networks
            if limit.max_concurrent_hosts is not None
            and overlap(parse_rules([limit.cidr]).networks, targets.ranges)
        ),
        default=None,
    )


def _settings(
    request: ScanRequest, profile: ScanProfile | None, most: int | None
) -> tuple[dict[str, str], dict[str, str]]:
    """The settings of an order, those by words and others, with at most that many hosts at once. A
    scan by policy has none."""
    words = dict(profile.words()) if profile else {}
    settings = {**(profile.settings if profile else {}), **request.settings}
    if most is not None and request.policy is None:
        given = (words.get(MAX_HOSTS, ""), settings.pop(MAX_HOSTS, ""))
        numbers = [int(each) for each in given if each.isascii() and each.isdigit()]
        words[MAX_HOSTS] = str(min([most, *numbers]))
    return words, settings


@contextmanager
def _as_plan_error(kind: ErrorKind) -> Iterator[None]:
    try:
        yield
    except RequestError as error:
        raise PlanError(kind, f"no longer possible: {error}") from error


def _audit(audit: AuditSettings) -> AuditFile:
    return AuditFile(
        file=audit.file,
        category=audit.category,
        name=audit.builtin or audit.name,
        variables=audit.variables,
    )
