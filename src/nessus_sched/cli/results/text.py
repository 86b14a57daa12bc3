"""Results for people: summaries, tables and records of findings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import click

from nessus_sched.cli.formatting import counts, coverage_text
from nessus_sched.cli.output import print_fields, print_line, print_note, print_table
from nessus_sched.core.exceptions.rule import ExceptionKind
from nessus_sched.core.text import pluralize
from nessus_sched.results.audits import checks_text
from nessus_sched.results.logins.used import logins_text
from nessus_sched.results.model import SEVERITIES, UNKNOWN_SEVERITY
from nessus_sched.results.untrusted import clean, clean_line

TABLE_FIELDS: Final = (
    "severity", "host", "port", "protocol", "plugin_id", "plugin_name", "cvss_score", "cve",
    "exploit_available", "cisa_kev", "compliance_check_name", "compliance_result",
    "compliance_actual_value", "compliance_policy_value",
)  # fmt: skip
"""Fields of a table unless others are asked for."""
TABLE_OF_TASKS: Final = (*TABLE_FIELDS, "state", "exception", "effective_severity", "first_seen")
"""Those of tasks, of which the ledger knows more."""
_USUAL: Final = (list(TABLE_FIELDS), list(TABLE_OF_TASKS))
_RECORDS: Final = frozenset({"brief", "full"})
"""Profiles with texts that are too long for a table."""
_CVES: Final = 3
_VALUE: Final = 30
"""Characters of a value of a check in a table."""
_HOSTS: Final = 10
"""Hosts that are named when a comparison finds them in one report only."""


def cleaned(value: Any) -> Any:
    """The value with all its texts sanitized for display."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {key: cleaned(inner) for key, inner in value.items()}
    return [cleaned(inner) for inner in value] if isinstance(value, list | tuple) else value


def show_summary(title: str, summary: Mapping[str, Any]) -> None:
    verdict = summary["verdict"]
    print_fields(
        [
            ("report", title),
            ("scan", summary["scan"]["name"]),
            ("scanned", _period(summary["scan"])),
            ("policy", summary["scan"]["policy"]),
            ("plugin set", summary["scan"]["plugin_set"]),
            ("hosts", summary["hosts"]),
            ("answered", _answered(summary["scan"])),
            ("coverage", coverage_text(summary.get("coverage"))),
            ("findings", _findings(summary)),
            ("compliance", checks_text(summary.get("compliance_counts"))),
            ("logged in", f"{verdict['credentialed']} ({_pairs(verdict['counts'])})"),
            ("logins", logins_text(verdict)),
            ("complete", summary["complete"]),
        ]
    )
    for warning in summary["warnings"]:
        print_note(f"warning: {warning['message']} {warning['advice']}")
    show_problems(summary)
    _show_worst(summary)
    _show_hosts(summary)


def _findings(summary: Mapping[str, Any]) -> str:
    count = summary["findings"] - sum(summary.get("compliance_counts", {}).values())
    return f"{count} ({counts(summary['severity_counts'])})"


def _period(scan: Mapping[str, Any]) -> str:
    """On the scanner's clock; summaries stored by older versions lack it."""
    return " to ".join(filter(None, (scan.get("started"), scan.get("ended"))))


def _answered(scan: Mapping[str, Any]) -> str | None:
    if not scan.get("addresses"):
        return None
    return f"{scan['answered']} of {scan['addresses']} addresses"


def show_problems(summary: Mapping[str, Any]) -> None:
    """Problems of the document: where they are, and what could be recovered."""
    more = sum(summary.get("problem_counts", {}).values()) - len(summary["problems"])
    for problem in summary["problems"]:
        saved = f" ({problem['saved']})" if problem["saved"] else ""
        print_note(
            f"line {problem['line']}, column {problem['column']}: {problem['message']}{saved}"
        )
    if more > 0:
        print_note(f"{pluralize(more, 'more problem')} not listed")


def _pairs(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in numbers.items()
                     if number)  # fmt: skip


