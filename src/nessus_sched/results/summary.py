"""Summarizes a scan while its report is read; the size does not depend on the report's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, Final

from nessus_sched.core.asked import SentLogin
from nessus_sched.core.seal import without_mark
from nessus_sched.results.actual_settings import ActualSettings, read_actual_settings
from nessus_sched.results.evidence import HostEvidence
from nessus_sched.results.hosts import HostRecord, Hosts, finished
from nessus_sched.results.logins.used import login_document, tally
from nessus_sched.results.logins.verdict import NOT_TRIED, HostVerdict, ScanVerdict, judge
from nessus_sched.results.model import (
    SEVERITIES,
    UNKNOWN_SEVERITY,
    Finding,
    HostEnd,
    HostReport,
    plain,
    severity_name,
)
from nessus_sched.results.parser.problems import ParseReport, Problem
from nessus_sched.results.parser.reader import Event, parse
from nessus_sched.results.plausibility import Observed, ScanFacts, find_warnings
from nessus_sched.results.presence import ScannedHosts, addresses_in
from nessus_sched.results.rankings import (
    HostCounts,
    PluginCounts,
    exploitable,
    exploited_by_malware,
    known_exploited,
)
from nessus_sched.results.scaninfo import PLUGIN as SCAN_INFORMATION
from nessus_sched.results.scaninfo import ScanInfo, Varieties, read_scan_info
from nessus_sched.results.untrusted import clean, clean_line

_TOP: Final = 10
_FAMILIES: Final = 15
_PROBLEMS: Final = 20
_MOST_FAMILIES: Final = 1000
HOST_VERDICTS: Final = 25
"""Hosts whose verdict a summary gives in full, most urgent first."""


def summarize(stream: BinaryIO, facts: ScanFacts | None = None) -> dict[str, Any]:
    """The summary of a report in a file."""
    builder = SummaryBuilder()
    return builder.finish(parse(stream, builder.add), facts or ScanFacts())


class SummaryBuilder:
    """Builds the summary from a parser's events: a dict of JSON-compatible values with `hosts`,
    `findings`, `severity_counts`, `compliance_counts` (compliance checks by result; `compliance` is
    its old name), `verdict`, `host_verdicts`, `problems`, `warnings` and more (see `finish`).
    `findings` counts everything in the report, checks included; `severity_counts`, `top_findings`
    and `top_hosts` are without them. All texts are sanitized. `left_out` counts the entries that
    its lists do not show."""

    def __init__(self) -> None:
        self._severities: Counter[str] = Counter()
        self._compliance: Counter[str] = Counter()
        self._information = False
        self._families: Counter[str] = Counter()
        self._plugins = PluginCounts()
        self._worst_hosts = HostCounts(_TOP)
        self._seen = ScannedHosts()
        self._hosts = Hosts()
        self._info: ScanInfo | None = None
        self._plugin_sets = Varieties()
        self._versions = Varieties()
        self._without_texts = 0
        self._started: str | None = None
        self._ended: str | None = None
        self._reset()

    def add(self, event: Event) -> None:
        if isinstance(event, Finding):
            self._add_finding(event)
        elif isinstance(event, HostEnd):
            self._end_host(event)
        else:
            self._begin_host(event)

    def finish(self, report: ParseReport, facts: ScanFacts) -> dict[str, Any]:
        """The document; call after reading the report. `facts` are used only for warnings.

        The expected targets are those in `facts`, or else those named in the report.
        """
        hosts = self._hosts
        verdict = hosts.verdict(no_login=facts.no_login)
        info = self._info or ScanInfo()
        ran = read_actual_settings(report, info)
        sent = facts.asked.logins if facts.asked is not None else ()
        requested = facts.requested or _targets(report.requested)
        observed = Observed(
            hosts=hosts.total,
            alive=hosts.total - hosts.dead,
            unfinished=hosts.unfinished,
            unscanned_ports=hosts.unscanned,
            info=info,
            ran=ran,
            verdict=verdict,
            unknown_severity=self._severities[UNKNOWN_SEVERITY],
            without_texts=self._without_texts,
            filtered=self._info is None and bool(report.findings) and not self._information,
            absent=self._seen.absent(requested),
            plugin_sets=self._plugin_sets.found,
            scanner_versions=self._versions.found,
        )
        spelled_out = hosts.urgent(HOST_VERDICTS)
        top_findings, top_hosts = self._plugins.top(_TOP), self._worst_hosts.top()
        return {
            "hosts": report.hosts,
            "findings": report.findings,
            "severity_counts": self._severity_counts(),
            "compliance_counts": dict(sorted(self._compliance.items())),
            "compliance": dict(sorted(self._compliance.items())),
            "verdict": self._verdict_document(verdict, observed, sent),
            "host_verdicts": [
                _host_document(host, sent, no_login=facts.no_login) for host in spelled_out
            ],
            "host_verdicts_left_out": hosts.total - len(spelled_out),
            "problems": [_problem_document(each) for each in report.problems[:_PROBLEMS]],
            "problem_counts": dict(report.problem_counts),
            "warnings": [doubt.document() for doubt in find_warnings(report, observed, facts)],
            "complete": report.complete and facts.ended_early is None,
            "hosts_finished": hosts.total - hosts.dead - hosts.unfinished,
            "top_findings": top_findings,
            "known_exploited": self._plugins.chosen(known_exploited, _TOP),
            "exploited_by_malware": self._plugins.chosen(exploited_by_malware, _TOP),
            "exploitable": self._plugins.chosen(exploitable, _TOP),
            "top_hosts": top_hosts,
            "families": {
                clean_line(name, 80): count for name, count in self._families.most_common(_FAMILIES)
            },
            "left_out": self._left_out(len(top_findings), len(top_hosts)),
            "scan": {
                **_scan_document(report, info, ran),
                **self._times(info),
                "addresses": addresses_in(requested),
                "answered": observed.alive,
            },
        }

    def _times(self, info: ScanInfo) -> dict[str, str]:
        started = self._started or clean_line(info.lines.get("scan start date", ""), 40)
        return {"started": started, "ended": self._ended or ""}

    # -- counting

    def _reset(self) -> None:
        self._evidence = HostEvidence()
        self._host_severities: Counter[str] = Counter()
        self._host_info: ScanInfo | None = None

    def _begin_host(self, host: HostReport) -> None:
        earlier = self._hosts.record(host.index)
        self._plugins.begin_host(() if earlier is None else earlier.plugins)

    def _add_finding(self, finding: Finding) -> None:
        severity = severity_name(finding.severity)
        self._information = self._information or severity == SEVERITIES[0]
        self._count_family(finding.plugin.plugin_family or "")
        if finding.compliance is not None:
            self._compliance[clean_line(finding.compliance.result or "UNKNOWN", 20)] += 1
        else:
            self._severities[severity] += 1
            self._host_severities[severity] += 1
            self._without_texts += bool(finding.severity and finding.plugin.bare)
            self._plugins.add(finding)
        self._evidence.add_finding(finding)
        if finding.plugin.plugin_id == SCAN_INFORMATION and finding.output_text:
            self._host_info = read_scan_info(finding.output_text)
            self._info = self._info or self._host_info
            self._plugin_sets.add(self._host_info.plugin_set)
            self._versions.add(self._host_info.scanner_version)

    def _count_family(self, family: str) -> None:
        if family in self._families or len(self._families) < _MOST_FAMILIES:
            self._families[family] += 1

    def _end_host(self, end: HostEnd) -> None:
        host, info = end.host, self._host_info
        self._seen.add(host)
        self._started = min(filter(None, (self._started, host.local_start)), default=None)
        self._ended = max(filter(None, (self._ended, host.local_end)), default=None)
        self._evidence.add_host(host)
        verdict = judge(clean_line(host.name), self._evidence)
        record = HostRecord(
            login=verdict.login,
            privilege=verdict.privilege,
            alive=verdict.alive,
            advice=verdict.advice,
            finished=finished(host),
            unscanned=info is not None and info.no_port_scanner,
            severities=self._host_severities,
            plugins=self._plugins.end_host(),
            logins=verdict.logins,
        )
        known = self._hosts.add(host.index, verdict, record)
        self._worst_hosts.add(host, known.severities)
        self._reset()

    # -- documents

    def _left_out(self, plugins: int, hosts: int) -> dict[str, int]:
        """The number of entries that the lists do not show."""
        more = {
            "top_findings": self._plugins.serious() - plugins,
            "top_hosts": self._hosts.serious - hosts,
            "families": len(self._families) - _FAMILIES,
        }
        return {name: count for name, count in more.items() if count > 0}

    def _severity_counts(self) -> dict[str, int]:
        counts = {name: self._severities[name] for name in reversed(SEVERITIES)}
        if unknown := self._severities[UNKNOWN_SEVERITY]:
            counts[UNKNOWN_SEVERITY] = unknown
        return counts

    def _verdict_document(
        self, verdict: ScanVerdict, seen: Observed, sent: Sequence[SentLogin]
    ) -> dict[str, Any]:
        document: dict[str, Any] = plain(verdict)
        document["counts"] |= {"not_alive": self._hosts.dead, "absent": len(seen.absent)}
        document["logins"] = tally(self._hosts.logins, sent)
        document["absent"] = [clean_line(target, 80) for target in seen.absent[:_TOP]]
        return document


def _scan_document(report: ParseReport, info: ScanInfo, ran: ActualSettings) -> dict[str, Any]:
    return {
        "name": clean_line(without_mark(report.report_name or info.scan_name or "")),
        "policy": clean_line(report.policy_name or info.policy or ""),
        "type": clean_line(info.scan_type or ""),
        "scanner_version": clean_line(info.scanner_version or "", 80),
        "plugin_set": clean_line(info.plugin_set or "", 40),
        "port_range": clean_line(ran.port_range or "", 80),
        "ping": ran.ping,
        "port_scanners": [word for word, on in ran.port_scanners.items() if on],
    }


def empty_reason(summary: Mapping[str, Any]) -> str | None:
    """Why a report has nothing usable, or None if it has."""
    if summary["hosts"] or summary["findings"] or summary["complete"]:
        return None
    said = [f"line {each['line']}: {each['message']}" for each in summary["problems"]]
    return f"nothing could be read: {'; '.join(said)}"


def _targets(text: str | None) -> Sequence[str]:
    """The targets of a report's policy, separated by commas or line breaks."""
    return [word for word in (text or "").replace(",", "\n").split() if word]


def _host_document(
    verdict: HostVerdict, sent: Sequence[SentLogin], *, no_login: bool
) -> dict[str, Any]:
    return {
        "host": verdict.host,
        "login": verdict.login.value,
        "privilege": verdict.privilege.value,
        "alive": verdict.alive,
        "logins": [login_document(login, sent) for login in verdict.logins],
        "reasons": list(verdict.reasons),
        "evidence": [
            {"source": sign.source, "says": sign.says, "where": sign.where, "detail": sign.detail}
            for sign in verdict.evidence
        ],
        "evidence_left_out": verdict.evidence_left_out,
        "advice": None if no_login and verdict.login in NOT_TRIED else verdict.advice,
    }


def _problem_document(problem: Problem) -> dict[str, Any]:
    return {
        "kind": problem.kind.value,
        "message": clean(problem.message, 300, lines=False),
        "line": problem.line,
        "column": problem.column,
        "saved": problem.saved,
    }
