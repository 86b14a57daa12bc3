"""`nessus-sched credentials`: what submitters can name, and logins for targets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from nessus_sched.cli.client import daemon
from nessus_sched.cli.credentials.add import add_command
from nessus_sched.cli.credentials.check import test_command
from nessus_sched.cli.options import daemon_option, json_option
from nessus_sched.cli.output import print_json, print_line, print_table


def _logins(credential: Mapping[str, Any]) -> str | None:
    """`2026-01-31: 14 of 16 hosts, 2 failed (before: 16 of 16)`."""
    texts = [f"{each['full']} of {each['hosts']}" for each in credential["logins"][:2]]
    if not texts:
        return None
    latest = credential["logins"][0]
    text = f"{latest['at'][:10]}: {texts[0]} hosts"
    for how in ("partial", "failed"):
        text += f", {latest[how]} {how}" if latest[how] else ""
    return text + (f" (before: {texts[1]})" if texts[1:] else "")


@click.group("credentials", invoke_without_command=True)
@daemon_option
@json_option
@click.pass_context
def credentials_group(ctx: click.Context, config: Path | None, as_json: bool) -> None:
    """List configured logins, audits and scan profiles, for --credential, --audit and
    --profile, without secrets; add and test logins."""
    if ctx.invoked_subcommand is None:
        _list(config, as_json)


@credentials_group.command("list", short_help="List configured logins, audits and scan profiles.")
@daemon_option
@json_option
def list_command(config: Path | None, as_json: bool) -> None:
    """List configured logins, audits and scan profiles; the same as without a command."""
    _list(config, as_json)


def _list(config: Path | None, as_json: bool) -> None:
    with daemon(config) as connection:
        answer = connection.call("list_credentials")
    if as_json:
        print_json(answer)
        return
    print_table(
        ("credential", "kind", "escalation", "privileged", "latest logins"),
        [
            (each["name"], each["kind"], each["escalation"], each["privileged"], _logins(each))
            for each in answer["credentials"]
        ],
        nothing="no credentials; 'nessus-sched credentials add' makes one",
    )
    if answer["audits"]:
        print_line()
        print_table(
            ("audit", "category", "description"),
            [(each["name"], each["category"], each["description"]) for each in answer["audits"]],
        )
    if answer["scan_profiles"]:
        print_line()
        print_table(
            ("profile", "default for", "description"),
            [
                (each["name"], ", ".join(each["default_for"]), each["description"])
                for each in answer["scan_profiles"]
            ],
        )


credentials_group.add_command(add_command)
credentials_group.add_command(test_command)
