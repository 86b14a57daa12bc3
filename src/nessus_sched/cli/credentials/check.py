"""`nessus-sched credentials test`: what can be said of a login without one, and with a scan."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import click

from nessus_sched.api.scanner_check import Step, failed, ok, warning
from nessus_sched.cli.client import Daemon, Refused, daemon
from nessus_sched.cli.completion import candidates
from nessus_sched.cli.options import config_option, json_option
from nessus_sched.cli.output import print_json, print_note
from nessus_sched.cli.scanners import show_steps
from nessus_sched.config.loading import load
from nessus_sched.config.problems import ConfigError
from nessus_sched.core.credentials import Credential, CredentialKind
from nessus_sched.core.secret import Secret

PORTS: Final[Mapping[str, str]] = {
    CredentialKind.SSH_PASSWORD: "22",
    CredentialKind.SSH_KEY: "22",
    CredentialKind.WINDOWS: "139,445",
    CredentialKind.SNMPV3: "161",
}
"""The ports that a test scans."""


@click.command("test")
@click.argument("name", shell_complete=candidates.credential)
@click.option("--target", metavar="HOST", help="Also log in to this host, by a small scan.")
@click.option("--scanner", shell_complete=candidates.scanner, help="The scanner for --target.")
@config_option
@json_option
def test_command(
    name: str, target: str | None, scanner: str | None, config: Path, as_json: bool
) -> None:
    """Check a credential, and with --target whether it can log in.

    Without --target, only the daemon is contacted, to check that the secret can be read, that a
    private key can be opened, and that the daemon has a credential of that name. Only a scan can
    tell whether a host accepts the login: --target scans the login ports of one allowed host and
    reads from the report whether the login worked. Exit code 1 if a check failed.
    """
    if scanner is not None and target is None:
        raise click.UsageError("--scanner goes with --target")
    steps = list(_configured(name, config))
    if not any(step.status == "failed" for step in steps):
        with daemon(config) as connection:
            steps += _known(connection, name)
            if target is not None and steps[-1].status == "ok":
                kind, privileged = _how(name, config)
                steps.append(_login(connection, name, kind, privileged, target, scanner))
    bad = any(step.status == "failed" for step in steps)
    rows = [attrs.asdict(step) for step in steps]
    if as_json:
        print_json({"ok": not bad, "steps": rows})
    else:
        show_steps(rows)
        if target is None and not bad:
            print_note("Use --target HOST to find out whether hosts accept it.")
    if bad:
        sys.exit(1)


def _configured(name: str, config: Path) -> Iterator[Step]:
    try:
        found = load(config, environ=os.environ).credentials
    except ConfigError as error:
        for problem in error.problems:
            yield failed("secret", str(problem), "Correct the configuration file.")
        return
    credential = next((each for each in found if each.name == name), None)
    if credential is None:
        known = ", ".join(each.name for each in found) or "none"
        advice = f"There are: {known}. 'nessus-sched credentials add' adds one."
        yield failed("configured", f"{config} has no credential {name}", advice)
        return
    yield ok("configured", f"{credential.kind} as {credential.username}")
    yield from _secrets(credential)


def _secrets(credential: Credential) -> Iterator[Step]:
    values = {
        field.name: value
        for field in attrs.fields(Credential)
        if isinstance(value := getattr(credential, field.name), Secret)
    }
    if credential.escalation is not None and credential.escalation.password is not None:
        values["escalation.password"] = credential.escalation.password
    for key, secret in values.items():
        text = secret.reveal()
        if not text:
            yield failed("secret", f"{key} is empty", "Put the secret where it is read from.")
        elif key == "private_key":
            yield _private_key(credential)
        elif text != text.strip():
            advice = "Remove it, unless it belongs to the secret."
            yield warning("secret", f"{key} begins or ends with white space", advice)
        else:
            yield ok("secret", f"{key} can be read")


def _private_key(credential: Credential) -> Step:
    """Whether the key can be opened. The library's messages are left out: they may quote it."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import (
        load_pem_private_key,
        load_ssh_private_key,
    )

    assert credential.private_key is not None
    phrase = credential.passphrase.reveal().encode() if credential.passphrase else None
    text = credential.private_key.reveal().strip() + "\n"
    opened = load_ssh_private_key if "BEGIN OPENSSH" in text else load_pem_private_key
    try:
        key = opened(text.encode(), phrase)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        advice = "It must be a private key in PEM format, with `passphrase` if it has one."
        return failed("secret", "private_key cannot be opened", advice)
    return ok(
        "secret", f"private_key can be opened: {type(key).__name__.removesuffix('PrivateKey')}"
    )


def _known(connection: Daemon, name: str) -> Iterator[Step]:
    names = {each["name"] for each in connection.call("list_credentials")["credentials"]}
    if name in names:
        yield ok("daemon", "it has a credential of that name")
    else:
        yield failed("daemon", "it has no credential of that name", "Run nessus-sched reload.")


def _how(name: str, config: Path) -> tuple[CredentialKind, bool]:
    found = load(config, environ=os.environ).credentials
    credential = next(each for each in found if each.name == name)
    return credential.kind, credential.privileged or credential.escalation is not None


def _login(
    connection: Daemon,
    name: str,
    kind: CredentialKind,
    privileged: bool,
    target: str,
    scanner: str | None,
) -> Step:
    """Scans the login's ports of the host, and says what the report says about the login."""
    from nessus_sched.cli.watch import follow

    try:
        submitted = connection.call(
            "submit_privileged_scan" if privileged else "submit_trusted_scan",
            targets=[target],
            credential=[name],
            name=f"test of {name}",
            scanner_instance=scanner,
            settings={"portscan_range": PORTS[kind]},
        )
        task_id = submitted["task_id"]
        print_note(f"{task_id} scans {target}, ports {PORTS[kind]}; Ctrl-C stops watching only.")
        (task,) = follow(connection, [task_id], quiet=True)
        if task["status"] not in ("completed", "partial"):
            return failed(
                "login", f"the scan is {task['status']}", f"nessus-sched status {task_id}"
            )
        summary = connection.operate("read_summary", task_id=task_id)["summary"]
    except Refused as error:
        return failed("login", error.message, "Only allowed hosts are scanned; see the message.")
    return judged(summary, target, task_id)


def judged(summary: Mapping[str, Any], target: str, task_id: str) -> Step:
    """What the summary of the test's scan says about the login."""
    worked = summary["verdict"]["counts"]
    advice = f"nessus-sched results show {task_id} --group-by host"
    if not summary["hosts"]:
        return failed("login", f"{target} did not answer", "Choose a host that is up.")
    if worked.get("full") == summary["hosts"]:
        return ok("login", f"logged in to {target}")
    said = ", ".join(f"{count} {word}" for word, count in worked.items() if count)
    return failed("login", f"no full login to {target}: {said.replace('_', ' ')}", advice)
