"""Copies of a store in PostgreSQL, and back."""

from __future__ import annotations

from urllib.parse import urlsplit

import click

from nessus_sched.cli.options import json_option
from nessus_sched.cli.output import print_json, print_line
from nessus_sched.core.text import pluralize


@click.group("store")
def store_group() -> None:
    """Copy a store to PostgreSQL, and back."""


def _place(_ctx: click.Context, _parameter: click.Parameter, place: str) -> str:
    """Other users see the arguments of a process, so a password has no place in them."""
    if "://" not in place:
        return place
    try:
        secret = urlsplit(place).password is not None or "password=" in place
    except ValueError:
        raise click.BadParameter("this is not a URL") from None
    if secret:
        raise click.BadParameter(
            "a URL takes no password, because others can see it; use ~/.pgpass, PGPASSFILE, or "
            "PGPASSWORD"
        )
    return place


@store_group.command("copy", short_help="Copy everything to an empty store.")
@click.argument("source", metavar="FROM", callback=_place)
@click.argument("destination", metavar="TO", callback=_place)
@json_option
def copy_command(source: str, destination: str, as_json: bool) -> None:
    """Copy everything to an empty store: tasks, their journal, schedules, exceptions, keys,
    undelivered messages, reports and the ledger.

    FROM and TO are state directories or URLs such as postgresql://HOST/DATABASE; the user of the
    database needs to own a schema called nessus_sched, and nothing else. Stop the daemon first. The
    tasks are copied last, and the copy is verified as by `journal verify` before it counts:
    whatever goes wrong, TO has no tasks, and the copy can be repeated. FROM stays as it is.
    Findings are read again from the reports.
    """
    from nessus_sched.core.store_errors import StoreError
    from nessus_sched.daemon.storage.copying import copy_store_between

    try:
        report = copy_store_between(source, destination)
    except StoreError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        print_json({"tasks": report.tasks, "rows": report.rows, "head": report.head.text})
        return
    print_line(
        f"copied and verified: {pluralize(report.tasks, 'task')}, "
        f"{pluralize(report.rows, 'journal row')}; head {report.head.text}"
    )
