"""The text of README.txt in a pack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

_TEXT: Final = """\
EVIDENCE OF VULNERABILITY SCANNING

Period:  from {since}
         until {until} (not included)
Scope:   {scope}
Made by: nessus-sched {version}

Times are in UTC. Created again from the same store, with the same versions of nessus-sched, Python
and zlib, the pack is the same file, byte for byte, unless retention has deleted something since, or
an older report about the period was imported. Other scans after the period do not affect it. It was
created when all scans that began in the period had ended.

HOW TO CHECK IT

    python3 verify.py evidence.zip       (or, unzipped, in this directory: python3 verify.py)
    nessus-sched report verify evidence.zip

This needs only Python 3.8 or later. It checks every file, recomputes the hash chain of the journal,
compares each scan with the journal, and counts rows. There is no signature: anyone who can create a
pack can also create a false one that passes the check. So store the SHA-256 of the file, which the
check prints, where those who run the scanners cannot change it.

The running store can be checked against the pack:

    nessus-sched journal verify --expect {head}

This proves that the store still has the history that the pack is from, as long as its journal has
not been deleted up to that row (retention.journal).

FILES

scans.csv        Each scan that ended in the period, or began in it and ended later: what was
                 requested, by whom, which scanners with which set of plugins, when, how it ended,
                 how many of the requested addresses answered, were silent or were not reached, and
                 on how many hosts the login was full, partial or failed. "source" says where this
                 comes from: "journal" if the hash chain proves it; "task" for scans of older
                 releases, or "deleted" if those are gone; "ledger" for scans whose end is not in
                 the journal: only their time, hosts and logins are known. "findings" does not
                 include compliance checks; "checks_failed" counts those that did not pass.
scans.jsonl      The same in full, as JSON.
unreached.csv    The addresses of each scan that were not reached, and why; at most 20 ranges each.
logins.csv       How many hosts each login of a scan worked on, by the name of the credential.
open.csv         Findings that were open at the end of the period, as scans before it showed them.
                 "first_task_id" is the scan that first saw the finding, "exception" is the kind of
                 the exception that counted, and "exception_id" is its row in exceptions.csv.
                 "unverified" is the reason why the latest scans could not tell. Informational
                 findings are left out. Rows with "compliance_check_name" are compliance checks that
                 did not pass; the manifest counts them as "open_checks", not by severity.
fixed.csv        Findings that were fixed in the period and stayed fixed. "task_id" is the scan that
                 would have shown the finding and did not.
new.csv          Findings that were first seen in the period, or came back in it.
exceptions.csv   Exceptions that were in force at the end of the period, or ended in it: why, who
                 proposed and approved them, until when, and how many open findings they cover.
schedules.jsonl  Schedules: when they fire, what they request, how often they fired in the period,
                 and which firings did not submit a scan.
journal.jsonl    The journal of the period: every row, with its hash. A row's hash is the SHA-256
                 of the previous hash, its number, the digest of the task, and the content (see
                 chain_hash in verify.py).
manifest.json    Scope, period, counts, and the SHA-256 of each file.
verify.py        The check.

WHAT IS MISSING

{missing}
"""
COMPLETE: Final = "Nothing is known to be missing."


def readme(
    *, period: Mapping[str, str], scope: str, version: str, head: str, missing: Sequence[str]
) -> str:
    lines = "\n".join(f"- {each}" for each in missing) or COMPLETE
    return _TEXT.format(**period, scope=scope, version=version, head=head, missing=lines)


def scope_text(scope: Mapping[str, Any]) -> str:
    """In words."""
    if not scope:
        return "everything"
    parts = []
    for name, value in scope.items():
        parts.append(f"{name}: {', '.join(value) if isinstance(value, list) else value}")
    return "; ".join(parts)
