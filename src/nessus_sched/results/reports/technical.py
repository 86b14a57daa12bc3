"""The technical report: everything in one report of a scan, each finding once with its hosts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

import attrs

from nessus_sched.core.coverage import counts_text
from nessus_sched.results.audits import checks_text
from nessus_sched.results.catalog import Value
from nessus_sched.results.logins.used import logins_text
from nessus_sched.results.model import SEVERITIES, UNKNOWN_SEVERITY
from nessus_sched.results.reports import charts
from nessus_sched.results.untrusted import clean, clean_line

Row = Mapping[str, Value]

KIND: Final = "technical"
FIELDS: Final = (
    "host", "port", "protocol", "severity", "plugin_id", "plugin_name", "compliance_check_name",
    "compliance_result", "synopsis", "solution", "plugin_output", "cve", "cvss_score", "vpr_score",
    "epss_score", "cisa_kev", "exploited_by_malware", "exploit_available",
)  # fmt: skip
"""Of the rows that a page needs."""
MOST_ROWS: Final = 5000
MOST_HOSTS: Final = 60
"""Places that are named for one finding."""
_FEW_HOSTS: Final = 4
MOST_PORTS: Final = 20
_LINES: Final = 6
_OUTPUT: Final = 400
_CVES: Final = 8
_MOST_TARGETS: Final = 200
_SIGNS: Final = 2


def document(
    title: str,
    summary: Mapping[str, Any],
    rows: Iterable[Row],
    shown: Mapping[str, Any] | None = None,
    coverage: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What the template shows: the document of `results.summary`, then findings (most serious
    first if sorted so, at most 5000). `shown` has `total` and `severity_counts` of the rows if they
    are not all: then they head the page. `coverage` has `counts` of the targets and `rows` for
    those without an answer."""
    scan, verdict = summary["scan"], summary["verdict"]
    counts = (shown or summary)["severity_counts"]
    found = _Rows(rows)
    groups = list(_groups(found))
    return {
        "title": title,
        "summary": summary,
        "shown": shown,
        "scanned": " to ".join(filter(None, (scan.get("started"), scan.get("ended")))),
        "checks": checks_text(summary.get("compliance_counts")) if shown is None else None,
        "chart": charts.bars(
            (name, counts.get(name, 0), "")
            for name in (*reversed(SEVERITIES), UNKNOWN_SEVERITY)
            if name != UNKNOWN_SEVERITY or counts.get(name)
        ),
        "logins": ", ".join(
            f"{count} {word.replace('_', ' ')}"
            for word, count in verdict["counts"].items()
            if count
        ),
        "used": logins_text(verdict),
        "verdicts": list(_verdicts(summary["host_verdicts"])),
        "problems_left_out": sum(summary["problem_counts"].values()) - len(summary["problems"]),
        "coverage": None if coverage is None else _coverage(coverage),
        "groups": [group for group in groups if group["severity"] != SEVERITIES[0]],
        "information": [group for group in groups if group["severity"] == SEVERITIES[0]],
        "cut": found.cut,
        "limit": MOST_ROWS,
        "total": summary["findings"] if shown is None else shown["total"],
    }


@attrs.define
class _Rows:
    """The first rows; `cut` tells afterwards whether there were more."""

    rows: Iterable[Row]
    cut: bool = False

    def __iter__(self) -> Iterator[Row]:
        for place, row in enumerate(self.rows):
            if place == MOST_ROWS:
                self.cut = True
                return
            yield row


