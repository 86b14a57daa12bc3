"""A report for people: one HTML file that needs no network and runs no script."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any, Final

from nessus_sched.results.catalog import Value
from nessus_sched.results.model import UNKNOWN_SEVERITY
from nessus_sched.results.untrusted import clean

Row = Mapping[str, Value]

_COLORS: Final = {
    "critical": "#7b1fa2",
    "high": "#c62828",
    "medium": "#e65100",
    "low": "#9e7d00",
    "info": "#1565c0",
    "unknown": "#555",
}
_MOST_ROWS: Final = 5000
_TEXT: Final = 1000
_STYLE: Final = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; }
td { border-top: 1px solid #8884; overflow-wrap: anywhere; }
td.host { min-width: 12em; overflow-wrap: break-word; }
.badge { border-radius: .3rem; color: #fff; padding: .05rem .5rem; white-space: nowrap; }
.warning { border-left: .3rem solid #e65100; margin: .5rem 0; padding: .2rem .8rem; }
details pre { white-space: pre-wrap; overflow-wrap: anywhere; }
svg text { fill: currentColor; }
"""


def html_report(
    title: str,
    summary: Mapping[str, Any],
    rows: Iterable[Row],
    shown: Mapping[str, Any] | None = None,
) -> Iterator[str]:
    """The pieces of a page: the document of `results.summary`, then a table of findings
    (full rows, most serious first if sorted so, at most 5000). `shown` has `total` and
    `severity_counts` of the rows if they are not all: then they head the page."""
    yield _head(title)
    yield _overview(summary, shown)
    yield _warnings(summary)
    yield _hosts(summary)
    yield "<h2>Findings</h2><table><thead><tr>"
    yield "".join(f"<th>{name}</th>" for name in ("Severity", "Host", "Finding", "Scores"))
    yield "</tr></thead><tbody>"
    for number, row in enumerate(rows):
        if number == _MOST_ROWS:
            yield f'<tr><td colspan="4">Only the first {_MOST_ROWS} findings are shown.</td></tr>'
            break
        yield _finding(row)
    yield "</tbody></table></body></html>\n"


def text(value: object) -> str:
    """Any value as harmless HTML text, cut to 1000 characters."""
    return escape(clean("" if value is None else str(value), _TEXT), quote=True)


def severity_chart(counts: Mapping[str, int]) -> str:
    """Bars by severity as inline SVG, with the numbers as text. Findings of unknown severity
    get a bar if there are any."""
    bars = [
        (name, counts.get(name, 0))
        for name in _COLORS
        if name != UNKNOWN_SEVERITY or counts.get(name)
    ]
    most = max((count for _, count in bars), default=0) or 1
    label = ", ".join(f"{count} {name}" for name, count in bars)
    box = f'viewBox="0 0 640 {30 * len(bars)}" width="640"'
    pieces = [f'<svg role="img" aria-label="{text(label)}" {box}>']
    for place, (name, count) in enumerate(bars):
        y = place * 30
        width = max(round(count / most * 460), 2 if count else 0)
        pieces.append(
            f'<text x="0" y="{y + 19}" font-size="14">{name}</text>'
            f'<rect x="80" y="{y + 4}" width="{width}" height="20" fill="{_COLORS[name]}"/>'
            f'<text x="{width + 88}" y="{y + 19}" font-size="14">{count}</text>'
        )
    return "".join([*pieces, "</svg>"])


def _head(title: str) -> str:
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{text(title)}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{text(title)}</h1>"
    )


def _overview(summary: Mapping[str, Any], shown: Mapping[str, Any] | None) -> str:
    verdict = summary["verdict"]
    counts = ", ".join(
        f"{count} {word.replace('_', ' ')}" for word, count in verdict["counts"].items() if count
    )
    scan = summary["scan"]
    filtered = "" if shown is None else f"{shown['total']} findings that match the filters, of "
    period = " to ".join(filter(None, (scan.get("started"), scan.get("ended"))))
    return (
        f"<p>{filtered}{summary['findings']} findings on {summary['hosts']} hosts. "
        f"{f'Scanned {text(period)}. ' if period else ''}"
        f"Policy {text(scan['policy']) or 'unknown'}, plugin set "
        f"{text(scan['plugin_set']) or 'unknown'}.</p>"
        f"{severity_chart((shown or summary)['severity_counts'])}"
        f"<p>Logged in: <strong>{text(verdict['credentialed'])}</strong> ({text(counts)})</p>"
    )


def _warnings(summary: Mapping[str, Any]) -> str:
    said = [
        f'<p class="warning">{text(each["message"])} {text(each["advice"])}</p>'
        for each in summary["warnings"]
    ]
    said += [
        f'<p class="warning">Line {each["line"]}, column {each["column"]}: '
        f"{text(each['message'])}</p>"
        for each in summary["problems"]
    ]
    more = sum(summary["problem_counts"].values()) - len(summary["problems"])
    if more > 0:
        said.append(f'<p class="warning">{more} more problems are not listed.</p>')
    return "".join(said)


def _hosts(summary: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{text(host['host'])}</td><td>{text(host['login'])}</td>"
        f"<td>{text(host['privilege'])}</td><td>{_evidence(host)}</td></tr>"
        for host in summary["host_verdicts"]
    )
    left_out = summary["host_verdicts_left_out"]
    more = f"<p>{left_out} more hosts are not listed.</p>" if left_out else ""
    return (
        "<h2>Logins</h2><table><thead><tr><th>Host</th><th>Login</th><th>Privilege</th>"
        f"<th>Evidence</th></tr></thead><tbody>{rows}</tbody></table>{more}"
    )


def _evidence(host: Mapping[str, Any]) -> str:
    signs = (
        f"{text(sign['source'])}: {text(sign['says'])} {text(sign['where'])}"
        for sign in host["evidence"]
    )
    return "<br>".join(signs)


def _finding(row: Row) -> str:
    name = str(row.get("severity"))
    color = _COLORS.get(name, _COLORS[UNKNOWN_SEVERITY])
    port = f":{row['port']}/{row.get('protocol')}" if row.get("port") else ""
    cve = row.get("cve")
    details = "".join(
        f"<details><summary>{title}</summary><pre>{text(row.get(field))}</pre></details>"
        for title, field in (("Solution", "solution"), ("Output", "plugin_output"))
        if row.get(field)
    )
    return (
        f'<tr><td><span class="badge" style="background:{color}">{text(name)}</span></td>'
        f'<td class="host">{text(row.get("host"))}{text(port)}</td>'
        f"<td>{text(row.get('plugin_name'))} <small>({text(row.get('plugin_id'))})</small>"
        f"<br>{text(row.get('synopsis'))}{details}</td>"
        f"<td>{_scores(row)}<br>{text(', '.join(cve) if isinstance(cve, tuple) else '')}</td></tr>"
    )


def _scores(row: Row) -> str:
    said = [
        f"{label} {text(row.get(field))}"
        for label, field in (("CVSS", "cvss_score"), ("VPR", "vpr_score"), ("EPSS", "epss_score"))
        if row.get(field) is not None
    ]
    if row.get("cisa_kev"):
        said.append("<strong>known exploited</strong>")
    if row.get("exploited_by_malware"):
        said.append("<strong>exploited by malware</strong>")
    elif not row.get("cisa_kev") and row.get("exploit_available"):
        said.append("exploit available")
    return "<br>".join(said)
