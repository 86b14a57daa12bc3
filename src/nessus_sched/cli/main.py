"""The `nessus-sched` command: its subcommands, loaded only when they are called."""

from __future__ import annotations

import errno
import importlib
import io
import os
import sys
import time
from collections.abc import Mapping
from difflib import get_close_matches
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

import click

from nessus_sched import __version__

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


_STDOUT: Final = 1


class OutputFailed(click.ClickException):
    """Standard output cannot be written to: a full disk, a closed descriptor. Exit code 1."""


class _Stdout(io.FileIO):
    """File descriptor 1. After an error, what is still buffered is dropped: flushing it at exit
    would fail again, with a traceback."""

    def __init__(self) -> None:
        super().__init__(_STDOUT, "wb", closefd=False)
        self._failed = False

    def write(self, data: ReadableBuffer) -> int:
        if self._failed:
            return memoryview(data).nbytes
        try:
            return super().write(data)
        except OSError as error:
            if error.errno == errno.EPIPE:  # click and rich handle it
                raise
            self._failed = True
            message = f"cannot write to standard output: {error.strerror}"
            raise OutputFailed(message) from error


def open_stdout() -> None:
    """Replaces `sys.stdout`: characters that its encoding lacks become question marks, and errors
    `OutputFailed`."""
    if sys.stdout is None:  # closed by the parent process
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)  # writing to it fails
        if nothing != _STDOUT:
            os.dup2(nothing, _STDOUT)
            os.close(nothing)
    encoding = None if sys.stdout is None else sys.stdout.encoding
    raw = _Stdout()
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(raw), encoding, errors="replace", line_buffering=raw.isatty()
    )


class Entry(NamedTuple):
    """A subcommand: `module:attribute` and its help, so that `--help` imports none of them."""

    target: str
    help: str


_HERE: Final = "nessus_sched.cli."

COMMANDS: Final[Mapping[str, Mapping[str, Entry]]] = {
    "Getting started": {
        "demo": Entry("demo.command:demo_command", "Try everything with simulated scanners."),
        "config": Entry("config.command:config_group", "Create, check and show the configuration."),
        "doctor": Entry("doctor:doctor_command", "Diagnose problems and suggest fixes."),
        "serve": Entry("serve:serve_command", "Run the daemon."),
        "mcp": Entry("mcp:mcp_command", "Connect Claude Desktop or another MCP client."),
    },
    "Scan": {
        "submit": Entry("submit:submit_command", "Queue a scan."),
        "schedules": Entry("schedules.command:schedules_group", "Submit scans on a schedule."),
        "plan": Entry("schedules.plan:plan_command", "Show what will fit in the coming hours."),
        "rescan": Entry("rescan:rescan_command", "Rescan hosts of an earlier task."),
        "verify": Entry("results.verify:verify_command", "Check whether findings are fixed."),
        "status": Entry("tasks:status_command", "Show a task's status."),
        "tasks": Entry("tasks:tasks_command", "List tasks."),
        "watch": Entry("watch:watch_command", "Follow tasks until they finish."),
        "cancel": Entry("cancel:cancel_command", "Cancel tasks."),
        "pause": Entry("tasks:pause_command", "Pause tasks, running or waiting."),
        "resume": Entry("tasks:resume_command", "Resume paused tasks."),
        "credentials": Entry(
            "credentials.command:credentials_group", "List, add and test credentials."
        ),
        "coverage": Entry(
            "results.coverage:coverage_command", "Show which targets scans have reached."
        ),
        "findings": Entry(
            "results.findings:findings_command", "Show what is open now, on all hosts."
        ),
        "hosts": Entry("results.hosts:hosts_command", "Show what is known about a host."),
        "changes": Entry(
            "results.changes:changes_command",
            "Show new, returned, fixed and unverified findings.",
        ),
        "results": Entry("results.command:results_group", "Show, compare and export findings."),
        "report": Entry(
            "reporting.command:report_group", "Write reports for management, teams and auditors."
        ),
        "exceptions": Entry(
            "exceptions.command:exceptions_group",
            "Accept findings until a set date, with an owner.",
        ),
    },
    "Operate": {
        "top": Entry("top:top_command", "Live view of scanners, queues and scans."),
        "queue": Entry("queue:queue_command", "Show waiting tasks and why they wait."),
        "scanners": Entry("scanners:scanners_group", "List, drain, enable and test scanners."),
        "dlq": Entry("dlq:dlq_group", "Manage dead letters: tasks that failed permanently."),
        "routes": Entry("delivery.routes:routes_group", "Show and test where messages are sent."),
        "outbox": Entry("delivery.outbox:outbox_group", "Manage undelivered messages."),
        "release": Entry("control:release_command", "Free the targets of lost scans."),
        "pause-all": Entry("control:pause_all_command", "Stop starting scans on all scanners."),
        "resume-all": Entry("control:resume_all_command", "Start scans again."),
        "reload": Entry("control:reload_command", "Reload the daemon's configuration."),
        "log-level": Entry("control:log_level_command", "Change the daemon's log level."),
        "journal": Entry("journal:journal_group", "Show and verify the history of tasks."),
        "housekeeping": Entry("control:housekeeping_command", "Delete data past its retention."),
        "ledger": Entry("results.ledger:ledger_group", "Maintain the history of findings."),
        "backup": Entry("journal:backup_command", "Back up tasks and the ledger."),
        "store": Entry("store.command:store_group", "Copy tasks to PostgreSQL, and back."),
    },
    "Tools": {
        "sim": Entry("sim:sim_command", "Run a simulated Nessus scanner."),
        "install": Entry("install.command:install_command", "Install the systemd service."),
        "uninstall": Entry("install.command:uninstall_command", "Remove the systemd service."),
        "man": Entry("man:man_command", "Print the manual page."),
        "completion": Entry(
            "completion.command:completion_command", "Print shell completion code."
        ),
        "schema": Entry("json_schemas:schema_command", "Print JSON schemas of the --json output."),
    },
}
"""The subcommands by purpose."""

