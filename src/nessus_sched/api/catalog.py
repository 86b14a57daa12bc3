"""What can be named in a submission: templates, credentials and audits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from nessus_sched.api.answers import iso
from nessus_sched.api.app import App
from nessus_sched.api.errors import as_tool_errors, check_scanner
from nessus_sched.api.operations import Call, ToolDef, ToolError, tool
from nessus_sched.api.scanners import NoArgs
from nessus_sched.api.untrusted import NAMES
from nessus_sched.core.fields import field
from nessus_sched.core.scanner import ScannerError
from nessus_sched.results.ledger.logins import LoginRun
from nessus_sched.results.untrusted import clean_line

SHOWN_LOGINS: Final = 5
"""Latest scans of each credential."""


@attrs.frozen(kw_only=True)
class TemplatesArgs:
    scanner_instance: str | None = field(
        "Ask this scanner; left out: the first that answers.", default=None, max_length=64
    )


@attrs.frozen(kw_only=True)
class TemplateRow:
    name: str = field("Name for submit_custom_scan.")
    title: str = field("For people.")
    usable: bool = field("False: the license does not allow it.")


@attrs.frozen(kw_only=True)
class TemplatesAnswer:
    scanner_instance: str = field("Scanner that was asked.")
    templates: list[TemplateRow] = field("Its templates.")
    untrusted: str = field("How to treat the texts.")


@attrs.frozen(kw_only=True)
class LoginRow:
    at: str | None = field("When.")
    task_id: str = field("The scan.")
    hosts: int = field("Hosts that answered.")
    full: int = field("Logged in fully.")
    partial: int = field("Logged in, but not privileged enough or not everywhere.")
    failed: int = field("Logins failed.")
    others: list[str] = field("Other credentials of the scan; the figures cover all of them.")


@attrs.frozen(kw_only=True)
class CredentialRow:
    name: str = field("Name for a submission.")
    kind: str = field("ssh_password, ssh_key, windows or snmpv3.")
    escalation: str | None = field("How it becomes privileged, if it does.")
    privileged: bool = field("Good for submit_privileged_scan.")
    logins: list[LoginRow] = field("How logins went in its latest scans, latest first.")


@attrs.frozen(kw_only=True)
class AuditRow:
    name: str = field("Name for submit_compliance_scan.")
    category: str = field("Such as Unix or Windows.")
    description: str = field("What it checks.")


@attrs.frozen(kw_only=True)
class ProfileRow:
    name: str = field("Name for a submission.")
    default_for: list[str] = field("Kinds of scan that use it unless told otherwise.")
    description: str = field("What it is for.")
    settings: dict[str, str] = field("The Nessus settings that it sets.")


@attrs.frozen(kw_only=True)
class CredentialsAnswer:
    credentials: list[CredentialRow] = field("Configured credentials, without secrets.")
    audits: list[AuditRow] = field("Configured audits.")
    scan_profiles: list[ProfileRow] = field("Configured scan profiles.")


@tool(writes=False)
async def list_scan_templates(app: App, call: Call, args: TemplatesArgs) -> TemplatesAnswer:
    """The scan templates that a scanner offers, for submit_custom_scan."""
    names: Sequence[str] = list(app.queries.scanner_ids)
    check_scanner(app, args.scanner_instance)
    if args.scanner_instance is not None:
        names = [args.scanner_instance]
    trouble = "no scanner is configured"
    for name in names:
        try:
            templates = await app.queries.connection(name).scanner.templates()
        except ScannerError as error:
            trouble = f"{name}: {error}"
            continue
        rows = [
            TemplateRow(
                name=clean_line(each.name, 100), title=clean_line(each.title), usable=each.usable
            )
            for each in templates
        ]
        return TemplatesAnswer(scanner_instance=name, templates=rows, untrusted=NAMES)
    raise ToolError("scanner_unavailable", clean_line(trouble, 500), "See list_scanners.")


@tool(writes=False)
async def list_credentials(app: App, call: Call, args: NoArgs) -> CredentialsAnswer:
    """The configured credentials (and how their latest logins went), audits and scan profiles.
    Secrets are never shown and never given: submissions use the names."""
    logins: dict[str, list[LoginRow]] = {}
    if not app.scopes_of(call.peer):  # a limited role would see figures of others' hosts
        with as_tool_errors():
            for each in app.config.credentials:
                found = await app.ledger.logins(each.name, SHOWN_LOGINS)
                logins[each.name] = [_login_row(run) for run in found]
    return CredentialsAnswer(
        credentials=[
            CredentialRow(
                name=each.name,
                kind=each.kind,
                escalation=each.escalation.method if each.escalation else None,
                privileged=each.privileged or each.escalation is not None,
                logins=logins.get(each.name, []),
            )
            for each in app.config.credentials
        ],
        audits=[
            AuditRow(
                name=each.name,
                category=each.category if each.file else "",
                description=each.description,
            )
            for each in app.config.audits
        ],
        scan_profiles=[
            ProfileRow(
                name=each.name,
                default_for=[str(kind) for kind in each.default_for],
                description=each.description,
                settings={**each.words(), **each.settings},
            )
            for each in app.config.scan_profiles
        ],
    )


def _login_row(run: LoginRun) -> LoginRow:
    return LoginRow(
        at=iso(run.at),
        task_id=run.task_id,
        hosts=run.hosts,
        full=run.full,
        partial=run.partial,
        failed=run.failed,
        others=list(run.others),
    )


NAME_TOOLS: tuple[ToolDef, ...] = (list_scan_templates, list_credentials)
