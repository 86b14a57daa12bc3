"""`nessus-sched credentials add`: a login for targets, with its secret in a file of its own."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import click

from nessus_sched.cli.config.init import service_group
from nessus_sched.cli.credentials.config_file import CREDENTIALS, with_credential
from nessus_sched.cli.options import config_option, one_of
from nessus_sched.cli.output import print_line, print_note
from nessus_sched.cli.output_file import check_writable, whole_file
from nessus_sched.config.loading import load_text
from nessus_sched.config.problems import ConfigError
from nessus_sched.config.substitution import MAX_FILE
from nessus_sched.config.yaml_reader import read_document
from nessus_sched.core.credentials import Credential, CredentialKind
from nessus_sched.core.fields import doc_of
from nessus_sched.core.secret import Secret

SECRET_KEYS: Final[Mapping[str, str]] = {
    CredentialKind.SSH_PASSWORD: "password",
    CredentialKind.SSH_KEY: "private_key",
    CredentialKind.WINDOWS: "password",
    CredentialKind.SNMPV3: "auth_password",
}
"""The field that holds the secret of each kind."""
_FOLDER: Final = "credentials"
_REFERENCE: Final = re.compile(r"\$\{[^}]+\}")
_SECRETS: Final = frozenset(
    {"password", "private_key", "passphrase", "auth_password", "privacy_password"}
)
_TRIED: Final = "NESSUS_SCHED_NEW_SECRET"
"""The variable through which the new configuration is checked before the secret has a file."""


@click.command("add")
@click.argument("name")
@click.option("--kind", required=True, type=one_of(CredentialKind), help="Kind of login.")
@click.option("--username", required=True, help="User on the targets.")
@click.option(
    "--reference", metavar="REF",
    help="Where the secret is: '${file:PATH}', '${NAME}' of the environment, or "
    "'${credential:NAME}' of systemd. Default: ask for it, or read it from stdin.",
)  # fmt: skip
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE",
    help="Another key, such as domain=LAB or escalation.method=sudo; secrets only as "
    "references, such as 'escalation.password=${file:PATH}'. Repeatable.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace a credential of that name.")
@config_option
def add_command(
    name: str,
    kind: str,
    username: str,
    reference: str | None,
    settings: Sequence[str],
    force: bool,
    config: Path,
) -> None:
    """Add a login for targets to the configuration file.

    You are prompted for the secret, which is not shown, or it is read from standard input: for a
    private key, use '< id_ed25519'. It is written to credentials/NAME next to the configuration
    file, readable only by you, and the configuration refers to that file. The rest of the
    configuration stays as it is; nothing is written unless all of it is valid. Reload the daemon
    afterwards.
    """
    known_as = doc_of(attrs.fields(Credential).name)
    if known_as is None or not re.fullmatch(known_as.pattern or "", name):
        raise click.UsageError(
            f"{name!r} is not a name for a credential; use letters, digits, . _ and -"
        )
    if reference is not None and not _REFERENCE.fullmatch(reference):
        raise click.UsageError("--reference takes ${file:PATH}, ${NAME} or ${credential:NAME}")
    entry: dict[str, Any] = {"name": name, "kind": kind, "username": username.replace("$", "$$")}
    key = SECRET_KEYS[kind]
    _set(entry, settings, key)
    text = _read(config)
    known = _checked(text, config)
    if not force and name in {each.name for each in known}:
        raise click.ClickException(f"credential {name} exists; replace it with --force")
    check_writable(config, force=True)
    if reference is not None:
        _write_config(config, _valid(text, {**entry, key: reference}, config))
        print_line(f"{config}: credential {name} added, with the secret from {reference}")
    else:
        file = config.absolute().parent / _FOLDER / name
        refers = f"${{file:{_FOLDER}/{name}}}"
        check_writable(file, force=force and _refers(text, name, key, refers))
        secret = _secret(kind)
        _valid(text, {**entry, key: f"${{{_TRIED}}}"}, config, {_TRIED: secret.reveal()})
        changed = with_credential(text, {**entry, key: refers})
        _write_secret(file, secret, config, force=force)
        _write_config(config, changed)
        print_line(f"{config}: credential {name} added, with its secret in {file}")
    print_note(f"Next: nessus-sched reload, then nessus-sched credentials test {name}")


def _set(entry: dict[str, Any], settings: Sequence[str], secret_key: str) -> None:
    for setting in settings:
        path, sign, value = setting.partition("=")
        section, _, key = path.rpartition(".")
        if not sign or not key or section not in ("", "escalation"):
            raise click.UsageError("--set takes KEY=VALUE or escalation.KEY=VALUE")
        if not section and key in {*entry, secret_key}:
            raise click.UsageError(
                f"--set {key}: this has its own option, or you are prompted for it"
            )
        # The value is not repeated: it may be the secret.
        if key in _SECRETS and not _REFERENCE.fullmatch(value):
            raise click.UsageError(
                f"--set {path}: give a reference such as '${{file:PATH}}'; others can see what "
                "you type here"
            )
        where = entry.setdefault(section, {}) if section else entry
        where[key] = {"true": True, "false": False}.get(value, value)


def _read(config: Path) -> str:
    try:
        return config.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise click.ClickException(f"{config}: cannot be read: {reason}") from error


def _checked(
    text: str, config: Path, more: Mapping[str, str] | None = None
) -> Sequence[Credential]:
    """The credentials of a valid configuration. Raises `click.ClickException`."""
    try:
        found = load_text(
            text,
            file=str(config),
            folder=config.absolute().parent,
            environ={**os.environ, **(more or {})},
        )
    except ConfigError as error:
        said = "\n".join(f"  {problem}" for problem in error.problems)
        raise click.ClickException(f"nothing was written:\n{said}") from None
    return found.credentials


def _refers(text: str, name: str, key: str, reference: str) -> bool:
    """Whether the credential has its secret there; another file of that name is not ours."""
    items = read_document(text).data.get(CREDENTIALS) or ()
    return any(item["name"] == name and item.get(key) == reference for item in items)


def _valid(
    text: str, entry: Mapping[str, Any], config: Path, more: Mapping[str, str] | None = None
) -> str:
    changed = with_credential(text, entry)
    _checked(changed, config, more)
    return changed


def _secret(kind: str) -> Secret:
    """From standard input or, on a terminal, by asking. Raises `click.ClickException`."""
    if not sys.stdin.isatty():
        given = sys.stdin.buffer.read(MAX_FILE + 1)
        if len(given) > MAX_FILE:
            raise click.ClickException(f"the secret is longer than {MAX_FILE} bytes")
        try:
            text = given.decode()
        except UnicodeDecodeError:
            raise click.ClickException("the secret is not UTF-8 text") from None
        if kind != CredentialKind.SSH_KEY:
            text = text.removesuffix("\n").removesuffix("\r")
    elif kind == CredentialKind.SSH_KEY:
        raise click.UsageError("give the private key through stdin: < FILE, or --reference")
    else:
        text = click.prompt("Secret", hide_input=True, confirmation_prompt=True, err=True)
    if not text.strip():
        raise click.ClickException("the secret is empty; nothing was written")
    if "\0" in text:
        raise click.ClickException("the secret has a NUL character; nothing was written")
    return Secret(text)


def _write_secret(file: Path, secret: Secret, config: Path, *, force: bool) -> None:
    """Readable only by this user; by the service's group as well if it is the service's file."""
    group = service_group(config)
    try:
        if not file.parent.exists():
            file.parent.mkdir(mode=0o700 if group is None else 0o750)
            os.chown(file.parent, -1, -1 if group is None else group)
    except OSError as error:
        raise click.ClickException(f"cannot write {file}: {error.strerror}") from None
    with whole_file(file, force=force) as stream:
        os.fchown(stream.fileno(), -1, -1 if group is None else group)
        os.fchmod(stream.fileno(), 0o600 if group is None else 0o640)
        stream.write(secret.reveal())


def _write_config(config: Path, text: str) -> None:
    """Replaces the file; owner, group and mode stay."""
    before = config.stat()
    with whole_file(config, force=True) as stream:
        os.fchown(stream.fileno(), before.st_uid, before.st_gid)
        os.fchmod(stream.fileno(), before.st_mode & 0o777)
        stream.write(text)
