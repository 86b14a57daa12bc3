"""`nessus-sched config init`: writes a first configuration that works."""

from __future__ import annotations

import json
import os
import pwd
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import attrs
import click

from nessus_sched.cli.formatting import fingerprint_text
from nessus_sched.cli.mcp import typed_program
from nessus_sched.cli.output_file import check_writable, whole_file
from nessus_sched.config import parsers, types
from nessus_sched.config.loading import load_text
from nessus_sched.config.problems import ConfigError
from nessus_sched.core.targets.scope import parse_rules
from nessus_sched.ipc import discovery

_REFERENCE: Final = re.compile(r"\$\{[^}]+\}")


@attrs.frozen(kw_only=True)
class Answers:
    """What `config init` knows. `name` and `secret` are the two parts of the login: API keys if
    `keys`, otherwise user and password."""

    scanner_id: str
    url: str
    keys: bool
    name: str
    secret: str = attrs.field(repr=False)
    fingerprint: str | None = None
    ca_file: str | None = None
    allow: Sequence[str]
    max_scans: int
    state_directory: str


def config_text(answers: Answers) -> str:
    kind, first, second = (
        ("api_keys", "access_key", "secret_key")
        if answers.keys
        else ("ui_session", "username", "password")
    )
    tls = []
    if answers.fingerprint is not None:
        tls = [f"    tls: {{fingerprint: {quoted(answers.fingerprint)}}}"]
    elif answers.ca_file is not None:
        tls = [f"    tls: {{ca_file: {quoted(answers.ca_file)}}}"]
    return "\n".join(
        [
            "# Every key: nessus-sched config reference. Check it: nessus-sched config check",
            f"state_directory: {quoted(answers.state_directory)}",
            "",
            "# What may be scanned; deny takes precedence over allow.",
            "targets:",
            "  allow:",
            *(f"    - {quoted(rule)}" for rule in answers.allow),
            "  deny: []",
            "",
            "scanners:",
            f"  - id: {quoted(answers.scanner_id)}",
            f"    url: {quoted(answers.url)}",
            "    auth:",
            f"      {kind}:",
            f"        {first}: {referring(answers.name)}",
            f"        {second}: {referring(answers.secret)}",
            *tls,
            f"    max_concurrent_scans: {answers.max_scans}",
            "",
        ]
    )


def quoted(text: str) -> str:
    """The text as a YAML scalar; JSON strings are YAML."""
    return json.dumps(text.replace("$", "$$"))


def referring(text: str) -> str:
    """Like `quoted`, but keeps a reference such as `${file:/path}`."""
    return json.dumps(text) if _REFERENCE.fullmatch(text) else quoted(text)


SERVICE_USER: Final = "nessus-sched"
SHOW_FINGERPRINT: Final = (
    "openssl x509 -noout -fingerprint -sha256 -in /opt/nessus/com/nessus/CA/servercert.pem"
)
LOGINS: Final = click.Choice(["api-keys", "session"])


class NoCertificate(click.ClickException):
    """The scanner could not be asked for its certificate."""


