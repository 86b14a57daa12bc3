"""What a verification of fixes answers: its scans, and what became of each finding."""

from __future__ import annotations

from collections import Counter
from typing import Final

import attrs

from nessus_sched.api.answers import MAX_TARGETS, iso
from nessus_sched.api.app import App
from nessus_sched.api.errors import as_tool_errors
from nessus_sched.api.untrusted import FINDINGS
from nessus_sched.core.fields import field
from nessus_sched.core.targets.targets import parse_targets
from nessus_sched.core.task import ScanRequest, Task, ToVerify
from nessus_sched.core.text import pluralize
from nessus_sched.results.identity import plain_name
from nessus_sched.results.ledger.questions import Shown
from nessus_sched.results.ledger.selection import Selected, Selection
from nessus_sched.results.ledger.verifying import Result, Verdict, finding_of, verdict
from nessus_sched.results.untrusted import clean_line

MOST: Final = 500
"""Findings that one call may verify."""
_LISTED: Final = 50


@attrs.frozen(kw_only=True)
class VerifyScan:
    task_id: str | None = field("Null for a dry run.")
    status: str = field("State of the task.")
    targets: list[str] = field("The first 20 hosts.")
    plugin_ids: list[int] = field("The only checks, plus what they depend on.")
    ports: str | None = field("Null: as usual.")
    credentials: list[str] = field("How it logs in.")


@attrs.frozen(kw_only=True)
class VerifyRow:
    host: str = field("The host.")
    plugin_id: int = field("The check.")
    plugin_name: str | None = field("Its title.")
    port: int = field("0: the host itself.")
    protocol: str = field("tcp, udp ...")
    result: Result = field("Outcome.")
    text: str = field("The outcome in words, for a ticket.")
    at: str | None = field("Time of the deciding scan.")


@attrs.frozen(kw_only=True)
class VerifyAnswer:
    scans: list[VerifyScan] = field("One per login and settings.")
    counts: dict[str, int] = field("Findings by result.")
    findings: list[VerifyRow] = field("The first 50.")
    notes: list[str] = field("Limits.")
    next: str = field("What to do now.")
    untrusted: str = field("How to treat the texts.")


def scan_row(task_id: str | None, status: str, request: ScanRequest) -> VerifyScan:
    plugins = request.verify.plugin_ids if request.verify is not None else ()
    return VerifyScan(
        task_id=task_id,
        status=status,
        targets=list(request.targets[:MAX_TARGETS]),
        plugin_ids=sorted(plugins),
        ports=request.settings.get("portscan_range"),
        credentials=list(request.credentials),
    )


async def finding_rows(app: App, task: Task) -> list[VerifyRow]:
    verify = task.request.verify
    if verify is None:
        return []
    hosts = parse_targets(sorted({each.host for each in verify.findings}))
    wanted = Selection(
        ranges=hosts.ranges,
        names=tuple(map(plain_name, hosts.names)),
        plugins=tuple(sorted(verify.plugin_ids)),
        shown=Shown.ALL,
    )
    with as_tool_errors():
        found = await app.ledger.selected(wanted, app.now())
    known = {finding_of(each.entry): each for each in found}
    entered = not app.ledger.waiting
    rows = []
    for finding in verify.findings:
        each = known.get(finding)
        entry = None if each is None else each.entry
        rows.append(finding_row(finding, each, verdict(entry, task, entered=entered, when=iso)))
    return rows


def finding_row(finding: ToVerify, found: Selected | None, what: Verdict) -> VerifyRow:
    name = None if found is None else (found.entry.check or found.entry.name)
    return VerifyRow(
        host=clean_line(finding.host, 255),
        plugin_id=finding.plugin_id,
        plugin_name=clean_line(name, 200) if name else None,
        port=finding.port,
        protocol=finding.protocol,
        result=what.result,
        text=clean_line(what.text, 400),
        at=iso(what.at),
    )


def verify_answer(
    scans: list[VerifyScan], rows: list[VerifyRow], notes: list[str], *, dry_run: bool
) -> VerifyAnswer:
    counts = Counter(row.result.value for row in rows)
    if dry_run:
        following = "Nothing was submitted; call again without dry_run."
    elif counts[Result.PENDING]:
        following = "wait_for_scan waits; then call verify_fix with the task_id."
    else:
        following = "Done. What is not verified is not known to be fixed."
    worst = sorted(rows, key=lambda row: row.result is Result.FIXED)
    if len(rows) > _LISTED:
        notes = [*notes, f"{pluralize(len(rows) - _LISTED, 'finding')} not listed."]
    return VerifyAnswer(
        scans=scans,
        counts=dict(counts),
        findings=worst[:_LISTED],
        notes=notes,
        next=following,
        untrusted=FINDINGS,
    )
