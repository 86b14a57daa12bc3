"""`nessus-sched findings`: what is open now, across all scans."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from nessus_sched.cli.completion import candidates
from nessus_sched.cli.daemon_or_store import daemon_or_store
from nessus_sched.cli.formatting import counts, parse_time
from nessus_sched.cli.options import listing_options, one_of
from nessus_sched.cli.output import print_json, print_note, print_table
from nessus_sched.core.text import pluralize
from nessus_sched.results.audits import checks_text
from nessus_sched.results.ledger.states import State
from nessus_sched.results.model import SEVERITIES, UNKNOWN_SEVERITY
from nessus_sched.results.query.model import GroupBy

_FIELDS: Final = (
    "severity", "effective_severity", "exception", "host", "port", "protocol", "plugin_id",
    "plugin_name", "compliance_check_name", "cve", "cisa_kev", "state", "stale", "age_days",
    "unverified",
)  # fmt: skip
"""Of the table, unless others are asked for."""
_HEADINGS: Final = {
    "effective_severity": "effective", "plugin_id": "plugin", "plugin_name": "name",
    "compliance_check_name": "check", "cisa_kev": "exploited", "age_days": "days",
    "unverified": "not confirmed", "compliance_counts": "checks",
}  # fmt: skip
_EPILOG: Final = """\
A filter is a field, an operator and a value: 'cve contains 2021-44228', 'plugin_family in
Windows, Debian', 'cisa_kev=true', 'cvss_score>7', 'first_seen<2026-01-31', 'solution is absent'."""


@click.command("findings", epilog=_EPILOG)
@click.argument("filters", nargs=-1, metavar="[FILTER]...")
@click.option(
    "--host", "hosts", multiple=True, metavar="HOST",
    help="A name, an address, a network or a range; repeatable.",
)  # fmt: skip
@click.option("--cve", "cves", multiple=True, help="Only this CVE; repeatable.")
@click.option(
    "--plugin", "plugins", multiple=True, type=int, metavar="ID", help="A plugin; repeatable."
)
@click.option(
    "--state", "states", multiple=True, type=one_of(each.word for each in State),
    help="Only this state, instead of everything open; repeatable.",
)  # fmt: skip
@click.option(
    "--older-than", "before", type=parse_time, metavar="TIME",
    help="First seen before: 30d, 2026-01-31 or a timestamp.",
)  # fmt: skip
@click.option(
    "--schedule",
    metavar="NAME",
    shell_complete=candidates.schedule,
    help="Last seen, or proved gone, by a scan of this schedule.",
)
@click.option("--no-exceptions", is_flag=True, help="Leave out findings with an exception.")
@click.option("--sort", multiple=True, metavar="FIELD", help="Sort by a field; -FIELD: descending.")
@click.option("--fields", metavar="A,B,C", help="Show these fields.")
@click.option("--group-by", type=one_of(GroupBy), help="Count findings instead of listing each.")
@listing_options
def findings_command(
    config: Path | None, as_json: bool, severity: str, limit: int, cursor: str | None,
    sort: Sequence[str], fields: str | None, group_by: str | None, **options: Any,
) -> None:  # fmt: skip
    """Show what is open now on all hosts, each finding once, worst first.

    The answer comes from the ledger, the history of every finding: it has states, ages and
    exceptions, also of tasks that were deleted. FILTER may name its fields, such as 'state',
    'first_seen', 'age_days>30', 'unverified present', 'exception absent' or 'host=192.0.2.0/24'.
    With fields that only stored findings have, such as plugin_output, those are searched, as
    `results search` does; `results search --history` has every scan that ever saw a finding.

    Nothing found does not mean clean: the notes say when a host was last scanned.
    """
    asked: dict[str, Any] = {
        "filters": list(_filters(severity=severity, **options)) or None,
        "sort": list(sort) or None,
        "fields": [name.strip() for name in fields.split(",")] if fields else None,
        "group_by": group_by,
        "page_size": limit,
        "cursor": cursor,
    }
    if not (as_json or fields or group_by):
        asked["fields"] = list(_FIELDS)
    with daemon_or_store(config) as api:
        page = api.operate("search_now", **asked)
    from nessus_sched.cli.results.text import cleaned

    page["findings"] = [cleaned(row) for row in page["findings"]]
    print_json(page) if as_json else _show(page, grouped=group_by is not None)


def _filters(
    *,
    filters: Sequence[str],
    severity: str,
    hosts: Sequence[str],
    cves: Sequence[str],
    plugins: Sequence[int],
    states: Sequence[str],
    before: str | None,
    schedule: str | None,
    no_exceptions: bool,
) -> Iterator[str | dict[str, Any]]:
    yield from filters
    if severity != SEVERITIES[0]:  # a finding without a readable severity may be serious
        words = [*SEVERITIES[SEVERITIES.index(severity) :], UNKNOWN_SEVERITY]
        yield {"field": "severity", "op": "in", "value": words}
    for name, several in (("host", hosts), ("cve", cves), ("plugin_id", plugins),
                          ("state", states)):  # fmt: skip
        if several:
            yield {"field": name, "op": "in", "value": list(several)}
    if before is not None:
        yield {"field": "first_seen", "op": "<", "value": before}
    if schedule is not None:
        yield {"field": "schedule", "op": "=", "value": schedule}
    if no_exceptions:
        yield "exception absent"


def _show(page: Mapping[str, Any], *, grouped: bool) -> None:
    from nessus_sched.cli.results.text import counted

    rows = [_cells(row, grouped=grouped) for row in page["findings"]]
    names = [
        name
        for name in dict.fromkeys(name for row in rows for name in row)
        if any(row.get(name) not in (None, "") for row in rows)
    ]
    if names:
        headings = [_HEADINGS.get(name, name) for name in names]
        print_table(headings, [[row.get(name) for name in names] for row in rows])
    total = page["groups_total"] if grouped else page["total"]
    said = f"{len(rows)} of " if len(rows) < total else ""
    what = "group" if grouped else "finding"
    excepted = f"; with an exception: {counts(page['excepted'])}" if page["excepted"] else ""
    print_note(f"{said}{pluralize(total, what)} ({counted(page)}{excepted})")
    for note in page["notes"]:
        if "cursor" not in note:
            print_note(note)
    if page["next_cursor"]:
        print_note(f"There are more: --cursor {page['next_cursor']}")


def _cells(row: Mapping[str, Any], *, grouped: bool) -> dict[str, Any]:
    """What a table shows of a row."""
    cells = {name: _cell(name, value) for name, value in row.items() if name != "task_id"}
    if "exception" in row and row["exception"] is None:
        cells["effective_severity"] = None
    if grouped and "plugin_id" in row:
        del cells["solution"]
    if cells.get("port") and "protocol" in cells:
        cells["port"] = f"{cells['port']}/{cells['protocol']}"
    elif cells.get("port") == 0:
        cells["port"] = None
    if "port" in cells:
        cells.pop("protocol", None)
    return cells


def _cell(name: str, value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else None
    if name == "compliance_counts":
        return checks_text(value)
    if isinstance(value, dict):
        return counts(value)
    if isinstance(value, list):
        return " ".join(value[:2]) + (f" +{len(value) - 2}" if len(value) > 2 else "")
    return str(value)[:10] if name in ("first_seen", "last_seen", "fixed_at") and value else value
