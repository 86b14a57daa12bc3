"""Options that describe a scan, for `submit` and `schedules add`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from nessus_sched.cli.completion import candidates
from nessus_sched.cli.formatting import parse_duration
from nessus_sched.cli.options import one_of
from nessus_sched.core.targets.targets import MAX_CHARACTERS, BadTargets, parse_targets
from nessus_sched.core.task import Discovery, OnEarlyEnd, Priority, ScanKind, Splitting

F = TypeVar("F", bound=Callable[..., Any])

TOOLS: Final[Mapping[str, str]] = {
    ScanKind.BASIC: "submit_scan",
    ScanKind.TRUSTED: "submit_trusted_scan",
    ScanKind.PRIVILEGED: "submit_privileged_scan",
    ScanKind.CUSTOM: "submit_custom_scan",
    ScanKind.QUICK: "submit_quick_scan",
    ScanKind.COMPLIANCE: "submit_compliance_scan",
}
OWN: Final[Mapping[str, frozenset[str]]] = {
    "credential": frozenset({"trusted", "privileged", "custom", "compliance"}),
    "template": frozenset({"custom"}),
    "policy": frozenset({"custom"}),
    "audit": frozenset({"compliance"}),
    "discovery": frozenset({"quick"}),
}
"""Options that only some kinds have."""
NEEDED: Final[Mapping[str, frozenset[str]]] = {
    "credential": frozenset({"trusted", "privileged", "compliance"}),
    "audit": frozenset({"compliance"}),
}


_OPTIONS: Final = (
    click.argument("targets", nargs=-1, metavar="TARGETS..."),
    click.option(
        "--targets-file",
        type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
        metavar="FILE",
        help="Also scan the targets in FILE (- for stdin); # starts a comment.",
    ),
    click.option(
        "--kind",
        "-k",
        type=one_of(ScanKind),
        default="basic",
        show_default=True,
        help="Kind of scan; 'submit --help' explains them.",
    ),
    click.option("--name", default="", help="Short name of the scan."),
    click.option("--description", default="", help="Reason for the scan; stored with the task."),
    click.option(
        "--scanner",
        shell_complete=candidates.scanner,
        help="Use this scanner. Default: the first free one.",
    ),
    click.option(
        "--exclude",
        multiple=True,
        metavar="TARGET",
        help="Exclude this part of the targets; repeatable.",
    ),
    click.option(
        "--pool", shell_complete=candidates.pool, help="Group of scanners to choose from."
    ),
    click.option("--priority", type=one_of(Priority), help="Queue priority."),
    click.option(
        "--credential",
        multiple=True,
        metavar="NAME",
        shell_complete=candidates.credential,
        help="Name of a configured login; repeatable, tried in this order.",
    ),
    click.option("--template", metavar="NAME", help="custom: a template of the scanner."),
    click.option("--policy", metavar="NAME", help="custom: a policy on the scanner."),
    click.option(
        "--profile",
        metavar="NAME",
        shell_complete=candidates.profile,
        help="A configured scan profile, or 'none'.",
    ),
    click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="NAME=VALUE",
        help="A Nessus setting, such as portscan_range=1-1024; repeatable.",
    ),
    click.option(
        "--audit",
        metavar="NAME",
        shell_complete=candidates.audit,
        help="compliance: a configured audit.",
    ),
    click.option("--discovery", type=one_of(Discovery), help="quick: what to discover."),
    click.option(
        "--key",
        metavar="KEY",
        help="Idempotency key: repeating a request with it returns the same task.",
    ),
    click.option(
        "--max-runtime",
        type=parse_duration,
        metavar="DURATION",
        help="Stop the scan after this long: 90m, 8h (whole minutes).",
    ),
    click.option(
        "--between",
        metavar="HOURS",
        help="Only scan in these hours: 'mon-fri 20:00-06:00; sat,sun'.",
    ),
    click.option(
        "--deadline",
        metavar="TIME",
        help="Cancel whatever is not scanned by then: 06:00, 8h or '2026-03-02 06:00'.",
    ),
    click.option(
        "--split", type=one_of(Splitting), help="Run a large request as several scans, or never."
    ),
    click.option(
        "--partial-ok", is_flag=True, help="Accept targets that no scanner reaches; scan the rest."
    ),
    click.option(
        "--on-early-end",
        type=one_of(OnEarlyEnd),
        help="If the scan ends early, scan the rest (roll), keep what was found, or discard it.",
    ),
)


def scan_options(command: F) -> F:
    """Adds TARGETS and the options; `scan_arguments` turns their values into arguments of the
    submit tools."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def scan_arguments(kind: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of the submit tool of that kind, without the targets."""
    for option, kinds in OWN.items():
        name = f"--{option}"
        if options[option] and kind not in kinds:
            raise click.UsageError(f"{name} cannot be used with --kind {kind}")
        if not options[option] and kind in NEEDED.get(option, ()):
            raise click.UsageError(f"--kind {kind} needs {name} NAME")
    runtime = options["max_runtime"]
    given = {
        "name": options["name"],
        "description": options["description"],
        "scanner_instance": options["scanner"],
        "pool": options["pool"],
        "exclude": list(options["exclude"]) or None,
        "priority": options["priority"],
        "idempotency_key": options["key"],
        "max_runtime_minutes": None if runtime is None else math.ceil(runtime / 60),
        "profile": options["profile"],
        "between": options["between"],
        "deadline": options["deadline"],
        "split": options["split"],
        "partial_ok": options["partial_ok"] or None,
        "on_early_end": options["on_early_end"],
        **{name: options[name] for name in OWN},
        "credential": list(options["credential"]) or None,
        "settings": settings_given(options["settings"]) or None,
    }
    return {name: value for name, value in given.items() if value is not None}


