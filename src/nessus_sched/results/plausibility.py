"""Finds reasons to doubt that a scan saw everything it should have seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from nessus_sched.core.asked import Asked
from nessus_sched.core.text import pluralize
from nessus_sched.results.actual_settings import ActualSettings
from nessus_sched.results.logins.verdict import Credentialed, ScanVerdict
from nessus_sched.results.parser.problems import ParseReport
from nessus_sched.results.presence import is_many
from nessus_sched.results.proof import proof
from nessus_sched.results.scan_warnings import ScanWarning
from nessus_sched.results.scaninfo import ScanInfo
from nessus_sched.results.untrusted import clean_line

_DAY: Final = 86400.0
_NAMED: Final = 10
"""Absent targets named in a warning; the rest are counted."""
_OLD: Final = 30
"""Days after which a plugin set counts as old."""


@attrs.frozen(kw_only=True)
class ScanFacts:
    """Facts about a scan that are not in its report; none by default.

    `now` (epoch seconds) determines the age of the plugin set; without it the day of the scan
    does. `asked` are the settings sent to the scanner. `requested` are the targets as single
    addresses or names, networks or ranges. `credential`: one was given; `no_login`: none was
    wanted. `used_up` is the number of licensed hosts if the license is used up. `ended_early` is
    why the scan did not run to completion, or None. `edited`: someone changed its targets on the
    scanner. `in_parts`: it was several scans.
    """

    now: float | None = None
    asked: Asked | None = None
    requested: Sequence[str] = ()
    credential: bool = False
    no_login: bool = False
    used_up: int | None = None
    ended_early: str | None = None
    edited: bool = False
    in_parts: bool = False


@attrs.frozen(kw_only=True)
class Observed:
    """Counts from a report. `alive` hosts answered, `unfinished` ones have no end, and
    `unscanned_ports` ones were scanned without a port scanner. `unknown_severity` and
    `without_texts` count findings; `filtered`: content of every complete report is missing.
    `plugin_sets` and `scanner_versions` are those that the hosts were scanned with."""

    hosts: int
    alive: int
    unfinished: int
    unscanned_ports: int
    unknown_severity: int
    without_texts: int
    filtered: bool
    info: ScanInfo
    ran: ActualSettings
    verdict: ScanVerdict
    absent: Sequence[str]
    plugin_sets: Sequence[str] = ()
    scanner_versions: Sequence[str] = ()


def find_warnings(report: ParseReport, seen: Observed, facts: ScanFacts) -> tuple[ScanWarning, ...]:
    """All warnings about a scan, most serious first."""
    return (
        *_early(seen, facts),
        *_edited(facts),
        *_reading(report, seen),
        *_coverage(seen, whole=report.complete and not facts.ended_early),
        *(() if facts.ended_early else _ending(seen)),
        *_license(seen, facts),
        *proof(facts.asked, seen.ran, unscanned=seen.unscanned_ports),
        *_login(seen, facts),
        *_plugins(seen, facts),
        *_differences(seen),
    )


def _early(seen: Observed, facts: ScanFacts) -> Iterator[ScanWarning]:
    if facts.ended_early is None:
        return
    done, hosts = seen.alive - seen.unfinished, pluralize(seen.alive, "host")
    why = clean_line(facts.ended_early, 300)
    yield ScanWarning(
        code="ended_early",
        message=f"Some targets have no results: {why}. Hosts scanned to the end: {done} of "
        f"{seen.alive}."
        if facts.in_parts
        else f"The scan ended early: {why}. It finished {done} of the {hosts} that it had begun.",
        advice="Anything not listed may simply not have been tested: scan these targets again.",
    )


def _edited(facts: ScanFacts) -> Iterator[ScanWarning]:
    if facts.edited:
        yield ScanWarning(
            code="targets_edited",
            message="Someone edited the targets of this scan on the scanner; every host in its "
            "report is one that was requested.",
            advice="Absent does not mean clean: check that each requested target is listed.",
        )


def _reading(report: ParseReport, seen: Observed) -> Iterator[ScanWarning]:
    if not report.complete:
        yield ScanWarning(
            code="report_incomplete",
            message="The report could not be read completely; findings may be missing.",
            advice="Export the scan again; problems lists the places.",
        )
    if seen.unknown_severity:
        yield ScanWarning(
            code="severity_unknown",
            message=f"{pluralize(seen.unknown_severity, 'finding')} without a readable severity; "
            "they may be serious.",
            advice="List them with the filter severity=unknown.",
        )
    if seen.filtered:
        yield ScanWarning(
            code="report_filtered",
            message="The report has neither informational findings nor scan information (plugin "
            "19506): it was exported with a filter, or very few plugins ran.",
            advice="It is unknown what the filter hid; export the complete scan.",
        )
    if seen.without_texts:
        yield ScanWarning(
            code="plugin_texts_missing",
            message=f"{pluralize(seen.without_texts, 'finding')} without the plugin's texts; their "
            "scores, CVE ids and known exploits are not known.",
            advice="Zero known exploits are not an all-clear here; export with all plugin details.",
        )


def _coverage(seen: Observed, *, whole: bool) -> Iterator[ScanWarning]:
    if seen.alive == 0:
        yield ScanWarning(
            code="no_hosts_alive",
            message="No host answered, which says nothing about the targets' security.",
            advice="Check targets, routes and firewalls, or scan without pinging first.",
        )
    if seen.absent:
        named = ", ".join(clean_line(target, 80) for target in seen.absent[:_NAMED])
        more = len(seen.absent) - _NAMED
        yield ScanWarning(
            code="targets_absent",
            message=f"Not in the report: {pluralize(len(seen.absent), 'target')}: {named}"
            + (f" and {more} more" if more > 0 else ""),
            advice="Absent does not mean clean: they were down, filtered, excluded or not resolved."
            if whole
            else "Nothing is known about them, because the report or the scan is incomplete.",
        )


def _ending(seen: Observed) -> Iterator[ScanWarning]:
    if seen.unfinished:
        yield ScanWarning(
            code="stopped_early",
            message=f"The scan did not finish {pluralize(seen.unfinished, 'host')}.",
            advice="Results are partial; run the scan again.",
        )


def _license(seen: Observed, facts: ScanFacts) -> Iterator[ScanWarning]:
    """Warns that hosts beyond the license are skipped without an error, unless every target
    was reported. For a network this cannot be determined."""
    if facts.used_up is not None and (seen.absent or any(map(is_many, facts.requested))):
        yield ScanWarning(
            code="license_limit",
            message=f"The scanner's license, for {pluralize(facts.used_up, 'host')}, is used up; "
            "it skips hosts that it has not scanned before.",
            advice="Scan on a scanner whose license has room, or let old hosts expire there.",
        )


def _login(seen: Observed, facts: ScanFacts) -> Iterator[ScanWarning]:
    if not facts.credential or seen.alive == 0:
        return
    if seen.verdict.credentialed in (Credentialed.NO, Credentialed.NOT_TRIED):
        yield ScanWarning(
            code="credential_without_effect",
            message="A credential was given, but no host shows a login.",
            advice="See the verdict; missing patches and local problems were not found.",
        )
    elif seen.verdict.credentialed is Credentialed.PARTLY:
        yield ScanWarning(
            code="credential_partly_effective",
            message="The credential did not give a full login on every host.",
            advice="See the verdicts of the hosts.",
        )


def _differences(seen: Observed) -> Iterator[ScanWarning]:
    """Of the scans of a task, which may have run on several scanners, or days apart."""
    for code, what, found in (
        ("plugin_sets_differ", "plugin sets", seen.plugin_sets),
        ("scanner_versions_differ", "scanner versions", seen.scanner_versions),
    ):
        if len(found) > 1:
            yield ScanWarning(
                code=code,
                message=f"The hosts were scanned with different {what}: {', '.join(found)}.",
                advice="What was found on one host may not have been checked on another.",
            )


def _plugins(seen: Observed, facts: ScanFacts) -> Iterator[ScanWarning]:
    for remark in seen.info.remarks:
        yield ScanWarning(
            code="scanner_warning",
            message=f"The scanner warns: {remark}",
            advice="The results may be incomplete.",
        )
    made, scanned = seen.info.plugin_set_at, facts.now or seen.info.scanned_at
    days = 0.0 if made is None or scanned is None else (scanned - made) / _DAY
    if days > _OLD:
        yield ScanWarning(
            code="plugin_set_old",
            message=f"The plugins were {int(days)} days old.",
            advice="Newer vulnerabilities were not checked; update the scanner's plugins.",
        )