def _show_worst(summary: Mapping[str, Any]) -> None:
    if summary["top_findings"]:
        print_line()
        print_table(
            ("severity", "plugin", "name", "score", "hosts", "cve", "remark"),
            [
                (
                    each["severity"],
                    each["plugin_id"],
                    each["plugin_name"],
                    each["cvss_score"],
                    each["hosts"],
                    _few(each["cve"], each.get("cve_left_out", 0)),
                    _exploited(
                        each["known_exploited"], each["exploited_by_malware"], each["exploitable"]
                    ),
                )
                for each in summary["top_findings"]
            ],
            title="Worst findings",
        )
        _more(summary, "top_findings", "more plugin", "--group-by plugin")
    if summary["top_hosts"]:
        print_line()
        ranked = (*reversed(SEVERITIES[1:]), UNKNOWN_SEVERITY)
        severities = [name for name in ranked if any(name in each for each in summary["top_hosts"])]
        rows = [
            (each["host"], *(each.get(name, 0) for name in severities))
            for each in summary["top_hosts"]
        ]
        print_table(("host", *severities), rows, title="Worst hosts")
        _more(summary, "top_hosts", "more host", "--group-by host")


def _more(summary: Mapping[str, Any], name: str, thing: str, options: str) -> None:
    """How many more there are than the table shows, and where; older summaries do not know."""
    if count := summary.get("left_out", {}).get(name):
        print_note(f"{pluralize(count, thing)}: nessus-sched results show FILE|TASK {options}")


def _show_hosts(summary: Mapping[str, Any]) -> None:
    if not any(map(_is_telling, summary["host_verdicts"])):
        return
    print_line()
    print_table(
        ("host", "login", "privilege", "why", "what to do"),
        [
            (each["host"], each["login"], each["privilege"], _why(each), each["advice"])
            for each in summary["host_verdicts"]
        ],
        title="Logins",
    )
    if summary["host_verdicts_left_out"]:
        more = pluralize(summary["host_verdicts_left_out"], "more host")
        print_note(
            f"{more}: nessus-sched results show FILE|TASK --group-by host "
            "(--filter host_login=failed for those with failed logins)"
        )


def _is_telling(verdict: Mapping[str, Any]) -> bool:
    """False for a host that a scan without logins has no more to say about."""
    return verdict["advice"] is not None or verdict["login"] not in ("not_provided", "none")


def _why(verdict: Mapping[str, Any]) -> str:
    signs = [
        f"{sign['source']}: {sign['says']} {sign['where'] or ''}".rstrip()
        for sign in verdict["evidence"]
    ]
    return "; ".join([*verdict["reasons"], *signs][:2])


def show_findings(page: Mapping[str, Any], query: Mapping[str, Any]) -> None:
    """A table, or one record after the other if there are long texts."""
    rows = page["findings"]
    if "group_by" in query:
        _groups(rows)
        groups = page["groups_total"]
        said = f"{len(rows)} of " if len(rows) < groups else ""
        print_note(f"{said}{pluralize(groups, 'group')} ({counted(page)})")
        _notes(page)
        return
    if query.get("profile") in _RECORDS:
        for row in rows:
            _record(row)
    elif query.get("fields") in _USUAL and "profile" not in query:
        _usual_table(rows)
    elif rows:
        names = list(dict.fromkeys(name for row in rows for name in row))
        print_table(names, [[_shown(row.get(name)) for name in names] for row in rows])
    said = f"{len(rows)} of " if len(rows) < page["total"] else ""
    print_note(f"{said}{pluralize(page['total'], 'finding')} ({counted(page)})")
    _notes(page)


def counted(page: Mapping[str, Any]) -> str:
    """Findings by severity, and compliance checks by result."""
    checks = checks_text(page["compliance_counts"])
    if checks is None:
        return counts(page["severity_counts"])
    found = f"{counts(page['severity_counts'])}; " if page["severity_counts"] else ""
    return f"{found}checks: {checks}"


def _notes(page: Mapping[str, Any]) -> None:
    for each in page["notes"]:
        if "cursor" not in each:  # which is shown below in other words
            print_note(clean(each))
    if page["next_cursor"]:
        print_note("more: --all, a larger --page-size, or narrow it with --filter")