@click.command("init", short_help="Write a configuration for one scanner.")
@click.option("--url", help="URL of the scanner's API, such as https://192.0.2.5:8834.")
@click.option("--id", "scanner_id", default="local", show_default=True, help="Id of the scanner.")
@click.option(
    "--login", type=LOGINS,
    help="API keys, or user and password as in the web interface (for licenses whose API "
    "refuses scans; not supported by the vendor).",
)  # fmt: skip
@click.option("--access-key", envvar="NESSUS_ACCESS_KEY", help="Or $NESSUS_ACCESS_KEY.")
@click.option("--secret-key", envvar="NESSUS_SECRET_KEY", help="Or $NESSUS_SECRET_KEY.")
@click.option("--username", envvar="NESSUS_USERNAME", help="Or $NESSUS_USERNAME.")
@click.option("--password", envvar="NESSUS_PASSWORD", help="Or $NESSUS_PASSWORD.")
@click.option("--fingerprint", metavar="SHA256", help="Pin this certificate.")
@click.option("--ca-file", metavar="FILE", help="CA that signed the scanner's certificate.")
@click.option("--system-ca", is_flag=True, help="Verify the certificate with the system's CAs.")
@click.option(
    "--trust-shown", is_flag=True, help="Pin the certificate the scanner presents, without asking."
)
@click.option(
    "--allow", multiple=True, metavar="NETWORK",
    help="Network that may be scanned; repeatable.",
)  # fmt: skip
@click.option("--max-scans", default=2, show_default=True, help="Concurrent scans on the scanner.")
@click.option("--state-directory", metavar="DIR", help="Directory for tasks and results.")
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="File to write. Default: the user's configuration file (the system's for root).",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
def init_command(
    url: str | None,
    scanner_id: str,
    login: str | None,
    access_key: str | None,
    secret_key: str | None,
    username: str | None,
    password: str | None,
    fingerprint: str | None,
    ca_file: str | None,
    system_ca: bool,
    trust_shown: bool,
    allow: tuple[str, ...],
    max_scans: int,
    state_directory: str | None,
    output: Path | None,
    force: bool,
) -> None:
    """Write a configuration for one scanner, from options or by asking.

    Logins may be references such as '${file:/etc/nessus-sched/access}', '${credential:NAME}' or
    '${NAME}', which are written unchanged. Only you can read the file.
    """
    output = output or _default_output()
    check_writable(output, force=force)
    by_ca = bool(ca_file or system_ca)
    fingerprint = None if by_ca else fingerprint
    if url is None:
        url, fingerprint = _asked_scanner(fingerprint, trust_shown, pin=not by_ca)
    kind = login or ("session" if username else "api-keys" if access_key else None)
    kind = kind or _login()
    keys = kind == "api-keys"
    answers = Answers(
        scanner_id=scanner_id,
        url=url,
        keys=keys,
        name=(access_key or _secret("--access-key", "Access key"))
        if keys
        else (username or _asked("--username", "User on the scanner")),
        secret=(secret_key or _secret("--secret-key", "Secret key"))
        if keys
        else (password or _secret("--password", "Password")),
        fingerprint=fingerprint,
        ca_file=ca_file,
        allow=allow or _allowed(),
        max_scans=max_scans,
        state_directory=state_directory or _default_state(),
    )
    _check(answers, output)
    if not (by_ca or fingerprint):
        answers = attrs.evolve(answers, fingerprint=_approved(url, trust_shown))
        _check(answers, output)
    _write(output, config_text(answers), force)
    _what_next(output)


def _default_output() -> Path:
    if os.geteuid() == 0:
        return Path(discovery.SYSTEM_CONFIG)
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return Path(home) / "nessus-sched" / "config.yaml"


def _default_state() -> str:
    if os.geteuid() == 0:
        return "/var/lib/nessus-sched"
    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return f"{home}/nessus-sched"


def _asked(
    option: str,
    question: str,
    default: str | None = None,
    *,
    hidden: bool = False,
    read: Callable[[str], str] | None = None,
) -> str:
    """Prompts until `read` accepts the answer."""
    if not sys.stdin.isatty():
        raise click.UsageError(f"{option} is required (cannot prompt: stdin is not a terminal)")
    answer: str = click.prompt(question, default=default, hide_input=hidden, value_proc=read)
    return answer


def _secret(option: str, question: str) -> str:
    return _asked(option, f"{question} (hidden)", hidden=True)


def _asked_scanner(
    fingerprint: str | None, trust_shown: bool, *, pin: bool
) -> tuple[str, str | None]:
    """URL and fingerprint. Asks again while no certificate can be had from the URL, so that a
    mistake in it shows before anything else is typed."""
    while True:
        url = _asked("--url", "URL of the scanner", default="https://127.0.0.1:8834", read=_url)
        if fingerprint or not pin:
            return url, fingerprint
        try:
            return url, _approved(url, trust_shown)
        except NoCertificate as error:
            click.echo(f"Error: {error.message}", err=True)


def _login() -> str:
    if sys.stdin.isatty():
        click.echo(
            "Nessus Manager accepts scans with API keys. Professional, Expert and Essentials\n"
            "refuse them; for those, session logs in like the web interface, which the vendor\n"
            "does not support.",
            err=True,
        )
    question = "Log in with api-keys or session"
    return _asked("--login", question, default="api-keys", read=_kind_of_login)


def _kind_of_login(answer: str) -> str:
    return LOGINS.convert(answer, None, None)


def _url(answer: str) -> str:
    return _fitting(answer, parsers.url, types.URL)


