"""`nessus-sched man`: the manual page, generated from the commands so that it cannot drift."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import click

from nessus_sched import __version__

_FILES: Final = (
    ("/etc/nessus-sched/config.yaml", "Configuration of the system's daemon."),
    ("~/.config/nessus-sched/config.yaml", "Configuration of a user."),
    ("/etc/nessus-sched/credentials/", "Secrets that systemd passes to the daemon."),
    ("/var/lib/nessus-sched/", "Tasks, journal, findings and reports."),
    ("/run/nessus-sched-mcp.sock", "Where the system's daemon listens."),
)
_ESCAPES: Final = str.maketrans(
    {"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "~": r"\(ti", "^": r"\(ha"}
)
_ENVIRONMENT: Final = (
    ("NESSUS_SCHED_CONFIG", "The configuration file, when --config is not given."),
    ("NESSUS_SCHED_SOCKET", "The daemon's socket; overrides the configuration."),
)


@click.command("man")
def man_command() -> None:
    """Print the manual page; read it with nessus-sched man | man -l -"""
    click.echo(man_page(), nl=False)


def man_page() -> str:
    """nessus-sched(1), in man(7) macros."""
    from nessus_sched.cli.main import cli

    context = click.Context(cli, info_name="nessus-sched")
    lines = [
        f'.TH NESSUS-SCHED 1 "" "nessus-sched {__version__}" "User Commands"',
        ".SH NAME",
        r"nessus\-sched \- scan scheduler for Tenable Nessus",
        ".SH SYNOPSIS",
        r"\fBnessus\-sched\fR \fICOMMAND\fR [\fIOPTIONS\fR] [\fIARGUMENTS\fR]",
        ".SH DESCRIPTION",
        *_prose(cli.help or ""),
        ".SH COMMANDS",
        *_commands(cli, context),
        ".SH FILES",
        *(line for name, text in _FILES for line in _tagged(name, text)),
        ".SH ENVIRONMENT",
        *(line for name, text in _ENVIRONMENT for line in _tagged(name, text)),
        ".SH SEE ALSO",
        ".BR systemctl (1),",
        ".BR journalctl (1)",
    ]
    return "\n".join(lines) + "\n"


def _commands(group: click.Group, above: click.Context) -> Iterator[str]:
    for name in group.list_commands(above):
        command = group.get_command(above, name)
        if command is None or command.hidden:
            continue
        context = click.Context(command, info_name=name, parent=above)
        if isinstance(command, click.Group):
            yield from _commands(command, context)
        else:
            yield from _command(command, context)


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    words = [context.command_path, *command.collect_usage_pieces(context)]
    yield f".SS {_plain(' '.join(words))}"
    yield from _prose(command.help or "")
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and "--help" not in parameter.opts:
            yield from _tagged(*record)


def _prose(text: str) -> Iterator[str]:
    """Paragraphs of a docstring; those marked with a backspace keep their lines."""
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        first, *rest = paragraph.strip().splitlines()
        yield ".PP"
        if first.strip() == "\b":
            yield from (".nf", *(_plain(line.strip()) for line in rest), ".fi")
        else:
            yield _plain(" ".join(line.strip() for line in (first, *rest)))


def _tagged(name: str, text: str) -> Iterator[str]:
    yield from (".TP", rf"\fB{_plain(name)}\fR", _plain(" ".join(text.split())))


def _plain(text: str) -> str:
    """Text with characters escaped that would start a macro, or that groff 1.23 shows as others."""
    safe = text.replace("\b", "").translate(_ESCAPES)
    return rf"\&{safe}" if safe.startswith(".") else safe