def _groups(rows: Sequence[Mapping[str, Any]]) -> None:
    """Solutions as records, because they are long; plugins and hosts as a table."""
    texts: dict[str, Callable[[Any], Any]] = {
        "severities": counts,
        "compliance_counts": checks_text,
        "where": _few,
        "logins": ", ".join,
        "login_reasons": "; ".join,
    }
    shown = [
        {name: texts[name](value) if name in texts else value for name, value in row.items()}
        for row in rows
    ]
    if any("solution" in row and "plugin_id" not in row for row in rows):
        for row in shown:
            _record(row)
        return
    left_out = {"solution", "severities"}
    names = list(dict.fromkeys(name for row in shown for name in row if name not in left_out))
    if names:
        print_table(names, [[_shown(row.get(name)) for name in names] for row in shown])


def _usual_table(rows: Sequence[Mapping[str, Any]]) -> None:
    several = any("task_id" in row for row in rows)
    known = any(row.get("state") for row in rows)
    print_table(
        (*(("task",) if several else ()),
         "severity", "host", "port", "plugin", "name", "score", "cve",
         *(("state", "first seen") if known else ()), "remark"),
        [
            (
                *((row["task_id"],) if several else ()),
                row["severity"],
                row["host"],
                f"{row['port']}/{row['protocol']}" if row["port"] else None,
                row["plugin_id"],
                row.get("compliance_check_name") or row["plugin_name"],
                row["cvss_score"],
                _few(row["cve"]),
                *((row["state"], (row["first_seen"] or "")[:10]) if known else ()),
                _remark(row),
            )
            for row in rows
        ],
    )  # fmt: skip


def _remark(row: Mapping[str, Any]) -> str | None:
    exception = row.get("exception")
    if exception == ExceptionKind.SEVERITY:
        exception = f"{row['effective_severity']} by exception"
    found = _result(row) or _exploited(
        row["cisa_kev"], row.get("exploited_by_malware"), row["exploit_available"]
    )
    return "; ".join(filter(None, (exception and exception.replace("_", " "), found))) or None


def _result(row: Mapping[str, Any]) -> str | None:
    """`FAILED: 3, expected 5 or more`."""
    result = row.get("compliance_result")
    if result in (None, "PASSED"):
        return result
    actual, wanted = (
        clean_line(str(row.get(name) or ""), _VALUE)
        for name in ("compliance_actual_value", "compliance_policy_value")
    )
    expected = f", expected {wanted}" if wanted else ""
    return f"{result}: {actual or 'nothing found'}{expected}" if actual or wanted else result


def _record(row: Mapping[str, Any]) -> None:
    for name, value in row.items():
        if value in (None, "", []):
            continue
        text = str(_shown(" ".join(map(str, value)) if isinstance(value, list) else value))
        if "\n" in text.strip() or len(text) > 100:
            click.echo(f"{name}:")
            for each in text.strip().splitlines():
                click.echo(f"    {each}")
        else:
            click.echo(f"{name}: {text.strip()}")
    click.echo()


def _shown(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value


def _few(names: Sequence[str], left_out: int = 0) -> str | None:
    more = len(names) - _CVES + left_out
    return " ".join(names[:_CVES]) + (f" +{more}" if more > 0 else "") or None


def _exploited(known: object, malware: object, possible: object) -> str | None:
    if known:
        return "known exploited"
    if malware:
        return "exploited by malware"
    return "exploit available" if possible else None


def show_comparison(found: Mapping[str, Any], change: str, query: Mapping[str, Any]) -> None:
    totals = found["counts"]
    severities = totals["severities"]
    checks = totals["compliance_counts"]
    names = tuple(reversed(SEVERITIES))
    print_table(
        ("change", "findings", *names, *(("checks",) if checks else ())),
        [
            (
                each,
                sum(by.values()),
                *(by.get(name, 0) for name in names),
                *((checks_text(checks.get(each)),) if checks else ()),
            )
            for each, by in severities.items()
        ],
    )
    for what, key in (("only before", "hosts_gone"), ("only after", "hosts_added")):
        if totals[f"{key}_total"]:
            shown = totals[key][:_HOSTS]
            more = totals[f"{key}_total"] - len(shown)
            rest = f" and {more} more (see --json)" if more else ""
            said = clean(" ".join(shown))
            print_note(f"{pluralize(totals[f'{key}_total'], 'host')} {what}: {said}{rest}")
    for each in totals["notes"]:
        print_note(each)
    print_line()
    print_line(f"{change}:")
    show_findings(found["page"], query)