FORMER_NAMES: Final[Mapping[str, str]] = {"shapes": "schema"}
"""Names of earlier releases that still work."""

_ENTRIES: Final = {name: entry for part in COMMANDS.values() for name, entry in part.items()}


class Interrupted(click.ClickException):
    """Ctrl-C. Exit code 130, as shells report SIGINT."""

    exit_code = 130

    def __init__(self) -> None:
        super().__init__("Interrupted.")

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(self.message, err=True)


def _fail(ctx: click.Context, error: click.ClickException) -> NoReturn:
    """Ends the command with an error on a terminal, which would break its words."""
    from nessus_sched.cli.output import wrapped

    text = wrapped(error.format_message(), len("Error: "), sys.stderr)
    if isinstance(error, click.UsageError):
        raise click.UsageError(text, error.ctx)
    click.echo(f"Error: {text}", err=True)
    ctx.exit(error.exit_code)


def _time_zone_first(args: list[str]) -> list[str]:
    """With --tz before the command, wherever it was typed."""
    end = args.index("--") if "--" in args else len(args)
    for at, word in enumerate(args[:end]):
        length = 1 if word.startswith("--tz=") else 2 if word == "--tz" else 0
        if length:
            return [*args[at : at + length], *args[:at], *args[at + length :]]
    return args


class LazyGroup(click.Group):
    """Imports a subcommand's module when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_ENTRIES)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        entry = _ENTRIES.get(FORMER_NAMES.get(name, name))
        if entry is None:
            return None
        module, _, attribute = entry.target.partition(":")
        command: Any = getattr(importlib.import_module(_HERE + module), attribute)
        assert isinstance(command, click.Command)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _time_zone_first(args))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted from None
        except (Interrupted, click.exceptions.NoArgsIsHelpError):
            raise
        except click.ClickException as error:
            if not sys.stderr.isatty():
                raise
            _fail(ctx, error)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = {*_ENTRIES, *FORMER_NAMES}
        if args and args[0] not in known and not args[0].startswith("-"):
            close = get_close_matches(args[0], _ENTRIES, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise click.UsageError(f"No such command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for part, entries in COMMANDS.items():
            with formatter.section(part):
                formatter.write_dl([(name, entry.help) for name, entry in entries.items()])


def _zone(ctx: click.Context, _parameter: click.Parameter, name: str | None) -> None:
    """Sets the process's local time zone."""
    if name is None:
        return
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise click.BadParameter(f"{name!r} is not a time zone, such as Europe/Berlin") from None
    os.environ["TZ"] = name
    time.tzset()
    from nessus_sched.cli.output import use_zone

    use_zone(ctx, name)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nessus-sched")
@click.option(
    "--tz", metavar="ZONE", callback=_zone, expose_value=False, is_eager=True,
    help="Time zone of times, such as Europe/Berlin. Default: the local one.",
)  # fmt: skip
def cli() -> None:
    """Queue vulnerability scans on your Nessus scanners, and read what they found.

    Start with `nessus-sched demo`: it needs no scanner.

    TASK is the start or end of a task's id, its name, or `last`, your latest. Commands that show
    something accept --json; `nessus-sched schema` describes that output. Output is plain unless
    it goes to a terminal. Times are local, and with --json in the zone of `calendar.time_zone`;
    --tz changes both.

    \b
    Exit codes: 0 success; 1 refused, failed, or no such task; 2 usage error;
    3 no daemon; 4 incomplete (watch, verify); 78 configuration error;
    130 interrupted.
    """


def main() -> int:
    """Runs the command line; returns the exit code."""
    open_stdout()
    result: object = cli.main(prog_name="nessus-sched", standalone_mode=True)
    return result if isinstance(result, int) else 0
