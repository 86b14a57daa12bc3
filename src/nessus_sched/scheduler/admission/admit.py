"""Admission control: validates a request before anything is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs

from nessus_sched.config.schema import Config
from nessus_sched.core.calendar.deadline import deadline_of
from nessus_sched.core.calendar.timetable import check_rule, own_hours
from nessus_sched.core.calendar.zones import BadCalendar
from nessus_sched.core.credentials import Credential, CredentialKind
from nessus_sched.core.seal import imitates_marker
from nessus_sched.core.targets.ranges import Ranges
from nessus_sched.core.targets.scope import OutOfScope, Scope, excluding
from nessus_sched.core.targets.targets import BadTargets, TargetSet, parse_asked, words_of
from nessus_sched.core.task import ScanKind, ScanRequest
from nessus_sched.core.text import did_you_mean
from nessus_sched.scheduler.admission.combinations import check_combination
from nessus_sched.scheduler.admission.custom_settings import check_settings
from nessus_sched.scheduler.admission.scope_check import approve_targets
from nessus_sched.scheduler.context import Context
from nessus_sched.scheduler.errors import RequestError, TargetsRefused, UnknownScanner
from nessus_sched.scheduler.offers import check_offered

NEEDS_CREDENTIAL = frozenset({ScanKind.TRUSTED, ScanKind.PRIVILEGED, ScanKind.COMPLIANCE})

MAX_CREDENTIALS = 10
"""Of one scan. Nessus tries those of a type one after the other until one works, and each that
fails counts toward locking the account on the target; Tenable advises against more than 10."""

NAMED = 20
"""How many known names a refusal lists."""


@attrs.frozen(kw_only=True)
class Admitted:
    """A request that may become a task: normalised, with the exact set it means now.
    `left_out` are the addresses that were asked for and are denied or excluded."""

    request: ScanRequest
    targets: TargetSet
    addresses: Mapping[str, Sequence[str]] = attrs.field(factory=dict)
    """Of the names among the targets."""
    left_out: Ranges = ()


async def admit(request: ScanRequest, context: Context, extra: Sequence[Scope] = ()) -> Admitted:
    """Checks a request against configuration and scope (`extra`: the caller's own limits).
    Raises `RequestError` with what to do instead."""
    config = context.config
    _check_words(request)
    _check_scanner(request, config)
    _check_credentials(request, config)
    _check_audit(request, config)
    _check_custom(request)
    _check_hours(request, context)
    _check_deadline(request, context)
    check_offered(request, config, context.offers)
    check_settings(request, config)
    check_combination(request, config)
    try:
        exclude = tuple(words_of(request.exclude))
        targets, asked = parse_asked(request.targets)
        scopes = [config.targets.scope, *extra, excluding(exclude)]
        found = await approve_targets(targets, scopes, context.resolve, asked)
    except OutOfScope as error:
        raise TargetsRefused(
            f"not allowed: {error}",
            hint="choose targets in the configured scope that the request does not exclude, or ask "
            "the operator to widen the scope",
            code="targets_out_of_scope",
        ) from error
    except BadTargets as error:
        raise TargetsRefused(
            f"cannot be read: {error}",
            hint="give addresses, networks such as 192.0.2.0/24, ranges or host names",
        ) from error
    request = attrs.evolve(request, targets=found.targets.texts, exclude=exclude)
    return Admitted(
        request=request,
        targets=found.known,
        addresses=found.addresses,
        left_out=found.left_out,
    )


def unknown(what: str, given: str, known: Iterable[str]) -> str:
    """One sentence: what there is no such thing of, the nearest ones, and what there is."""
    names = sorted(known)
    listed = ", ".join(names[:NAMED]) if names else "none configured"
    if len(names) > NAMED:
        listed += f" and {len(names) - NAMED} more"
    return f"no {what} {given!r}{did_you_mean(given, names)}; known: {listed}"


def _check_words(request: ScanRequest) -> None:
    for what, text in (("name", request.name), ("description", request.description)):
        if imitates_marker(text):
            raise RequestError(
                f"the {what} contains '[ns:', which marks the scheduler's own scans",
                hint=f"choose a {what} without it",
                code="reserved_name",
            )


def _check_scanner(request: ScanRequest, config: Config) -> None:
    scanners = {scanner.id: scanner for scanner in config.scanners}
    named = request.scanner_instance
    if named is not None:
        if named not in scanners:
            raise UnknownScanner(unknown("scanner", named, scanners), hint="see list_scanners")
        pool = scanners[named].pool
        if request.pool != pool:
            raise RequestError(
                f"scanner {named!r} belongs to pool {pool!r}, not {request.pool!r}",
                hint="name the scanner or the pool, not both",
                code="scanner_and_pool",
            )
        return
    pools = {scanner.pool for scanner in config.scanners}
    if request.pool not in pools:
        raise RequestError(
            unknown("pool", request.pool, pools), hint="see list_scanners", code="unknown_pool"
        )


def _check_credentials(request: ScanRequest, config: Config) -> None:
    known = {credential.name: credential for credential in config.credentials}
    names = request.credentials
    if not names and request.kind in NEEDS_CREDENTIAL:
        raise RequestError(
            f"a {request.kind} scan needs a credential",
            hint=f"name one of: {', '.join(sorted(known)) or 'none configured'}",
            code="credential_needed",
        )
    if len(names) > MAX_CREDENTIALS:
        raise RequestError(
            f"{len(names)} credentials are too many for one scan: the limit is {MAX_CREDENTIALS}, "
            "because every one that fails is a failed login on each target",
            hint="submit several scans, each with the credentials for its targets",
            code="too_many_credentials",
        )
    for name in names:
        if name not in known:
            raise RequestError(
                unknown("credential", name, known),
                hint="see list_credentials; secrets are never given inline",
                code="unknown_credential",
            )
        if names.count(name) > 1:
            raise RequestError(
                f"credential {name!r} is named {names.count(name)} times",
                hint="name each credential once",
                code="repeated_credential",
            )
        if request.kind is ScanKind.PRIVILEGED:
            _check_privileged(known[name])


def _check_privileged(credential: Credential) -> None:
    if not (
        credential.privileged
        or credential.escalation is not None
        or credential.kind is CredentialKind.WINDOWS
    ):
        raise RequestError(
            f"credential {credential.name!r} has no escalation and is not marked privileged",
            hint="use submit_trusted_scan, or a credential with escalation",
            code="credential_not_privileged",
        )


def _check_audit(request: ScanRequest, config: Config) -> None:
    known = {audit.name for audit in config.audits}
    if request.kind is ScanKind.COMPLIANCE and request.audit is None:
        raise RequestError(
            "a compliance scan needs an audit",
            hint=f"name one of: {', '.join(sorted(known)) or 'none configured'}",
            code="audit_needed",
        )
    if request.audit is not None and request.audit not in known:
        raise RequestError(unknown("audit", request.audit, known), code="unknown_audit")


def _check_custom(request: ScanRequest) -> None:
    if request.kind is ScanKind.CUSTOM and (request.template is None) == (request.policy is None):
        raise RequestError(
            "a custom scan needs either a template or a policy, and not both",
            hint="see list_scan_templates",
            code="template_or_policy",
        )


def _check_deadline(request: ScanRequest, context: Context) -> None:
    if request.deadline is None:
        return
    try:
        deadline_of(request.deadline, context.config.calendar.time_zone, context.wall())
    except BadCalendar as error:
        raise RequestError(f"deadline: {error}", code="bad_deadline") from error


def _check_hours(request: ScanRequest, context: Context) -> None:
    if request.between is None:
        return
    try:
        check_rule(own_hours(request.between, context.config.calendar.time_zone), context.wall())
    except BadCalendar as error:
        raise RequestError(f"between: {error}", code="bad_hours") from error