def _allowed() -> Sequence[str]:
    question = "Networks that may be scanned, separated by spaces"
    return _asked("--allow", question, read=_rules).split()


def _rules(answer: str) -> str:
    rules = answer.replace(",", " ").split() or [""]
    found = [_fitting(rule, parsers.rule, types.RULE) for rule in rules]
    if not parse_rules(found).networks:
        raise click.BadParameter(
            f"{answer!r} has no network, such as 192.0.2.0/24; a host name is scanned only if "
            "its addresses are allowed, too"
        )
    return " ".join(found)


def _fitting(answer: str, read: Callable[[object], str], form: types.ValueFormat) -> str:
    """The answer as the configuration reads it. Raises `click.BadParameter` with the reason."""
    try:
        return read(answer)
    except ValueError as error:
        raise click.BadParameter(f"{answer!r}: expected {form.expected}: {error}") from None


def _check(answers: Answers, output: Path) -> None:
    """Raises `click.ClickException` before the next prompt or connection if the answers are
    invalid."""
    try:
        load_text(
            config_text(answers),
            file=str(output),
            folder=output.absolute().parent,
            environ=os.environ,
        )
    except ConfigError as error:
        said = "; ".join(
            problem.message + (f" ({problem.hint})" if problem.hint else "")
            for problem in error.problems
        )
        raise click.ClickException(f"nothing was written: {said}") from None


def _approved(url: str, trust_shown: bool) -> str:
    """The fingerprint of the certificate that the scanner presents, once the user has confirmed
    it. Raises `NoCertificate` if it presents none."""
    from nessus_sched.cli.trio_run import run_trio
    from nessus_sched.core.scanner import ScannerError
    from nessus_sched.net.tls import fetch_fingerprint

    parts = urlsplit(url)
    try:
        found = run_trio(fetch_fingerprint, parts.hostname or "", parts.port or 443)
    except ScannerError as error:
        port = "" if parts.port else "Nessus usually listens on port 8834. "
        raise NoCertificate(
            f"{error} {port}Nothing was written; give --fingerprint, --ca-file or --system-ca to "
            "continue without the scanner."
        ) from None
    click.echo(f"The scanner at {url} shows a certificate with this SHA-256 fingerprint:", err=True)
    click.echo(f"  {fingerprint_text(found)}", err=True)
    if trust_shown:
        return found
    if not sys.stdin.isatty():
        raise click.UsageError(
            "compare it on the scanner itself, then give --fingerprint or --trust-shown"
        )
    click.echo(f"To compare it, run this on the scanner itself:\n  {SHOW_FINGERPRINT}", err=True)
    click.confirm("Is it the scanner's?", abort=True, err=True)
    return found


def _write(output: Path, text: str, force: bool) -> None:
    """Readable by this user only; by the service's group as well if root writes the service's
    file."""
    service = service_group(output)
    group = -1 if service is None else service  # -1 leaves it unchanged
    mode, folder_mode = (0o600, 0o700) if service is None else (0o640, 0o750)
    try:
        folders = [output.parent, *output.parent.parents]
        missing = [folder for folder in folders if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(mode=folder_mode)
        if missing:
            os.chown(output.parent, -1, group)
            output.parent.chmod(folder_mode)  # whatever the umask
    except OSError as error:
        raise click.ClickException(f"cannot write {output}: {error.strerror}") from None
    with whole_file(output, force=force) as file:
        os.fchown(file.fileno(), -1, group)
        os.fchmod(file.fileno(), mode)
        file.write(text)


def service_group(output: Path) -> int | None:
    """The group of the service's user, if that user is going to read the file."""
    if os.geteuid() != 0 or output != Path(discovery.SYSTEM_CONFIG):
        return None
    try:
        return pwd.getpwnam(SERVICE_USER).pw_gid
    except KeyError:
        return None


def _what_next(output: Path) -> None:
    option = "" if output == _default_output() else f" --config {shlex.quote(str(output))}"
    also = "" if service_group(output) is None else f" and the user {SERVICE_USER}"
    click.echo(f"{output} is written; only you{also} can read it. Next:")
    us = typed_program()
    click.echo(f"  {us} doctor{option}               whether everything works")
    click.echo(f"  {us} serve{option}                run the daemon")
    click.echo(f"  {us} mcp --print-config{option}   the entry for Claude Desktop")
