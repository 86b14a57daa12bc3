"""`nessus-sched exceptions`: propose exceptions for findings, and decide about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from nessus_sched.cli.client import daemon
from nessus_sched.cli.completion import candidates
from nessus_sched.cli.exceptions.show import every_exception, show_exception, show_exceptions
from nessus_sched.cli.options import daemon_option, json_option
from nessus_sched.cli.output import print_json, print_line, print_note
from nessus_sched.core.exceptions.exception import ExceptionStatus
from nessus_sched.core.exceptions.rule import SEVERITIES, ExceptionKind
from nessus_sched.core.text import pluralize

_STATUSES = [status.value for status in ExceptionStatus]


@click.group("exceptions")
def exceptions_group() -> None:
    """Accept findings, with a reason, an owner and an end date."""


@exceptions_group.command("propose")
@click.option("--plugin", "plugins", multiple=True, type=int, help="Plugin id; repeatable.")
@click.option("--cve", "cves", multiple=True, help="CVE; repeatable.")
@click.option(
    "--host",
    "hosts",
    multiple=True,
    required=True,
    help="Address, network, range or name; repeatable. '*' means all hosts.",
)
@click.option("--port", metavar="PORT[/PROTOCOL]", help="Only on this port.")
@click.option(
    "--kind",
    type=click.Choice([kind.value for kind in ExceptionKind]),
    default=ExceptionKind.ACCEPTED.value,
    show_default=True,
    help="severity: it stays open, with the severity of --severity.",
)
@click.option("--severity", type=click.Choice(SEVERITIES), help="With --kind severity.")
@click.option("--reason", required=True, help="Why.")
@click.option("--owner", required=True, help="Who is responsible for it.")
@click.option("--until", required=True, metavar="DATE", help="Its end, such as 2026-12-31 or 90d.")
@click.option("--approve", is_flag=True, help="Approve it at once.")
@click.option("--dry-run", is_flag=True, help="Only check; store nothing.")
@daemon_option
@json_option
def propose_command(config: Path | None, as_json: bool, **definition: Any) -> None:
    """Propose an exception for findings of plugins or CVEs on hosts.

    \b
    nessus-sched exceptions propose --plugin 51192 --host 192.0.2.0/28 \\
        --until 2026-12-31 --owner 'web team' --reason 'Replaced with the new proxy.'
    """
    given = {key: list(value) if isinstance(value, tuple) else value
             for key, value in definition.items()}  # fmt: skip
    with daemon(config) as connection:
        done = connection.operate("put_exception", **given)
    if as_json:
        print_json(done)
        return
    _say(done, dry_run=definition["dry_run"])
    for note in done["notes"]:
        print_note(note)


@exceptions_group.command("list")
@click.option(
    "--status",
    type=click.Choice(("open", "all", *_STATUSES)),
    default="open",
    show_default=True,
    help="open: proposed or approved.",
)
@click.option("--about", metavar="PLUGIN|CVE", help="Only those about this plugin or CVE.")
@click.option("--host", help="Only those that cover this host.")
@daemon_option
@json_option
def list_command(
    status: str, about: str | None, host: str | None, config: Path | None, as_json: bool
) -> None:
    """List exceptions."""
    with daemon(config) as connection:
        found = every_exception(connection, status=status, about=about, host=host)
    if as_json:
        print_json(found)
    else:
        show_exceptions(found["exceptions"])


@exceptions_group.command("show")
@click.argument("exception_id", metavar="EXCEPTION", shell_complete=candidates.exception)
@daemon_option
@json_option
def show_command(exception_id: str, config: Path | None, as_json: bool) -> None:
    """Show an exception."""
    with daemon(config) as connection:
        found = connection.operate("show_exception", exception_id=exception_id)
    if as_json:
        print_json(found)
    else:
        show_exception(found)


def _decide(decision: str, said: str) -> Callable[..., None]:
    def command(
        exception_ids: Sequence[str], config: Path | None, as_json: bool, **given: Any
    ) -> None:
        with daemon(config) as connection:
            answers = [
                connection.operate(
                    "decide_exception", exception_id=exception_id, decision=decision, **given
                )
                for exception_id in exception_ids
            ]
        if as_json:
            print_json({"exceptions": answers})
            return
        for answer in answers:
            print_line(f"{answer['exception_id']}: {said.format(**answer)}")

    return command


_REASON = click.option("--reason", default="", help="Reason, for the journal.")
_UNTIL = click.option(
    "--until", required=True, metavar="DATE", help="Its new end, such as 2026-12-31 or 90d."
)
for _decision, _said, _help, _options in (
    ("approve", "approved until {until}", "Approve proposed exceptions.", ()),
    ("reject", "rejected", "Reject proposed exceptions.", (_REASON,)),
    ("revoke", "revoked", "End exceptions that are in force.", (_REASON,)),
    (
        "extend",
        "extended until {until}",
        "Give approved exceptions a new end, even if they have expired.",
        (_UNTIL, _REASON),
    ),
):
    _command: Any = _decide(_decision, _said)
    _command.__doc__ = _help
    for _decorator in (
        json_option,
        daemon_option,
        *_options,
        click.argument(
            "exception_ids",
            nargs=-1,
            required=True,
            metavar="EXCEPTION...",
            shell_complete=candidates.exception,
        ),
    ):
        _command = _decorator(_command)
    exceptions_group.command(_decision)(_command)


@exceptions_group.command("apply", short_help="Propose the exceptions in a YAML file.")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option(
    "--approve",
    is_flag=True,
    help="Approve them, and give those in force the end, reason and owner of the file.",
)
@click.option("--dry-run", is_flag=True, help="Check everything; change nothing.")
@daemon_option
@json_option
def apply_command(
    file: Path, approve: bool, dry_run: bool, config: Path | None, as_json: bool
) -> None:
    """Propose the exceptions in a YAML FILE, in the format of 'exceptions export'. If it has a
    mistake, nothing changes. Applying a file twice does no harm."""
    from nessus_sched.cli.exceptions.file import apply_file

    with daemon(config) as connection:
        done = apply_file(connection, file, approve=approve, dry_run=dry_run)
    if as_json:
        print_json({"exceptions": done})
        return
    for each in done:
        _say(each, dry_run=dry_run)
    if dry_run:
        print_note("Dry run: nothing was changed.")


@exceptions_group.command("export")
@click.option(
    "--status", type=click.Choice(("open", *_STATUSES)), default="approved",
    show_default=True, help="open: proposed or approved.",
)  # fmt: skip
@daemon_option
def export_command(status: str, config: Path | None) -> None:
    """Print exceptions as YAML, for 'exceptions apply'."""
    from nessus_sched.cli.definitions.file import export_text
    from nessus_sched.cli.exceptions.file import definition_of

    with daemon(config) as connection:
        found = every_exception(connection, status=status)["exceptions"]
    click.echo(export_text("exceptions", [definition_of(each) for each in found]), nl=False)


def _say(done: Mapping[str, Any], *, dry_run: bool) -> None:
    exception = done["exception"]
    name = exception["exception_id"] or " ".join(
        map(str, exception["plugins"] or exception["cves"])
    )
    change = done["change"]
    if change == "unchanged":
        change = f"unchanged, {exception['status']}"
    elif dry_run:
        change = f"would be {change}"
    found = done["concerns"]
    covers = "" if found is None else f"; it covers {pluralize(found, 'open finding')}"
    print_line(f"{name}: {change}{covers}")