def settings_given(texts: Sequence[str]) -> dict[str, str]:
    found = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise click.UsageError(f"--set takes NAME=VALUE, not {text!r}")
        found[name] = value
    return found


_SHOWN: Final = 10
"""Lines with mistakes that are listed; the rest are counted."""
_FILE_NAMES: Final = (".txt", ".csv", ".lst", ".list")
"""File name suffixes that no host name has."""


def targets_given(words: Sequence[str], file: Path | None) -> list[str]:
    """All targets. Raises `click.UsageError` or, for a file, `click.ClickException`."""
    if not words and file is None:
        raise click.UsageError("no targets: give addresses, networks or names, or --targets-file")
    for word in words:
        _check_word(word)
    return [*words, *([] if file is None else _targets_in(file))]


def _check_word(word: str) -> None:
    """Raises for a word that is probably a file: the daemon could only say that it is not a
    target."""
    name = word.removeprefix("@")
    if word in ("-", "@-") or word.startswith("@") or word.lower().endswith(_FILE_NAMES):
        shown = name if name != "-" else "- (standard input)"
        raise click.UsageError(f"{word!r} is not a target; to read a file, --targets-file {shown}")


def _targets_in(file: Path) -> list[str]:
    """The targets in a file; `#` starts a comment."""
    found: list[str] = []
    problems: list[str] = []
    for row, content in enumerate(_text(file).splitlines(), 1):
        words = content.partition("#")[0].replace(",", " ").split()
        try:
            if words:
                parse_targets(words)
        except BadTargets as error:
            problems.append(f"line {row}: {error}")
        found += words
    if problems:
        more = len(problems) - _SHOWN
        rest = [f"and {more} more lines"] if more > 0 else []
        raise click.ClickException("\n  ".join([f"{file}:", *problems[:_SHOWN], *rest]))
    if not found:
        raise click.ClickException(f"{file}: contains no targets")
    return found


def _text(file: Path) -> str:
    try:
        with click.open_file(str(file), "rb") as stream:
            content = stream.read(MAX_CHARACTERS + 1)
        if len(content) > MAX_CHARACTERS:
            raise click.ClickException(f"{file}: larger than {MAX_CHARACTERS} bytes")
        return str(content.decode("utf-8-sig"))
    except OSError as error:
        raise click.ClickException(f"{file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise click.ClickException(f"{file}: line {line}: not UTF-8 text") from None
