"""`nessus-sched report evidence` and `report verify`: evidence packs for auditors."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nessus_sched.cli.completion import candidates
from nessus_sched.cli.load_config import load_config_or_exit
from nessus_sched.cli.options import config_option, json_option, one_of
from nessus_sched.cli.output import print_json, print_line, print_note
from nessus_sched.cli.output_file import check_writable, whole_binary_file
from nessus_sched.cli.trio_run import run_trio
from nessus_sched.core.calendar.zones import BadCalendar, parse_moment
from nessus_sched.core.clock import system_now
from nessus_sched.core.text import pluralize
from nessus_sched.results.pack.times import iso
from nessus_sched.results.reports.period import Last, Period, last

if TYPE_CHECKING:
    from nessus_sched.config.schema import Config
    from nessus_sched.daemon.evidence import Written
    from nessus_sched.results.pack.scope import PackScope


@click.command("evidence", short_help="Write an evidence pack for an auditor.")
@click.option("--since", metavar="TIME", help="Start of the period, such as 2026-07-01.")
@click.option("--until", metavar="TIME", help="End of the period, not included.")
@click.option(
    "--last",
    "unit",
    type=one_of(Last),
    help="Instead of --since and --until: the last full week, month or quarter.",
)
@click.option(
    "--network", "targets", multiple=True, metavar="NETWORK",
    help="Only these hosts: a network, a range, an address or a name; repeatable.",
)  # fmt: skip
@click.option(
    "--schedule",
    metavar="NAME",
    shell_complete=candidates.schedule,
    help="Only this schedule and its targets.",
)
@click.option("--owner", metavar="NAME", help="Only hosts of this owner.")
@click.option("--site", metavar="NAME", help="Only hosts at this site.")
@click.option("--criticality", metavar="WORD", help="Only hosts of this criticality.")
@click.option(
    "--output", "-o", required=True, type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE", help="The zip file to write.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@config_option
@json_option
def evidence_command(
    since: str | None,
    until: str | None,
    unit: str | None,
    output: Path,
    force: bool,
    config: Path,
    as_json: bool,
    **scope: Any,
) -> None:
    """Write an evidence pack about a past period for an auditor: one zip file that can be verified.

    It has the scans of the period, what they reached, with which plugins and logins; findings that
    were open at its end, fixed or new; exceptions, and who approved them; schedules; and the
    journal's hash chain. Running it again writes the same file. Times without an offset are in the
    time zone of `calendar`. The period must have ended, and so must the scans that began in it.

    Reads the state directory, also while a daemon is running: run it as the daemon's user. The
    pack has the whole journal of the period, whatever its scope: give it only to people who may
    see that.
    """
    from nessus_sched.core.store_errors import StoreError
    from nessus_sched.daemon.evidence import NoEvidence, write_evidence
    from nessus_sched.results.pack.scope import BadScope

    if output == Path("-"):
        raise click.UsageError("name a file: a pack is not written to standard output")
    check_writable(output, force=force)
    loaded = load_config_or_exit(config)
    start, end = _period(loaded, since, until, None if unit is None else Last(unit))
    wanted = _scope(scope)
    try:
        with whole_binary_file(output, force=force) as file:

            async def work() -> Written:
                return await write_evidence(loaded, file, wanted, start, end, now=system_now())

            written = run_trio(work, expected=(StoreError, NoEvidence, BadScope))
    except (StoreError, NoEvidence, BadScope) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        print_json({"file": str(output), "since": iso(start), "until": iso(end),
                    "rows": dict(written.rows), "head": written.head,
                    "checks": dict(written.checks), "missing": list(written.missing)})  # fmt: skip
        return
    _tell(written, output, Period(since=start, until=end, zone=loaded.calendar.time_zone).text)


def _tell(written: Written, output: Path, period: str) -> None:
    for each in written.missing:
        print_note(each)
    rows = written.rows
    checks = written.checks
    still_open, fixed, new = (
        rows[name] - checks[name] for name in ("open.csv", "fixed.csv", "new.csv")
    )
    print_line(
        f"{output}: {pluralize(rows['scans.jsonl'], 'scan')}, "
        f"{pluralize(still_open, 'open finding')}, {fixed} fixed, "
        f"{new} new, {pluralize(rows['journal.jsonl'], 'journal row')}"
    )
    if any(checks.values()):
        print_line(
            f"compliance checks, not counted above: {checks['open.csv']} failed, "
            f"{checks['fixed.csv']} fixed, {checks['new.csv']} new"
        )
    print_line(f"period {period}")
    print_line(f"journal head {written.head}")
    print_note(f"Store its SHA-256 elsewhere: nessus-sched report verify {output}")


@click.command("verify", short_help="Check an evidence pack.")
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@json_option
def verify_command(file: Path, as_json: bool) -> None:
    """Check an evidence pack: every file, the hash chain, and all counts.

    FILE is the zip file, or a directory with its files. verify.py in the pack does the same without
    nessus-sched. Exit code 1 if anything does not match.
    """
    from nessus_sched.results.pack.verify_pack import check, report

    checked = check(str(file))
    if as_json:
        journal = checked.manifest.get("journal", {}) if not checked.problems else {}
        print_json({"ok": not checked.problems, "problems": checked.problems,
                    "notes": checked.notes, "sha256": checked.sha256 or None,
                    "head": journal.get("head")})  # fmt: skip
    else:
        for line in report(checked):
            print_line(line)
    if checked.problems:
        sys.exit(1)


def _period(
    config: Config, since: str | None, until: str | None, unit: Last | None
) -> tuple[int, int]:
    """In whole epoch seconds. Raises `click.UsageError`."""
    zone = config.calendar.time_zone
    if unit is not None:
        if since is not None or until is not None:
            raise click.UsageError("give --since and --until, or --last")
        period = last(unit, system_now(), zone)
        return int(period.since), int(period.until)
    if since is None or until is None:
        raise click.UsageError("give --since and --until, or --last")
    return _moment(since, zone, "--since"), _moment(until, zone, "--until")


def _moment(text: str, zone: str, option: str) -> int:
    try:
        found = parse_moment(text, zone)
    except BadCalendar as error:
        raise click.BadParameter(str(error), param_hint=option) from None
    if found != int(found):
        raise click.BadParameter("a period has whole seconds", param_hint=option)
    return int(found)


def _scope(given: dict[str, Any]) -> PackScope:
    from nessus_sched.results.pack.scope import PackScope

    labels = {name: given[name] for name in ("owner", "site", "criticality") if given[name]}
    return PackScope(targets=given["targets"], schedule=given["schedule"], labels=labels)
