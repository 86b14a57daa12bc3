"""Checks of what a scanner reports about itself, before anything is scanned."""

from __future__ import annotations

from typing import Final

from nessus_sched.certify.rows import Result, Table
from nessus_sched.certify.scans import Subject
from nessus_sched.core.scanner import MAY_SCAN, ScannerInfo
from nessus_sched.core.text import pluralize

CLOCKS_APART: Final = 60.0
"""Seconds."""
TEMPLATES: Final = {
    "discovery": "quick",
    "basic": "basic and trusted",
    "advanced": "privileged and custom",
    "compliance": "compliance",
}
"""The kinds of scan that need each template."""
_READ: Final = "See the message."


async def log_in(subject: Subject, table: Table) -> ScannerInfo:
    """Logs in. Raises `CheckEnded` if the scanner refuses."""
    scanner = subject.scanner
    with table.check("login", "Nothing can be checked without it."):
        info = await scanner.info()
        if not info.ready:
            table.fail("login", f"the scanner {info.not_ready}", "Wait until it is ready.")
        await scanner.list_scans()
    edition = f"{info.edition or 'an unknown edition'} {info.version}".strip()
    table.holds("login", f"logged in to {edition}")
    return info


async def check_scanner(subject: Subject, info: ScannerInfo, table: Table) -> float | None:
    """The other checks that change nothing; returns the seconds after which an idle session
    expires. Raises `CheckEnded` if no scan can be created."""
    _clock(subject.scanner.clock_ahead, table)
    idle = await _session(subject, table)
    _license(info, subject.keys, table)
    await _rights(subject, table)
    await _templates(subject, table)
    return idle


def _license(info: ScannerInfo, keys: bool, table: Table) -> None:
    limit = (
        f"up to {pluralize(info.licensed_hosts, 'host')}"
        if info.licensed_hosts
        else "no host limit"
    )
    if info.scan_api is not False:
        table.holds("license", f"scans can be created through the API; {limit}")
    elif keys:
        table.fail(
            "license",
            f"scans cannot be created with API keys; {limit}",
            "Use auth.ui_session, or a license with API access.",
        )
    else:
        table.holds("license", f"scans are created as in the web interface; {limit}")


def _clock(ahead: float | None, table: Table) -> None:
    if ahead is None:
        table.note("clock", Result.UNTESTED, "the scanner does not report its time")
    elif abs(ahead) <= CLOCKS_APART:
        table.holds("clock", f"within {CLOCKS_APART:.0f} s of ours")
    else:
        table.note(
            "clock",
            Result.DIFFERS,
            f"{abs(ahead) / 60:.0f} min {'ahead of' if ahead > 0 else 'behind'} ours",
            "The dates in its results are off by that much. Synchronize both clocks with NTP.",
        )


async def _session(subject: Subject, table: Table) -> float | None:
    with table.check("session", _READ):
        seconds = await subject.scanner.idle_timeout()
    if seconds is None:
        table.note("session", Result.UNTESTED, "the scanner does not report its idle timeout")
    else:
        table.holds("session", f"an idle session expires after {seconds / 60:.0f} min")
    return seconds


async def _rights(subject: Subject, table: Table) -> None:
    with table.check("rights", _READ):
        permissions = await subject.scanner.permissions()
    if permissions is None:
        table.note("rights", Result.UNTESTED, "the scanner does not report the login's permissions")
    elif permissions < MAY_SCAN:
        table.fail(
            "rights",
            f"the login may only read (permissions {permissions})",
            "Give its user the role Standard or higher on the scanner.",
        )
    else:
        table.holds("rights", f"the login may create scans (permissions {permissions})")


async def _templates(subject: Subject, table: Table) -> None:
    with table.check("templates", "No scan can be created without a template."):
        usable = {each.name for each in await subject.scanner.templates() if each.usable}
    lacking = [name for name in TEMPLATES if name not in usable]
    if not usable:
        table.fail("templates", "no template is available", "Check the scanner's license.")
    if lacking:
        kinds = ", ".join(TEMPLATES[name] for name in lacking)
        table.note(
            "templates",
            Result.DIFFERS,
            f"not available: {', '.join(lacking)}",
            f"These kinds of scan are not possible here: {kinds}.",
        )
    else:
        table.holds("templates", f"available: {', '.join(TEMPLATES)}")
