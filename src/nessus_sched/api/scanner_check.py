"""Trying a scanner out, step by step: for `scanners test` and `doctor`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import attrs

from nessus_sched.core.clock import Now
from nessus_sched.core.error_kinds import ErrorKind
from nessus_sched.core.faults import remedy
from nessus_sched.core.fields import field
from nessus_sched.core.scanner import MAY_SCAN, Scanner, ScannerError, ScannerInfo
from nessus_sched.core.text import pluralize
from nessus_sched.results.untrusted import clean_line

OLD_PLUGINS: Final = 14.0
"""Days after which a plugin set is called old: the vendor publishes one or more a day."""
CLOCKS_APART: Final = 60.0
"""Seconds by which clocks may differ unremarked."""
_DAY: Final = 86400.0

_CHECKS: Final = {
    ErrorKind.SCANNER_UNREACHABLE: "reach",
    ErrorKind.CERTIFICATE_MISMATCH: "certificate",
    ErrorKind.LOGIN_REFUSED: "login",
    ErrorKind.PERMISSION_DENIED: "rights",
    ErrorKind.LICENSE_LIMIT: "license",
    ErrorKind.LICENSE_EXPIRED: "license",
    ErrorKind.LICENSE_REFUSES_API: "license",
    ErrorKind.NO_PLUGINS: "plugins",
    ErrorKind.NO_TEMPLATES: "templates",
}
"""What has failed when an error of that kind is met."""


@attrs.frozen(kw_only=True)
class Step:
    """One thing that was looked at."""

    check: str = field("What was looked at.")
    status: str = field("ok, warning or failed.")
    message: str = field("What was found.")
    remedy: str | None = field("What to do about it.")


def ok(check: str, message: str) -> Step:
    return Step(check=check, status="ok", message=clean_line(message, 300), remedy=None)


def warning(check: str, message: str, remedy: str) -> Step:
    return Step(check=check, status="warning", message=clean_line(message, 300), remedy=remedy)


def failed(check: str, message: str, remedy: str) -> Step:
    return Step(check=check, status="failed", message=clean_line(message, 500), remedy=remedy)


async def probe(scanner: Scanner, now: Now, *, keys: bool) -> AsyncIterator[Step]:
    """Asks the scanner for all that a scan needs, changing nothing there; ends with the
    first answer that is a refusal. `keys`: it is driven with API keys."""
    try:
        info = await scanner.info()
        yield ok("reach", "reachable")
        if not info.ready:
            loaded = "" if info.loading_percent is None else f" ({info.loading_percent} %)"
            yield warning("ready", f"still loading its plugins{loaded}", "Wait some minutes.")
            return
        for step in _info_steps(info, now(), keys):
            yield step
        scans = await scanner.list_scans()
        ours = sum(scan.ours for scan in scans)
        yield _clock(scanner.clock_ahead)
        yield ok("login", f"logged in; scans: {len(scans)}, of them ours: {ours}")
        if info.scan_api is not False or not keys:
            yield _rights(await scanner.permissions())
        templates = await scanner.templates()
    except ScannerError as error:
        yield failed(_CHECKS.get(error.kind, "answer"), str(error), remedy(error.kind))
        return
    usable = sum(template.usable for template in templates)
    if usable:
        yield ok("templates", f"{usable} of {len(templates)} templates may be used")
    else:
        yield failed("templates", "no template may be used", "Check the scanner's license.")


def _info_steps(info: ScannerInfo, now: float, keys: bool) -> list[Step]:
    hosts = (
        "no host limit" if info.licensed_hosts is None else pluralize(info.licensed_hosts, "host")
    )
    steps = [ok("edition", f"{info.edition or 'unknown edition'} {info.version}, {hosts}")]
    steps.append(_license(info, keys))
    return [*steps, *_license_end(info, now), _plugins(info, now)]


def _clock(ahead: float | None) -> Step:
    if ahead is None:
        return ok("clock", "the scanner does not report its time, so it was not compared with ours")
    if abs(ahead) <= CLOCKS_APART:
        return ok("clock", f"the scanner's clock is within {CLOCKS_APART:.0f} s of ours")
    which = "ahead of" if ahead > 0 else "behind"
    return warning(
        "clock",
        f"the scanner's clock is {abs(ahead):.0f} s {which} ours: one of them is wrong",
        "Compare both with timedatectl, and keep them with NTP (timedatectl set-ntp true).",
    )


def _rights(permissions: int | None) -> Step:
    """Told from the role of the login: nothing is created for a test."""
    if permissions is None:
        return warning(
            "rights",
            "the scanner does not report what this login may do, so it is not known whether it "
            "may create scans",
            "Submit a quick scan of one address.",
        )
    if permissions < MAY_SCAN:
        return failed(
            "rights",
            f"this login may only read, not create scans (permissions {permissions})",
            f"Give the user the role Standard or higher on the scanner ({MAY_SCAN} or more).",
        )
    return ok("rights", f"this login may create scans (permissions {permissions})")


def _license(info: ScannerInfo, keys: bool) -> Step:
    if info.scan_api is not False:
        return ok("license", "scans may be created through the API")
    if keys:
        return failed(
            "license",
            "the license refuses scans that are created with API keys",
            "Use auth.ui_session (config init --force --login session), or a license with "
            "API access.",
        )
    return ok("license", "scans are created as in the web interface; API keys would not work")


def _license_end(info: ScannerInfo, now: float) -> list[Step]:
    if info.license_expires_at is None or info.license_expires_at - now > OLD_PLUGINS * _DAY:
        return []
    days = (info.license_expires_at - now) / _DAY
    if days < 0:
        return [failed("license", "the license has expired", "Renew it.")]
    return [warning("license", f"the license ends in {pluralize(round(days), 'day')}", "Renew it.")]


def _plugins(info: ScannerInfo, now: float) -> Step:
    if info.plugin_set_at is None:
        return warning(
            "plugins", "the scanner does not report the age of its plugins", "Check on the scanner."
        )
    days = (now - info.plugin_set_at) / _DAY
    if days > OLD_PLUGINS:
        advice = "Update them on the scanner (Settings, Software Update)."
        return warning("plugins", f"the plugin set is {days:.0f} days old", advice)
    return ok("plugins", f"the plugin set is {max(days, 0):.1f} days old")
