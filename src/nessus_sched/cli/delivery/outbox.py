"""`nessus-sched outbox`: messages that are not delivered."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from nessus_sched.cli.client import Daemon, Refused, daemon
from nessus_sched.cli.formatting import ago
from nessus_sched.cli.options import daemon_option, json_option
from nessus_sched.cli.output import print_json, print_line, print_note, print_table
from nessus_sched.core.clock import system_now
from nessus_sched.core.delivery.outbox import MessageState
from nessus_sched.core.text import pluralize

_PAGE = 500

_messages = click.argument("messages", nargs=-1, metavar="[MESSAGE]...")


@click.group("outbox")
def outbox_group() -> None:
    """Manage undelivered messages: those that are waiting, and dead letters."""


@outbox_group.command("list")
@click.option("--route", metavar="NAME", help="Only messages of this route.")
@click.option("--dead", is_flag=True, help="Only dead letters.")
@click.option("--limit", "-n", default=50, show_default=True, type=click.IntRange(1, 100_000))
@daemon_option
@json_option
def list_command(
    route: str | None, dead: bool, limit: int, config: Path | None, as_json: bool
) -> None:
    """List messages that are not delivered, in the order of delivery."""
    state = MessageState.DEAD.value if dead else None
    with daemon(config) as connection:
        found = _all(connection, limit, route=route, state=state)
    if as_json:
        print_json(found)
        return
    now = system_now()
    print_table(
        ("message", "state", "since", "tries", "title", "error"),
        [
            (
                each["message_id"],
                each["state"],
                ago(each["stored_at"], now),
                each["tries"],
                each["title"],
                each["error"],
            )
            for each in found["messages"]
        ],
        nothing="no such messages: everything is delivered",
    )
    if found["next_after"] is not None:
        print_note("there are more: --limit")


@outbox_group.command("retry")
@_messages
@click.option("--route", metavar="NAME", help="All messages of this route.")
@daemon_option
@json_option
def retry_command(
    messages: Sequence[str], route: str | None, config: Path | None, as_json: bool
) -> None:
    """Retry messages now, including dead letters."""
    _choose("retry_messages", "will be retried", messages, route, config, as_json)


@outbox_group.command("drop")
@_messages
@click.option("--route", metavar="NAME", help="All dead letters of this route.")
@daemon_option
@json_option
def drop_command(
    messages: Sequence[str], route: str | None, config: Path | None, as_json: bool
) -> None:
    """Delete messages without delivering them. Journaled with your name."""
    _choose("drop_messages", "dropped", messages, route, config, as_json)


def _choose(
    operation: str,
    done: str,
    messages: Sequence[str],
    route: str | None,
    config: Path | None,
    as_json: bool,
) -> None:
    if not messages and route is None:
        raise click.UsageError("name MESSAGEs, or give --route")
    with daemon(config) as connection:
        answer = connection.operate(operation, message_ids=list(messages), route=route)
    if as_json:
        print_json(answer)
    found = answer["message_ids"]
    if missing := [each for each in messages if each not in found]:
        raise Refused(f"not in the outbox: {', '.join(missing[:5])}", "unknown_message")
    if not as_json:
        for each in found:
            print_line(each)
        print_note(f"{pluralize(len(found), 'message')} {done}")


def _all(connection: Daemon, limit: int, **wanted: Any) -> dict[str, Any]:
    """Up to `limit` messages, from as many pages as that takes."""
    messages: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None and len(messages) < limit:
        page = connection.operate(
            "list_messages", after=after, limit=min(_PAGE, limit - len(messages)), **wanted
        )
        messages += page["messages"]
        after = page["next_after"]
    return {"messages": messages, "next_after": after}
