"""What each scanner last offered for custom scans: templates and policies by name."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from nessus_sched.config.schema import Config
from nessus_sched.core.error_kinds import ErrorKind
from nessus_sched.core.scanner import Scanner, ScannerError
from nessus_sched.core.targets.targets import printable
from nessus_sched.core.task import ScanKind, ScanRequest
from nessus_sched.core.text import did_you_mean
from nessus_sched.scheduler.errors import RequestError

NAMED = 20
"""Names that a refusal lists."""


@attrs.frozen(kw_only=True)
class Offers:
    """`templates` maps each name to whether the license allows it."""

    templates: Mapping[str, bool]
    policies: frozenset[str]


async def read_offers(scanner: Scanner) -> Offers | None:
    """None if the scanner does not answer; the next poll shows what is wrong."""
    try:
        templates = {each.name: each.usable for each in await scanner.templates()}
        return Offers(templates=templates, policies=frozenset(await scanner.policies()))
    except ScannerError:
        return None


def check_offered(request: ScanRequest, config: Config, offers: Mapping[str, Offers]) -> None:
    """Raises `RequestError` when scanners that could run the request have said what they
    offer, and none has its template or policy. Before any has answered, nothing is known."""
    if request.kind is not ScanKind.CUSTOM:
        return
    named = request.scanner_instance
    said = [
        offers[scanner.id]
        for scanner in config.scanners
        if scanner.id in offers
        and (scanner.pool == request.pool if named is None else scanner.id == named)
    ]
    if request.policy is not None and said:
        _check("policy", request.policy, {name for each in said for name in each.policies})
    templates = [each.templates for each in said if each.templates]
    if request.template is not None and templates:
        _check("template", request.template, {name for each in templates for name in each})
        if not any(each.get(request.template) for each in templates):
            raise RequestError(
                f"no license of these scanners allows the template {request.template!r}",
                hint="list_scan_templates shows which are usable",
                code=ErrorKind.TEMPLATE_NOT_LICENSED,
            )


def _check(what: str, wanted: str, offered: set[str]) -> None:
    if wanted in offered:
        return
    names = sorted(map(printable, offered))
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    listed = ", ".join(names[:NAMED]) or "none"
    raise RequestError(
        f"no scanner that could run it has the {what} {printable(wanted)!r}"
        f"{did_you_mean(wanted, names)}; there are: {listed}{more}",
        hint="see list_scan_templates. For a policy or template made just now: scanners are asked "
        "every polling.info, or at once by `nessus-sched scanners retry`",
        code=f"unknown_{what}",
    )
