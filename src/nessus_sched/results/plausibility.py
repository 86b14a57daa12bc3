"""All reasons to doubt that a scan saw what it should have seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from nessus_sched.core.asked import Asked
from nessus_sched.core.text import number
from nessus_sched.results.doubt import Doubt
from nessus_sched.results.parser.problems import ParseReport
from nessus_sched.results.presence import is_many
from nessus_sched.results.proof import proof
from nessus_sched.results.ran import Ran
from nessus_sched.results.scaninfo import ScanInfo
from nessus_sched.results.untrusted import clean_line
from nessus_sched.results.verdict import Credentialed, ScanVerdict

_DAY: Final = 86400.0
_NAMED: Final = 10
"""Absent targets named in a warning; the rest is counted."""
_OLD: Final = 30
"""Days after which a plugin set is old."""


@attrs.frozen(kw_only=True)
class ScanFacts:
    """What is known of a scan from elsewhere than its report; nothing by default.

    `now` is epoch seconds, for the age of the plugin set; without it, that is what it was on
    the day of the scan. `asked` is what was sent to the scanner. `requested` are the targets as
    single addresses or names, networks or ranges. `credential` says that one was given.
    `used_up` is how many hosts the scanner's license is for, when it has no room for more.
    `ended_early` is why the scan was not run to its end, None when it was.
    """

    now: float | None = None
    asked: Asked | None = None
    requested: Sequence[str] = ()
    credential: bool = False
    used_up: int | None = None
    ended_early: str | None = None


@attrs.frozen(kw_only=True)
class Observed:
    """What was counted in a report. `alive` are hosts that answered, `unfinished` those
    without an end; `unscanned_ports` those scanned without a port scanner.
    `unknown_severity` and `without_texts` count findings; `filtered` says that what every whole
    report has is missing."""

    hosts: int
    alive: int
    unfinished: int
    unscanned_ports: int
    unknown_severity: int
    without_texts: int
    filtered: bool
    info: ScanInfo
    ran: Ran
    verdict: ScanVerdict
    absent: Sequence[str]


def doubts(report: ParseReport, seen: Observed, facts: ScanFacts) -> tuple[Doubt, ...]:
    """All that is doubtful about a scan, most serious first."""
    return (
        *_early(seen, facts),
        *_reading(report, seen),
        *_coverage(seen, whole=report.complete and not facts.ended_early),
        *(() if facts.ended_early else _ending(seen)),
        *_license(seen, facts),
        *proof(facts.asked, seen.ran, unscanned=seen.unscanned_ports),
        *_login(seen, facts),
        *_plugins(seen, facts),
    )


def _early(seen: Observed, facts: ScanFacts) -> Iterator[Doubt]:
    if facts.ended_early is None:
        return
    done = seen.alive - seen.unfinished
    yield Doubt(
        code="ended_early",
        message=f"The scan ended early: {clean_line(facts.ended_early, 300)}. Of {seen.alive} "
        f"host(s) that it had begun, {done} were finished.",
        advice="What is not listed was not necessarily looked for: scan these targets again.",
    )


def _reading(report: ParseReport, seen: Observed) -> Iterator[Doubt]:
    if not report.complete:
        yield Doubt(
            code="report_incomplete",
            message="The report could not be read as a whole; findings can be missing.",
            advice="Export the scan again; see problems for the places.",
        )
    if seen.unknown_severity:
        yield Doubt(
            code="severity_unknown",
            message=f"{number(seen.unknown_severity, 'finding')} without a readable severity; "
            "they may be serious.",
            advice="List them with the filter severity=unknown.",
        )
    if seen.filtered:
        yield Doubt(
            code="report_filtered",
            message="The report has neither informational findings nor scan information (plugin "
            "19506): it was exported with a filter, or very few plugins ran.",
            advice="What the filter hid is not known; export the whole scan.",
        )
    if seen.without_texts:
        yield Doubt(
            code="plugin_texts_missing",
            message=f"{number(seen.without_texts, 'finding')} without the plugin's texts; their "
            "scores, CVE ids and known exploits are not known.",
            advice="No known exploit is no all-clear here; export with all plugin details.",
        )


def _coverage(seen: Observed, *, whole: bool) -> Iterator[Doubt]:
    if seen.alive == 0:
        yield Doubt(
            code="no_hosts_alive",
            message="No host answered; this says nothing about the targets' security.",
            advice="Check targets, routes and firewalls, or scan without pinging first.",
        )
    if seen.absent:
        named = ", ".join(clean_line(target, 80) for target in seen.absent[:_NAMED])
        more = len(seen.absent) - _NAMED
        yield Doubt(
            code="targets_absent",
            message=f"{len(seen.absent)} target(s) are not in the report: {named}"
            + (f" and {more} more" if more > 0 else ""),
            advice="Absent is not clean: they were down, filtered, excluded or not resolved."
            if whole
            else "Nothing is known of them, as the report or the scan is not whole.",
        )


def _ending(seen: Observed) -> Iterator[Doubt]:
    if seen.unfinished:
        yield Doubt(
            code="stopped_early",
            message=f"The scan did not run to its end; {seen.unfinished} host(s) have no end.",
            advice="Results are partial; run the scan again.",
        )


def _license(seen: Observed, facts: ScanFacts) -> Iterator[Doubt]:
    """Hosts beyond the license are skipped without an error. Of a network nobody can tell
    whether that happened; where every target was reported it did not."""
    if facts.used_up is not None and (seen.absent or any(map(is_many, facts.requested))):
        yield Doubt(
            code="license_limit",
            message=f"The scanner's license, for {facts.used_up} hosts, is used up; it skips "
            "hosts that it has not scanned before.",
            advice="Scan on a scanner whose license has room, or let old hosts expire there.",
        )


def _login(seen: Observed, facts: ScanFacts) -> Iterator[Doubt]:
    if not facts.credential or seen.alive == 0:
        return
    if seen.verdict.credentialed in (Credentialed.NO, Credentialed.NOT_TRIED):
        yield Doubt(
            code="credential_without_effect",
            message="A credential was given and no login is shown on any host.",
            advice="See the verdict; missing patches and local problems went unseen.",
        )
    elif seen.verdict.credentialed is Credentialed.PARTLY:
        yield Doubt(
            code="credential_partly_effective",
            message="The credential did not give a full login on every host.",
            advice="See the verdicts of the hosts.",
        )


def _plugins(seen: Observed, facts: ScanFacts) -> Iterator[Doubt]:
    for remark in seen.info.remarks:
        yield Doubt(
            code="scanner_warning",
            message=f"The scanner warns: {remark}",
            advice="The results may be incomplete.",
        )
    made, scanned = seen.info.plugin_set_at, facts.now or seen.info.scanned_at
    days = 0.0 if made is None or scanned is None else (scanned - made) / _DAY
    if days > _OLD:
        yield Doubt(
            code="plugin_set_old",
            message=f"The plugins were {int(days)} days old.",
            advice="Newer weaknesses were not looked for; update the scanner's plugins.",
        )
