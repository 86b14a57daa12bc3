"""`nessus-sched routes`: which messages are sent where, and how that goes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from nessus_sched.cli.client import Refused, daemon
from nessus_sched.cli.completion import candidates
from nessus_sched.cli.formatting import ago, duration_within
from nessus_sched.cli.options import daemon_option, json_option
from nessus_sched.cli.output import print_json, print_line, print_table
from nessus_sched.core.clock import system_now

_LONGEST: Final = 400 * 86400.0


@click.group("routes")
def routes_group() -> None:
    """Show and test the routes of messages, which are defined in the configuration file."""


@routes_group.command("list")
@daemon_option
@json_option
def list_command(config: Path | None, as_json: bool) -> None:
    """List routes, and whether their messages are delivered."""
    with daemon(config) as connection:
        found = connection.operate("list_routes")
    if as_json:
        print_json(found)
        return
    now = system_now()
    print_table(
        ("route", "sink", "when", "next digest", "waiting", "dead", "failing since", "error"),
        [
            (
                each["name"],
                f"{each['sink']} ({each['sink_kind']})" if each["sink"] else "-",
                each["when"],
                each["next_digest"],
                each["waiting"],
                each["dead"],
                ago(each["failing_since"], now) if each["failing_since"] else None,
                each["error"],
            )
            for each in found["routes"]
        ],
        nothing="no routes are configured; see sinks and routes in the configuration reference",
    )


@routes_group.command("test")
@click.argument("route", metavar="NAME", shell_complete=candidates.route)
@daemon_option
@json_option
def test_command(route: str, config: Path | None, as_json: bool) -> None:
    """Send a marked sample to the sink of a route."""
    with daemon(config) as connection:
        answer = connection.operate("test_route", route=route)
    if as_json:
        print_json(answer)
    if not answer["delivered"]:
        raise Refused(f"not delivered: {answer['error']}", "not_delivered")
    if not as_json:
        print_line(f"delivered to the sink of route {route}")


@routes_group.command("preview")
@click.argument("route", metavar="NAME", shell_complete=candidates.route)
@click.option(
    "--since",
    type=duration_within(1.0, _LONGEST),
    default="7d",
    show_default=True,
    metavar="DURATION",
    help="How far back.",
)
@daemon_option
@json_option
def preview_command(route: str, since: float, config: Path | None, as_json: bool) -> None:
    """Show what a digest of a route would say. Nothing is sent."""
    with daemon(config) as connection:
        answer = connection.operate("preview_route", route=route, since_seconds=since)
    if as_json:
        print_json(answer)
        return
    print_line(answer["title"])
    print_line()
    print_line(answer["text"])
