"""What to create on a scanner for one attempt: checked again, with the credentials looked up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import attrs

from nessus_sched.config.schema import AuditSettings
from nessus_sched.core.error_kinds import ErrorKind
from nessus_sched.core.scanner import AuditFile, ScanOrder
from nessus_sched.core.seal import without_markers
from nessus_sched.core.targets.ranges import range_text
from nessus_sched.core.targets.scope import excluding
from nessus_sched.core.targets.targets import BadTargets, targets_from, without_networks
from nessus_sched.core.task import Task
from nessus_sched.scheduler.admission.combinations import check_combination, profile_of
from nessus_sched.scheduler.admission.custom_settings import check_settings
from nessus_sched.scheduler.admission.scope_check import Unresolved, approve_targets
from nessus_sched.scheduler.context import Context, RightsUnknown
from nessus_sched.scheduler.errors import RequestError


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
    return ScanOrder(
        name=f"{title or task.task_id} {marker}",
        marker=marker,
        targets=targets_sent,
        left_out=tuple(map(range_text, found.left_out)),
        request=attrs.evolve(request, name=title, description=description),
        credentials=tuple(known[name] for name in request.credentials),
        profile=profile.words() if profile else {},
        settings={**(profile.settings if profile else {}), **request.settings},
        audit=_audit(audit) if audit else None,
    )


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