def _groups(rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """Findings that follow each other and are of one check."""
    for _, several in groupby(rows, _check):
        yield _group(list(several))


def _check(row: Row) -> tuple[Value, ...]:
    names = ("severity", "plugin_id", "plugin_name", "compliance_check_name", "compliance_result")
    return tuple(row.get(name) for name in names)


def _group(rows: Sequence[Row]) -> dict[str, Any]:
    first = rows[0]
    cves = list(dict.fromkeys(cve for row in rows for cve in _list(row.get("cve"))))
    serious = first.get("severity") != SEVERITIES[0]
    hosts = len({row.get("host") for row in rows})
    distinct = dict.fromkeys((_port(row), _host(row)) for row in rows)
    most = MOST_HOSTS if serious or hosts <= _FEW_HOSTS else 0
    places = _by_port(list(distinct)[:most])
    return {
        "severity": first.get("severity"),
        "plugin_id": first.get("plugin_id"),
        "name": first.get("compliance_check_name") or first.get("plugin_name") or "",
        "result": first.get("compliance_result"),
        "synopsis": first.get("synopsis"),
        "solution": first.get("solution"),
        "scores": ", ".join(_scores(first)),
        "exploited": _exploited(first),
        "cves": cves[:_CVES],
        "cves_left_out": max(len(cves) - _CVES, 0),
        "findings": len(rows),
        "hosts": hosts,
        "places": places,
        "ports": ", ".join(list(dict.fromkeys(port for port, _ in distinct if port))[:MOST_PORTS]),
        "places_left_out": len(distinct) - sum(len(each["hosts"]) for each in places),
        "output": _output(rows),
    }


def _by_port(places: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    found: dict[str, list[str]] = {}
    for port, host in places:
        found.setdefault(port, []).append(host)
    return [{"port": port, "hosts": hosts} for port, hosts in found.items()]


def _list(value: Value) -> Sequence[str]:
    return value if isinstance(value, tuple | list) else ()


def _host(row: Row) -> str:
    return clean_line(str(row.get("host") or ""), 80)


def _port(row: Row) -> str:
    return f"{row['port']}/{row.get('protocol') or ''}" if row.get("port") else ""


def _scores(row: Row) -> Iterator[str]:
    for label, name in (("CVSS", "cvss_score"), ("VPR", "vpr_score"), ("EPSS", "epss_score")):
        if row.get(name) is not None:
            yield f"{label} {row[name]}"


def _exploited(row: Row) -> str | None:
    if row.get("cisa_kev"):
        return "known to be exploited"
    if row.get("exploited_by_malware"):
        return "exploited by malware"
    return "exploit available" if row.get("exploit_available") else None


def _output(rows: Sequence[Row]) -> dict[str, Any] | None:
    """The first output, where it was seen, and on how many others it was the same or differed."""
    texts = [(text, _host(row)) for row in rows if (text := str(row.get("plugin_output") or ""))]
    if not texts:
        return None
    same = sum(text == texts[0][0] for text, _ in texts) - 1
    return {
        "text": _short(texts[0][0]), "host": texts[0][1], "same": same,
        "others": len(texts) - 1 - same,
    }  # fmt: skip


def _short(output: str) -> str:
    lines = [line.rstrip() for line in clean(output, 4 * _OUTPUT).splitlines() if line.strip()]
    text = "\n".join(lines[:_LINES])
    return clean(text + ("\n…" if len(lines) > _LINES else ""), _OUTPUT)


def _verdicts(hosts: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Hosts whose logins went alike, for the same reasons."""
    groups: dict[tuple[str, str, str, str], list[str]] = {}
    for host in hosts:
        signs = [
            f"{sign['source']}: {sign['says']} {sign['where'] or ''}".strip()
            for sign in host["evidence"]
        ]
        why = "; ".join([*host["reasons"], *signs][:_SIGNS])
        key = (host["login"], host["privilege"], why, host["advice"] or "")
        groups.setdefault(key, []).append(host["host"])
    for (login, privilege, why, advice), names in groups.items():
        yield {
            "login": login, "privilege": privilege, "why": why, "advice": advice, "hosts": names,
        }  # fmt: skip


def _coverage(coverage: Mapping[str, Any]) -> dict[str, Any]:
    rows = coverage["rows"]
    return {
        "text": counts_text(coverage["counts"]),
        "rows": [
            {**row, "status": str(row["status"]).replace("_", " ")} for row in rows[:_MOST_TARGETS]
        ],
        "left_out": max(len(rows) - _MOST_TARGETS, 0),
    }
